package grant

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/keystore"
)

// FuzzDiscover: a document may say what it likes. What is taken from it is the issuer that was asked, and addresses
// that a credential may be sent to.
func FuzzDiscover(f *testing.F) {
	f.Add([]byte(`{"issuer":"https://auth.example.org","token_endpoint":"https://auth.example.org/token"}`))
	f.Add([]byte(`{"issuer":"https://auth.example.org/","token_endpoint":"https://tokens.example.net/t",` +
		`"token_endpoint_auth_methods_supported":["client_secret_jwt"],"grant_types_supported":[]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		network := &canned{status: 200, body: body, header: http.Header{"Content-Type": {"application/json"}}}
		found, err := Discover(t.Context(), &http.Client{Transport: network}, "https://auth.example.org", "")
		if err != nil {
			failed, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatal(err)
			}
			clean1(t, failed)
			return
		}
		if strings.TrimSuffix(found.Issuer, "/") != "https://auth.example.org" ||
			!slices.Contains(Methods(), found.ClientAuth) {
			t.Errorf("%+v", found)
		}
		for _, at := range []string{found.TokenEndpoint, found.AuthorizeEndpoint, found.DeviceEndpoint,
			found.PAREndpoint, found.RevocationEndpoint, found.Userinfo} {
			if u, err := url.Parse(at); at != "" && (err != nil || u.Scheme != "https" || u.Hostname() == "" ||
				u.User != nil) {
				t.Errorf("it would send a credential to %q", at)
			}
		}
		for _, k := range found.Grants {
			if !slices.Contains(Kinds(), k) {
				t.Errorf("a grant %q", k)
			}
		}
	})
}

// FuzzDeviceReply: what a person is shown and a browser is opened at is a plain address and a code that can be typed.
func FuzzDeviceReply(f *testing.F) {
	f.Add([]byte(`{"device_code":"d","user_code":"ABCD-EFGH","verification_uri":"https://auth.example.org/device",` +
		`"verification_uri_complete":"https://auth.example.org/device?c=ABCD-EFGH","expires_in":900,"interval":5}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		d, flaw := readDevice(said(200, string(body)))
		if flaw != "" {
			if !oneLine(flaw) {
				t.Errorf("it would say %q", flaw)
			}
			return
		}
		if !oneLine(d.UserCode) || len(d.UserCode) > maxUserCode || d.Lifetime <= 0 || d.Lifetime > deviceLifeMost ||
			d.interval <= 0 || d.interval > deviceLifeMost {
			t.Errorf("%+v", d)
		}
		if origin.CheckURL(d.VerificationURI, "") != nil ||
			d.VerificationURIComplete != "" && origin.Of(d.VerificationURIComplete) != origin.Of(d.VerificationURI) {
			t.Errorf("it would open %q or %q", d.VerificationURI, d.VerificationURIComplete)
		}
	})
}

// FuzzRedirect: a code is taken from a redirect only together with this sign-in's state and, where it is named, issuer.
func FuzzRedirect(f *testing.F) {
	const state = "state-0123456789"
	f.Add("code=abc&state=" + state)
	f.Add("http://127.0.0.1:1234/callback?code=abc&state=" + state + "&iss=https%3A%2F%2Fauth.example.org")
	f.Add("error=access_denied&error_description=no&state=" + state)
	f.Add("abc")
	f.Fuzz(func(t *testing.T, pasted string) {
		a := &Authorization{RedirectURI: "http://127.0.0.1:1234/callback", issuer: "https://auth.example.org",
			where: "auth.example.org", state: state}
		code, err := a.ParseRedirect(pasted)
		if err != nil {
			if failed, ok := errors.AsType[*Error](err); ok {
				clean1(t, failed)
			} else if !errors.Is(err, ErrNotThisLogin) || !code.IsZero() {
				t.Errorf("%v", err)
			}
			return
		}
		text := code.Reveal()
		if !isCode(text) {
			t.Errorf("it would send %q", text)
		}
		if bare := strings.TrimSpace(pasted) == text; !bare && !strings.Contains(unescaped(pasted), state) {
			t.Errorf("%q is taken for the answer to this sign-in", pasted)
		}
	})
}

func unescaped(s string) string {
	if u, err := url.QueryUnescape(s); err == nil {
		return u
	}
	return s
}

// FuzzIDToken: an ID token is accepted only if it can be read as what OpenID Connect Core §3.1.3.7 wants, at a sign-in
// and at a renewal.
func FuzzIDToken(f *testing.F) {
	f.Add(`{"iss":"https://auth.example.org","aud":"client","nonce":"nonce-1"}`)
	f.Add(`{"iss":"https://auth.example.org","aud":["client","other"],"nonce":"nonce-2"}`)
	f.Add(`{"iss":"https://auth.example.org","aud":["client"],"sub":"alice","iat":999999990,"exp":1000003600}`)
	f.Add(`{"iss":"https://auth.example.org","aud":"client","sub":"alice","iat":1e400,"exp":-1e400,"azp":null}`)
	f.Fuzz(func(t *testing.T, claims string) {
		a := &Authorization{issuer: "https://auth.example.org", clientID: "client", nonce: "nonce-1"}
		flaw := a.checkIDToken(&IDToken{Text: keystore.SecretString(jwtWith(claims))})
		if !oneLine(flaw) {
			t.Errorf("it would say %q", flaw)
		}
		for _, needed := range []string{"nonce-1", "client"} { // the characters must be there, escaped or not
			if flaw == "" && !strings.Contains(claims, needed) && !strings.Contains(claims, `\u`) {
				t.Errorf("accepted without %s: %s", needed, claims)
			}
		}
		e := NewEndpoint(Server{Issuer: a.issuer}, nil, clock.Now)
		now := clock.Instant{Wall: time.Unix(1e9, 0)}
		i := e.parseIDToken(object{"id_token": json.RawMessage(`"` + jwtWith(claims) + `"`)},
			keystore.Item{ClientID: "client", IDSubject: "alice"}, now, time.Time{})
		switch {
		case i == nil || !oneLine(i.Flaw) || i.Verified():
			t.Errorf("%+v", i)
		case i.Flaw != "":
		case i.Subject != "alice" || i.Lifetime <= 0 || i.Lifetime > lifetimeMost:
			t.Errorf("%s is taken: %+v", claims, i)
		}
	})
}
