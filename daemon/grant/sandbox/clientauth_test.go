package sandbox

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"hash"
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"
)

// assertion builds a client assertion as authlib does, and wrong ones.
type assertion struct {
	id, secret, aud string
	iat             time.Time
	alg             string         // HS256 if empty
	header, set     map[string]any // members to add; nil removes
}

func (a assertion) sign() string {
	if a.alg == "" {
		a.alg = "HS256"
	}
	header := map[string]any{"typ": "JWT", "alg": a.alg}
	maps.Copy(header, a.header)
	claims := map[string]any{"iss": a.id, "sub": a.id, "aud": a.aud, "iat": a.iat.Unix(), "exp": a.iat.Unix() + 3600,
		"jti": rand.Text()}
	for k, v := range a.set {
		if v == nil {
			delete(claims, k)
		} else {
			claims[k] = v
		}
	}
	h, _ := json.Marshal(header)
	c, _ := json.Marshal(claims)
	return a.signRaw(string(h), string(c))
}

func (a assertion) signRaw(header, claims string) string {
	signed := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." +
		base64.RawURLEncoding.EncodeToString([]byte(claims))
	newHash := map[string]func() hash.Hash{"HS384": sha512.New384, "HS512": sha512.New}[a.alg]
	if newHash == nil {
		newHash = sha256.New
	}
	m := hmac.New(newHash, []byte(a.secret))
	m.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

func assertionForm(jwt string) url.Values {
	return url.Values{"grant_type": {"client_credentials"}, "client_assertion_type": {assertionType},
		"client_assertion": {jwt}}
}

// A published vector: what authlib signs for this client at 1700000000 is accepted once, and not twice.
func TestAssertionVector(t *testing.T) {
	s := newServer(t, Options{URL: "https://auth.spatiafi.com", Clock: func() time.Time { return t0 }})
	host := "http://" + s.Addr()
	const vector = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJpc3MiOiIxMTExMTExMS0yMjIyLTQzMzMtODQ0NC01NTU1NTU1N" +
		"TU1NTUiLCJzdWIiOiIxMTExMTExMS0yMjIyLTQzMzMtODQ0NC01NTU1NTU1NTU1NTUiLCJhdWQiOiJodHRwczovL2F" +
		"1dGguc3BhdGlhZmkuY29tL2FwaS92MS9hdXRoL2p3dC90b2tlbiIsImV4cCI6MTcwMDAwMzYwMCwiaWF0IjoxNzAwM" +
		"DAwMDAwLCJqdGkiOiJBMWIyQzNkNEU1ZjZHN2g4STlqMEsxbDJNM240TzVwNlE3cjgifQ.3U5CHA1Cjfgo8goZ1SIh" +
		"Y3me0CmQDuIEkjWMqA6NAyU"
	if r := postForm(t, host+SpatiafiTokenPath, assertionForm(vector)); r.StatusCode != 200 {
		t.Errorf("first: %s %s", r.Status, r.body)
	}
	if r := postForm(t, host+SpatiafiTokenPath, assertionForm(vector)); r.StatusCode != 401 {
		t.Errorf("replay: %s %s", r.Status, r.body)
	}
}

// Every check of an assertion, with a case that fails it and the nearest one that passes.
func TestAssertionChecks(t *testing.T) {
	s := newServer(t, Options{Clock: func() time.Time { return t0 }})
	aud := s.URL() + SpatiafiTokenPath
	now := t0.Unix()
	type m = map[string]any
	base := func() assertion { return assertion{id: clientID, secret: secret, aud: aud, iat: t0} }
	with := func(set m) string { a := base(); a.set = set; return a.sign() }
	good := `{"iss":"` + clientID + `","sub":"` + clientID + `","aud":"` + aud +
		`","exp":1700000100,"iat":1700000000,"jti":`
	for _, tt := range []struct {
		name string
		jwt  string
		ok   bool
	}{
		{"as authlib makes it", base().sign(), true},
		{"HS384", assertion{id: clientID, secret: secret, aud: aud, iat: t0, alg: "HS384"}.sign(), true},
		{"HS512", assertion{id: clientID, secret: secret, aud: aud, iat: t0, alg: "HS512"}.sign(), true},
		{"alg none", assertion{id: clientID, secret: secret, aud: aud, iat: t0, alg: "none"}.sign(), false},
		{"alg in lower case", assertion{id: clientID, secret: secret, aud: aud, iat: t0, alg: "hs256"}.sign(), false},
		{"alg of another signature", assertion{id: clientID, secret: secret, aud: aud, iat: t0,
			header: m{"alg": "HS512"}}.sign(), false},
		{"alg RS256", assertion{id: clientID, secret: secret, aud: aud, iat: t0, alg: "RS256"}.sign(), false},
		{"crit", assertion{id: clientID, secret: secret, aud: aud, iat: t0, header: m{"crit": []string{"x"}}}.sign(),
			false},
		{"wrong secret", assertion{id: clientID, secret: secret + "x", aud: aud, iat: t0}.sign(), false},
		{"unknown client", assertion{id: "nobody", secret: secret, aud: aud, iat: t0}.sign(), false},
		{"signature cut off", strings.TrimRight(base().sign(), "=")[:200] + "..", false},
		{"no signature", base().sign()[:strings.LastIndex(base().sign(), ".")+1], false},
		{"two parts", "e30.e30", false},
		{"padded", base().sign() + "=", false},
		{"line break at the end", base().sign() + "\n", false},
		{"line break", strings.Replace(base().sign(), ".", ".\n", 1), false},
		{"no JSON", base().signRaw(`{"alg":"HS256"}`, "x"), false},
		{"claims are a list", base().signRaw(`{"alg":"HS256"}`, "[]"), false},
		{"claims and more", base().signRaw(`{"alg":"HS256"}`, good+`"k1"}{}`), false},
		{"claims by hand", base().signRaw(`{"alg":"HS256"}`, good+`"k2"}`), true},
		{"a claim twice", base().signRaw(`{"alg":"HS256"}`, good+`"k3","jti":"k4"}`), false},
		{"iss is another", with(m{"iss": "x"}), false},
		{"sub is another", with(m{"sub": "x"}), false},
		{"no iss", with(m{"iss": nil}), false},
		{"aud in a list", with(m{"aud": []string{aud}}), true},
		{"aud is two", with(m{"aud": []string{aud, "https://other.example"}}), false},
		{"aud is the origin", with(m{"aud": s.URL()}), false},
		{"aud with a slash", with(m{"aud": aud + "/"}), false},
		{"no aud", with(m{"aud": nil}), false},
		{"exp within leeway", with(m{"iat": now - 100, "exp": now - 59}), true},
		{"exp past leeway", with(m{"iat": now - 100, "exp": now - 60}), false},
		{"no exp", with(m{"exp": nil}), false},
		{"exp is text", with(m{"exp": "1700000100"}), false},
		{"exp is null", base().signRaw(`{"alg":"HS256"}`, strings.Replace(good, "1700000100", "null", 1)+`"k5"}`),
			false},
		{"exp is huge", with(m{"exp": 1e30}), false},
		{"exp an hour after iat", with(m{"exp": now + 3600}), true},
		{"exp more than an hour after iat", with(m{"exp": now + 3601}), false},
		{"no iat", with(m{"iat": nil, "exp": now + 300}), true},
		{"no iat and a long life", with(m{"iat": nil, "exp": now + 3661}), false},
		{"iat within leeway", with(m{"iat": now + 60, "exp": now + 300}), true},
		{"iat in the future", with(m{"iat": now + 61, "exp": now + 300}), false},
		{"iat is text", with(m{"iat": "x"}), false},
		{"nbf is null", base().signRaw(`{"alg":"HS256"}`, good+`"k6","nbf":null}`), false},
		{"nbf now", with(m{"nbf": now}), true},
		{"nbf in the future", with(m{"nbf": now + 61}), false},
		{"no jti", with(m{"jti": nil}), false},
		{"empty jti", with(m{"jti": ""}), false},
		{"long jti", with(m{"jti": strings.Repeat("x", 257)}), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := postForm(t, aud, assertionForm(tt.jwt))
			if ok := r.StatusCode == 200; ok != tt.ok {
				t.Errorf("%s %s", r.Status, r.body)
			}
			if !tt.ok && (r.StatusCode != 401 || r.member(t, "error") != "invalid_client") {
				t.Errorf("%s %s", r.Status, r.body)
			}
		})
	}
}

// An hour of skew is refused in both directions, and Date tells the client by how much it is off.
func TestSkewShows(t *testing.T) {
	for _, skew := range []time.Duration{time.Hour, -time.Hour} {
		s := newServer(t, Options{Clock: func() time.Time { return t0 }})
		s.SetSkew(skew)
		aud := s.URL() + SpatiafiTokenPath
		a := assertion{id: clientID, secret: secret, aud: aud, iat: t0, set: map[string]any{"exp": t0.Unix() + 300}}
		r := postForm(t, aud, assertionForm(a.sign()))
		date, err := time.Parse(time.RFC1123, r.Header.Get("Date"))
		if r.StatusCode != 401 || err != nil || !date.Equal(t0.Add(skew)) {
			t.Errorf("skew %v: %s, Date %v", skew, r.Status, date)
		}
		a.iat, a.set = date, map[string]any{"exp": date.Unix() + 300}
		r = postForm(t, aud, assertionForm(a.sign()))
		if iat := segment(t, r.member(t, "access_token").(string), 1)["iat"]; iat != float64(t0.Add(skew).Unix()) {
			t.Errorf("skew %v: iat %v", skew, iat)
		}
	}
}

func TestClientAuthentication(t *testing.T) {
	s := newServer(t, Options{Clients: []Client{
		{ID: "only-post", Secret: "dummy", Method: ClientSecretPost},
		{ID: "odd", Secret: "a b+c%2F:/é"},
		{ID: "control", Secret: "a\nb"},
		{ID: "empty"},
	}})
	aud := s.URL() + SpatiafiTokenPath
	jwtOf := func(id, secret string) string {
		return assertion{id: id, secret: secret, aud: aud, iat: time.Now()}.sign()
	}
	jwt := func() string { return jwtOf(clientID, secret) }
	basic := basicHeader(clientID, secret)
	cc := func(more ...string) url.Values {
		v := url.Values{"grant_type": {"client_credentials"}}
		for i := 0; i < len(more); i += 2 {
			v.Set(more[i], more[i+1])
		}
		return v
	}
	for _, tt := range []struct {
		name   string
		form   url.Values
		auth   string
		status int
		code   any // the error
	}{
		{"basic", cc(), basic, 200, nil},
		{"basic, scheme in another case", cc(), "bAsIc" + basic[5:], 200, nil},
		{"basic and its own client_id", cc("client_id", clientID), basic, 200, nil},
		{"basic and another client_id", cc("client_id", "x"), basic, 400, "invalid_request"},
		{"basic and secret", cc("client_id", clientID, "client_secret", secret), basic, 400, "invalid_request"},
		{"basic and assertion", assertionForm(jwt()), basic, 400, "invalid_request"},
		{"secret and assertion", cc("client_secret", secret, "client_assertion", jwt(), "client_assertion_type",
			assertionType), "", 400, "invalid_request"},
		{"basic with a wrong secret", cc(), basicHeader(clientID, "x"), 401, "invalid_client"},
		{"another scheme", cc(), "Bearer x", 401, "invalid_client"},
		{"basic, raw odd secret", cc(), basicHeader("odd", "a b+c%2F:/é"), 200, nil},
		{"basic for a client of another method", cc(), basicHeader("only-post", "dummy"), 401, "invalid_client"},
		{"basic, control character", cc(), basicHeader("control", "a\nb"), 401, "invalid_client"},
		{"basic, empty secret", cc(), basicHeader("empty", ""), 401, "invalid_client"},
		{"assertion with an empty secret", assertionForm(jwtOf("empty", "")), "", 401, "invalid_client"},
		{"assertion for a client of another method", assertionForm(jwtOf("only-post", "dummy")), "", 401,
			"invalid_client"},
		{"post", cc("client_id", clientID, "client_secret", secret), "", 200, nil},
		{"post for a client of that method", cc("client_id", "only-post", "client_secret", "dummy"), "", 200, nil},
		{"post with a wrong secret", cc("client_id", clientID, "client_secret", "x"), "", 401, "invalid_client"},
		{"post without an id", cc("client_secret", secret), "", 401, "invalid_client"},
		{"only an id", cc("client_id", clientID), "", 401, "invalid_client"},
		{"assertion and its own client_id", cc("client_id", clientID, "client_assertion", jwt(),
			"client_assertion_type", assertionType), "", 200, nil},
		{"assertion and another client_id", cc("client_id", "x", "client_assertion", jwt(), "client_assertion_type",
			assertionType), "", 401, "invalid_client"},
		{"assertion without a type", cc("client_assertion", jwt()), "", 401, "invalid_client"},
		{"assertion of another type", cc("client_assertion", jwt(), "client_assertion_type", "x"), "", 401,
			"invalid_client"},
		{"type without an assertion", cc("client_assertion_type", assertionType), "", 401, "invalid_client"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var headers []string
			if tt.auth != "" {
				headers = []string{"Authorization", tt.auth}
			}
			r := postForm(t, aud, tt.form, headers...)
			if r.StatusCode != tt.status || r.member(t, "error") != tt.code {
				t.Errorf("%s %s", r.Status, r.body)
			}
			if challenge := r.Header.Get("WWW-Authenticate"); tt.status == 401 && (challenge != "") != (tt.auth != "") {
				t.Errorf("challenge %q", challenge)
			}
		})
	}
}

func TestClientAuthOfTheServer(t *testing.T) {
	s := newServer(t, Options{ClientAuth: []string{ClientSecretJWT}})
	aud := s.URL() + SpatiafiTokenPath
	if r := postForm(t, aud, url.Values{"grant_type": {"client_credentials"}}, "Authorization",
		basicHeader(clientID, secret)); r.StatusCode != 401 {
		t.Errorf("basic: %s", r.Status)
	}
	if r := postForm(t, aud, url.Values{"grant_type": {"client_credentials"}, "client_id": {clientID},
		"client_secret": {secret}}); r.StatusCode != 401 {
		t.Errorf("post: %s", r.Status)
	}
	if r := postForm(t, aud, assertionForm(assertion{id: clientID, secret: secret, aud: aud,
		iat: time.Now()}.sign())); r.StatusCode != 200 {
		t.Errorf("jwt: %s %s", r.Status, r.body)
	}
}
