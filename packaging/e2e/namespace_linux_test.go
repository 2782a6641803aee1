package e2e_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/groat-dev/groat/packaging/attack"
)

// A groatd in a user namespace, as in a container, takes itself for root. Root outside is nobody there (uid 65534), and is
// refused; the user that it really is is served.
func TestA33UserNamespace(t *testing.T) {
	t.Parallel()
	r := newResident(t, stranger)
	p, err := become(exec.Command("unshare", "--user", "--map-root-user", filepath.Join(bin, "groatd")), r)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := hello.Ask(ctx, attack.To(r.socket())); !attack.HungUp(err) {
		t.Errorf("root outside the namespace: %v", err)
	}
	if err := p.waitLog(regexp.MustCompile("the peer belongs to another user: uid 65534")); err != nil {
		t.Error(err)
	}
	r.groat("", "status")
}
