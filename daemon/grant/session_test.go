package grant_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/preset"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
)

const publicID = "public-client"

// dialects are what the sandbox must speak for each preset.
var dialects = map[string]string{
	"earthscope": sandbox.Auth0, "earthscope-0.2": sandbox.Auth0, "planet-user": sandbox.Auth0,
	"google": sandbox.Google,
}

// people are the options of a sandbox where persons sign in.
func people(dialect string) sandbox.Options {
	o := options()
	o.Dialect, o.Consent = dialect, sandbox.ConsentAllow
	o.Clients = append(o.Clients,
		sandbox.Client{ID: publicID, RedirectURIs: []string{"http://127.0.0.1/callback"}},
		sandbox.Client{ID: "b9DtAFBd6QvMg761vI3YhYquNZbJX5G0"}, sandbox.Client{ID: "49lHVBYlXCdfIYqE1B9zeXt0iFHSXees"},
	)
	return o
}

func startBox(t *testing.T, o sandbox.Options) *sandbox.Server {
	t.Helper()
	box := sandbox.New(o)
	if err := box.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(box.Close)
	return box
}

// presetFor returns a preset at a sandbox for one grant.
func presetFor(t *testing.T, name, url string, kind grant.Kind) grant.Server {
	t.Helper()
	p, ok := preset.Lookup(name)
	if !ok {
		t.Fatalf("no preset %s", name)
	}
	s, err := grant.FromPreset(p, url, kind)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// generic starts a server that follows the RFCs and returns what it says of itself.
func generic(t *testing.T, method grant.Method, change func(*sandbox.Options)) (*sandbox.Server, grant.Server) {
	t.Helper()
	o := people(sandbox.Generic)
	if change != nil {
		change(&o)
	}
	box := startBox(t, o)
	found, err := grant.Discover(t.Context(), grant.NewHTTPClient(new(grant.Network)), box.Issuer(), method)
	if err != nil {
		t.Fatal(err)
	}
	return box, found.Server
}

// signedIn is a session at a generic server.
func signedIn(t *testing.T, change func(*sandbox.Options)) (*sandbox.Server, *grant.Endpoint, keystore.Item) {
	t.Helper()
	box, server := generic(t, grant.None, func(o *sandbox.Options) {
		o.Refresh.Always = true
		if change != nil {
			change(o)
		}
	})
	e, item := endpoint(server), server.NewItem(publicID, grant.ByAuthorizationCode)
	s := throughBrowser(t, e, item, grant.Request{})
	if item.RefreshToken = s.Refresh; s.Refresh.IsZero() {
		t.Fatal("no refresh token")
	}
	return box, e, item
}

// throughBrowser signs in by an authorization code.
func throughBrowser(t *testing.T, e *grant.Endpoint, item keystore.Item, req grant.Request) grant.Session {
	t.Helper()
	a := startAuthCode(t, e, item, req)
	code, err := a.ParseRedirect(browse(t, a.URL))
	if err != nil {
		t.Fatal(err)
	}
	s, err := e.Exchange(t.Context(), item, a, code)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Every preset's way to sign in, against the dialect that it is for: a first token, who the person is, another token,
// the end.
func TestPresetsSignIn(t *testing.T) {
	for _, c := range []struct {
		name    string
		session bool
	}{{"earthscope", true}, {"earthscope-0.2", true}, {"planet-user", true}} {
		t.Run(c.name, func(t *testing.T) {
			o := people(dialects[c.name])
			o.Device.Interval = time.Second
			box := startBox(t, o)
			server := presetFor(t, c.name, box.URL(), grant.ByDeviceCode)
			e := endpoint(server)
			item := server.NewItem(server.ClientID, grant.ByDeviceCode)
			d, err := e.StartDevice(t.Context(), item, grant.Request{})
			if err != nil {
				t.Fatal(err)
			}
			if d.VerificationURIComplete == "" || !strings.HasPrefix(d.VerificationURI, box.URL()) ||
				d.Lifetime != 15*time.Minute {
				t.Errorf("%+v", d)
			}
			s, err := e.AwaitDevice(t.Context(), item, d)
			if err != nil || s.Refresh.IsZero() || s.Token.Lifetime < 24*time.Hour-2*time.Second {
				t.Fatalf("%v, %v", s.Token.Lifetime, err)
			}
			if last := box.Log()[0]; last.Audience != server.Audience ||
				!strings.Contains(last.Scope, "offline_access") {
				t.Errorf("asked for %q of %q", last.Scope, last.Audience)
			}
			item.RefreshToken = s.Refresh
			if c.name != "planet-user" {
				claims, err := e.Userinfo(t.Context(), s.Token)
				if err != nil || claims["primary_email"] != alice {
					t.Errorf("%v, %v", claims, err)
				}
			}
			again, rotated, err := e.Renew(t.Context(), item, grant.Request{})
			if err != nil || !rotated.IsZero() || again.Access.IsZero() {
				t.Errorf("renewed: %v", err)
			}
			if err := e.Revoke(t.Context(), item); err != nil {
				t.Errorf("revoked: %v", err)
			}
			if err := e.Revoke(t.Context(), item); err != nil {
				t.Errorf("revoked twice: %v", err)
			}
			_, _, err = e.Renew(t.Context(), item, grant.Request{})
			if got := wantClass(t, err, grant.Refused); got.Code != "invalid_grant" || got.Status != 403 ||
				got.RotationLost {
				t.Errorf("%v", got)
			}
		})
	}
}

func TestPresetsOfMachines(t *testing.T) {
	for _, name := range []string{"earthscope", "earthscope-0.2", "planet-m2m"} {
		t.Run(name, func(t *testing.T) {
			box := startBox(t, people(dialects[name]))
			server := presetFor(t, name, box.URL(), grant.ByClientCredentials)
			item := server.NewItem(clientID, grant.ByClientCredentials)
			item.ClientSecret = keystore.SecretString(secret)
			token, _, err := endpoint(server).Renew(t.Context(), item, server.Default(grant.Request{}, false))
			if err != nil || token.Access.IsZero() {
				t.Fatal(err)
			}
			if l := box.Log()[0]; l.Auth != "client_secret_post" || l.Audience != server.Audience || l.Scope != "" {
				t.Errorf("sent %+v", l)
			}
			item.ClientSecret = keystore.SecretString("another")
			_, _, err = endpoint(server).Renew(t.Context(), item, grant.Request{})
			e, ok := errors.AsType[*grant.Error](err)
			if !ok || e.Class != grant.InvalidClient && e.Class != grant.Refused ||
				!strings.Contains(e.Error(), "does not accept the client id or secret") {
				t.Errorf("wrong secret: %v", err)
			}
		})
	}
}

// Planet's machines sign in with the secret in the body, and use HTTP Basic for the rest.
func TestAnotherClientAuthenticationLater(t *testing.T) {
	box := startBox(t, people(""))
	server := presetFor(t, "planet-m2m", box.URL(), "")
	item := server.NewItem(clientID, grant.ByClientCredentials)
	item.ClientSecret, item.RefreshToken = keystore.SecretString(secret), keystore.SecretString("dummy-refresh-token")
	e := endpoint(server)
	if _, _, err := e.Refresh(t.Context(), item, grant.Request{}); err == nil {
		t.Error("a refresh token of nobody works")
	}
	if err := e.Revoke(t.Context(), item); err != nil {
		t.Error(err)
	}
	for _, l := range box.Log() {
		if l.Auth != "client_secret_basic" || l.ClientID != clientID {
			t.Errorf("%s by %q for %q", l.Path, l.Auth, l.ClientID)
		}
	}
	if n := len(box.Log()); n != 2 {
		t.Errorf("%d requests", n)
	}
}

// A bubble of any preset, for what takes time.
func presetInBubble(t *testing.T, name string, kind grant.Kind, change func(*sandbox.Options)) *bubble {
	o := people(dialects[name])
	if change != nil {
		change(&o)
	}
	b := &bubble{server: sandbox.New(o), start: time.Now()}
	client := grant.NewHTTPClient(new(grant.Network))
	client.Transport.(*http.Transport).DialContext = b.server.StartPipe()
	b.endpoint = grant.NewEndpoint(presetFor(t, name, b.server.URL(), kind), client, b.now)
	t.Cleanup(b.server.Close)
	return b
}

func (b *bubble) age(i clock.Instant) time.Duration { return b.now().Sub(i) }

func TestDefaultRequest(t *testing.T) {
	s := grant.Server{Scope: []string{"b", "a"}, SessionScope: []string{"offline_access"},
		Audience: "https://api.example.com"}
	for _, c := range []struct {
		in      grant.Request
		session bool
		scope   string
		aud     string
	}{
		{grant.Request{}, true, "a b offline_access", "https://api.example.com"},
		{grant.Request{}, false, "a b", "https://api.example.com"},
		{grant.Request{Scope: []string{"z", "offline_access"}, Audience: "x"}, true, "offline_access z", "x"},
	} {
		got := s.Default(c.in, c.session)
		if strings.Join(got.Scope, " ") != c.scope || got.Audience != c.aud {
			t.Errorf("%+v: %+v", c.in, got)
		}
	}
	if strings.Join(s.Scope, " ") != "b a" {
		t.Error("the server's own scope was sorted")
	}
}

func TestRenewDispatch(t *testing.T) {
	server := serverOf("https://auth.example.com", grant.None)
	e := endpoint(server)
	item := server.NewItem("c", grant.ByAPIKey)
	item.APIKey = keystore.SecretString("dummy-key")
	if token, _, err := e.Renew(t.Context(), item, grant.Request{}); err != nil ||
		token.Access.Reveal() != "dummy-key" || !token.Static {
		t.Errorf("%+v, %v", token, err)
	}
	for _, kind := range []grant.Kind{grant.ByDeviceCode, grant.ByAuthorizationCode, grant.ByPassword, "unheard_of"} {
		if _, _, err := e.Renew(t.Context(), server.NewItem("c", kind), grant.Request{}); !errors.Is(err,
			grant.ErrNotOffered) {
			t.Errorf("%s without a refresh token: %v", kind, err)
		}
	}
	if e.Requests() != 0 {
		t.Errorf("%d requests", e.Requests())
	}
}
