// Echo times a token on an open connection to a groatd that holds it, beside two programs that answer as many bytes and
// do nothing else: one in Go, one in C. One client asks all of them in turn, by blocking system calls.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/groat-dev/groat/packaging/bench/agent"
)

func main() {
	bin := flag.String("bin", "bin", "`directory` of groat and groatd")
	runs := flag.Int("runs", 20_000, "how often each is asked")
	flag.Parse()
	if err := run(*bin, *runs); err != nil {
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(1)
	}
}

const request = `{"jsonrpc":"2.0","id":1,"method":"token","params":{"profile":"` + agent.First + `"}}` + "\n"

// server is one of those that are asked.
type server struct {
	name  string
	conn  int // a connected socket
	times []time.Duration
}

func run(bin string, runs int) (err error) {
	if runs < 1 {
		return fmt.Errorf("%d runs: want at least one", runs)
	}
	dir, err := os.MkdirTemp("", "groat-echo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	home := filepath.Join(dir, "groat")
	if err := os.Mkdir(home, 0o700); err != nil {
		return err
	}
	a, err := agent.New(agent.Options{Bin: bin, Dir: home, Servers: 1, Lifetime: time.Hour, Memory: true})
	if err != nil {
		return err
	}
	defer a.Close()
	groatd, err := connect("groatd", a.Socket)
	if err != nil {
		return err
	}
	answer := make([]byte, 64<<10)
	length, err := groatd.ask(answer)
	if err != nil {
		return err
	}
	all := []*server{groatd}
	for _, floor := range []struct{ name, source string }{
		{"echo in Go", "./packaging/bench/floor/echo"},
		{"echo in C", "./packaging/bench/floor/echo.c"},
	} {
		s, stop, err := start(dir, floor.name, floor.source, length)
		if err != nil {
			return err
		}
		defer stop()
		all = append(all, s)
	}
	if err := measure(all, runs, length); err != nil {
		return err
	}
	return report(all)
}

// start starts an echo that answers so many bytes, and connects to it.
func start(dir, name, source string, length int) (s *server, stop func(), err error) {
	program, err := agent.CompileFloor(dir, source)
	if err != nil {
		return nil, nil, err
	}
	socket := program + ".sock"
	cmd := exec.Command(program, socket, strconv.Itoa(length))
	cmd.Stderr = os.Stderr
	ready, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	stop = func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
	if _, err = io.ReadFull(ready, make([]byte, 1)); err == nil {
		s, err = connect(name, socket)
	}
	if err != nil {
		stop()
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, stop, nil
}

func connect(name, socket string) (*server, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, err
	}
	syscall.CloseOnExec(fd)
	limit := syscall.Timeval{Sec: 10} // nothing takes as long: a wait must end
	err = errors.Join(syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &limit),
		syscall.Connect(fd, &syscall.SockaddrUnix{Name: socket}))
	return &server{name: name, conn: fd}, err
}

// ask sends the request and returns how many bytes answer it.
func (s *server) ask(answer []byte) (n int, err error) {
	if _, err := syscall.Write(s.conn, []byte(request)); err != nil {
		return 0, err
	}
	for n == 0 || answer[n-1] != '\n' {
		m, err := syscall.Read(s.conn, answer[n:])
		if err == nil && m == 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil && err != syscall.EINTR {
			return n, fmt.Errorf("%s: %w", s.name, err)
		}
		n += max(m, 0)
	}
	if bytes.Contains(answer[:n], []byte(`"error"`)) {
		return n, fmt.Errorf("%s: %s", s.name, answer[:n])
	}
	return n, nil
}

// measure asks all of them in turn, so that whatever else the machine does falls on all alike.
func measure(all []*server, runs, length int) error {
	runtime.LockOSThread()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	answer := make([]byte, 64<<10)
	for i := range runs + runs/20 {
		for _, s := range all {
			began := time.Now()
			n, err := s.ask(answer)
			took := time.Since(began)
			if err != nil {
				return err
			}
			if n < length-8 || n > length+8 { // the seconds that are left lose a digit now and then
				return fmt.Errorf("%s answers %d bytes, not %d", s.name, n, length)
			}
			if i >= runs/20 {
				s.times = append(s.times, took)
			}
		}
	}
	return nil
}

// report prints medians, the spread, and the ratios to the echoes.
func report(all []*server) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "a request on an open connection\tmedian\t10 %\t90 %\tx echo in Go\tx echo in C\t\n")
	quantile := func(s *server, q float64) time.Duration { return s.times[int(q*float64(len(s.times)-1))] }
	for _, s := range all {
		slices.Sort(s.times)
	}
	inGo, inC := float64(quantile(all[1], 0.5)), float64(quantile(all[2], 0.5))
	for _, s := range all {
		median := quantile(s, 0.5)
		fmt.Fprintf(w, "%s\t%v\t%v\t%v\t%.2f\t%.2f\t\n", s.name, median, quantile(s, 0.1), quantile(s, 0.9),
			float64(median)/inGo, float64(median)/inC)
	}
	return w.Flush()
}
