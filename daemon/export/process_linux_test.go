package export

import (
	"os"
	"strings"
	"testing"
)

// A process of this number that began as long after another start of the system is another process.
func TestAnotherStartOfTheSystem(t *testing.T) {
	now, err := began(os.Getpid())
	ticks, boot, ok := strings.Cut(now, "@")
	if err != nil || !ok || ticks == "" || len(boot) != len("01234567-89ab-cdef-0123-456789abcdef") {
		t.Errorf("%q, %v", now, err)
	}
}
