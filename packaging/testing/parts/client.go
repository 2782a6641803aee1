package parts

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Client says in the test's log which program of another project the test has ask groat: the helper that it asks, the
// program's version, which the arguments make it print, and where it is from. "make proof PART=clients" makes a page of
// what [Client] and [NoClient] say.
func Client(t testing.TB, helper, program string, args ...string) {
	t.Helper()
	file, err := exec.LookPath(program)
	if err == nil {
		file, err = filepath.EvalSymlinks(file)
	}
	if err != nil {
		t.Fatalf("%s is missing: run %s (%v)", program, installer, err)
	}
	out, err := command(t, program, args...).Output()
	version, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if err != nil || version == "" {
		t.Fatalf("%s %s: %v, %q", program, strings.Join(args, " "), err, out)
	}
	t.Logf("client: %s: %s, %s on %s: proven by %s", helper, version, packageOf(t, file), release(), t.Name())
}

// packageOf says which package of the system's a file belongs to, with the package's version.
func packageOf(t testing.TB, file string) string {
	t.Helper()
	out, err := command(t, "dpkg-query", "--search", file).Output()
	name, _, ok := strings.Cut(string(out), ":")
	if err != nil || !ok {
		return "of no package"
	}
	out, err = command(t, "dpkg-query", "--show", "--showformat=${Package} ${Version}", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return "package " + string(out)
}

// NoClient says in the test's log which program the test does without, and why.
func NoClient(t testing.TB, helper, program, why string) {
	t.Helper()
	t.Logf("client: %s: %s: not obtainable here, because %s", helper, program, why)
}

// release returns the name of this system: "Debian GNU/Linux 12 (bookworm)".
func release() string {
	f, err := os.Open("/etc/os-release") // os-release(5)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, ok := strings.CutPrefix(lines.Text(), "PRETTY_NAME="); ok {
			return strings.Trim(name, `"`)
		}
	}
	return "a system without a name"
}
