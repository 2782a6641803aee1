package install_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/packaging/pages"
)

// built returns a directory with what stands for the programs that "make build" makes.
func built(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range append([]string{"groat", "groat-commands", "groatd"}, texts...) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// makes runs make at the repository's root and returns what it says.
func makes(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "make", append([]string{"--no-print-directory"}, args...)...)
	cmd.Dir = pages.Root()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// tree lists all below a directory: the mode and the path, and where a link leads.
func tree(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		line := fmt.Sprintf("%o %s", info.Mode().Perm(), strings.TrimPrefix(path, dir))
		if info.Mode()&fs.ModeSymlink != 0 {
			to, _ := os.Readlink(path)
			line = fmt.Sprintf("%s -> %s", strings.TrimPrefix(path, dir), to)
		}
		all = append(all, line)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// texts are what else "make build" makes.
var texts = []string{
	"share/bash-completion/completions/groat", "share/fish/vendor_completions.d/groat.fish",
	"share/man/man1/groat.1", "share/man/man5/groat-config.5", "share/man/man7/groat-protocol.7",
	"share/man/man8/groatd.8", "share/zsh/site-functions/_groat",
}

// programs are what every prefix has, and docs.
var (
	programs = []string{"/bin/cargo-credential-groat -> groat", "/bin/docker-credential-groat -> groat",
		"/bin/git-credential-groat -> groat", "755 /bin/groat", "755 /bin/groat-commands", "711 /bin/groatd"}
	docs = []string{"644 /share/doc/groat/CHANGELOG.md", "644 /share/doc/groat/LICENSE",
		"644 /share/doc/groat/README.md", "644 /share/doc/groat/SECURITY.md",
		"644 /share/doc/groat/packaging/ELSEWHERE.md", "644 /share/doc/groat/packaging/INSTALL.md"}
)

// What is installed is removed, and nothing else.
func TestInstall(t *testing.T) {
	bin := built(t)
	for _, tt := range []struct{ prefix, units string }{
		{"/usr/local", "/lib"},
		{"/home/alice/.local", "/share"},
	} {
		dest := t.TempDir()
		args := []string{"BIN=" + bin, "PREFIX=" + tt.prefix + "/", "DESTDIR=" + dest}
		root := filepath.Join(dest, tt.prefix)
		mine := filepath.Join(root, "share/doc/groat/mine")
		for range 2 { // the second replaces the first
			if out, err := makes(t, append(args, "install")...); err != nil {
				t.Fatal(err, out)
			}
		}
		want := slices.Concat(programs, docs, []string{"644 " + tt.units + "/systemd/user/groatd.service",
			"644 " + tt.units + "/systemd/user/groatd.socket"})
		for _, name := range texts {
			want = append(want, "644 /"+name)
		}
		got := tree(t, root)
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", tt.prefix, diff)
		}
		unit, err := os.ReadFile(filepath.Join(root, tt.units, "systemd/user/groatd.service"))
		if err != nil || !strings.Contains(string(unit), "\nExecStart="+tt.prefix+"/bin/groatd\n") {
			t.Errorf("the unit does not name the groatd of %s: %v\n%s", tt.prefix, err, unit)
		}
		// A file that is not groat's, and a helper that is another program's, stay.
		other := filepath.Join(root, "bin/git-credential-groat")
		os.Remove(other)
		for _, path := range []string{mine, other} {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if out, err := makes(t, append(args, "uninstall")...); err != nil {
			t.Fatal(err, out)
		}
		want = []string{"600 /bin/git-credential-groat", "600 /share/doc/groat/mine"}
		if diff := cmp.Diff(want, tree(t, root)); diff != "" {
			t.Errorf("uninstall from %s: %s", tt.prefix, diff)
		}
		out, err := makes(t, append(args, "uninstall")...)
		if err != nil || !strings.Contains(out, "nothing of groat is in "+root) || strings.Contains(out, "removed") {
			t.Errorf("uninstall where nothing is: %v %s", err, out)
		}
	}
}

// Where a shell would not find what is installed, that is said with the line that helps.
func TestInstallTellsOfPath(t *testing.T) {
	bin, prefix := built(t), t.TempDir()
	args := []string{"BIN=" + bin, "PREFIX=" + prefix, "install"}
	out, err := makes(t, args...)
	if line := "export PATH=\"" + prefix + "/bin:$PATH\"\n"; err != nil || !strings.HasSuffix(out, line) {
		t.Errorf("%v %s", err, out)
	}
	t.Setenv("PATH", prefix+"/bin:"+os.Getenv("PATH"))
	if out, err := makes(t, args...); err != nil || strings.Contains(out, "PATH") {
		t.Errorf("on PATH: %v %s", err, out)
	}
	if out, err := makes(t, append(args, "DESTDIR="+t.TempDir())...); err != nil || strings.Contains(out, "PATH") {
		t.Errorf("for a package: %v %s", err, out)
	}
}

// What cannot be installed is refused with the next command, and nothing is written.
func TestInstallRefuses(t *testing.T) {
	bin := built(t)
	for _, tt := range []struct{ bin, prefix, want string }{
		{bin, "usr", "PREFIX is not an absolute path: usr\ninstall.sh: hint: make install PREFIX=/usr/local"},
		{bin, "/opt/my groat", "PREFIX has a character other than"},
		{bin, "/opt/100%", "PREFIX has a character other than"},
		{t.TempDir(), "/usr", "has no groatd yet\ninstall.sh: hint: make build"},
	} {
		dest := t.TempDir()
		out, err := makes(t, "BIN="+tt.bin, "PREFIX="+tt.prefix, "DESTDIR="+dest, "install")
		if err == nil || !strings.Contains(out, tt.want) {
			t.Errorf("%s: %v %s", tt.prefix, err, out)
		}
		if left := tree(t, dest); left != nil {
			t.Errorf("%s: %q was written", tt.prefix, left)
		}
	}
}

// What stands in the way of a file or a link is refused, and nothing is written; a link beside a file is not followed.
func TestInstallReplacesNothingElse(t *testing.T) {
	bin := built(t)
	for name, c := range map[string]struct {
		in   func(bin, victim string) error // prepares the directory of the programs
		want string
	}{
		"a directory": {func(bin, _ string) error { return os.Mkdir(filepath.Join(bin, "groatd"), 0o755) }, "groatd is a directory"},
		"a link to a directory": {func(bin, victim string) error {
			return os.Symlink(filepath.Dir(victim), filepath.Join(bin, "groatd"))
		}, "groatd is a directory"},
		"another program's helper": {func(bin, _ string) error {
			return os.WriteFile(filepath.Join(bin, "git-credential-groat"), nil, 0o755)
		}, "git-credential-groat is not groat's"},
		"links beside the files": {func(bin, victim string) error {
			return errors.Join(os.Symlink(victim, filepath.Join(bin, "groat.new")), os.Symlink(victim, filepath.Join(bin, "groat")))
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dest := t.TempDir()
			victim, programs := filepath.Join(dest, "mine/victim"), filepath.Join(dest, "usr/local/bin")
			err := errors.Join(os.MkdirAll(programs, 0o755), os.Mkdir(filepath.Dir(victim), 0o755), c.in(programs, victim),
				os.WriteFile(victim, []byte("mine"), 0o600))
			if err != nil {
				t.Fatal(err)
			}
			was := tree(t, dest)
			out, err := makes(t, "BIN="+bin, "PREFIX=/usr/local", "DESTDIR="+dest, "install")
			if c.want != "" && (err == nil || !strings.Contains(out, c.want) || !slices.Equal(was, tree(t, dest))) {
				t.Errorf("%v %s\n%q", err, out, tree(t, dest))
			}
			if c.want == "" && err != nil {
				t.Error(err, out)
			}
			if info, err := os.Lstat(victim); err != nil || info.Mode() != 0o600 || info.Size() != 4 {
				t.Errorf("the file behind the link: %v, %v", info, err)
			}
		})
	}
}

// The formula for Homebrew, which nothing here can run, calls make as the Makefile knows it, and what it starts is there.
func TestFormula(t *testing.T) {
	text, err := os.ReadFile("groat.rb")
	if err != nil {
		t.Fatal(err)
	}
	calls := regexp.MustCompile(`(?m)^ +system "make", (.+)$`).FindAllStringSubmatch(string(text), -1)
	if len(calls) != 2 || !strings.Contains(string(text), `run opt_bin/"groatd"`) {
		t.Fatalf("%q", calls)
	}
	for _, call := range calls {
		args := strings.Split(strings.ReplaceAll(call[1], `"`, ""), ", ")
		for i, arg := range args {
			args[i] = strings.ReplaceAll(arg, "#{prefix}", "/opt/homebrew/Cellar/groat/HEAD-0123456")
		}
		out, err := makes(t, append(args, "--dry-run")...)
		if err != nil || args[0] == "install" && !strings.Contains(out, "/opt/homebrew/Cellar/groat/HEAD-0123456") {
			t.Errorf("make %q: %v\n%s", args, err, out)
		}
	}
}
