package grant_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// A signed answer of the userinfo endpoint is read where a key of the server's has signed it, and only then.
func TestSignedUserinfo(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	edPublic, ed, _ := ed25519.GenerateKey(rand.Reader)
	stranger, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	enc := base64.RawURLEncoding.EncodeToString
	point, _ := ec.PublicKey.Bytes()
	keys, _ := json.Marshal(map[string]any{"keys": []any{
		map[string]any{"kty": "RSA", "kid": "r", "use": "sig", "n": enc(weak.N.Bytes()),
			"e": enc(big.NewInt(int64(weak.E)).Bytes())},
		map[string]any{"kty": "EC", "kid": "e", "crv": "P-256", "x": enc(point[1:33]), "y": enc(point[33:])},
		map[string]any{"kty": "OKP", "kid": "d", "crv": "Ed25519", "x": enc(edPublic)},
		map[string]any{"kty": "oct", "kid": "s", "k": enc([]byte("a secret that anybody can read"))},
		map[string]any{"kty": "RSA", "kid": "short", "n": enc(big.NewInt(15).Bytes()), "e": "AQAB"},
	}})
	sign := func(method jwt.SigningMethod, kid string, key crypto.PrivateKey, claims jwt.MapClaims) string {
		token := jwt.NewWithClaims(method, claims)
		if kid != "" {
			token.Header["kid"] = kid
		}
		text, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	type claims = jwt.MapClaims
	alice := claims{"sub": "alice"}
	forged := strings.Split(sign(jwt.SigningMethodES256, "e", ec, alice), ".")
	forged[1] = enc([]byte(`{"sub":"mallory"}`))
	none, _ := jwt.NewWithClaims(jwt.SigningMethodNone, alice).SignedString(jwt.UnsafeAllowNoneSignatureType)
	for _, c := range []struct {
		name, body string
		keys       string // empty: the server's
		flaw       string // empty: it is read
	}{
		{name: "RS256", body: sign(jwt.SigningMethodRS256, "r", weak, alice)},
		{name: "PS512, no kid", body: sign(jwt.SigningMethodPS512, "", weak, alice)},
		{name: "ES256", body: sign(jwt.SigningMethodES256, "e", ec, alice)},
		{name: "EdDSA and a newline", body: sign(jwt.SigningMethodEdDSA, "d", ed, alice) + "\n"},
		{name: "its issuer", body: sign(jwt.SigningMethodES256, "e", ec, claims{"sub": "alice", "iss": "URL"})},
		{name: "another issuer", body: sign(jwt.SigningMethodES256, "e", ec,
			claims{"sub": "alice", "iss": "https://evil.example"}), flaw: "another issuer"},
		{name: "expired", body: sign(jwt.SigningMethodES256, "e", ec,
			claims{"sub": "alice", "exp": time.Now().Add(-time.Hour).Unix()}), flaw: "expired"},
		{name: "a stranger's key", body: sign(jwt.SigningMethodES256, "e", stranger, alice), flaw: "not signed by"},
		{name: "an unknown kid", body: sign(jwt.SigningMethodES256, "x", ec, alice), flaw: "not signed by"},
		{name: "another claim", body: strings.Join(forged, "."), flaw: "not signed by"},
		{name: "unsigned", body: none, flaw: "not signed by"},
		{name: "signed with a public key as a secret", body: sign(jwt.SigningMethodHS256, "e", point, alice),
			flaw: "not signed by"},
		{name: "signed with a published secret", body: sign(jwt.SigningMethodHS256, "s",
			[]byte("a secret that anybody can read"), alice), flaw: "not signed by"},
		{name: "no keys", body: sign(jwt.SigningMethodES256, "e", ec, alice), keys: `{"keys":[]}`,
			flaw: "keys cannot be read"},
		{name: "encrypted", body: "a.b.c.d.e", flaw: "encrypted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			set := c.keys
			if set == "" {
				set = string(keys)
			}
			var url string
			url, _ = handler(t, func(w http.ResponseWriter, r *http.Request) {
				if (r.Header.Get("Authorization") != "") != (r.URL.Path == "/me") {
					t.Errorf("%s was sent %q", r.URL.Path, r.Header.Get("Authorization"))
				}
				w.Header().Set("Content-Type", "application/json")
				switch r.URL.Path {
				case oidc:
					fmt.Fprintf(w, `{"issuer":%q,"token_endpoint":"x","jwks_uri":%q}`, url, url+"/keys")
				case "/keys":
					fmt.Fprint(w, set)
				case "/me":
					w.Header().Set("Content-Type", "application/jwt")
					fmt.Fprint(w, c.body)
				default:
					w.WriteHeader(http.StatusNotFound)
				}
			})
			if c.name == "its issuer" {
				c.body = sign(jwt.SigningMethodES256, "e", ec, claims{"sub": "alice", "iss": url})
			}
			server := serverOf(url, grant.None)
			server.Userinfo = url + "/me"
			e := endpoint(server)
			item := server.NewItem(publicID, grant.ByDeviceCode)
			token := grant.Token{Access: keystore.SecretString("abc"), Type: "Bearer", Sent: clock.Now(),
				Destinations: e.DestinationsOf(item)}
			got, err := e.Userinfo(t.Context(), token)
			if c.flaw == "" {
				if err != nil || got["sub"] != "alice" {
					t.Errorf("%v, %v", got, err)
				}
				return
			}
			if e := wantClass(t, err, grant.Malformed); !strings.Contains(e.Error(), c.flaw) {
				t.Errorf("%v", e)
			}
		})
	}
}

// A server that knows DPoP refuses a client without saying why: DPoP is named as a possible reason.
func TestDPoPIsNamed(t *testing.T) {
	url, _ := handler(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case oidc:
			fmt.Fprintf(w, `{"issuer":"http://%s","token_endpoint":"http://%s/token",`+
				`"dpop_signing_alg_values_supported":["ES256"]}`, r.Host, r.Host)
		case "/token":
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error":"invalid_grant","error_description":"grant request is invalid"}`)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	found, err := grant.Discover(t.Context(), grant.NewHTTPClient(new(grant.Network)), url, "")
	if err != nil || !found.DPoP {
		t.Fatalf("%+v, %v", found, err)
	}
	_, err = endpoint(found.Server).ClientCredentials(t.Context(), itemOf(found.Server), grant.Request{})
	if err == nil || !strings.Contains(err.Error(), "DPoP, RFC 9449") {
		t.Errorf("%v", err)
	}
	other := found.Server
	other.DPoP = false
	_, err = endpoint(other).ClientCredentials(t.Context(), itemOf(other), grant.Request{})
	if err == nil || strings.Contains(err.Error(), "DPoP") {
		t.Errorf("at another server: %v", err)
	}
}
