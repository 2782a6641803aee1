package config

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every key of a profile is described, and no other; the page of them is what the code says. WRITE_KEYS=1 writes it.
func TestEveryKeyIsDescribed(t *testing.T) {
	described := map[string]bool{}
	for _, k := range Keys() {
		if described[k.Name] || k.About == "" || !strings.HasSuffix(k.About, ".") {
			t.Errorf("%+v", k)
		}
		described[k.Name] = true
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Profile]()) {
		name, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
		if name != "-" && !described[name] {
			t.Errorf("keyTable has no row for %s", name)
		}
		delete(described, name)
	}
	for name := range described {
		t.Errorf("a profile has no key %s", name)
	}
	const page = "KEYS.md"
	if os.Getenv("WRITE_KEYS") != "" {
		if err := os.WriteFile(page, []byte(Reference()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Reference(), string(text)); diff != "" {
		t.Errorf("%s is not what the code says: WRITE_KEYS=1 go test ./daemon/config -run TestEveryKeyIsDescribed\n%s",
			page, diff)
	}
}

// A key that was set says what it was set to, and nothing once it was removed.
func TestKeysAreSetAndRemoved(t *testing.T) {
	words := map[reflect.Kind]string{reflect.Bool: "true", reflect.Slice: "a b", reflect.String: "x",
		reflect.Int64: "60"}
	for _, k := range Keys() {
		var p Profile
		v, ok := p.field(k.Name)
		if !ok {
			t.Fatalf("no field of %s", k.Name)
		}
		kind := v.Kind()
		if kind == reflect.Pointer {
			kind = v.Type().Elem().Kind()
		}
		if err := p.Set(k.Name, words[kind]); err != nil {
			t.Errorf("%s: %v", k.Name, err)
		}
		if got, set := p.Get(k.Name); got != words[kind] || !set {
			t.Errorf("%s is %q, set %v", k.Name, got, set)
		}
		if err := p.Unset(k.Name); err != nil || !reflect.ValueOf(p).IsZero() {
			t.Errorf("%s: %v, %+v", k.Name, err, p)
		}
	}
	var p Profile
	for _, err := range []error{p.Set("client_secret", "x"), p.Unset("name"), p.Set("strict_scope", "perhaps"),
		p.Set("session_idle", "perhaps")} {
		if err == nil || strings.Contains(err.Error(), "perhaps") {
			t.Errorf("%v", err)
		}
	}
}

// Every key that a person may set changes how the server is used, or what its tokens are asked with; so a knob that a
// preset has is one that any other server can have.
func TestEveryKeyChangesSomething(t *testing.T) {
	values := map[string]string{
		"par": "never", "basic": "raw", "assertion_audience": "called", "assertion_life": "60", "header": "X-Key",
		"assertion_not_before": "true", "scope_in_assertion": "true", "revoke_json": "true",
		"wider_scope": "true", "strict_scope": "true", "refresh_ends_tokens": "true", "refresh_narrows": "true",
		"session_idle": "60", "session_absolute": "600", "keep_session": "true", "redirect": "http://127.0.0.1/x", "session_scope": "a b",
		"resource_indicator": "https://api.example/", "target_audience": "x",
		"scope": "x", "audience": "x", "prefix": "x",
		"token_chars": "visible", "refresh_auth": "client_secret_post", "authorize_params": "access_type=offline",
		"iss_in_redirect": "true", "second_factor": "otp", "tokens_last": "true", "token_prefix": "oidc/x/",
	}
	plain := Profile{Name: "p", Issuer: "https://as.example", TokenEndpoint: "https://as.example/token",
		ClientAuth: "client_secret_basic", PAREndpoint: "https://as.example/par"}
	session := []string{"session_idle", "session_absolute", "keep_session", "refresh_ends_tokens", "refresh_narrows",
		"second_factor", "tokens_last"}
	for _, k := range Keys() {
		if k.Login != "" {
			continue
		}
		value, ok := values[k.Name]
		if strings.HasSuffix(k.Name, "_endpoint") {
			value, ok = "https://as.example/given", true
		}
		if !ok {
			t.Errorf("the test has no value for %s", k.Name)
			continue
		}
		p := plain
		if slices.Contains(session, k.Name) {
			p.Grant = "password"
		}
		if k.Name == "target_audience" {
			p.Grant = "jwt_bearer"
		}
		before, _, err := p.Server()
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Set(k.Name, value); err != nil {
			t.Errorf("%s: %v", k.Name, err)
		}
		text, err := p.Text()
		if err == nil {
			_, err = ParseProfile("test", "p", text)
		}
		after, _, wrong := p.Server()
		if err != nil || wrong != nil {
			t.Errorf("%s: %v, %v", k.Name, err, wrong)
		}
		switch k.Name {
		case "scope", "audience": // of each request
		default:
			if reflect.DeepEqual(before, after) {
				t.Errorf("%s = %s changes nothing", k.Name, value)
			}
		}
	}
}

// A preset's figure, and what a preset adds to a browser's sign-in, can be taken away.
func TestAPresetsValueCanBeTakenAway(t *testing.T) {
	p := Profile{Name: "p", Provider: "globus"}
	s, _, err := p.Server()
	if err != nil || s.SessionAbsolute == 0 || s.AuthorizeParams["access_type"] != "offline" {
		t.Fatalf("%+v, %v", s, err)
	}
	for key, value := range map[string]string{
		"session_absolute": "0", "authorize_params": "access_type= prompt=login",
	} {
		if err := p.Set(key, value); err != nil {
			t.Fatal(err)
		}
	}
	text, err := p.Text()
	if err == nil {
		p, err = ParseProfile("test", "p", text)
	}
	if err != nil {
		t.Fatal(err)
	}
	s, _, err = p.Server()
	if diff := cmp.Diff(map[string]string{"prompt": "login"}, s.AuthorizeParams); err != nil || diff != "" ||
		s.SessionAbsolute != 0 {
		t.Errorf("%s; %s; %v", s.SessionAbsolute, diff, err)
	}
	if again, _, _ := (Profile{Name: "q", Provider: "globus"}).Server(); again.AuthorizeParams["access_type"] == "" {
		t.Error("the preset itself was changed")
	}
}

// What groat decides itself no key decides.
func TestBadValuesOfKeysAreRefused(t *testing.T) {
	for _, c := range []struct{ key, value string }{
		{"authorize_params", "state=x"}, {"authorize_params", "client_id=x"}, {"authorize_params", "prompt"},
		{"authorize_params", "a=b&c=d"}, {"authorize_params", "=x"}, {"authorize_params", "a=%zz"},
		{"refresh_auth", "magic"}, {"second_factor", "grant type"}, {"second_factor", "password"}, {"session_idle", "-1"},
		{"session_absolute", "999999999999"}, {"second_factor", "refresh_token"}, {"second_factor", "client_assertion"},
	} {
		p := Profile{Name: "p", Provider: "gitlab"}
		if p.Set(c.key, c.value) != nil {
			continue
		}
		text, err := p.Text()
		if err == nil {
			_, err = ParseProfile("test", "p", text)
		}
		if err == nil {
			t.Errorf("%s = %s: %v", c.key, c.value, err)
		}
	}
}

// No parameter of a browser's sign-in is one that groat sends itself, or one that a server may take for it.
func TestNoParameterTakesThePlaceOfOurs(t *testing.T) {
	for _, name := range []string{
		"redirect_uri", "client_secret", "client_assertion", "code_verifier", "refresh_token", "password",
		"Redirect_URI", "redirect-uri", "redirect.uri", "redirect_uri[]", "redirect_uri%5B0%5D", "%20scope", "scope%20", "sc%09ope",
		"redirect_uri%00", "nonce;x", "%72edirect_uri", "%ef%bd%93tate", "state%0a", "",
	} {
		p := Profile{Name: "p", Provider: "gitlab", AuthorizeParams: []string{name + "=x"}}
		if err := p.check(nil); err == nil {
			t.Errorf("%q is taken", name)
		}
	}
	for _, name := range []string{"access_type", "acr_values", "approvalPrompt", "kc-idp-hint", "p", "ui_locales"} {
		p := Profile{Name: "p", Provider: "gitlab", AuthorizeParams: []string{name + "=x"}}
		if err := p.check(nil); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// A key goes into no header field that says where a request goes or ends, or that a proxy or a browser owns.
func TestNoKeyIsAFieldOfHTTPsOwn(t *testing.T) {
	for _, name := range []string{"Host", "hOST", "Transfer-Encoding", "Content-Length", "Connection", "TE", "Upgrade",
		"Proxy-Authorization", "Cookie", "Trailer", "Expect", "a b", "X\n", "x:y", "X_Y", strings.Repeat("X", 65)} {
		if err := (Profile{Name: "p", Provider: "planet-key", Header: name}).check(nil); err == nil {
			t.Errorf("%q is taken", name)
		}
	}
	for _, name := range []string{"Authorization", "X-Api-Key", "PRIVATE-TOKEN", "apikey", strings.Repeat("X", 64)} {
		if err := (Profile{Name: "p", Provider: "planet-key", Header: name}).check(nil); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// A profile that is written can be read again and shown, whatever a server put into it: every key has a bound.
func TestEveryKeyHasABound(t *testing.T) {
	d := place(t, nil)
	plain := Profile{Name: "p", Issuer: "https://as.example", TokenEndpoint: "https://as.example/token",
		ClientAuth: "client_secret_basic"}
	if err := d.Savable(plain); err != nil {
		t.Fatal(err)
	}
	for _, k := range Keys() {
		p := plain
		switch v, _ := p.field(k.Name); v.Kind() {
		case reflect.Slice:
			for range 4000 {
				v.Set(reflect.Append(v, reflect.ValueOf("https://api.example/a=b")))
			}
		case reflect.String:
			v.SetString("https://as.example/" + strings.Repeat("x", maxValue))
		default:
			continue
		}
		if err := d.Savable(p); err == nil {
			t.Errorf("%s has no bound", k.Name)
		}
	}
	p := plain
	p.Scope = strings.Repeat("<", maxValue) // six bytes each as JSON
	if err := d.Savable(p); err != nil {
		t.Error(err)
	}
	p.Audience = p.Scope
	if err := d.Savable(p); err == nil || !strings.Contains(err.Error(), "48 KiB") {
		t.Errorf("together they take more than 48 KiB: %v", err)
	}
}
