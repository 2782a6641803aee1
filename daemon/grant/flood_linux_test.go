package grant_test

import (
	"bufio"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/groat-dev/groat/packaging/testing/tier"
)

// floods opens connections to a port, sends half a header on each, and opens them anew when they are closed. It says so
// when all have been open once, and then how many times it was let in, when its input ends.
const floods = `
import select, socket, sys
port, n = int(sys.argv[1]), int(sys.argv[2])
half = b"GET /callback HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nX: " % port + b"a" * 6000
held, opened, told = [], 0, False
sys.stdin = open(0, "rb", buffering=0)
while not select.select([0], [], [], 0)[0]:
    while len(held) < n:
        s = socket.socket(); s.settimeout(.3)
        try: s.connect(("127.0.0.1", port)); s.sendall(half)
        except OSError: s.close(); break
        opened += 1; held.append(s)
    if opened >= n and not told: told = True; print("flooding", flush=True)
    ready = select.select(held, [], [], .02)[0]
    for s in ready:
        try: gone = not s.recv(100)
        except OSError: gone = True
        if gone: s.close(); held.remove(s)
`

// During a flood of the port the browser gets through within seconds, and the flood takes few descriptors.
func TestI6TheBrowserGetsThroughAFlood(t *testing.T) {
	tier.Needs(t, "python3")
	users := map[string]int{"this user": os.Geteuid()}
	if os.Geteuid() == 0 {
		users["another user"] = 65534
	} else {
		t.Log("not root: another user cannot be played")
	}
	for name, uid := range users {
		t.Run(name, func(t *testing.T) {
			w := static(t, "")
			u, err := url.Parse(w.base)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "-c", floods, u.Port(), strconv.Itoa(300))
			cmd.Dir = "/"
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid),
				NoSetGroups: uid == os.Geteuid()}}
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { in.Close(); cmd.Wait() }()
			lines := bufio.NewScanner(out)
			if !lines.Scan() || lines.Text() != "flooding" {
				t.Fatalf("%q, %v", lines.Text(), lines.Err())
			}
			begin := time.Now()
			status, page := visit(t, "GET", w.base+"/callback?code=abc&state="+stateOf(t, w.a))
			if status != 200 || !strings.Contains(page, "You can close this tab") {
				t.Errorf("%d %s", status, page)
			}
			t.Logf("the browser was answered after %v", time.Since(begin))
			if o := w.answer(t); o.err != nil || o.code.Reveal() != "abc" {
				t.Errorf("%v", o.err)
			}
			files, err := os.ReadDir("/proc/self/fd")
			if err != nil {
				t.Fatal(err)
			}
			if len(files) > 100 {
				t.Errorf("%d descriptors are open", len(files))
			}
		})
	}
}
