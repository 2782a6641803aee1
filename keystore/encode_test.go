package keystore_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/groat-dev/groat/keystore"
)

func item() keystore.Item {
	return keystore.Item{
		Issuer: "https://auth.example", TokenEndpoint: "https://auth.example/token",
		ClientAuth: "client_secret_jwt", ClientID: "client-1", ClientSecret: keystore.SecretString("not-a-real-secret"),
	}
}

func TestItemRoundTrip(t *testing.T) {
	for _, secret := range []string{"plain", `with "quotes" and \ and /`, "tab\tnewline\nnul\x00", "ünïcødé €", "<&>",
		strings.Repeat("\x01", 4000)} {
		i := item()
		i.ClientSecret = keystore.SecretString(secret)
		b, err := keystore.EncodeItem(i)
		if err != nil {
			t.Fatalf("%q: %v", secret, err)
		}
		got, err := keystore.DecodeItem(b)
		if err != nil || !got.Equal(i) || got.ClientSecret.Reveal() != secret {
			t.Errorf("%q came back changed: %v", secret, err)
		}
	}
}

func TestEncodedForm(t *testing.T) {
	b, err := keystore.EncodeItem(item())
	if err != nil {
		t.Fatal(err)
	}
	want := `{"v":1,"issuer":"https://auth.example","token_endpoint":"https://auth.example/token",` +
		`"client_auth":"client_secret_jwt","client_id":"client-1","client_secret":"not-a-real-secret"}`
	if got := b.Reveal(); got != want {
		t.Errorf("encoded as %s, want %s", got, want)
	}
}

func TestEncodeRefuses(t *testing.T) {
	for name, change := range map[string]func(*keystore.Item){
		"no client id": func(i *keystore.Item) { i.ClientID = "" },
		"no secret":    func(i *keystore.Item) { i.ClientSecret = keystore.Secret{} },
		"not UTF-8":    func(i *keystore.Item) { i.ClientSecret = keystore.SecretString("a\xffb") },
	} {
		i := item()
		change(&i)
		if _, err := keystore.EncodeItem(i); err == nil {
			t.Errorf("%s: encoded", name)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	const rest = `"issuer":"i","token_endpoint":"t","client_auth":"a"`
	for name, in := range map[string]string{
		"empty":             ``,
		"null":              `null`,
		"array":             `[]`,
		"two objects":       `{}{}`,
		"no version":        `{` + rest + `,"client_id":"c","client_secret":"s"}`,
		"version null":      `{"v":null,` + rest + `,"client_id":"c","client_secret":"s"}`,
		"version string":    `{"v":"1",` + rest + `,"client_id":"c","client_secret":"s"}`,
		"version 0":         `{"v":0,` + rest + `,"client_id":"c","client_secret":"s"}`,
		"version 1.5":       `{"v":1.5,` + rest + `,"client_id":"c","client_secret":"s"}`,
		"no client id":      `{"v":1,` + rest + `,"client_secret":"s"}`,
		"client id empty":   `{"v":1,` + rest + `,"client_id":"","client_secret":"s"}`,
		"client id number":  `{"v":1,` + rest + `,"client_id":1,"client_secret":"s"}`,
		"client id null":    `{"v":1,` + rest + `,"client_id":null,"client_secret":"s"}`,
		"no secret":         `{"v":1,` + rest + `,"client_id":"c"}`,
		"secret empty":      `{"v":1,` + rest + `,"client_id":"c","client_secret":""}`,
		"secret object":     `{"v":1,` + rest + `,"client_id":"c","client_secret":{}}`,
		"secret null":       `{"v":1,` + rest + `,"client_id":"c","client_secret":null}`,
		"other case":        `{"v":1,` + rest + `,"client_id":"c","Client_Secret":"s"}`,
		"no token endpoint": `{"v":1,"issuer":"i","client_auth":"a","client_id":"c","client_secret":"s"}`,
		"token endpoint number": `{"v":1,"issuer":"i","token_endpoint":2,"client_auth":"a",` +
			`"client_id":"c","client_secret":"s"}`,
		"secret not UTF-8": `{"v":1,` + rest + `,"client_id":"c","client_secret":"` + "\xff" + `"}`,
	} {
		if _, err := keystore.DecodeItem(keystore.SecretString(in)); !errors.Is(err, keystore.ErrCorrupt) {
			t.Errorf("%s: %v, want ErrCorrupt", name, err)
		}
	}
}

func TestDecodeNewer(t *testing.T) {
	in := `{"v":2,"refresh_token":"r"}`
	_, err := keystore.DecodeItem(keystore.SecretString(in))
	if err == nil || !errors.Is(err, keystore.ErrCorrupt) || !strings.Contains(err.Error(), "upgrade groat") {
		t.Errorf("a newer format gives %v, want an error that says to upgrade", err)
	}
}

func TestDecodeLeavesRoom(t *testing.T) {
	in := `{"v":1,"issuer":"i","token_endpoint":"t","client_auth":"a","client_id":"c","client_secret":"s","note":[1]}`
	got, err := keystore.DecodeItem(keystore.SecretString(in))
	if err != nil || got.ClientID != "c" || got.ClientSecret.Reveal() != "s" {
		t.Errorf("a member that came later: %v", err)
	}
}

func TestItemEqual(t *testing.T) {
	for name, change := range map[string]func(*keystore.Item){
		"issuer":   func(i *keystore.Item) { i.Issuer = "x" },
		"endpoint": func(i *keystore.Item) { i.TokenEndpoint = "x" },
		"auth":     func(i *keystore.Item) { i.ClientAuth = "x" },
		"id":       func(i *keystore.Item) { i.ClientID = "x" },
		"secret":   func(i *keystore.Item) { i.ClientSecret = keystore.SecretString("x") },

		"grant":          func(i *keystore.Item) { i.Grant = "x" },
		"revocation":     func(i *keystore.Item) { i.RevocationEndpoint = "x" },
		"key id":         func(i *keystore.Item) { i.KeyID = "x" },
		"key alg":        func(i *keystore.Item) { i.KeyAlg = "x" },
		"assertion file": func(i *keystore.Item) { i.AssertionFile = "/x" },
		"refresh auth":   func(i *keystore.Item) { i.RefreshAuth = "x" },
		"audience":       func(i *keystore.Item) { i.AssertionAudience = "x" },
		"account":        func(i *keystore.Item) { i.Account = "x" },
		"id subject":     func(i *keystore.Item) { i.IDSubject = "x" },
		"subject":        func(i *keystore.Item) { i.Subject = "x" },
		"certificate":    func(i *keystore.Item) { i.Certificate = "x" },
		"refresh":        func(i *keystore.Item) { i.RefreshToken = keystore.SecretString("x") },
		"key":            func(i *keystore.Item) { i.PrivateKey = keystore.SecretString("x") },
		"password":       func(i *keystore.Item) { i.PrivateKeyPassword = keystore.SecretString("x") },
		"api key":        func(i *keystore.Item) { i.APIKey = keystore.SecretString("x") },
		"origins":        func(i *keystore.Item) { i.Origins = []string{"x"} },
		"tokens":         func(i *keystore.Item) { i.TokenOrigins = []string{"x"} },
		"pages":          func(i *keystore.Item) { i.PageOrigins = []string{"x"} },
		"APIs":           func(i *keystore.Item) { i.APIs = []string{"x"} },
	} {
		i, j := item(), item()
		if !i.Equal(j) {
			t.Fatal("two equal items differ")
		}
		change(&j)
		if i.Equal(j) || j.Equal(i) {
			t.Errorf("items that differ in %s are equal", name)
		}
	}
}

// full is an item with every member; the test of each member below fails when one is forgotten here.
func full() keystore.Item {
	i := item()
	i.Grant, i.RevocationEndpoint, i.KeyID, i.KeyAlg = "device_code", "https://auth.example/revoke", "k1", "ES256"
	i.Username, i.AssertionFile = "bob@example.com", "/run/workload/token"
	i.RefreshAuth, i.AssertionAudience = "client_secret_post", "https://other.example/token"
	i.IDSubject, i.Account = "248289761001", "alice@example.com"
	i.KeyEnds = "2026-01-02T03:04:05Z"
	i.Subject, i.Certificate = "alice@example.com", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
	i.RefreshToken, i.PrivateKey = keystore.SecretString("not-a-real-refresh-token"),
		keystore.SecretString("line 1\nline 2\n")
	i.PrivateKeyPassword, i.APIKey = keystore.SecretString(`pass"word`), keystore.SecretString("not-a-real-key")
	i.Origins, i.APIs = []string{"https://revoke.example", "https://me.example:8443"},
		[]string{`https://"api".example:443`}
	i.TokenOrigins, i.PageOrigins = []string{"https://who.example"},
		[]string{"https://page.example", "https://login.example"}
	return i
}

func TestEveryMemberIsStored(t *testing.T) {
	want := full()
	for v, n := reflect.ValueOf(want), 0; n < v.NumField(); n++ {
		if v.Field(n).IsZero() {
			t.Fatalf("full() lacks %s", v.Type().Field(n).Name)
		}
	}
	b, err := keystore.EncodeItem(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := keystore.DecodeItem(b)
	if err != nil || !got.Equal(want) || got.RefreshToken.Reveal() != "not-a-real-refresh-token" ||
		got.PrivateKey.Reveal() != "line 1\nline 2\n" {
		t.Errorf("came back changed: %+v, %v", got, err)
	}
}

// Whatever one of these lacks of a client secret, it is a credential.
func TestOtherCredentials(t *testing.T) {
	for name, i := range map[string]keystore.Item{
		"a public client's session": {ClientID: "c", RefreshToken: keystore.SecretString("r")},
		"a private key":             {ClientID: "c", PrivateKey: keystore.SecretString("k")},
		"an API key without client": {APIKey: keystore.SecretString("k")},
	} {
		b, err := keystore.EncodeItem(i)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, err := keystore.DecodeItem(b); err != nil || !got.Equal(i) {
			t.Errorf("%s came back changed: %v", name, err)
		}
	}
	for name, i := range map[string]keystore.Item{
		"a session of nobody":   {RefreshToken: keystore.SecretString("r")},
		"a password for no key": {ClientID: "c", PrivateKeyPassword: keystore.SecretString("p")},
		"a session, not UTF-8":  {ClientID: "c", RefreshToken: keystore.SecretString("\xff")},
	} {
		if _, err := keystore.EncodeItem(i); err == nil {
			t.Errorf("%s: encoded", name)
		}
	}
	const rest = `"v":1,"issuer":"i","token_endpoint":"t","client_auth":"a","client_id":"c"`
	for name, in := range map[string]string{
		"refresh token null":   `{` + rest + `,"refresh_token":null}`,
		"refresh token number": `{` + rest + `,"client_secret":"s","refresh_token":1}`,
		"refresh token empty":  `{` + rest + `,"refresh_token":""}`,
		"grant number":         `{` + rest + `,"client_secret":"s","grant":1}`,
		"key id null":          `{` + rest + `,"client_secret":"s","key_id":null}`,
		"origins null":         `{` + rest + `,"client_secret":"s","origins":null}`,
		"origins a string":     `{` + rest + `,"client_secret":"s","origins":"https://a.example"}`,
		"an origin null":       `{` + rest + `,"client_secret":"s","origins":[null]}`,
		"an API a number":      `{` + rest + `,"client_secret":"s","apis":["https://a.example:443",1]}`,
		"too many APIs": `{` + rest + `,"client_secret":"s","apis":["a"` +
			strings.Repeat(`,"a"`, keystore.MaxOrigins) + `]}`,
		"too long an origin": `{` + rest + `,"client_secret":"s","origins":["` + strings.Repeat("a", 513) + `"]}`,
	} {
		if _, err := keystore.DecodeItem(keystore.SecretString(in)); !errors.Is(err, keystore.ErrCorrupt) {
			t.Errorf("%s: %v, want ErrCorrupt", name, err)
		}
	}
}

func TestCloneAndWipe(t *testing.T) {
	i, untouched := full(), full()
	c := i.Clone()
	i.Wipe()
	if !c.Equal(untouched) {
		t.Error("wiping an item changed its clone")
	}
	if !i.ClientSecret.IsZero() || !i.RefreshToken.IsZero() || !i.PrivateKey.IsZero() ||
		!i.PrivateKeyPassword.IsZero() || !i.APIKey.IsZero() {
		t.Error("a secret is left")
	}
}
