// Package tier divides the tests in two: "make quick" (go test -short) runs those that need only Go, end within seconds
// and start nothing that has to be installed; "make test" runs all. A test that belongs to the second tier only says so
// in its first line, and why.
//
// Nothing else in this repository may skip a test, and nothing skips one without -short: a part that is missing is a
// failure there.
package tier

import (
	"os"
	"strings"
	"testing"
)

// Quick reports whether only the quick tests run, for a TestMain that prepares what the others need.
func Quick() bool { return testing.Short() }

// Needs leaves a test out of the quick tier because it uses the parts named, which packaging/testing/install.sh
// installs.
func Needs(t testing.TB, parts ...string) {
	t.Helper()
	if testing.Short() {
		t.Skipf("make test runs it: it needs %s", strings.Join(parts, ", "))
	}
}

// Long leaves a test out of the quick tier because it takes seconds of processor time. What says what takes them.
func Long(t testing.TB, what string) {
	t.Helper()
	if testing.Short() {
		t.Skipf("make test runs it: %s", what)
	}
}

// NeedsRoot is for a test that acts as another user. Without root it is left out of the quick tier, and fails in the
// other.
func NeedsRoot(t testing.TB) {
	t.Helper()
	switch {
	case os.Geteuid() == 0:
	case testing.Short():
		t.Skip("make test runs it: it acts as another user, which needs root")
	default:
		t.Fatal("this test acts as another user: run make test as root")
	}
}
