package frame

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/groat-dev/groat/packaging/testing/tier"
)

const trapVariable = "GROAT_TEST_TRAP"

// As another user, this binary is the trap: it listens, and prints what it is sent.
func init() {
	path := os.Getenv(trapVariable)
	if path == "" {
		return
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	c, err := l.Accept()
	if err != nil {
		os.Exit(1)
	}
	heard, _ := io.ReadAll(c)
	fmt.Printf("heard %q\n", heard)
	os.Exit(0)
}

// A process of another user that listens in the daemon's place is sent nothing.
func TestA36ForeignServer(t *testing.T) {
	tier.NeedsRoot(t)
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, socket := filepath.Join(dir, "trap"), filepath.Join(dir, "agent.sock")
	if err := os.Link(self, program); err != nil {
		t.Fatal(err)
	}
	trap := exec.CommandContext(t.Context(), program)
	trap.Dir, trap.Env = "/", []string{trapVariable + "=" + socket}
	trap.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345}}
	stdout, err := trap.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := trap.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewReader(stdout)
	if line, _ := said.ReadString('\n'); line != "ready\n" {
		t.Fatal(line)
	}
	c, err := Dial(socket, time.Now().Add(patience))
	if !errors.Is(err, ErrForeignServer) || !strings.Contains(err.Error(), "uid 12345") {
		t.Errorf("%v, %v", c, err)
	}
	if line, _ := said.ReadString('\n'); line != "heard \"\"\n" {
		t.Error(line)
	}
	if err := trap.Wait(); err != nil {
		t.Error(err)
	}
}
