package daemon

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// crowd configures n profiles, named p00000 and so on, in one file.
func (h *env) crowd(t *testing.T, n int) {
	t.Helper()
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "[profiles.p%05d]\nprovider = \"spatiafi\"\n", i)
		fmt.Fprintf(&text, "resources = [\"https://api-%05d.example\", \"https://second-%05d.example\"]\n", i, i)
	}
	h.write(t, "config.toml", text.String())
	if err := h.Reload(); err != nil {
		t.Fatal(err)
	}
}

// Ten thousand profiles do not fit one line: the listings come in pages, each within the bound, and nothing is missing.
func TestPages(t *testing.T) {
	const profiles = 10000
	h := newEnv(t, sandbox.Options{})
	h.crowd(t, profiles)
	c := dialRaw(t, h.socket)
	for _, method := range []string{protocol.MethodStatus, protocol.MethodProfiles} {
		after, seen, pages := "", 0, 0
		for {
			c.say(t, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":{"after":%q}}`+"\n", method, after))
			line, ok := c.hear(t)
			if !ok || len(line)+1 > protocol.MaxLine {
				t.Fatalf("%s: a page of %d bytes", method, len(line)+1)
			}
			var reply struct{ Result protocol.ProfilesResult }
			if err := json.Unmarshal([]byte(line), &reply); err != nil {
				t.Fatal(err)
			}
			for _, p := range reply.Result.Profiles {
				if want := fmt.Sprintf("p%05d", seen); p.Profile != want {
					t.Fatalf("%s: %s where %s should be", method, p.Profile, want)
				}
				seen++
			}
			pages++
			if after = reply.Result.Next; after == "" {
				break
			}
		}
		if seen != profiles {
			t.Errorf("%s: %d profiles on %d pages", method, seen, pages)
		}
		if pages > profiles/50 {
			t.Errorf("%s: %d pages are not well filled", method, pages)
		}
	}

	client := h.client(t)
	st, err := client.Status(t.Context(), "")
	if err != nil || len(st.Profiles) != profiles || st.Keystore.Use != "memory" {
		t.Errorf("%d profiles, %v", len(st.Profiles), err)
	}
	ps, err := client.Profiles(t.Context())
	if err != nil || len(ps.Profiles) != profiles || len(ps.Profiles[7].Resources) != 2 {
		t.Errorf("%d profiles, %v", len(ps.Profiles), err)
	}
	one, err := client.Status(t.Context(), "p00042")
	if err != nil || len(one.Profiles) != 1 || one.Profiles[0].Profile != "p00042" {
		t.Errorf("%+v, %v", one, err)
	}
}

// A page begins behind a name, whether that profile is still there or not.
func TestPageBehindAProfileThatIsGone(t *testing.T) {
	h := newEnv(t, sandbox.Options{})
	h.crowd(t, 3)
	var r protocol.ProfilesResult
	for after, want := range map[string]int{"": 3, "a": 3, "p00000": 2, "p00000x": 2, "p00001": 1, "p00002": 0,
		"z": 0} {
		if err := h.client(t).Call(t.Context(), protocol.MethodProfiles, protocol.ProfilesParams{After: after},
			&r); err != nil || len(r.Profiles) != want || r.Next != "" {
			t.Errorf("after %q: %+v, %v", after, r, err)
		}
	}
}

// A profile that no line can hold is a mistake that has a name.
func TestProfileTooLongForAListing(t *testing.T) {
	h := newEnv(t, sandbox.Options{})
	var b strings.Builder
	b.WriteString("provider = \"spatiafi\"\nresources = [\n")
	for i := range 3000 {
		fmt.Fprintf(&b, "\"https://host-%d.example\",\n", i)
	}
	h.write(t, "profiles.d/big.toml", b.String()+"]\n")
	if err := h.Reload(); err != nil {
		t.Fatal(err)
	}
	_, err := h.client(t).Profiles(t.Context())
	if e, ok := err.(*protocol.Error); !ok || e.Kind() != protocol.Config || !strings.Contains(e.Message, `"big"`) {
		t.Error(err)
	}
	if _, err := h.client(t).Status(t.Context(), ""); err != nil {
		t.Error("status, which does not list them:", err)
	}
}
