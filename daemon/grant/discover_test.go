package grant_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
)

// documents serves metadata by path; "URL" in them is the server's origin.
func documents(t *testing.T, byPath map[string]string) string {
	var address string
	address, _ = handler(t, func(w http.ResponseWriter, r *http.Request) {
		doc, ok := byPath[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, strings.ReplaceAll(doc, "URL", address))
	})
	return address
}

const (
	rfc8414 = "/.well-known/oauth-authorization-server"
	oidc    = "/.well-known/openid-configuration"
)

func TestDiscover(t *testing.T) {
	for _, c := range []struct {
		name   string
		docs   map[string]string
		issuer string // below the origin
		method grant.Method
		want   grant.Server // with URL for the origin; an empty one means an error
		text   string
		other  string
	}{
		{name: "RFC 8414",
			docs: map[string]string{rfc8414: `{"issuer":"URL","token_endpoint":"URL/token",` +
				`"userinfo_endpoint":"URL/me"}`},
			want: grant.Server{Issuer: "URL", TokenEndpoint: "URL/token", ClientAuth: grant.ClientSecretBasic,
				Userinfo: "URL/me"}},
		{name: "RFC 8414 wins", docs: map[string]string{rfc8414: `{"issuer":"URL","token_endpoint":"URL/a"}`,
			oidc: `{"issuer":"URL","token_endpoint":"URL/b"}`},
			want: grant.Server{Issuer: "URL", TokenEndpoint: "URL/a", ClientAuth: grant.ClientSecretBasic}},
		{name: "OpenID Connect", docs: map[string]string{oidc: `{"issuer":"URL","token_endpoint":"URL/token"}`},
			want: grant.Server{Issuer: "URL", TokenEndpoint: "URL/token", ClientAuth: grant.ClientSecretBasic}},
		{name: "path inserted", issuer: "/a/b", docs: map[string]string{rfc8414 +
			"/a/b": `{"issuer":"URL/a/b","token_endpoint":"URL/token"}`},
			want: grant.Server{Issuer: "URL/a/b", TokenEndpoint: "URL/token", ClientAuth: grant.ClientSecretBasic}},
		{name: "path appended", issuer: "/a/b/", docs: map[string]string{"/a/b" +
			oidc: `{"issuer":"URL/a/b/","token_endpoint":"URL/token"}`},
			want: grant.Server{Issuer: "URL/a/b/", TokenEndpoint: "URL/token", ClientAuth: grant.ClientSecretBasic}},
		{name: "slash forgotten", docs: map[string]string{rfc8414: `{"issuer":"URL/","token_endpoint":"URL/token"}`},
			want: grant.Server{Issuer: "URL/", TokenEndpoint: "URL/token", ClientAuth: grant.ClientSecretBasic}},
		{name: "slash too many", issuer: "/",
			docs: map[string]string{rfc8414: `{"issuer":"URL","token_endpoint":"URL/token"}`},
			want: grant.Server{Issuer: "URL", TokenEndpoint: "URL/token", ClientAuth: grant.ClientSecretBasic}},
		{name: "a page, then OpenID Connect", docs: map[string]string{rfc8414: `<html>`,
			oidc: `{"issuer":"URL","token_endpoint":"URL/token"}`},
			want: grant.Server{Issuer: "URL", TokenEndpoint: "URL/token", ClientAuth: grant.ClientSecretBasic}},
		{name: "method given and supported", method: grant.ClientSecretJWT,
			docs: map[string]string{rfc8414: `{"issuer":"URL","token_endpoint":"URL/t",` +
				`"token_endpoint_auth_methods_supported":["none","client_secret_jwt"]}`},
			want: grant.Server{Issuer: "URL", TokenEndpoint: "URL/t", ClientAuth: grant.ClientSecretJWT}},
		{name: "method given, none listed", method: grant.ClientSecretJWT,
			docs: map[string]string{rfc8414: `{"issuer":"URL","token_endpoint":"URL/t"}`},
			want: grant.Server{Issuer: "URL", TokenEndpoint: "URL/t", ClientAuth: grant.ClientSecretJWT}},
		{name: "method chosen",
			docs: map[string]string{rfc8414: `{"issuer":"URL","token_endpoint":"URL/t",` +
				`"token_endpoint_auth_methods_supported":["client_secret_jwt","client_secret_post"]}`},
			want: grant.Server{Issuer: "URL", TokenEndpoint: "URL/t", ClientAuth: grant.ClientSecretPost}},
		{name: "token endpoint elsewhere",
			docs: map[string]string{rfc8414: `{"issuer":"URL","token_endpoint":"https://tokens.example.com/t"}`},
			want: grant.Server{Issuer: "URL", TokenEndpoint: "https://tokens.example.com/t",
				ClientAuth: grant.ClientSecretBasic}, other: "https://tokens.example.com"},
		{name: "userinfo that cannot be called",
			docs: map[string]string{rfc8414: `{"issuer":"URL","token_endpoint":"URL/t",` +
				`"userinfo_endpoint":"http://me.example.com/"}`},
			want: grant.Server{Issuer: "URL", TokenEndpoint: "URL/t", ClientAuth: grant.ClientSecretBasic}},

		{name: "method given, not supported", method: grant.ClientSecretJWT,
			docs: map[string]string{rfc8414: `{"issuer":"URL","token_endpoint":"URL/t",` +
				`"token_endpoint_auth_methods_supported":["client_secret_basic"]}`}, text: "client_secret_basic"},
		{name: "no method that we know",
			docs: map[string]string{rfc8414: `{"issuer":"URL","token_endpoint":"URL/t",` +
				`"token_endpoint_auth_methods_supported":["tls_client_auth"]}`}, text: "tls_client_auth"},
		{name: "methods that are no list",
			docs: map[string]string{rfc8414: `{"issuer":"URL","token_endpoint":"URL/t",` +
				`"token_endpoint_auth_methods_supported":1}`}, text: "readable"},
		{name: "another issuer",
			docs: map[string]string{rfc8414: `{"issuer":"https://evil.example","token_endpoint":"URL/t"}`},
			text: "https://evil.example"},
		{name: "issuer's case", issuer: "/a", docs: map[string]string{rfc8414 +
			"/a": `{"issuer":"URL/A","token_endpoint":"URL/t"}`}, text: "issuer is another"},
		{name: "two slashes", docs: map[string]string{rfc8414: `{"issuer":"URL//","token_endpoint":"URL/t"}`},
			text: "issuer is another"},
		{name: "no issuer", docs: map[string]string{rfc8414: `{"token_endpoint":"URL/t"}`},
			text: "issuer is another: none"},
		{name: "no token endpoint", docs: map[string]string{rfc8414: `{"issuer":"URL"}`}, text: "token endpoint"},
		{name: "token endpoint in the clear",
			docs: map[string]string{rfc8414: `{"issuer":"URL","token_endpoint":"http://auth.example.com/t"}`},
			text: "https://"},
		{name: "token endpoint with a password",
			docs: map[string]string{rfc8414: `{"issuer":"URL","token_endpoint":"https://a:b@auth.example.com/t"}`},
			text: "password"},
		{name: "duplicate names",
			docs: map[string]string{rfc8414: `{"issuer":"URL","token_endpoint":"URL/t",` +
				`"Token_Endpoint":"https://evil.example/t"}`}, text: "ambiguous"},
		{name: "nothing there", docs: nil, text: "no description of itself"},
		{name: "too large", docs: map[string]string{rfc8414: `{"x":"` + strings.Repeat("x", 1<<20) + `"}`},
			text: "larger"},
	} {
		t.Run(c.name, func(t *testing.T) {
			address := documents(t, c.docs)
			got, err := grant.Discover(t.Context(), grant.NewHTTPClient(new(grant.Network)), address+c.issuer, c.method)
			if c.want.Issuer == "" {
				if err == nil || !strings.Contains(err.Error(), c.text) {
					t.Errorf("got %+v, %v", got, err)
				}
				if e, ok := errors.AsType[*grant.Error](err); !ok || e.Where == "" {
					t.Errorf("%#v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range []*string{&c.want.Issuer, &c.want.TokenEndpoint, &c.want.Userinfo} {
				*s = strings.ReplaceAll(*s, "URL", address)
			}
			c.want.ByIssuer = true
			if diff := cmp.Diff(c.want, got.Server, cmpopts.IgnoreFields(grant.Server{}, "Grants")); diff != "" {
				t.Error(diff)
			}
			if got.OtherOrigin != c.other || !strings.HasPrefix(got.Document, address) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestDiscoverRefusesTheIssuer(t *testing.T) {
	for _, issuer := range []string{"", "auth.example.com", "http://auth.example.com", "https://auth.example.com/?x",
		"https://auth.example.com/#x", "https://u:p@auth.example.com"} {
		if got, err := grant.Discover(t.Context(), grant.NewHTTPClient(new(grant.Network)), issuer, ""); err == nil {
			t.Errorf("%s: %+v", issuer, got)
		}
	}
}

// One attempt where no server answers: the other document is on the same host.
func TestDiscoverUnreachable(t *testing.T) {
	_, err := grant.Discover(t.Context(), grant.NewHTTPClient(new(grant.Network)), "http://127.0.0.1:1", "")
	wantClass(t, err, grant.Transient)
}

func TestDiscoverIsAsGoodAsTheServer(t *testing.T) {
	box, _ := provider(t, "spatiafi")
	box.Script(rfc8414, sandbox.Busy(503, "7"))
	box.Script(oidc, sandbox.HTML(502))
	_, err := grant.Discover(t.Context(), grant.NewHTTPClient(new(grant.Network)), box.Issuer(), "")
	if e := wantClass(t, err, grant.Transient); e.RetryAfter.Seconds() != 7 {
		t.Errorf("%v", e)
	}
}

// From an issuer to a token, with every method, at an independent server.
func TestDiscoverThenToken(t *testing.T) {
	for _, path := range []string{"", "/tenant/one"} {
		for _, method := range methods {
			o := options()
			o.IssuerPath = path
			box := sandbox.New(o)
			if err := box.Start(""); err != nil {
				t.Fatal(err)
			}
			defer box.Close()
			found, err := grant.Discover(t.Context(), grant.NewHTTPClient(new(grant.Network)), box.Issuer(), method)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := endpoint(found.Server).ClientCredentials(t.Context(), itemOf(found.Server),
				grant.Request{}); err != nil {
				t.Errorf("%s %s: %v", path, method, err)
			}
		}
	}
}

func TestSandboxDocumentIsJSON(t *testing.T) {
	box, _ := provider(t, "spatiafi")
	resp, err := http.Get(box.URL() + rfc8414)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var doc map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil || doc["issuer"] != box.Issuer() {
		t.Errorf("%v, %v", doc, err)
	}
}

func TestDiscoverEverything(t *testing.T) {
	const all = `"issuer":"URL","token_endpoint":"URL/t","authorization_endpoint":"URL/a",` +
		`"device_authorization_endpoint":"URL/d",
		"pushed_authorization_request_endpoint":"URL/p","revocation_endpoint":"URL/r","userinfo_endpoint":"URL/u"`
	base := func(change func(*grant.Server)) grant.Server {
		s := grant.Server{
			Issuer: "URL", ByIssuer: true, TokenEndpoint: "URL/t", ClientAuth: grant.None,
			AuthorizeEndpoint: "URL/a", DeviceEndpoint: "URL/d",
			PAREndpoint: "URL/p", RevocationEndpoint: "URL/r", Userinfo: "URL/u",
			Grants: []grant.Kind{grant.ByAuthorizationCode, grant.ByDeviceCode, grant.ByClientCredentials,
				grant.ByPassword},
		}
		change(&s)
		return s
	}
	for _, c := range []struct {
		name, more string
		method     grant.Method
		want       grant.Server
	}{
		{"plain", ``, grant.None, base(func(*grant.Server) {})},
		{"public client, though not listed", `,"token_endpoint_auth_methods_supported":["client_secret_basic"]`,
			grant.None, base(func(*grant.Server) {})},
		{"public clients only", `,"token_endpoint_auth_methods_supported":["none"]`, "", base(func(*grant.Server) {})},
		{"PAR required", `,"require_pushed_authorization_requests":true`, grant.None, base(func(s *grant.Server) {
			s.RequirePAR = true
		})},
		{"iss announced", `,"authorization_response_iss_parameter_supported":true`, grant.None,
			base(func(s *grant.Server) {
				s.IssInRedirect = true
			})},
		{"offline_access", `,"scopes_supported":["openid","offline_access"]`, grant.None, base(func(s *grant.Server) {
			s.SessionScope, s.AuthorizeParams = []string{"offline_access"}, map[string]string{"prompt": "consent"}
			s.PersonScope = []string{"openid"}
		})},
		{"algorithms", `,"token_endpoint_auth_signing_alg_values_supported":["PS256"]`, grant.PrivateKeyJWT,
			base(func(s *grant.Server) {
				s.ClientAuth, s.AssertionAlgs = grant.PrivateKeyJWT, []string{"PS256"}
			})},
		{"grants listed",
			`,"grant_types_supported":["urn:ietf:params:oauth:grant-type:token-exchange",` +
				`"urn:ietf:params:oauth:grant-type:jwt-bearer","password","implicit"]`, grant.None,
			base(func(s *grant.Server) {
				s.Grants = []grant.Kind{grant.ByJWTBearer, grant.ByTokenExchange, grant.ByPassword}
			})},
		{"another address for certificates",
			`,"mtls_endpoint_aliases":{"token_endpoint":"URL/mt","device_authorization_endpoint":"URL/md"}`,
			grant.TLSClientAuth,
			base(func(s *grant.Server) {
				s.ClientAuth, s.TokenEndpoint, s.DeviceEndpoint = grant.TLSClientAuth, "URL/mt", "URL/md"
			})},
		{"the same, without one", `,"mtls_endpoint_aliases":{"token_endpoint":"URL/mt"}`, grant.None,
			base(func(*grant.Server) {})},
	} {
		t.Run(c.name, func(t *testing.T) {
			address := documents(t, map[string]string{rfc8414: "{" + all + c.more + "}"})
			got, err := grant.Discover(t.Context(), grant.NewHTTPClient(new(grant.Network)), address, c.method)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range []*string{
				&c.want.Issuer, &c.want.TokenEndpoint, &c.want.AuthorizeEndpoint, &c.want.DeviceEndpoint,
				&c.want.PAREndpoint,
				&c.want.RevocationEndpoint, &c.want.Userinfo,
			} {
				*s = strings.ReplaceAll(*s, "URL", address)
			}
			if diff := cmp.Diff(c.want, got.Server); diff != "" {
				t.Error(diff)
			}
		})
	}
	for name, doc := range map[string]string{
		"endpoints in the clear are none": strings.ReplaceAll(all, `"URL/d"`, `"http://auth.example.com/d"`),
		"endpoints that are no strings":   strings.ReplaceAll(all, `"URL/d"`, `{}`),
	} {
		address := documents(t, map[string]string{rfc8414: "{" + doc + "}"})
		if got, err := grant.Discover(t.Context(), grant.NewHTTPClient(new(grant.Network)), address,
			grant.None); err != nil || got.DeviceEndpoint != "" || len(got.Grants) != 3 {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	address := documents(t,
		map[string]string{rfc8414: `{"issuer":"URL","token_endpoint":"URL/t",` +
			`"require_pushed_authorization_requests":true}`})
	if _, err := grant.Discover(t.Context(), grant.NewHTTPClient(new(grant.Network)), address,
		grant.None); err == nil || !strings.Contains(err.Error(), "pushed") {
		t.Errorf("PAR nowhere: %v", err)
	}
}
