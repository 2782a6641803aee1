package install_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/groat-dev/groat/packaging/pages"
	"github.com/groat-dev/groat/packaging/testing/parts"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

const installPage = "packaging/INSTALL.md"

// debian runs a command at the repository's root, with Debian's Python first on PATH and no package index.
func debian(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = pages.Root()
	cmd.Env = append([]string{"PATH=/usr/bin:/bin", "HOME=" + t.TempDir(), "LANG=C.UTF-8", "PIP_NO_INDEX=1",
		"PIP_DISABLE_PIP_VERSION_CHECK=1", "PIP_NO_CACHE_DIR=1", "PYTHONDONTWRITEBYTECODE=1"}, env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// python runs a program with a directory to import from, and nothing of the person's.
func python(t *testing.T, dir, program string) string {
	t.Helper()
	return strings.TrimSpace(debian(t, nil, "python3", "-I", "-c", "import sys; sys.path.insert(0, sys.argv[1])\n"+program,
		dir))
}

// distributions writes the wheel and the source distribution of a release.
func distributions(t *testing.T, backend, release string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	debian(t, []string{"SOURCE_DATE_EPOCH=1785600000"}, "python3", "-I", backend, dir, release)
	return dir
}

// one reads the only file of a directory with a suffix.
func one(t *testing.T, dir, suffix string) (path string, content []byte) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil || len(found) != 1 {
		t.Fatalf("%q in %s: %v, %v", suffix, dir, found, err)
	}
	content, err = os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	return found[0], content
}

// Two builds are equal, and so is one from the source distribution; pip installs the wheel and the directory without a
// network, and the module works as a copied file.
func TestPythonPackage(t *testing.T) {
	t.Parallel()
	tier.Needs(t, "python3-pip")
	const source = "protocol/python/backend.py"
	first, again := distributions(t, source, "1.2.0~rc1"), distributions(t, source, "1.2.0~rc1")
	wheel, content := one(t, first, ".whl")
	archive, packed := one(t, first, ".tar.gz")
	_, repeated := one(t, again, ".whl")
	if _, other := one(t, again, ".tar.gz"); !bytes.Equal(content, repeated) || !bytes.Equal(packed, other) {
		t.Error("two builds differ")
	}
	if name := filepath.Base(wheel); name != "groat-1.2.0rc1-py3-none-any.whl" {
		t.Error(name)
	}
	unpacked := t.TempDir()
	debian(t, nil, "tar", "-xzf", archive, "-C", unpacked)
	inside := filepath.Join(unpacked, "groat-1.2.0rc1", "backend.py")
	if _, rebuilt := one(t, distributions(t, inside, "1.2.0~rc1"), ".whl"); !bytes.Equal(content, rebuilt) {
		t.Error("the wheel of the source distribution is another one")
	}

	installed := t.TempDir()
	debian(t, nil, "python3", "-m", "pip", "install", "--quiet", "--no-compile", "--target", installed, wheel)
	got := python(t, installed, `
import groat, importlib.metadata as m
assert groat.__version__ == m.version("groat"), groat.__version__
d = m.distribution("groat")
print(d.version, d.requires, d.metadata["Requires-Python"],
    sorted(str(f) for f in d.files if str(f).startswith("groat/")), groat.token.__name__)`)
	if want := "1.2.0rc1 None >=3.9 ['groat/__init__.py', 'groat/py.typed'] token"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}

	directory := t.TempDir()
	block := pages.Find(t, installPage, "python3 -m pip install ./protocol/python\n")
	debian(t, []string{"PIP_TARGET=" + directory}, "sh", "-ec", block.Text)
	copied := t.TempDir()
	text, err := os.ReadFile(filepath.Join(parts.Python(t), "groat/__init__.py"))
	if err := errors.Join(err, os.WriteFile(filepath.Join(copied, "groat.py"), text, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{directory, copied} {
		if at := python(t, dir, "import groat; print(groat.__file__)"); !strings.HasPrefix(at, dir) {
			t.Error(at)
		}
	}
}

// A release whose version Python cannot have is refused.
func TestPythonVersions(t *testing.T) {
	tier.Needs(t, "python3")
	got := python(t, parts.Python(t), `
import backend
for release in "1.2.3", "1.0~beta.2", "0.0~20261130031500.abcdef01+changed", "1.2.3foo", "1.0~x":
    try:
        print(backend.pep440(release))
    except ValueError as e:
        print(e)`)
	const want = "1.2.3\n1.0b2\n0.0.dev20261130031500+abcdef01.changed\n" +
		"no Python package can have the version 1.2.3foo\nno Python package can have the version 1.0~x"
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}
