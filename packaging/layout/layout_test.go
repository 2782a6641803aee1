// Package layout_test holds the house to its plan: which rooms there are, who may import whom, what the thin client may
// never link, and a few things that must not occur at all.
package layout_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/groat-dev/groat/"

// rooms says, for each package, what of ours its non-test files may import; "/..." stands for everything below. A
// package that is not listed does not exist yet: a new room is a decision, made here.
var rooms = map[string][]string{
	"protocol/strictjson": {},
	"protocol/visible":    {},
	"protocol/ownpath":    {"protocol/visible"},
	"protocol/frame":      {"protocol/strictjson", "protocol/ownpath", "protocol/visible"},
	"protocol":            {"protocol/frame", "protocol/strictjson"},
	"protocol/transport":  {"protocol"},
	"protocol/jsonrpc":    {"protocol", "protocol/frame", "protocol/strictjson"},

	"keystore":          {},
	"keystore/keychain": {"keystore", "protocol/visible"},
	"keystore/ownfile":  {"protocol/ownpath"},
	"keystore/sealed":   {"keystore", "keystore/ownfile", "protocol/ownpath", "protocol/visible"},
	"keystore/backend":  {"keystore", "keystore/keychain", "keystore/ownfile", "keystore/sealed", "protocol/ownpath"},

	"daemon/grant/privatekey": {"keystore", "protocol/ownpath", "protocol/visible"},
	"daemon/origin":           {},
	"daemon/clock":            {},
	"daemon/peer":             {},
	"daemon/backup":           {"keystore", "keystore/ownfile", "keystore/sealed", "protocol/ownpath"},
	"daemon/grant": {"keystore", "daemon/clock", "daemon/grant/preset", "daemon/peer", "protocol/strictjson",
		"protocol/visible", "daemon/grant/privatekey", "daemon/origin"},
	"daemon/grant/preset": {},
	"daemon/config": {"daemon/grant", "daemon/grant/preset", "keystore/ownfile", "protocol/ownpath",
		"protocol/visible", "daemon/origin"},
	"daemon/fleet/engine": {"daemon/grant", "daemon/origin", "keystore", "protocol/strictjson", "protocol/visible"},
	"daemon/handover": {"daemon/broker", "daemon/clock", "daemon/grant", "daemon/peer", "daemon/profile", "keystore",
		"protocol/frame"},
	"daemon/throttle": {"keystore", "protocol"},
	"daemon/importer": {"keystore", "protocol/strictjson", "daemon/grant/preset", "daemon/origin",
		"protocol/visible"},
	"daemon/broker":     {"daemon/grant", "daemon/clock", "keystore"},
	"daemon/credential": {"daemon/broker", "daemon/grant", "keystore"},
	"daemon/fleet": {"daemon/broker", "daemon/clock", "daemon/credential", "daemon/fleet/engine", "daemon/fleet/keyring",
		"daemon/grant", "keystore", "keystore/ownfile", "protocol/ownpath", "protocol/strictjson"},
	"daemon/fleet/keyring": {"keystore"},
	"daemon/fleet/member": {"daemon/clock", "daemon/fleet/engine", "daemon/fleet/keyring", "keystore",
		"keystore/ownfile", "protocol/ownpath"},
	"daemon/refusals": {"daemon/broker", "daemon/config", "keystore/ownfile", "protocol/ownpath",
		"protocol/strictjson"},
	"daemon/profile": {"daemon/clock", "daemon/config", "daemon/grant", "daemon/origin"},
	"daemon/wire": {"daemon/broker", "daemon/clock", "daemon/config", "daemon/credential", "daemon/fleet/engine",
		"daemon/fleet/keyring", "daemon/fleet/member", "daemon/grant", "daemon/origin", "daemon/profile",
		"keystore", "protocol", "protocol/jsonrpc", "protocol/ownpath", "protocol/strictjson", "protocol/visible",
		"daemon/grant/privatekey"},
	"daemon/descriptors": {"daemon/grant", "protocol"},
	"daemon/watch":       {"protocol"},
	"daemon/export": {"daemon/clock", "daemon/config", "daemon/grant", "daemon/origin", "daemon/watch", "daemon/wire", "keystore", "keystore/ownfile",
		"protocol", "protocol/ownpath", "protocol/strictjson", "protocol/visible"},
	"daemon/status": {"daemon/broker", "daemon/clock", "daemon/config", "daemon/profile", "protocol"},
	"daemon/login": {
		"daemon/backup", "daemon/broker", "daemon/clock", "daemon/config", "daemon/credential", "daemon/grant",
		"daemon/grant/preset",
		"daemon/grant/privatekey", "daemon/importer", "daemon/origin", "daemon/profile", "keystore", "protocol",
		"protocol/visible",
	},
	"daemon": {"protocol", "protocol/frame", "protocol/jsonrpc", "protocol/strictjson", "protocol/visible", "keystore",
		"daemon/..."},

	"cmd/groatd": {"daemon", "daemon/...", "keystore", "keystore/...", "protocol", "protocol/frame",
		"protocol/ownpath", "protocol/visible"},
	"cmd/groat": {"protocol/frame", "cmd/groat/get", "cmd/groat/helper", "cmd/groat/report",
		"cmd/groat/stack"},
	"cmd/groat/get": {"protocol/frame", "protocol/strictjson", "protocol/visible", "cmd/groat/helper",
		"cmd/groat/report"},
	"cmd/groat/helper": {"protocol/frame", "protocol/strictjson"},
	"cmd/groat/report": {"protocol/frame", "protocol/ownpath", "protocol/strictjson", "protocol/visible",
		"cmd/groat/unit"},
	"cmd/groat/stack": {},
	"cmd/groat/unit":  {},
	"cmd/groat-commands": {"protocol", "protocol/frame", "protocol/ownpath", "protocol/visible",
		"cmd/groat-commands/autostart", "cmd/groat-commands/setup", "cmd/groat/...", "packaging/systemd"},
	"cmd/groat-commands/autostart": {"protocol/frame", "protocol/ownpath", "cmd/groat/unit"},
	"cmd/groat-commands/setup":     {"protocol/ownpath", "protocol/visible"},

	// The sandbox shares no code with what is tested against it.
	"daemon/grant/sandbox":       {},
	"daemon/grant/sandbox/serve": {"daemon/grant/sandbox"},
	"cmd/demo":                   {"daemon/grant/sandbox"},

	"packaging/attack":            {},
	"packaging/e2e":               {},
	"packaging/bench/agent":       {"daemon/grant/sandbox", "keystore", "keystore/backend", "protocol"},
	"packaging/bench/coldstart":   {"packaging/bench/agent"},
	"packaging/bench/echo":        {"packaging/bench/agent"},
	"packaging/bench/floor/echo":  {},
	"packaging/bench/floor/empty": {},
	"packaging/bench/floor/net":   {},
	"packaging/bench/herd":        {"packaging/bench/agent", "protocol"},
	"packaging/bench/many":        {"packaging/bench/agent", "protocol"},
	"packaging/bench/guard":       {"packaging/bench/agent"},
	"packaging/bench/profile":     {"packaging/bench/agent", "protocol"},
	"packaging/bench/python":      {"packaging/bench/agent"},
	"packaging/bench/results":     {"packaging/machine"},
	"packaging/figures":           {"packaging/machine"},
	"packaging/figures/peers":     {"packaging/attack"},
	"packaging/fleet":             {},
	"packaging/fuzz":              {},
	"packaging/install":           {},
	"packaging/launchd":           {},
	"packaging/layout":            {},
	"packaging/machine":           {},
	"packaging/man":               {},
	"packaging/pages":             {"packaging/testing/checkout"},
	"packaging/proof":             {},
	"packaging/sbom":              {},
	"packaging/systemd":           {},
	"packaging/testing/checkout":  {},
	"packaging/testing/described": {},
	"packaging/testing/parts":     {"packaging/testing/checkout", "packaging/testing/tier"},
	"packaging/testing/tier":      {},
	"packaging/vet":               {},
}

// testTools are the packages that no binary of ours may contain, whatever "/..." allows.
var testTools = []string{"daemon/grant/sandbox", "packaging/"}

func TestRooms(t *testing.T) {
	for _, goos := range []string{"linux", "darwin"} {
		for _, p := range list(t, goos, "./...") {
			name := strings.TrimPrefix(p.ImportPath, module)
			allowed, ok := rooms[name]
			if !ok {
				t.Errorf("%s is no room of the house: see the table in this test", name)
				continue
			}
			for _, imported := range p.Imports {
				target, ours := strings.CutPrefix(imported, module)
				if ours && !mayImport(allowed, target) {
					t.Errorf("%s imports %s (GOOS=%s), which its row does not allow", name, target, goos)
				}
			}
		}
	}
}

// TestRoomsRefuse makes sure that the table can say no.
func TestRoomsRefuse(t *testing.T) {
	for _, test := range []struct {
		from, to string
		want     bool
	}{
		{"daemon", "daemon/broker", true},
		{"daemon", "daemon/grant/sandbox", false},
		{"cmd/groatd", "keystore/sealed", true},
		{"cmd/groatd", "daemon/grant/sandbox", false},
		{"cmd/groatd", "packaging/testing/parts", false},
		{"cmd/groat", "daemon", false},
		{"cmd/demo", "daemon/grant/sandbox", true},
		{"keystore", "keystore/sealed", false},
	} {
		if got := mayImport(rooms[test.from], test.to); got != test.want {
			t.Errorf("%s may import %s: %v, want %v", test.from, test.to, got, test.want)
		}
	}
}

func mayImport(allowed []string, target string) bool {
	wildcard := false
	for _, a := range allowed {
		if a == target {
			return true
		}
		below, ok := strings.CutSuffix(a, "...")
		wildcard = wildcard || ok && strings.HasPrefix(target, below)
	}
	for _, tool := range testTools {
		if strings.HasPrefix(target, tool) {
			return false
		}
	}
	return wildcard
}

// forbidden is what the client may never link, and why. It starts in about a millisecond and holds nothing; each of
// these would end one or the other.
var forbidden = map[string]string{
	"net/http":      "the daemon speaks to servers; and its initialisation alone doubles the client's start",
	"crypto/tls":    "the daemon speaks to servers",
	"crypto/x509":   "the daemon speaks to servers",
	"html/template": "the client writes to terminals",
	"log/slog":      "the client has nothing to log: it says two lines and ends",
	"os/user":       "with cgo it links the C library; the uid is enough",

	"go.uber.org/zap":               "the daemon logs",
	"github.com/zalando/go-keyring": "the client never sees the keychain",
	"github.com/godbus/dbus/v5":     "the client never sees the keychain",
	"github.com/coreos/go-systemd":  "the daemon is the service",
	"github.com/golang-jwt/jwt":     "the client authenticates to nobody",
	"github.com/pelletier/go-toml":  "the daemon reads the configuration",
	"golang.org/x/crypto":           "the client has nothing to seal",
	"golang.org/x/oauth2":           "an independent client for tests, nothing of ours",

	module + "daemon":   "everything that touches a credential is in the daemon",
	module + "keystore": "everything that touches a credential is in the daemon",
}

// direct is what the client's own packages may not import, although the command-line library does.
var direct = map[string]string{
	"regexp":        "compiling an expression costs more than a whole cached answer; write the few comparisons",
	"text/template": "sentences are Go functions in tui.go",
}

func TestClientLinks(t *testing.T) {
	for _, goos := range []string{"linux", "darwin"} {
		for _, p := range list(t, goos, "-deps", "./cmd/groat-commands") {
			for bad, why := range forbidden {
				if p.ImportPath == bad || strings.HasPrefix(p.ImportPath, bad+"/") {
					t.Errorf("groat links %s (GOOS=%s): %s", p.ImportPath, goos, why)
				}
			}
			for _, imported := range p.Imports {
				if why := direct[imported]; why != "" && strings.HasPrefix(p.ImportPath, module) {
					t.Errorf("%s imports %s: %s", p.ImportPath, imported, why)
				}
			}
		}
	}
}

// pkg is what of "go list -json" is read here.
type pkg struct {
	ImportPath string
	Imports    []string
}

// list runs go list at the repository's root, as the binaries are built.
func list(t *testing.T, goos string, args ...string) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=ImportPath,Imports"}, args...)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOOS="+goos, "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %s: %v", strings.Join(args, " "), err)
	}
	var pkgs []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}
