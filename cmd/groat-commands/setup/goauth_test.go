package setup_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/groat-dev/groat/cmd/groat-commands/setup"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// go asks groat first, and then whatever it asked before.
func TestGo(t *testing.T) {
	tier.Needs(t, "go")
	const ours = "/opt/groat/bin/groat helper go"
	for name, tt := range map[string]struct{ before, value string }{
		"missing":        {"", ours + ";netrc"},
		"another":        {"GOFLAGS=-mod=mod\nGOAUTH=git /x;netrc\nGOPROXY=direct\n", ours + ";git /x;netrc"},
		"off":            {"GOAUTH=off\n", ours},
		"no end of line": {"# mine\nGOFLAGS=-mod=mod", ours + ";netrc"},
		"by hand":        {"GOAUTH=groat helper go\n", ours},
		"CRLF":           {"GOFLAGS=-mod=mod\r\n", ours + ";netrc"},
	} {
		t.Run(name, func(t *testing.T) {
			m := machine(t)
			path := filepath.Join(m.Home, "go", "env")
			t.Setenv("GOENV", path)
			if tt.before != "" {
				write(t, path, tt.before, 0o644)
			}
			goesBack(t, m, setup.Find("go"), work, func() {
				cmd := command(t, "go", "env", "GOAUTH")
				cmd.Env = append(cmd.Env, "GOENV="+path)
				if out, err := cmd.Output(); err != nil || string(out) != tt.value+"\n" {
					t.Errorf("%q %v", out, err)
				}
			})
			plan, err := m.Setup(t.Context(), setup.Find("go"), work)
			apply(t, plan, err)
			now, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			write(t, path, string(now)+"GOSUMDB=off\n", 0o644)
			plan, err = m.Undo(setup.Find("go"), "work")
			apply(t, plan, err)
			// What go wrote after that stays, on a line of its own.
			before := tt.before
			if name == "no end of line" {
				before += "\n"
			}
			if b, err := os.ReadFile(path); err != nil || string(b) != before+"GOSUMDB=off\n" {
				t.Errorf("%q %v", b, err)
			}
		})
	}
}
