package parts_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/parts"
)

// The cluster is one: it has a leader, goes on without it, and has what it had when a backup of it is restored.
func TestEtcd(t *testing.T) {
	e := parts.StartEtcd(t, 0)
	e.Ctl(t, "put", "/groat/a", "1")
	backup := filepath.Join(t.TempDir(), "backup")
	e.Save(t, backup)
	leader := e.Leader(t)
	e.Kill(t, leader)
	e.Ctl(t, "put", "/groat/a", "2")
	e.Start(t, leader)
	e.Await(t)
	if other := e.Leader(t); other == leader {
		t.Errorf("node %d leads again", leader)
	}
	e.Restore(t, backup)
	if got := e.Ctl(t, "get", "/groat/a", "--print-value-only"); strings.TrimSpace(got) != "1" {
		t.Errorf("the backup has %q", got)
	}
}
