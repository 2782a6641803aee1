package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// patch puts a line in front of a function's own.
type patch struct{ file, function, line string }

// variant is a groatd with a few lines that ours does not have, compiled in by the tests: what should not happen has to
// be made to happen, and no release has a switch for that.
type variant struct {
	patches []patch
	files   map[string]string // :: path of a file that ours does not have → its text
}

// root is the repository.
const root = "../.."

// texts returns the files that differ, by their path in the repository.
func (x variant) texts() (map[string]string, error) {
	texts := maps.Clone(x.files)
	for _, p := range x.patches {
		if texts[p.file] == "" {
			text, err := os.ReadFile(filepath.Join(root, p.file))
			if err != nil {
				return nil, err
			}
			texts[p.file] = string(text)
		}
		head := regexp.MustCompile(`(?m)^func ` + regexp.QuoteMeta(p.function) + `\([^{]*\{$`)
		at := head.FindAllStringIndex(texts[p.file], -1)
		if len(at) != 1 {
			return nil, fmt.Errorf("%s has no function %s to patch", p.file, p.function)
		}
		texts[p.file] = texts[p.file][:at[0][1]] + "\n\t" + p.line + texts[p.file][at[0][1]:]
	}
	return texts, nil
}

// build compiles it below bin, and returns its path.
func (x variant) build(name string) (program string, err error) {
	texts, err := x.texts()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "groat-variant-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	replace := map[string]string{}
	for path, text := range texts {
		file := filepath.Join(dir, strings.ReplaceAll(path, "/", "_"))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return "", err
		}
		if path, err = filepath.Abs(filepath.Join(root, path)); err != nil {
			return "", err
		}
		replace[path] = file
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		return "", err
	}
	program = filepath.Join(bin, name, "groatd")
	cmd := exec.Command("go", "build", "-overlay", file, "-trimpath", "-buildvcs=false", "-o", program, "./cmd/groatd")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return program, errors.Join(os.Chmod(filepath.Dir(program), 0o755), os.Chmod(program, 0o755))
}

// dies makes a groatd that dies of SIGABRT by the system's hand, as of a fault that no handler catches; ours prints
// where it was and ends by itself.
const dies = `package main

import (
	"syscall"
	"unsafe"
)

func init() {
	var standard [4]uint64 // the kernel's struct sigaction, all zero: SIG_DFL
	syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(syscall.SIGABRT), uintptr(unsafe.Pointer(&standard)),
		0, 8, 0, 0)
}
`

// panics makes a function that panics with all it has where it is asked to.
const panics = `

func bug(where string, b []byte) {
	if strings.Contains(string(b), "bug-in-"+where) {
		panic(string(b))
	}
}
`

// crashes are two methods: one whose handler panics, and one that crashes the process as a bug in a goroutine of its
// own would.
const crashes = `
func init() {
	handlers["bug"] = func(_ *conn, params []byte) (any, error) { panic(string(params)) }
	handlers["crash"] = func(_ *conn, params []byte) (any, error) {
		go func(text string, b [64]byte) {
			var none map[string][64]byte
			none[text] = b
		}(string(params), [64]byte(params))
		select {}
	}
}
`

var variants = struct{ buggy, opened func() (string, error) }{
	sync.OnceValues(func() (string, error) {
		return variant{
			files: map[string]string{
				"cmd/groatd/zz_die.go":   dies,
				"daemon/grant/zz_bug.go": "package grant\n\nimport \"strings\"" + panics,
				"daemon/zz_bug.go":       "package daemon\n\nimport \"strings\"" + panics + crashes,
				"daemon/login/zz_bug.go": "package login\n\nimport \"strings\"" + panics,
			},
			patches: []patch{
				{"daemon/conn.go", "(c *conn) quick", `bug("reading", r.Params)`},
				{"daemon/login/flow.go", "(l *Login) run", `bug("login", []byte(l.params.Subject))`},
				{"daemon/grant/tokenrequest.go", "(e *Endpoint) readSession", `bug("asking", c.body)`},
			},
		}.build("buggy")
	}),
	sync.OnceValues(func() (string, error) {
		return variant{
			files:   map[string]string{"cmd/groatd/zz_die.go": dies},
			patches: []patch{{"cmd/groatd/harden_linux.go", "closeMemory", "return nil"}},
		}.build("opened")
	}),
}

// buggy is a groatd with bugs that can be asked for.
func buggy(t *testing.T) string { t.Helper(); return must(t, variants.buggy) }

// opened is a groatd whose memory is open.
func opened(t *testing.T) string { t.Helper(); return must(t, variants.opened) }

func must(t *testing.T, f func() (string, error)) string {
	t.Helper()
	s, err := f()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// startVariant starts a program as the groatd of r, in a directory, with no limit on its core.
func (r *userEnv) startVariant(program, dir string) *process {
	r.t.Helper()
	cmd := exec.Command("/bin/sh", "-c", `ulimit -c unlimited; exec "$0"`, program)
	cmd.Env, cmd.Dir, cmd.SysProcAttr = r.environ(), dir, r.as()
	p, err := launch(cmd)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := p.waitLog(ready); err != nil {
		p.stop(syscall.SIGKILL)
		r.t.Fatal(err)
	}
	r.daemon, r.logs = p, append(r.logs, p.log)
	return p
}
