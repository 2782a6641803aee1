package e2e_test

import (
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/preset"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
)

// Each provider's preset signs in, serves the header that its APIs want, says who it is, goes on after a restart, and
// signs out.
func TestPresets(t *testing.T) {
	t.Parallel()
	for _, p := range presetLogins {
		t.Run(p.provider+" "+p.name, func(t *testing.T) {
			t.Parallel()
			h := newPresetEnv(t, p)
			h.signsIn(p)
			h.uses(p)
			h.restart()
			h.uses(p)
			h.asked(p)
			h.signsOut(p)
		})
	}
}

func newPresetEnv(t *testing.T, p presetLogin) *presetEnv {
	t.Helper()
	h := &presetEnv{userEnv: newUserEnv(t, os.Getuid())}
	o := p.server
	o.Users = []sandbox.User{{Name: person, Password: h.password}}
	o.Clients = append(slices.Clone(o.Clients), sandbox.Client{ID: labClient, Secret: h.secret})
	if p.prepare != nil {
		o.Clients = append(o.Clients, p.prepare(h)...)
	}
	var err error
	if h.s, err = startServer(o, func(string) {}); err != nil {
		t.Fatal(err)
	}
	h.servers["it"] = h.s
	h.start()
	h.groat("", "keystore", "use", "sealed", "--key-file")
	return h
}

func (h *presetEnv) signsIn(p presetLogin) {
	h.t.Helper()
	args := []string{"it", "--provider", p.provider, "--auth-server", h.s.URL()}
	switch p.provider {
	case "":
		args = []string{"it", "--issuer", h.s.Issuer()}
	case "openeo":
		args = []string{"it", "--provider", "openeo", "--backend", h.s.URL()}
	}
	args = append(args, p.flags...)
	if p.more != nil {
		args = append(args, p.more(h, &p)...)
	}
	stdin := ""
	if p.typed != nil {
		stdin = p.typed(h) + "\n"
	}
	s := h.startLogin(stdin, args...)
	if p.person != nil {
		p.person(h, s)
	}
	s.succeeds()
}

// uses gets what is sent to an API. A key leaves as a header only.
func (h *presetEnv) uses(p presetLogin) {
	h.t.Helper()
	header := h.groat("", "get", "it", "--output", "header")
	if !regexp.MustCompile(p.header).MatchString(header) {
		h.t.Errorf("the header is %q, want %s", header, p.header)
	}
	if p.api != "" {
		name, value, _ := strings.Cut(strings.TrimSpace(header), ": ")
		if status, text := visit(h.t, http.MethodGet, h.s.URL()+p.api,
			http.Header{name: {value}}); status != http.StatusOK {
			h.t.Errorf("the API answers %d %s", status, text)
		}
	}
	var nowhere canaries // on disk; what was asked for is printed
	nowhere.add("the credential", header[strings.LastIndexByte(header, ' ')+1:len(header)-1])
	if err := nowhere.findInFiles(h.home, h.runtime); err != nil {
		h.t.Error(err)
	}
	switch {
	case p.whoami != "":
		if got := h.groat("", "whoami", "it"); !strings.Contains(got, p.whoami) {
			h.t.Errorf("whoami says %q", got)
		}
	case p.how == "" && p.stays == "":
		h.refused(h.run("", "groat", "get", "it"), 2, "API key", "groat get it --output header")
	}
}

// asked compares what the token endpoint was asked: once for the sign-in, and once after the restart.
func (h *presetEnv) asked(p presetLogin) {
	h.t.Helper()
	var by []string
	for _, e := range h.s.Log() {
		if e.Path == p.path && e.Status == http.StatusOK {
			by = append(by, e.Auth)
			if known, _ := preset.Lookup(p.provider); e.GrantType == "client_credentials" &&
				e.Audience != known.Audience {
				h.t.Errorf("a token was asked for %q, want %q", e.Audience, known.Audience)
			}
		}
	}
	var want []string
	if p.path != "" {
		want = []string{p.how}
	}
	if p.later != "" {
		want = append(want, p.later)
	}
	if !slices.Equal(by, want) {
		h.t.Errorf("the token endpoint was asked by %q, want %q", by, want)
	}
	for digest, n := range h.s.RefreshUses() {
		if n != 1 {
			h.t.Errorf("the refresh token %s was used %d times", digest, n)
		}
	}
}

func (h *presetEnv) signsOut(p presetLogin) {
	h.t.Helper()
	before := len(h.s.Log())
	said := h.groat("", "logout", "it")
	if h.groat("", "list"); p.ends == "" {
		if !strings.Contains(said, p.stays) {
			h.t.Errorf("logout says %q", said)
		}
		if n := len(h.s.Log()); n != before {
			h.t.Errorf("the server was asked %d times by a logout", n-before)
		}
		return
	}
	if !strings.Contains(said, "the session at "+h.s.URL()) {
		h.t.Errorf("logout says %q", said)
	}
	last := h.s.Log()[len(h.s.Log())-1]
	if last.Path != p.ends || last.Status != http.StatusOK {
		h.t.Errorf("the last request is %s %d, want %s 200", last.Path, last.Status, p.ends)
	}
}
