package daemon

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

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/testing/tier"
	"github.com/groat-dev/groat/protocol"
)

// The test binary is also every other process that these tests need, of another user or with another fate.
const (
	roleVariable   = "GROAT_TEST_ROLE"
	socketVariable = "GROAT_TEST_SOCKET"
	// noRaceNap spares each process under the race detector the second it would wait before it ends.
	noRaceNap = "GORACE=atexit_sleep_ms=0"
)

func init() {
	role, ok := roles[os.Getenv(roleVariable)]
	if !ok {
		return
	}
	if err := role(os.Getenv(socketVariable)); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

var roles = map[string]func(socket string) error{
	"ask": func(socket string) error {
		c, err := dialFile(socket)
		if err != nil {
			return err
		}
		return ask(c)
	},
	"ask on 3": func(string) error { return ask(os.NewFile(3, "socket")) },
	"hear on 3": func(string) error {
		heard, err := io.ReadAll(os.NewFile(3, "socket"))
		if err != nil {
			return err
		}
		fmt.Printf("heard %q\n", heard)
		return nil
	},
	// connects, asks, leaves the connection to a child and ends
	"leave": func(socket string) error {
		c, err := dialFile(socket)
		if err != nil {
			return err
		}
		if _, err := io.WriteString(c, `{"jsonrpc":"2.0","id":1,"method":"token"}`+"\n"); err != nil {
			return err
		}
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), roleVariable+"=hear on 3")
		child.ExtraFiles, child.Stdout = []*os.File{c}, os.Stdout
		return child.Start()
	},
	// connects and becomes another program
	"become": func(socket string) error {
		c, err := dialFile(socket)
		if err != nil {
			return err
		}
		if err := syscall.Dup3(int(c.Fd()), 3, 0); err != nil && c.Fd() != 3 {
			return err
		}
		return syscall.Exec(os.Args[0], []string{"another-name"}, []string{roleVariable + "=ask on 3", noRaceNap})
	},
}

func dialFile(socket string) (*os.File, error) {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.File()
}

// ask sends what is no JSON, so that a daemon that reads a byte of it would say so, and then a request.
func ask(c *os.File) error {
	_, err := io.WriteString(c, `{"jsonrpc":"2.0","id":1,"method":"hello"}`+"\n")
	if err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		return err
	}
	line, _ := bufio.NewReader(c).ReadString('\n')
	fmt.Printf("heard %q\n", line)
	return nil
}

// process prepares this binary in a role, where every user may execute it.
func process(t *testing.T, role, socket string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "peer")
	if err := os.Link(self, program); err != nil {
		t.Fatal(err)
	}
	admit(t, dir)
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Dir = "/"
	cmd.Env = []string{roleVariable + "=" + role, socketVariable + "=" + socket, noRaceNap}
	cmd.WaitDelay = patience
	return cmd
}

// admit lets every user into a test's directory.
func admit(t *testing.T, dir string) {
	t.Helper()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// The connection of another user, who reached the socket in spite of its directory, is closed before a byte is read.
func TestPeerOfAnotherUser(t *testing.T) {
	tier.NeedsRoot(t)
	h := newEnv(t, sandbox.Options{})
	admit(t, filepath.Dir(h.socket))
	if err := os.Chmod(h.socket, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		uid  uint32
		want string
	}{
		{"A32 a person of this machine", 12345, `heard ""`},
		{"A33 the user id of an unknown user", 65534, `heard ""`},
		{"the owner, through the same directory", 0, `groatd`},
	} {
		t.Run(test.name, func(t *testing.T) {
			cmd := process(t, "ask", h.socket)
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: test.uid, Gid: test.uid}}
			if out := run(t, cmd); !strings.Contains(out, test.want) {
				t.Errorf("got %s, want %s", out, test.want)
			}
		})
	}
}

// A token is not sent to a process that inherited the connection of the one that asked.
func TestA34PeerEndedBeforeItsAnswer(t *testing.T) {
	h := newEnv(t, sandbox.Options{})
	g := newGate(t, h)
	if _, err := h.login(t, "work", g.here); err != nil {
		t.Fatal(err)
	}
	h.cool("work")
	g.shut()
	cmd := process(t, "leave", h.socket)
	heard, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer heard.Close()
	cmd.Stdout = out
	if err := cmd.Run(); err != nil { // it has ended now, and its child holds the connection
		t.Fatal(err)
	}
	out.Close()
	g.arrived(t, 1)
	g.open()
	heard.SetReadDeadline(time.Now().Add(patience))
	if b, err := io.ReadAll(heard); err != nil || string(b) != "heard \"\"\n" {
		t.Errorf("%s, %v", b, err)
	}
	// What it set in motion has come to its end.
	var token protocol.TokenResult
	if err := h.client(t).Call(t.Context(), protocol.MethodToken, nil, &token); err != nil {
		t.Error(err)
	}
	if n := h.server.Count(sandbox.SpatiafiTokenPath); n != 2 {
		t.Errorf("%d token requests, want the login's and one", n)
	}
}

// The user is who decides; which program it is cannot be known, and is not pretended to be.
func TestA35ConnectThenExec(t *testing.T) {
	h := newEnv(t, sandbox.Options{})
	if out := run(t, process(t, "become", h.socket)); !strings.Contains(out, "groatd") {
		t.Error(out)
	}
}
