package grant_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
)

// The server says of its own tokens whether they are good, to a client that can prove itself.
func TestIntrospection(t *testing.T) {
	o := options()
	box := startBox(t, o)
	found, err := grant.Discover(t.Context(), http.DefaultClient, box.Issuer(), grant.ClientSecretPost)
	if err != nil || found.IntrospectionEndpoint != box.URL()+box.IntrospectPath() {
		t.Fatalf("%q, %v", found.IntrospectionEndpoint, err)
	}
	e := endpoint(found.Server)
	item := itemOf(found.Server)
	token, err := e.ClientCredentials(t.Context(), item, grant.Request{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []bool{true, false} {
		if active, err := e.Active(t.Context(), item, token); err != nil || active != want {
			t.Errorf("active: %v, %v, want %v", active, err, want)
		}
		box.Revoke(token.Access.Reveal())
	}

	says := func(status int, body string) {
		box.Script(box.IntrospectPath(), sandbox.Fault{Status: status, Body: body})
	}
	for name, answer := range map[string]string{
		"nothing": `{}`, "a word": `{"active":"true"}`, "no object": `[]`, "twice": `{"active":true,"active":false}`,
	} {
		says(200, answer)
		if active, err := e.Active(t.Context(), item, token); err == nil || active {
			t.Errorf("%s: %v", name, active)
		}
	}
	says(401, `{"error":"invalid_client"}`)
	if _, err := e.Active(t.Context(), item, token); err == nil {
		t.Error("a refusal is no answer")
	}

	moved := found.Server
	moved.IntrospectionEndpoint = "https://elsewhere.example/introspect"
	if _, err := endpoint(moved).Active(t.Context(), item, token); !errors.Is(err, grant.ErrEndpointChanged) {
		t.Errorf("another host: %v", err)
	}
	item.PageOrigins = []string{"https://elsewhere.example"}
	if _, err := endpoint(moved).Active(t.Context(), item, token); !errors.Is(err, grant.ErrEndpointChanged) {
		t.Errorf("a host for the pages of a sign-in: %v", err)
	}
	moved.IntrospectionEndpoint = ""
	if _, err := endpoint(moved).Active(t.Context(), item, token); !errors.Is(err, grant.ErrNotOffered) {
		t.Errorf("no endpoint: %v", err)
	}
}
