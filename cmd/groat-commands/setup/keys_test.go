package setup_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/groat-dev/groat/cmd/groat-commands/setup"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// rcloneProfile has one API with a path, and one without.
var rcloneProfile = setup.Profile{Name: "work", APIs: []string{"https://dav.example", "https://many.example/team"}}

// The WebDAV remotes of a profile's APIs run groat, and no other remote does. Then rclone writes the file anew, and the
// undo finds groat's part there.
func TestRclone(t *testing.T) {
	tier.Needs(t, "rclone")
	const ours = "bearer_token_command = /opt/groat/bin/groat get work --target "
	remote := func(url string) string { return "type = webdav\nurl = " + url + "\nvendor = other\n" }
	for name, tt := range map[string]struct{ before, after string }{
		"several": {"# mine\n[data]\n" + remote("https://dav.example/a") + "\n[other]\n" +
			remote("https://many.example/x") + "\n[team]\n" + remote("https://many.example/team"),
			"# mine\n[data]\n" + ours + "https://dav.example/a\n" + remote("https://dav.example/a") + "\n[other]\n" +
				remote("https://many.example/x") + "\n[team]\n" + ours + "https://many.example/team\n" +
				remote("https://many.example/team")},
		"a slash in the name": {"[data]\ntype=webdav\n[data/b]\n" + remote("https://dav.example"),
			"[data]\ntype=webdav\n[data/b]\n" + ours + "https://dav.example\n" + remote("https://dav.example")},
		"replaced": {"[data]\nbearer_token_command=cat x\n" + remote("https://dav.example"),
			"[data]\nbearer_token_command=/opt/groat/bin/groat get work --target https://dav.example\n" +
				remote("https://dav.example")},
	} {
		t.Run(name, func(t *testing.T) {
			m := machine(t)
			path := filepath.Join(m.Home, "rclone.conf")
			t.Setenv("RCLONE_CONFIG", path)
			write(t, path, tt.before, 0o600)
			goesBack(t, m, setup.Find("rclone"), rcloneProfile, func() {
				if b, err := os.ReadFile(path); err != nil || string(b) != tt.after {
					t.Errorf("%v\n%s", err, b)
				}
			})
			plan, err := m.Setup(t.Context(), setup.Find("rclone"), rcloneProfile)
			apply(t, plan, err)
			if out, err := command(t, "rclone", "--config", path, "config", "update", "data", "vendor", "nextcloud").
				CombinedOutput(); err != nil {
				t.Fatalf("%v %s", err, out)
			}
			plan, err = m.Undo(setup.Find("rclone"), "work")
			apply(t, plan, err)
			b, err := os.ReadFile(path)
			if text := string(b); err != nil || strings.Contains(text, "groat") ||
				!strings.Contains(text, "nextcloud") ||
				strings.Contains(text, "cat x") != (name == "replaced") {
				t.Errorf("%v\n%s", err, b)
			}
		})
	}
}

func TestRcloneIsRefused(t *testing.T) {
	tier.Needs(t, "rclone")
	for content, want := range map[string]setup.Reason{
		"": setup.NoEntry, "[data]\ntype = drive\nurl = https://dav.example\n": setup.NoEntry,
		"[data]\ntype = webdav\nurl = https://dav.example\nbearer_token_command: cat x\n": setup.BadLine,
		"[data]\n[bad\n": setup.BadLine,
		"# Encrypted rclone configuration File\n\nRCLONE_ENCRYPT_V0:\nx\n": setup.BadLine,
	} {
		m := machine(t)
		path := filepath.Join(m.Home, "rclone.conf")
		t.Setenv("RCLONE_CONFIG", path)
		write(t, path, content, 0o600)
		if _, err := m.Setup(t.Context(), setup.Find("rclone"), rcloneProfile); reason(err) != want {
			t.Errorf("%q: %v", content, err)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != content {
			t.Errorf("%q: %q %v", content, b, err)
		}
	}
}

// cargoMachine is a machine with a cargo of a test's own, which says what registries there are as cargo does: Debian's
// is older than credential providers. TestSetupCargo in packaging/e2e has a real one where there is one.
func cargoMachine(t *testing.T, version, registries string) *setup.Machine {
	t.Helper()
	m := dockerMachine(t)
	program := filepath.Join(t.TempDir(), "cargo")
	write(t, program, "#!/bin/sh\ncase $* in --version) echo 'cargo "+version+" (abc 2026-01-01)';;\n"+
		"*'config get'*) grep -q '^bad' \"$CARGO_HOME/config.toml\" && \n"+
		"{ echo 'TOML parse error at line 3, column 1' >&2; exit 101; }\n"+
		"p=$(sed -n 's/^.*credential-provider.*= *\\(\\[.*\\]\\).*/\"credential-provider\":\\1,/p' \\\n"+
		"\"$CARGO_HOME/config.toml\" | tail -n 1)\n"+
		"echo '"+registries+"' | sed \"s/\\\"index\\\"/$p&/\";; esac\n", 0o755)
	found := m.Find
	m.Find = func(name string) string {
		if name == "cargo" {
			return program
		}
		return found(name)
	}
	return m
}

var crates = setup.Profile{Name: "crates", APIs: []string{"https://crates.example/index"}}

// The registries at a profile's APIs ask groat, whatever they asked before.
func TestCargo(t *testing.T) {
	const registries = `{"my-own":{"index":"sparse+https://crates.example/index/"},"x":{"index":"https://x.example/"}}`
	const ours = "credential-provider = [\"cargo-credential-groat\"]\n"
	for name, tt := range map[string]struct{ path, before, after string }{
		"new key": {"config.toml", "[registries.my-own]\nindex = \"i\"\n[registries.x]\nindex = \"x\"\n",
			"[registries.my-own]\n" + ours + "index = \"i\"\n[registries.x]\nindex = \"x\"\n"},
		"another provider": {"config.toml", "[ registries . \"my-own\" ] # mine\nindex = \"i\"\n" +
			"\"credential-provider\"='cargo:token' # old\n[http]\ncredential-provider = 1\n",
			"[ registries . \"my-own\" ] # mine\nindex = \"i\"\n" +
				"\"credential-provider\"=[\"cargo-credential-groat\"]\n" +
				"[http]\ncredential-provider = 1\n"},
		"the older name": {"config", "[registries.my-own]\r\nindex = \"i\"",
			"[registries.my-own]\r\ncredential-provider = [\"cargo-credential-groat\"]\r\nindex = \"i\""},
		"a header alone": {"config.toml", "[registries.my-own]", "[registries.my-own]\n" + ours},
	} {
		t.Run(name, func(t *testing.T) {
			m := cargoMachine(t, "1.95.0", registries)
			path := filepath.Join(m.Home, ".cargo", tt.path)
			write(t, path, tt.before, 0o644)
			if tt.path == "config" {
				write(t, path+".toml", "[registries.my-own]\n", 0o644)
			}
			goesBack(t, m, setup.Find("cargo"), crates, func() {
				if b, err := os.ReadFile(path); err != nil || string(b) != tt.after {
					t.Errorf("%v\n%s", err, b)
				}
				if _, err := os.Readlink(filepath.Join(m.Home, "bin", "cargo-credential-groat")); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestCargoIsRefused(t *testing.T) {
	const registry = `{"work":{"index":"sparse+https://crates.example/index/"}}`
	for _, tt := range []struct {
		version, registries, content string
		want                         setup.Reason
		line                         int
	}{
		{"1.63.0", registry, "", setup.TooOld, 0},
		{"nonsense", registry, "", setup.TooOld, 0},
		{"1.95.0", "", "bad\n", setup.BadLine, 3},
		{"1.95.0", "no JSON", "", setup.BadLine, 0},
		{"1.95.0", `{"work":{"index":"sparse+https://x.example/"}}`, "", setup.NoEntry, 0},
		{"1.95.0", registry, "registries = { work = { index = \"i\" } }\n", setup.BadLine, 0},
		{"1.95.0", registry, "[registries.work]\n[registries.work]\n", setup.BadLine, 2},
		{"1.95.0", registry, "[registries.work]\ncredential-provider = [\n\"a\"]\n", setup.BadLine, 2},
	} {
		m := cargoMachine(t, tt.version, tt.registries)
		path := filepath.Join(m.Home, ".cargo", "config.toml")
		write(t, path, tt.content, 0o644)
		_, err := m.Setup(t.Context(), setup.Find("cargo"), crates)
		if e, _ := err.(*setup.Error); e == nil || e.Reason != tt.want || e.Line != tt.line {
			t.Errorf("%+v: %+v", tt, err)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != tt.content {
			t.Errorf("%q: %q %v", tt.content, b, err)
		}
	}
}
