package pages

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/parts"
)

// TestReadmeService runs the README's block about systemd as it is printed, by an ordinary user in a real user manager.
func TestReadmeService(t *testing.T) {
	block := Find(t, "README.md", "mkdir -p ~/.config/systemd/user")
	manager := parts.StartUserManager(t)
	work := filepath.Join(manager.Dir, "groat")
	Checkout(t, work)
	if err := os.Chmod(work, 0o755); err != nil {
		t.Fatal(err)
	}
	manager.Run(t, "sh", "-euc", "cd "+work+"\n"+block.Text)
	if got := manager.Run(t, "systemctl", "--user", "is-active", "groatd.socket"); got != "active" {
		t.Errorf("the socket is %s", got)
	}
}
