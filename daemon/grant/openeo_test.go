package grant_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/daemon/grant"
)

const (
	wellKnown = "/.well-known/openeo"
	providers = "/credentials/oidc"
	oneOfThem = `{"providers":[{"id":"egi","issuer":"https://aai.example/oidc","title":"x","scopes":["openid","email"],
		"default_clients":[{"id":"c1","grant_types":["authorization_code+pkce","refresh_token"],
			"redirect_urls":["https://editor.example/","http://localhost:1410/"]},
			{"id":"c2","grant_types":["urn:ietf:params:oauth:grant-type:device_code"]}]}]}`
)

func TestDiscoverOpenEO(t *testing.T) {
	at := func(versions string) map[string]string {
		return map[string]string{
			wellKnown:         `{"versions":[` + versions + `]}`,
			"/v1" + providers: oneOfThem, "/v1.2" + providers: oneOfThem, "/dev" + providers: oneOfThem,
		}
	}
	many := strings.Repeat(`{"url":"URL/v1","api_version":"1.0.0"},`, 64) + `{"url":"URL/v1","api_version":"1.0.0"}`
	for name, c := range map[string]struct {
		documents map[string]string
		path      string // behind the address that a person gives
		api       string // after the origin
		says      string // of an error
	}{
		"the newest in production": {at(`{"url":"URL/v1","api_version":"1.9.9"},
			{"url":"URL/v1.2/","api_version":"1.10.0","production":true},
			{"url":"URL/dev","api_version":"1.11.0","production":false},{"url":"URL/v2","api_version":"2.0.0"}`),
			"", "/v1.2", ""},
		"none in production": {at(`{"url":"URL/v1","api_version":"1.0.0","production":false},
			{"url":"URL/dev","api_version":"1.1.0-rc.1","production":false}`), "/", "/dev", ""},
		"production before newness": {at(`{"url":"URL/dev","api_version":"1.1.0","production":false},
			{"url":"URL/v1","api_version":"1.0.0"}`), "", "/v1", ""},
		"the list's own address": {at(`{"url":"URL/v1","api_version":"1.0.0"}`), wellKnown, "/v1", ""},
		"no list":                {map[string]string{"/v1" + providers: oneOfThem}, "/v1/", "/v1", ""},
		"a list below a path":    {map[string]string{"/eo" + wellKnown: `{"versions":[{"url":"URL/v1","api_version":"1.0.0"}]}`, "/v1" + providers: oneOfThem}, "/eo", "/v1", ""},
		"only old ones":          {at(`{"url":"URL/v1","api_version":"0.4.2"}`), "", "", "no openEO API of version 1"},
		"no versions":            {map[string]string{wellKnown: `{}`}, "", "", "versions"},
		"too many":               {at(many), "", "", "versions"},
		"an API by http":         {at(`{"url":"http://elsewhere.example/v1","api_version":"1.0.0"}`), "", "", "version 1"},
		"an API with a query":    {at(`{"url":"URL/v1?x","api_version":"1.0.0"}`), "", "", "version 1"},
		"a version that is none": {at(`{"url":"URL/v1","api_version":"one"}`), "", "", "version 1"},
		"nothing there":          {map[string]string{}, "", "", "does not list where people sign in"},
		"no providers":           {map[string]string{providers: `{}`}, "", "", "readable way"},
		"an empty list":          {map[string]string{providers: `{"providers":[]}`}, "", "", "no OpenID provider"},
		"an id that is a path":   {map[string]string{providers: `{"providers":[{"id":"a/b","issuer":"https://a.example"}]}`}, "", "", "no OpenID provider"},
		"an id that is too long": {map[string]string{providers: `{"providers":[{"id":"` + strings.Repeat("a", 65) + `","issuer":"https://a.example"}]}`}, "", "", "no OpenID provider"},
		"an issuer by http":      {map[string]string{providers: `{"providers":[{"id":"a","issuer":"http://a.example"}]}`}, "", "", "no OpenID provider"},
		"a scope that is two":    {map[string]string{providers: `{"providers":[{"id":"a","issuer":"https://a.example","scopes":["a b"]}]}`}, "", "", "no OpenID provider"},
		"scopes without end": {map[string]string{providers: `{"providers":[{"id":"a","issuer":"https://a.example",` +
			`"scopes":["openid"` + strings.Repeat(`,"s0123456789"`, 400) + `]}]}`}, "", "", "no OpenID provider"},
		"an address with a query": {nil, "/?x=1", "", "query"},
	} {
		t.Run(name, func(t *testing.T) {
			url := documents(t, c.documents)
			found, err := grant.DiscoverOpenEO(t.Context(), http.DefaultClient, url+c.path)
			if c.says != "" {
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Fatalf("%+v, %v", found, err)
				}
				return
			}
			if err != nil || found.API != url+c.api || len(found.Providers) != 1 {
				t.Fatalf("%+v, %v", found, err)
			}
			p := found.Providers[0]
			if p.OpenEOTokenPrefix() != "oidc/egi/" || p.Issuer != "https://aai.example/oidc" ||
				!cmp.Equal(p.Scopes, []string{"openid", "email"}) {
				t.Errorf("%+v", p)
			}
			for kind, want := range map[grant.Kind]string{
				grant.ByAuthorizationCode: "c1 true http://localhost:1410/ true",
				grant.ByDeviceCode:        "c2 false  true", grant.ByClientCredentials: " false  false",
			} {
				client, pkce, redirect, ok := p.Client(kind)
				if got := fmt.Sprint(client.ID, " ", pkce, " ", redirect, " ", ok); got != want {
					t.Errorf("%s: %q, want %q", kind, got, want)
				}
			}
		})
	}
	if _, err := grant.DiscoverOpenEO(t.Context(), http.DefaultClient, "http://eo.example"); err == nil {
		t.Error("a back end by http")
	}
}
