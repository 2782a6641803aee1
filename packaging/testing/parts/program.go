package parts

import (
	"os"
	"syscall"
	"testing"
)

// WriteProgram writes a program that the test, or what it starts, is going to execute. No process of this one is
// started meanwhile: it would hold the file open for writing until it executes its own program, and a file that is open
// for writing cannot be executed (ETXTBSY).
func WriteProgram(t testing.TB, path, text string) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}
