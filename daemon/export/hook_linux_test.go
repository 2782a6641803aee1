package export

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// A hook leads a session, so that it cannot leave the process group that is killed (setpgid(2), EPERM).
func TestAHookLeadsASession(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	var held atomic.Int64
	x := exportsIn(t, t.TempDir(), &held)
	hooked(t, x, hooksIn(t, `exec >`+out+`; read -r pid name state parent group session rest </proc/$$/stat
echo $group $session $$`))
	x.ending.Wait()
	b, err := os.ReadFile(out)
	ids := strings.Fields(string(b))
	if err != nil || len(ids) != 3 || ids[0] != ids[2] || ids[1] != ids[2] {
		t.Errorf("%q, %v", b, err)
	}
}
