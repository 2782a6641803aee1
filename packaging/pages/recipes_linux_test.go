package pages

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/testing/parts"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

const recipes = "daemon/grant/preset/RECIPES.md"

// recipeServers are the servers of the recipes, each as a sandbox under the provider's own name: the path of its
// issuer, and how a client that was registered as the recipe says is known there.
var recipeServers = map[string]struct {
	path   string
	client sandbox.Client
}{
	"aai.egi.eu":              {"/auth/realms/egi", sandbox.Client{Method: sandbox.None}},
	"wlcg.cloud.cnaf.infn.it": {"", sandbox.Client{Secret: password}},
	"cilogon.org":             {"", sandbox.Client{Secret: password}},
	"login.helmholtz.de": {"/oauth2", sandbox.Client{Secret: password, ExactPort: true,
		RedirectURIs: []string{"http://localhost:43210/callback"}}},
	"auth.destine.eu": {"/realms/desp", sandbox.Client{Method: sandbox.None,
		RedirectURIs: []string{"http://127.0.0.1/callback"}}},
	"auth.up42.com": {"/realms/public", sandbox.Client{ID: "up42-api", Method: sandbox.None}},
}

// TestRecipes runs each command of the recipes as it is printed, on a terminal, with a person who answers, in a network
// in which the providers' names lead to sandboxes. Each leaves a profile that a token is had for.
func TestRecipes(t *testing.T) {
	tier.Needs(t, "gnome-keyring", "root")
	hosts := map[string]http.Handler{}
	for host, r := range recipeServers {
		c := r.client
		if c.ID == "" {
			c.ID = "YOUR-CLIENT-ID"
		}
		s := sandbox.New(sandbox.Options{
			URL: "https://" + host, IssuerPath: r.path, Consent: sandbox.ConsentAllow, PasswordGrant: true,
			Device: sandbox.Device{Interval: time.Second}, Refresh: sandbox.Refresh{Rotate: true},
			Users:   []sandbox.User{{Name: "you@example.com", Password: password}},
			Clients: []sandbox.Client{c},
		})
		t.Cleanup(s.Close)
		hosts[host] = s
	}
	m := newMachine(t, newNetwork(t, hosts), "DISPLAY=:0",
		"DBUS_SESSION_BUS_ADDRESS="+parts.StartSecretService(t).Address)
	m.work = m.dir
	m.usePrograms(parts.Binaries(t))
	m.write("home/.local/bin/xdg-open", "#!/bin/sh\nexec curl -sSfL -o /dev/null \"$1\"\n", 0o755)

	blocks := Blocks(t, recipes)
	if len(blocks) != len(recipeServers) {
		t.Errorf("%s has %d blocks for %d servers", recipes, len(blocks), len(recipeServers))
	}
	for _, b := range blocks {
		name := regexp.MustCompile(`^groat login (\w+) `).FindStringSubmatch(b.Text)
		if name == nil {
			t.Errorf("%s:%d is no login", recipes, b.Line)
			continue
		}
		shown := m.run(b)
		if want := "signed in: profile " + name[1]; !strings.Contains(shown, want) {
			t.Errorf("%s:%d does not show %q:\n%s", recipes, b.Line, want, shown)
		}
		m.run(Block{Page: b.Page, Line: b.Line, Text: "groat get " + name[1] + " --output header | grep -q Bearer\n"})
	}
}
