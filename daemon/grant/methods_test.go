package grant_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/privatekey"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
)

// keyOf returns a fresh key that can make an alg: its public half, and PEM.
func keyOf(t *testing.T, alg string) (crypto.PublicKey, keystore.Secret) {
	t.Helper()
	var key crypto.Signer
	var err error
	switch alg {
	case "RS256", "PS256":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return key.Public(), keystore.NewSecret(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// Each alg and each rule of the audience, at the token endpoint and at another one.
func TestPrivateKeyJWT(t *testing.T) {
	for _, alg := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
		public, key := keyOf(t, alg)
		for rule, theirs := range map[grant.Audience]sandbox.AssertionAudience{
			grant.AudienceEndpoint: sandbox.AudienceToken, grant.AudienceCalled: sandbox.AudienceEndpoint,
			grant.AudienceIssuer: sandbox.AudienceIssuer, "": sandbox.AudienceTyped,
		} {
			t.Run(alg+" "+string(rule), func(t *testing.T) {
				_, server := generic(t, grant.PrivateKeyJWT, func(o *sandbox.Options) {
					o.AssertionAudience, o.Refresh.Always = theirs, true
					o.Clients = append(o.Clients, sandbox.Client{
						ID: "signs", Key: public, Alg: alg, KeyID: "key-1", RedirectURIs: []string{redirectURI},
						Method: sandbox.PrivateKeyJWT,
					})
				})
				server.AssertionAudience, server.AssertionNotBefore, server.RequirePAR = rule, true, true
				e, item := endpoint(server), server.NewItem("signs", grant.ByAuthorizationCode)
				item.PrivateKey, item.KeyID, item.KeyAlg = key, "key-1", alg
				if _, err := e.ClientCredentials(t.Context(), item, grant.Request{}); err != nil {
					t.Fatal(err)
				}
				// pushed, so at another endpoint too
				item.RefreshToken = throughBrowser(t, e, item, grant.Request{}).Refresh
				if _, _, err := e.Refresh(t.Context(), item, grant.Request{}); err != nil {
					t.Error(err)
				}
				if err := e.Revoke(t.Context(), item); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestClientSecretJWTAlgs(t *testing.T) {
	const long = "dummy-secret-that-is-as-long-as-the-longest-hash-wants-it-to-be-and-longer"
	for _, alg := range []string{"HS256", "HS384", "HS512"} {
		_, server := generic(t, grant.ClientSecretJWT, func(o *sandbox.Options) {
			o.Clients = append(o.Clients, sandbox.Client{ID: "signs", Secret: long, Alg: alg})
		})
		item := server.NewItem("signs", grant.ByClientCredentials)
		item.ClientSecret, item.KeyAlg = keystore.SecretString(long), alg
		if _, err := endpoint(server).ClientCredentials(t.Context(), item, grant.Request{}); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

// The client proves itself in the handshake. The server's own certificate is checked all the same.
func TestTLSClientAuth(t *testing.T) {
	box := sandbox.New(people(sandbox.Generic))
	if err := box.StartTLS(""); err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	box.AddClient(sandbox.Client{ID: "shows", TLSSubject: "CN=dummy", Method: sandbox.TLSClientAuth})
	client := grant.NewHTTPClient(new(grant.Network))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(box.CA())
	client.Transport.(*http.Transport).TLSClientConfig.RootCAs = roots
	found, err := grant.Discover(t.Context(), client, box.Issuer(), grant.TLSClientAuth)
	if err != nil {
		t.Fatal(err)
	}
	certificate, key := box.ClientCertificate("dummy", false)
	item := found.NewItem("shows", grant.ByClientCredentials)
	item.Certificate, item.PrivateKey = string(certificate), keystore.NewSecret(key)
	e := grant.NewEndpoint(found.Server, client, clock.Now)
	if _, err := e.ClientCredentials(t.Context(), item, grant.Request{}); err != nil {
		t.Error(err)
	}
	t.Run("by the certificate itself", func(t *testing.T) {
		own, key := box.ClientCertificate("own", true)
		print, err := sandbox.Thumbprint(own)
		if err != nil {
			t.Fatal(err)
		}
		box.AddClient(sandbox.Client{ID: "self", Thumbprint: print, Method: sandbox.SelfSignedTLSClient})
		found, err := grant.Discover(t.Context(), client, box.Issuer(), grant.SelfSignedTLSClientAuth)
		if err != nil {
			t.Fatal(err)
		}
		self := found.NewItem("self", grant.ByClientCredentials)
		self.Certificate, self.PrivateKey = string(own), keystore.NewSecret(key)
		e := grant.NewEndpoint(found.Server, client, clock.Now)
		if _, err := e.ClientCredentials(t.Context(), self, grant.Request{}); err != nil {
			t.Error(err)
		}
	})
	certificate, key = box.ClientCertificate("somebody else", false)
	item.Certificate, item.PrivateKey = string(certificate), keystore.NewSecret(key)
	_, err = e.ClientCredentials(t.Context(), item, grant.Request{})
	wantClass(t, err, grant.InvalidClient)

	plain := grant.NewEndpoint(found.Server, grant.NewHTTPClient(new(grant.Network)), clock.Now)
	_, err = plain.ClientCredentials(t.Context(), item, grant.Request{})
	wantClass(t, err, grant.TransientSlow)
	if c := client.Transport.(*http.Transport).TLSClientConfig; c.GetClientCertificate != nil ||
		c.MinVersion != tls.VersionTLS12 {
		t.Error("the shared client was changed")
	}
}

// A key that does not open is said before anything is sent, and found again by errors.Is.
func TestWrongKey(t *testing.T) {
	url, requests := handler(t, func(http.ResponseWriter, *http.Request) {})
	for _, method := range []grant.Method{grant.PrivateKeyJWT, grant.TLSClientAuth} {
		server := serverOf(url, method)
		server.DeviceEndpoint = url + "/device"
		item := server.NewItem("c", grant.ByClientCredentials)
		item.PrivateKey = keystore.SecretString("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED " +
			"PRIVATE KEY-----\n")
		_, err := endpoint(server).ClientCredentials(t.Context(), item, grant.Request{})
		wantClass(t, err, grant.Misconfigured)
		if !errors.Is(err, privatekey.ErrPassword) {
			t.Errorf("%s: %v", method, err)
		}
		_, err = endpoint(server).StartDevice(t.Context(), item, grant.Request{})
		wantClass(t, err, grant.Misconfigured)
		_, err = endpoint(server).JWTBearer(t.Context(), item, grant.Request{})
		wantClass(t, err, grant.Misconfigured)
	}
	if requests.Load() != 0 {
		t.Errorf("%d requests", requests.Load())
	}
}

// A wrong clock costs one request more at each endpoint that an assertion goes to first, never a refresh: the next one
// goes by the other clock.
func TestWrongClockElsewhere(t *testing.T) {
	public, key := keyOf(t, "ES256")
	inGeneric := func(t *testing.T, send func(t *testing.T, b *bubble, item keystore.Item) error) (*bubble, error) {
		o := people(sandbox.Generic)
		o.Clients = append(o.Clients, sandbox.Client{ID: "signs", Key: public, RedirectURIs: []string{redirectURI}})
		b := &bubble{server: sandbox.New(o), start: time.Now(), wrong: time.Hour}
		client := grant.NewHTTPClient(new(grant.Network))
		client.Transport.(*http.Transport).DialContext = b.server.StartPipe()
		t.Cleanup(b.server.Close)
		found, err := grant.Discover(t.Context(), client, b.server.Issuer(), grant.PrivateKeyJWT)
		if err != nil {
			t.Fatal(err)
		}
		b.endpoint = grant.NewEndpoint(found.Server, client, b.now)
		item := found.NewItem("signs", grant.ByDeviceCode)
		item.PrivateKey, item.RefreshToken = key, keystore.SecretString("dummy")
		return b, send(t, b, item)
	}
	for name, send := range map[string]func(t *testing.T, b *bubble, item keystore.Item) error{
		"device": func(t *testing.T, b *bubble, item keystore.Item) error {
			_, err := b.endpoint.StartDevice(t.Context(), item, grant.Request{})
			return err
		},
		"assertion": func(t *testing.T, b *bubble, item keystore.Item) error {
			_, err := b.endpoint.JWTBearer(t.Context(), item, grant.Request{})
			return err
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			b, err := inGeneric(t, send)
			if n := len(b.server.Log()); err != nil || n != 3 { // the document, and two
				t.Errorf("%s: %v, %d requests", name, err, n)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		b, err := inGeneric(t, func(t *testing.T, b *bubble, item keystore.Item) error {
			_, _, err := b.endpoint.Refresh(t.Context(), item, grant.Request{})
			if e := wantClass(t, err, grant.TransientSlow); !errors.Is(err, grant.ErrClock) ||
				e.Action() != grant.Retry {
				t.Errorf("%v, %v", err, e.Action())
			}
			if n := len(b.server.Log()); n != 2 {
				t.Errorf("refresh: %d requests", n)
			}
			_, _, err = b.endpoint.Refresh(t.Context(), item, grant.Request{})
			return err
		})
		if e := wantClass(t, err, grant.Refused); e.Code != "invalid_grant" { // the server has looked past the client
			t.Errorf("%v", err)
		}
		if n := len(b.server.Log()); n != 3 {
			t.Errorf("refresh: %d requests", n)
		}
	})
}
