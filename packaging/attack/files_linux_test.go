package attack

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// What a process has in a file that has no name is found, too.
func TestAnOpenFileIsFound(t *testing.T) {
	const secret = "what nobody may read"
	fd, err := unix.MemfdCreate("passed", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, []byte("x"+secret)); err != nil {
		t.Fatal(err)
	}
	o := &OpenFiles{secret: []byte(secret)}
	if o.look([]string{"attack.test"}); len(o.found) != 1 || !strings.Contains(o.found[0], "memfd:passed") || o.looked == 0 {
		t.Errorf("of %d files: %v", o.looked, o.found)
	}
	if o.look([]string{"another"}); len(o.found) != 1 {
		t.Errorf("%v", o.found)
	}
}
