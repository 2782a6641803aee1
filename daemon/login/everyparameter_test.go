package login

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/privatekey"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/packaging/testing/described"
	"github.com/groat-dev/groat/packaging/testing/tier"
	"github.com/groat-dev/groat/protocol"
)

// givenFields is what each field of protocol.LoginParams is set to, and what shows that it was used: words in the trace
// of the login. A server's or grant's name may be an error of another kind, but never a success in which it does not
// show.
var givenFields = map[string]struct {
	set    func(h *harness, p *protocol.LoginParams, key string)
	shows  string
	server bool
}{
	"Provider": {set: func(h *harness, p *protocol.LoginParams, _ string) {
		p.Provider, p.AuthServer = "climateengine", h.server.URL()
	}, shows: "climateengine", server: true},
	"Issuer": {set: func(h *harness, p *protocol.LoginParams, _ string) {
		p.Issuer = h.server.URL() + sandbox.KeycloakIssuerPath
	},
		shows: sandbox.KeycloakIssuerPath, server: true},
	"TokenURL": {set: func(h *harness, p *protocol.LoginParams, _ string) {
		p.TokenURL = h.server.URL() + sandbox.KeycloakTokenPath
	},
		shows: sandbox.KeycloakTokenPath, server: true},
	"Backend": {set: func(h *harness, p *protocol.LoginParams, _ string) { p.Backend = h.server.URL() + "/given-backend" },
		shows: "given-backend", server: true},
	"AuthServer": {set: func(_ *harness, p *protocol.LoginParams, _ string) { p.AuthServer = "http://localhost:7" },
		shows: "localhost:7"},
	"Grant": {set: func(_ *harness, p *protocol.LoginParams, _ string) { p.Grant = "token_exchange" },
		shows: "Token to exchange", server: true},
	"ClientAuth": {set: func(_ *harness, p *protocol.LoginParams, _ string) { p.ClientAuth = "private_key_jwt" },
		shows: "private_key_jwt", server: true},
	"ClientID": {set: func(_ *harness, p *protocol.LoginParams, _ string) { p.ClientID = "given-client" },
		shows: "given-client"},
	"Username": {set: func(_ *harness, p *protocol.LoginParams, _ string) { p.Username = "bob@example.com" },
		shows: "bob@example.com"},
	"Key": {set: func(_ *harness, p *protocol.LoginParams, key string) { p.Key = key }, shows: "key.pem"},
	"Certificate": {set: func(_ *harness, p *protocol.LoginParams, key string) { p.Certificate = key },
		shows: "certificate=-"},
	"KeyAlg": {set: func(_ *harness, p *protocol.LoginParams, _ string) { p.KeyAlg = "ES256" },
		shows: "key_alg=ES256"},
	"KeyID": {set: func(_ *harness, p *protocol.LoginParams, _ string) { p.KeyID = "given-kid" },
		shows: "key_id=given-kid"},
	"AuthorizationEndpoint": {set: func(h *harness, p *protocol.LoginParams, _ string) {
		p.AuthorizationEndpoint = h.server.URL() + "/authorize?x=given-authorize"
	}, shows: "given-authorize"},
	"DeviceEndpoint": {set: func(h *harness, p *protocol.LoginParams, _ string) {
		p.DeviceEndpoint = h.server.URL() + "/given-device"
	}, shows: "given-device"},
	"PAREndpoint": {set: func(h *harness, p *protocol.LoginParams, _ string) {
		p.PAREndpoint = h.server.URL() + "/given-par"
	}, shows: "given-par"},
	"RevocationEndpoint": {set: func(h *harness, p *protocol.LoginParams, _ string) {
		p.RevocationEndpoint = h.server.URL() + "/given-revoke"
	}, shows: "given-revoke"},
	"UserinfoEndpoint": {set: func(h *harness, p *protocol.LoginParams, _ string) {
		p.UserinfoEndpoint = h.server.URL() + "/given-me"
	}, shows: "given-me"},
	"PAR": {set: func(_ *harness, p *protocol.LoginParams, _ string) { p.PAR = "never" }, shows: "par = 'never'"},
	"ResourceIndicator": {set: func(_ *harness, p *protocol.LoginParams, _ string) {
		p.ResourceIndicator = "https://given.example/"
	}, shows: "resource_indicator = 'https://given.example/'"},
	"TargetAudience": {set: func(_ *harness, p *protocol.LoginParams, _ string) {
		p.TargetAudience = "given-target"
	}, shows: "target_audience = 'given-target'"},
	"WiderScope": {set: func(_ *harness, p *protocol.LoginParams, _ string) { p.WiderScope = true },
		shows: "wider_scope = true"},
	"StrictScope": {set: func(_ *harness, p *protocol.LoginParams, _ string) { p.StrictScope = true },
		shows: "strict_scope = true"},
	"Set": {set: func(_ *harness, p *protocol.LoginParams, _ string) {
		p.Set = map[string]string{"token_chars": "visible"}
	}, shows: "token_chars = 'visible'"},
	"AssertionFile": {set: func(_ *harness, p *protocol.LoginParams, _ string) {
		p.Key, p.AssertionFile = "", "/given.jwt"
	},
		shows: "given.jwt"},
	"Basic": {set: func(_ *harness, p *protocol.LoginParams, _ string) { p.Basic = "raw" }, shows: "basic = 'raw'"},
	"AssertionAudience": {set: func(_ *harness, p *protocol.LoginParams, _ string) { p.AssertionAudience = "endpoint" },
		shows: "assertion_audience = 'endpoint'"},
	"Subject": {set: func(_ *harness, p *protocol.LoginParams, _ string) { p.Subject = person },
		shows: "subject=" + person},
	"Redirect": {set: func(_ *harness, p *protocol.LoginParams, _ string) { p.Redirect = "http://127.0.0.1/given" },
		shows: "%2Fgiven|redirect = 'http://127.0.0.1/given'"},
	"NoBrowser": {set: func(_ *harness, p *protocol.LoginParams, _ string) { p.NoBrowser = true }, shows: "prompt"},
	"Header": {set: func(_ *harness, p *protocol.LoginParams, _ string) { p.Header = "X-Given" },
		shows: "X-Given"},
	"Prefix": {set: func(_ *harness, p *protocol.LoginParams, _ string) {
		given := "given"
		p.Prefix = &given
	}, shows: "prefix = 'given'"},
	"Ephemeral": {set: func(_ *harness, p *protocol.LoginParams, _ string) { p.Ephemeral = true },
		shows: "nothing written"},
	"Scope": {set: func(_ *harness, p *protocol.LoginParams, _ string) { p.Scope = "write" },
		shows: "scope = 'write'|\"scope\":\"write\""},
	"Audience": {set: func(_ *harness, p *protocol.LoginParams, _ string) { p.Audience = "https://given.example" },
		shows: "given.example"},
	"Resources": {set: func(_ *harness, p *protocol.LoginParams,
		_ string) {
		p.Resources = []string{"https://given.example"}
	}, shows: "given.example"},
	"NewClient": {set: func(_ *harness, p *protocol.LoginParams, _ string) { p.NewClient = true },
		shows: sandbox.SpatiafiClientsPath},
	"Secret": {set: func(_ *harness, p *protocol.LoginParams, _ string) { p.Secret = true },
		shows: `"kind":"secret"`},
	// a permission; see TestJ30
	"Replace": {set: func(_ *harness, p *protocol.LoginParams, _ string) { p.Replace = true }},
	"Trust": {set: func(_ *harness, p *protocol.LoginParams, _ string) { // see TestF10
		p.Trust = []string{"https://given.example"}
	}},
}

// notGiven are the fields that a person does not type, and Fleet, which needs a fleet (packaging/e2e).
var notGiven = []string{"Profile", "Confirm", "Fleet"}

// givenWay is one kind of sign-in: how it is asked for, what a profile that has it is made of, and which fields it
// refuses.
type givenWay struct {
	asked    func(h *harness, key string) protocol.LoginParams
	config   func(h *harness) string
	item     func(h *harness, key keystore.Secret) keystore.Item
	refused  string // fields
	existing string // changes to that on an existing profile: -Field is used, +Field refused
}

func (h *harness) itemFor(id, auth, kind string) keystore.Item {
	return keystore.Item{
		Issuer: h.server.URL(), TokenEndpoint: h.server.URL() + h.server.TokenPath(), ClientAuth: auth, ClientID: id,
		Grant:              kind,
		RevocationEndpoint: h.server.URL() + "/revoke",
	}
}

func (h *harness) configFor(auth, kind string) string {
	text := fmt.Sprintf("issuer = %q\ntoken_endpoint = %q\nclient_auth = %q\n", h.server.URL(),
		h.server.URL()+h.server.TokenPath(), auth)
	if kind != "" {
		text += fmt.Sprintf("grant = %q\n", kind)
	}
	return text
}

func (h *harness) presetConfig(name string) string {
	return fmt.Sprintf("provider = %q\nauth_server = %q\n", name, h.server.URL())
}

func givenSession(auth, kind, id string) givenWay {
	return givenWay{
		asked: func(h *harness, _ string) protocol.LoginParams {
			return protocol.LoginParams{Issuer: h.server.URL(), ClientID: id, ClientAuth: auth, Grant: kind}
		},
		config: func(h *harness) string { return h.configFor(auth, kind) },
		item: func(h *harness, _ keystore.Secret) keystore.Item {
			i := h.itemFor(id, auth, kind)
			i.RefreshToken = keystore.SecretString("dummy-refresh-token")
			if auth != "none" {
				i.ClientSecret = keystore.SecretString(clientSecret)
			}
			return i
		},
	}
}

const (
	noOwnKeyFields = "AssertionFile Basic Key Certificate KeyAlg KeyID Subject TargetAudience "
	noKeyFields    = noOwnKeyFields + "AssertionAudience "

	tokenFields     = "Scope Audience ResourceIndicator WiderScope StrictScope Set "
	noBrowserFields = "AuthorizationEndpoint PAREndpoint PAR "
	noSessionFields = noBrowserFields + "DeviceEndpoint RevocationEndpoint "
)

// givenWays :: kind → how it is done
func givenWays() map[grant.Kind]givenWay {
	device := givenSession("none", "device_code", "app")
	device.refused = noKeyFields + noBrowserFields + "AuthServer Username Redirect NewClient Secret"
	browser := givenSession("none", "authorization_code", "app")
	browser.refused = noKeyFields + "DeviceEndpoint AuthServer Username NewClient Secret"
	exchange := givenSession("client_secret_post", "token_exchange", "machine")
	exchange.refused = noKeyFields + noBrowserFields + "DeviceEndpoint AuthServer Username Redirect NoBrowser NewClient"
	machine := givenSession("client_secret_post", "", "machine")
	machine.refused = exchange.refused + " RevocationEndpoint"
	session := machine.asked
	machine.asked = func(h *harness, key string) protocol.LoginParams {
		p := session(h, key)
		p.Grant = "client_credentials" // else an endpoint would say another one
		return p
	}
	machine.item = func(h *harness, _ keystore.Secret) keystore.Item {
		i := h.itemFor("machine", "client_secret_post", "")
		i.ClientSecret = keystore.SecretString(clientSecret)
		return i
	}
	return map[grant.Kind]givenWay{
		grant.ByDeviceCode: device, grant.ByAuthorizationCode: browser, grant.ByTokenExchange: exchange,
		grant.ByClientCredentials: machine,
		grant.ByJWTBearer: {
			asked: func(h *harness, key string) protocol.LoginParams {
				return protocol.LoginParams{TokenURL: h.server.URL() + h.server.TokenPath(), ClientID: "keyed",
					Key: key, Grant: "jwt_bearer"}
			},
			config: func(h *harness) string { return h.configFor("none", "jwt_bearer") },
			item: func(h *harness, key keystore.Secret) keystore.Item {
				i := h.itemFor("keyed", "none", "jwt_bearer")
				i.PrivateKey = key.Clone()
				return i
			},
			refused: noSessionFields + "AuthServer Basic Username Certificate Redirect NoBrowser NewClient Secret",
		},
		grant.ByAppCredentials: {
			asked: func(h *harness, _ string) protocol.LoginParams {
				return protocol.LoginParams{Provider: "spatiafi", AuthServer: h.server.URL(), Username: person,
					Grant: "app_credentials"}
			},
			config: func(h *harness) string { return h.presetConfig("spatiafi") },
			item: func(h *harness, _ keystore.Secret) keystore.Item {
				return keystore.Item{
					Issuer: "https://auth.spatiafi.com", TokenEndpoint: h.server.URL() + sandbox.SpatiafiTokenPath,
					ClientAuth: "client_secret_jwt",
					ClientID:   "machine", ClientSecret: keystore.SecretString(clientSecret), Username: person,
				}
			},
			refused:  noSessionFields + noOwnKeyFields + "ClientID Redirect NoBrowser",
			existing: "-ClientID +Username",
		},
		grant.ByAPIKey: {
			asked: func(h *harness, _ string) protocol.LoginParams {
				return protocol.LoginParams{Provider: "planet-key", AuthServer: h.server.URL(), Grant: "api_key"}
			},
			config: func(h *harness) string { return h.presetConfig("planet-key") },
			item:   func(h *harness, _ keystore.Secret) keystore.Item { return h.apiKeyItem() },
			refused: noSessionFields + noKeyFields + "ClientAuth ClientID Username Redirect NoBrowser " +
				tokenFields + "NewClient",
		},
		grant.ByKeyLogin: {
			asked: func(h *harness, _ string) protocol.LoginParams {
				return protocol.LoginParams{Provider: "planet-legacy", AuthServer: h.server.URL(), Username: person,
					Grant: "key_login"}
			},
			config: func(h *harness) string { return h.presetConfig("planet-legacy") },
			item:   func(h *harness, _ keystore.Secret) keystore.Item { return h.apiKeyItem() },
			refused: noSessionFields + noKeyFields + "ClientAuth ClientID Redirect NoBrowser " +
				tokenFields + "NewClient",
			existing: "+Username",
		},
	}
}

func (h *harness) apiKeyItem() keystore.Item {
	return keystore.Item{Issuer: "https://api.planet.com", Grant: "api_key", Username: person,
		APIKey: keystore.SecretString("dummy-api-key")}
}

// Every parameter of a login is used or refused, for every grant, on a new and on an existing profile: what is used
// shows in what is asked, sent, stored or configured; what is refused is named, and nothing was asked or sent before.
func TestJ20EveryParameterIsUsedOrRefused(t *testing.T) {
	tier.Long(t, "it signs in some hundred times")
	fields := reflect.VisibleFields(reflect.TypeFor[protocol.LoginParams]())
	for _, f := range fields {
		if _, known := givenFields[f.Name]; known == slices.Contains(notGiven, f.Name) {
			t.Errorf("protocol.LoginParams.%s has no row here, or two: say what shows that it is used", f.Name)
		}
	}
	for kind, way := range givenWays() {
		for _, f := range fields {
			row, known := givenFields[f.Name]
			if !known {
				continue
			}
			for _, existing := range []bool{false, true} {
				name := fmt.Sprintf("%s/%s/new", kind, f.Name)
				refused := slices.Contains(strings.Fields(way.refused), f.Name)
				if existing {
					name = fmt.Sprintf("%s/%s/existing", kind, f.Name)
					changes := strings.Fields(way.existing)
					refused = refused && !slices.Contains(changes, "-"+f.Name) || slices.Contains(changes, "+"+f.Name)
					refused = refused || f.Name == "Ephemeral"
				}
				t.Run(name, func(t *testing.T) {
					in, o := inBubble, sandbox.Options{}
					if kind == grant.ByAuthorizationCode { // the browser's way back is a real socket
						in, o.Consent = onRealSockets, sandbox.ConsentAllow
					}
					in(t, o, func(t *testing.T, h *harness) {
						g := h.give(t, kind, way, existing, f.Name)
						switch {
						case refused:
							g.refused(t, f.Name)
						case slices.ContainsFunc(strings.Split(row.shows, "|"),
							func(s string) bool { return strings.Contains(g.trace, s) }):
						case row.server && g.err != nil:
							if e := g.wire(t); e.Code != protocol.CodeInvalidParams || g.questions > 0 ||
								g.toServer() > 0 {
								t.Errorf("%v after %s", e, g.trace)
							}
						default:
							t.Errorf("nothing shows that it was used (%s): %v; %s", row.shows, g.err, g.trace)
						}
					})
				})
			}
		}
	}
}

// given is what came of a login with one parameter.
type given struct {
	err       error
	trace     string
	sent      []sandbox.Entry
	questions int
}

func (g *given) wire(t *testing.T) *protocol.Error {
	t.Helper()
	e, ok := errors.AsType[*protocol.Error](g.err)
	if !ok {
		t.Fatalf("%v (%T)", g.err, g.err)
	}
	return e
}

// flagOf is the flag of a field of protocol.LoginParams, by the command line that it makes.
func flagOf(field string) string {
	p := protocol.LoginParams{Profile: "p"}
	switch v := reflect.ValueOf(&p).Elem().FieldByName(field); v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("x")
	case reflect.Slice:
		v.Set(reflect.ValueOf([]string{"x"}))
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"x": "y"}))
	case reflect.Pointer:
		word := "x"
		v.Set(reflect.ValueOf(&word))
	}
	return strings.Fields(Command(p))[3]
}

// refused makes sure that the error names the flag, and that nothing was asked or sent.
func (g *given) refused(t *testing.T, field string) {
	t.Helper()
	if g.err == nil {
		t.Fatalf("it was neither used nor refused: %s", g.trace)
	}
	e := g.wire(t)
	if !strings.Contains(e.Message, flagOf(field)) || e.Hint() == "" && field != "AuthServer" {
		t.Errorf("%q, hint %q: it does not name the flag, or no command that works", e.Message, e.Hint())
	}
	if g.toServer()+g.questions > 0 {
		t.Errorf("%d questions, and %+v, before it was refused", g.questions, g.sent)
	}
}

// toServer counts the requests but those of discovery.
func (g *given) toServer() (n int) {
	for _, e := range g.sent {
		if !strings.Contains(e.Path, ".well-known") {
			n++
		}
	}
	return n
}

// again are the parameters of a login on an existing profile: what the field needs beside it, and a person to ask.
func (way givenWay) again(kind grant.Kind, field string, first protocol.LoginParams) protocol.LoginParams {
	p := protocol.LoginParams{Confirm: field != "Username"}
	switch kind {
	case grant.ByKeyLogin:
		p.Username = first.Username
	case grant.ByAppCredentials:
		if slices.Contains([]string{"AuthServer", "NewClient", "Replace"}, field) {
			p.Username = first.Username
		}
	case grant.ByJWTBearer:
		if field == "ClientID" || field == "Replace" {
			p.Key = first.Key
		}
	}
	return p
}

// onRealSockets is inBubble with a server on a real socket and real time.
func onRealSockets(t *testing.T, o sandbox.Options, f func(t *testing.T, h *harness)) {
	t.Helper()
	for _, c := range apps {
		c.RedirectURIs = []string{"http://127.0.0.1/callback", "http://127.0.0.1/given"}
		o.Clients = append(o.Clients, c)
	}
	f(t, onSockets(t, o))
}

// comeBack is a browser: it returns the address that it ended at.
func (h *harness) comeBack(ctx context.Context, page string) (keystore.Secret, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
	if err != nil {
		return keystore.Secret{}, err
	}
	resp, err := h.HTTP.Transport.RoundTrip(r)
	if err != nil {
		return keystore.Secret{}, err
	}
	defer resp.Body.Close()
	return keystore.SecretString(resp.Header.Get("Location")), nil
}

// give signs in with a field.
func (h *harness) give(t *testing.T, kind grant.Kind, way givenWay, existing bool, field string) *given {
	t.Helper()
	file, public := keyPair(t)
	h.server.AddClient(sandbox.Client{ID: "keyed", Key: public})
	h.server.AddClient(sandbox.Client{ID: "given-client", Key: public,
		RedirectURIs: []string{"http://127.0.0.1/callback"}})
	key, err := privatekey.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	params := way.asked(h, file)
	var subject string
	if kind == grant.ByTokenExchange {
		h.signIn(t, h.ofMachine("subject"))
		token, err := h.token(t, "subject")
		if err != nil {
			t.Fatal(err)
		}
		subject = token.Access.Reveal()
	}
	g := &given{}
	var trace strings.Builder
	answer := func(ctx context.Context, p protocol.Prompt) (keystore.Secret, error) {
		text, _ := json.Marshal(p)
		fmt.Fprintf(&trace, "prompt %s\n", text)
		switch p.Kind {
		case protocol.PromptDevice:
			return keystore.Secret{}, h.server.ApproveDevice(p.Code)
		case protocol.PromptBrowser:
			return h.comeBack(ctx, p.URL)
		case protocol.PromptConfirm:
			return keystore.SecretString("yes"), nil
		case protocol.PromptSecret:
			g.questions++
			switch {
			case strings.HasPrefix(p.Text, "Password"):
				return keystore.SecretString(password), nil
			case strings.HasPrefix(p.Text, "Token"):
				return keystore.SecretString(subject), nil
			}
		}
		return keystore.SecretString(clientSecret), nil
	}
	switch {
	case existing && kind.Session():
		params.Profile = "p"
		if _, err := h.login(t.Context(), params, answer); err != nil {
			t.Fatal(err)
		}
		params = way.again(kind, field, params)
		trace.Reset()
		g.questions = 0
	case existing:
		params = way.again(kind, field, params)
		h.write(t, "profiles.d/p.toml", way.config(h))
		h.reload(t)
		item := way.item(h, key)
		if item.APIKey.IsZero() { // as a sign-in would have it
			item.Issuer, item.TokenEndpoint = h.Profiles.Named("p").Endpoint.Server().Issuer, h.Profiles.Named(
				"p").Endpoint.Server().TokenEndpoint
		} else {
			s := h.Profiles.Named("p").Endpoint.Server()
			item.Issuer, item.TokenEndpoint, item.ClientAuth = s.Issuer, s.TokenEndpoint, string(s.ClientAuth)
		}
		if err := h.store.Memory.Set(t.Context(), "p", item); err != nil {
			t.Fatal(err)
		}
	}
	params.Profile = "p"
	givenFields[field].set(h, &params, file)
	before := len(h.server.Log())
	_, g.err = h.login(t.Context(), params, answer)
	if g.err == nil && field == "NoBrowser" {
		trace.WriteString("prompt\n") // a session that was proven opens none
	}
	if g.err != nil && field == "AssertionFile" {
		trace.WriteString(g.err.Error()) // there is none
	}
	g.sent = h.server.Log()[before:]
	for _, e := range g.sent {
		text, _ := json.Marshal(e)
		fmt.Fprintf(&trace, "request %s\n", text)
	}
	text, err := os.ReadFile(filepath.Join(h.config, "profiles.d", "p.toml"))
	if err != nil {
		trace.WriteString("nothing written\n")
	}
	fmt.Fprintf(&trace, "configuration %s\n", text)
	i := h.stored(t, "p")
	fmt.Fprintf(&trace, "item client=%s username=%s key_id=%s key_alg=%s subject=%s certificate=%.1s\n",
		i.ClientID, i.Username, i.KeyID, i.KeyAlg, i.Subject, i.Certificate)
	if g.err == nil && field == "Key" && !i.PrivateKey.IsZero() && i.PrivateKey.Equal(key) {
		trace.WriteString("key.pem\n")
	}
	g.trace = trace.String()
	return g
}

// A hint for the next try is the command that was given with what it lacks: whatever else was given stays in it, once.
func TestJ60AHintKeepsWhatWasGiven(t *testing.T) {
	h := onSockets(t, sandbox.Options{})
	o := described.New(t, "named")
	signMachine(t, h, o)
	_, _, err := h.sign(t, protocol.LoginParams{Profile: "lab", ClientAuth: "client_secret_basic", Scope: "s"}, "")
	if e := wantError(t, err,
		""); e.Hint() != "groat login lab --client-auth client_secret_basic --scope s --client-id ID" {
		t.Errorf("hint %q", e.Hint())
	}
}

// A query or a fragment of --api would be dropped, and a path that programs read in more than one way be another one:
// it is refused before anything is sent, and the hint's command works. A path is part of the API.
func TestJ64AnAPIWithMoreThanAPath(t *testing.T) {
	h := onSockets(t, sandbox.Options{})
	o := described.New(t, "named")
	signMachine(t, h, o)
	for _, rest := range []string{"?x=1", "#f", "?x#f"} {
		_, _, err := h.sign(t, protocol.LoginParams{Profile: "lab",
			Resources: []string{"https://first.example", "https://api.example" + rest}}, "")
		if e := wantError(t, err,
			""); e.Hint() != "groat login lab --api https://first.example --api https://api.example" {
			t.Errorf("%q: %v, hint %q", rest, e, e.Hint())
		}
	}
	for _, rest := range []string{"/v1/../v2", "//v1", "/v%31", "/v1;x"} {
		p := protocol.LoginParams{Profile: "lab", Resources: []string{"https://api.example" + rest}}
		_, _, err := h.sign(t, p, "")
		if e := wantError(t, err, ""); !strings.HasPrefix(e.Message, "--api cannot be used here: ") ||
			e.Hint() != "groat login --help" {
			t.Errorf("%q: %v, hint %q", rest, e, e.Hint())
		}
	}
	if got := o.Received(); len(got) != 0 {
		t.Errorf("sent %q", got)
	}
	for _, c := range []struct{ rest, is string }{
		{"/", ""}, {"", ""}, {":443", ""}, {":443/", ""}, {"/v1", "/v1"}, {"/v1/", "/v1"}, {":443/v2/a", "/v2/a"},
	} {
		p := protocol.LoginParams{Profile: "lab", Resources: []string{"https://api.example" + c.rest}}
		r, _, err := h.sign(t, p, "")
		if err != nil || !slices.Contains(r.Resources, "https://api.example"+c.is) {
			t.Errorf("%q: %+v, %v", c.rest, r, err)
		}
	}
}

// keyPair writes an ECDSA key to a file.
func keyPair(t *testing.T) (file string, public *ecdsa.PublicKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, &key.PublicKey
}
