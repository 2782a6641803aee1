package parts

import (
	"os/exec"
	"testing"
)

// TestReadyAmongLines starts a part whose own programs write while it says that it is ready: an authorization server's
// log was once in the middle of that line.
func TestReadyAmongLines(t *testing.T) {
	for _, c := range []struct{ name, script string }{
		{"a line that has not ended on standard error", `printf 'log: ' >&2; echo READY here; printf 'a line\n' >&2`},
		{"in two writes", `printf REA; printf 'DY here\n'`},
		{"after other lines", `echo one; printf 'two\nREADY here\nREADY there\n'`},
		{"after more than is kept", `head -c 200000 /dev/zero; echo; echo READY here`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := start(t, "a shell", exec.Command("sh", "-c", c.script+"; cat >/dev/null")); got != "here" {
				t.Errorf("ready with %q, want %q", got, "here")
			}
		})
	}
}
