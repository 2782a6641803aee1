package grant_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/grant"
)

// The address of a document, pasted, is as good as the issuer that the document is of.
func TestDiscoverByADocumentsAddress(t *testing.T) {
	const document = `{"issuer":"URL%s","token_endpoint":"URL/token"}`
	for _, c := range []struct{ pasted, at, issuer string }{
		{oidc, oidc, ""},
		{rfc8414, rfc8414, ""},
		{"/a/b" + oidc, "/a/b" + oidc, "/a/b"},
		{"/a/b" + oidc + "/", "/a/b" + oidc, "/a/b"},
		{rfc8414 + "/a/b", rfc8414 + "/a/b", "/a/b"},
		{oidc + "/a", oidc + "/a", "/a/"},                       // RFC 8414 §5: where OpenID Connect was moved to
		{"/a" + oidc, rfc8414 + "/a", "/a"},                     // the other place is looked at too
		{"/a" + rfc8414, "/a" + rfc8414, "/a"},                  // where it should not be, but is
		{"/.well-known", "/.well-known" + oidc, "/.well-known"}, // a path like any other
	} {
		address := documents(t, map[string]string{c.at: fmt.Sprintf(document, c.issuer)})
		found, err := grant.Discover(t.Context(), grant.NewHTTPClient(new(grant.Network)), address+c.pasted, "")
		if err != nil || found.Issuer != address+c.issuer || found.Document != address+c.at {
			t.Errorf("%s: issuer %s of %s, %v", c.pasted, found.Issuer, found.Document, err)
		}
	}
	address := documents(t, map[string]string{"/a" + oidc: fmt.Sprintf(document, "/b")})
	_, err := grant.Discover(t.Context(), grant.NewHTTPClient(new(grant.Network)), address+"/a"+oidc, "")
	if err == nil || !strings.Contains(err.Error(), "issuer is another") {
		t.Errorf("the document of another issuer: %v", err)
	}
}

// A redirect to another address of the same origin leads to the document. One to another origin is refused with its
// target, and so is one that never ends.
func TestDiscoverFollowsRedirects(t *testing.T) {
	elsewhere, asked := handler(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"issuer":"http://%s","token_endpoint":"http://%s/token"}`, r.Host, r.Host)
	})
	for _, c := range []struct {
		name, location string
		text           string // of the error; empty: it is followed
	}{
		{"a slash", rfc8414 + "/", ""},
		{"relative", "oauth-authorization-server/", ""},
		{"with a query", rfc8414 + "/?v=2", ""},
		{"another origin", elsewhere + "/x?secret=1", "leads to " + elsewhere + "/x ("},
		{"without end", rfc8414, "leads to http://"},
		{"in the clear", "http://auth.example.com/", "leads to http://auth.example.com/ ("},
		{"nowhere", "", "redirect, which is not followed ("},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked.Store(0)
			address, requests := handler(t, func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case rfc8414:
					w.Header().Set("Location", c.location)
					w.WriteHeader(http.StatusMovedPermanently)
				case rfc8414 + "/":
					w.Header().Set("Content-Type", "application/json")
					fmt.Fprintf(w, `{"issuer":"http://%s","token_endpoint":"http://%s/token"}`, r.Host, r.Host)
				default:
					http.NotFound(w, r)
				}
			})
			found, err := grant.Discover(t.Context(), grant.NewHTTPClient(new(grant.Network)), address, "")
			if c.text == "" {
				if err != nil || found.TokenEndpoint != address+"/token" {
					t.Errorf("%+v, %v", found, err)
				}
				return
			}
			if e := wantClass(t, err, grant.Misconfigured); !strings.Contains(e.Error(), c.text) {
				t.Errorf("%v", e)
			}
			if asked.Load() != 0 || requests.Load() > 5 {
				t.Errorf("%d requests elsewhere, %d here", asked.Load(), requests.Load())
			}
		})
	}
}
