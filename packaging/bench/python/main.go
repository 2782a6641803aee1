// Python times the Python module: a token on an open connection beside a bare socket that is echoed as many bytes, its
// import, and a process for one token, beside authlib's. measure.py does, in Debian's Python; here is what it asks.
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
	"strconv"
	"time"

	"github.com/groat-dev/groat/packaging/bench/agent"
)

func main() {
	bin := flag.String("bin", "bin", "`directory` of groat and groatd")
	runs := flag.Int("runs", 5000, "how often a call is measured")
	flag.Parse()
	if err := run(*bin, *runs); err != nil {
		fmt.Fprintln(os.Stderr, "python:", err)
		os.Exit(1)
	}
}

func run(bin string, runs int) (err error) {
	dir, err := os.MkdirTemp("", "groat-python-")
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
	defer func() { err = errors.Join(err, a.Close()) }()
	// A copy, as pip makes one, so that Python keeps what it compiles.
	modules := filepath.Join(dir, "modules")
	if err := os.CopyFS(modules, os.DirFS("protocol/python/groat")); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(modules, "__init__.py"), filepath.Join(modules, "groat.py")); err != nil {
		return err
	}
	length, err := answer(a)
	if err != nil {
		return err
	}
	socket, stop, err := echo(dir, length)
	if err != nil {
		return err
	}
	defer stop()
	c := exec.Command("/usr/bin/python3", "-I", "packaging/bench/python/measure.py", modules, socket, agent.First,
		strconv.Itoa(length), strconv.Itoa(runs))
	c.Env = append(a.Env, "TOKEN_URL="+a.Servers.TokenURL(0), "CLIENT_SECRET="+a.Secret(), "no_proxy=127.0.0.1")
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	return c.Run()
}

// answer returns how many bytes answer a request for a token.
func answer(a *agent.Agent) (int, error) {
	c := exec.Command("nc", "-N", "-U", a.Socket)
	c.Stdin = bytes.NewBufferString(
		`{"jsonrpc":"2.0","id":100,"method":"token","params":{"profile":"` + agent.First + `"}}` + "\n")
	out, err := c.Output()
	if err == nil && !bytes.Contains(out, []byte(`"access_token"`)) {
		err = fmt.Errorf("groatd answers %s", out)
	}
	return len(out), err
}

// echo starts the program that answers so many bytes whatever it is asked.
func echo(dir string, length int) (socket string, stop func(), err error) {
	program, err := agent.CompileFloor(dir, "./packaging/bench/floor/echo")
	if err != nil {
		return "", nil, err
	}
	socket = program + ".sock"
	c := exec.Command(program, socket, strconv.Itoa(length))
	c.Stderr = os.Stderr
	ready, err := c.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := c.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		c.Process.Kill()
		c.Wait()
	}
	if _, err := io.ReadFull(ready, make([]byte, 1)); err != nil {
		stop()
		return "", nil, err
	}
	return socket, stop, nil
}
