//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/groat-dev/groat/packaging/attack"
)

// patience bounds what is sure to happen: a program starts, ends, or answers an honest client.
const patience = 20 * time.Second

// stage is where the programs run.
type stage struct {
	bin  string
	dir  string
	runs atomic.Int32
	// silence is how long an honest client waits before it counts as not answered.
	silence time.Duration
}

func newStage(bin string, short bool) (*stage, error) {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "groat-peers-") // of mode 0700, as all of them want it
	if err != nil {
		return nil, err
	}
	s := &stage{bin: bin, dir: dir, silence: 3 * time.Second}
	if short {
		s.silence = time.Second
	}
	return s, nil
}

func (s *stage) close() { os.RemoveAll(s.dir) }

// agent is how one program is started and spoken to.
type agent struct {
	name    string
	version func(context.Context) (string, error)
	// command serves the socket at home/s, in the foreground, until it is told to end.
	command func(home string) *exec.Cmd
	// stock gives it a secret to hold, and those that have some their accounts.
	stock func(ctx context.Context, r *running, accounts ...string) error
	// question is what an honest client asks; the answer has something of the secret in it.
	question attack.Question
	// begun is the beginning of a request, endless the middle of one.
	begun, endless []byte
	// secret is what stands in its memory if it keeps the secret as it is; empty where it is not known how.
	secret string
	// accounts: it gets tokens from a provider.
	accounts bool
	// ask returns the question for a token of an account that is good for some seconds at least.
	ask func(account string, least int) attack.Question
}

// running is an agent that has been started.
type running struct {
	*agent
	*provider
	s     *stage
	home  string
	cmd   *exec.Cmd
	ended chan struct{} // closed after cmd has been waited for
	said  bytes.Buffer  // read it only after ended
}

// try starts the agent with a secret in it, makes sure that it serves, and carries out an experiment.
func (s *stage) try(ctx context.Context, a *agent, e experiment) (string, error) {
	home := filepath.Join(s.dir, fmt.Sprint(s.runs.Add(1)))
	if err := os.Mkdir(home, 0o700); err != nil {
		return "", err
	}
	p, accounts := &provider{life: 900}, []string{"a"}
	if e.accounts {
		p.life, accounts = life, []string{"a", "b"}
	}
	if err := p.start(); err != nil {
		return "", err
	}
	defer p.close()
	r, err := s.start(ctx, a, home, e.files)
	if err != nil {
		return "", fmt.Errorf("%s: %w", a.name, err)
	}
	defer r.kill()
	r.provider = p
	limit, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := a.stock(limit, r, accounts...); err != nil {
		return "", fmt.Errorf("%s takes no secret: %w", a.name, err)
	}
	if _, err := a.question.Ask(limit, r.dial); err != nil {
		return "", fmt.Errorf("%s does not answer when all is well: %w", a.name, err)
	}
	cell, err := e.run(ctx, r)
	if err != nil {
		err = fmt.Errorf("%s: %w", a.name, err)
	}
	return cell, err
}

// start starts an agent in a home and returns when its socket can be dialled. The agent may have so many files open.
func (s *stage) start(ctx context.Context, a *agent, home string, files int) (*running, error) {
	r := &running{agent: a, s: s, home: home, ended: make(chan struct{})}
	r.cmd = a.command(home)
	if files == 0 {
		files = 1024
	}
	prlimit, err := exec.LookPath("prlimit")
	if err != nil {
		return nil, err
	}
	r.cmd.Args = append([]string{"prlimit", fmt.Sprintf("--nofile=%d:%d", files, files), r.cmd.Path}, r.cmd.Args[1:]...)
	r.cmd.Path = prlimit
	r.cmd.Dir = home
	r.cmd.Stdout, r.cmd.Stderr = &r.said, &r.said
	r.cmd.WaitDelay = time.Second // a child of its own may hold its output
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		r.cmd.Wait()
		close(r.ended)
	}()
	return r, r.serves(ctx)
}

// serves waits until the socket can be dialled; the error says why it cannot.
func (r *running) serves(ctx context.Context) error {
	for deadline := time.Now().Add(patience); ; {
		c, err := r.dial()
		if err == nil {
			c.Close()
			return nil
		}
		select {
		case <-r.ended:
			return fmt.Errorf("it ended (%s): %s", r.cmd.ProcessState, strings.TrimSpace(r.said.String()))
		case <-ctx.Done():
			r.kill()
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			r.kill()
			return fmt.Errorf("it did not serve in %v: %w", patience, err)
		}
	}
}

func (r *running) socket() string { return filepath.Join(r.home, "s") }

// dial waits for a place in the queue of a server that has not yet come to accept, as connect(2) by itself does.
func (r *running) dial() (*net.UnixConn, error) {
	for deadline := time.Now().Add(r.s.silence); ; time.Sleep(time.Millisecond) {
		c, err := attack.To(r.socket())()
		if !errors.Is(err, syscall.EAGAIN) || time.Now().After(deadline) {
			return c, err
		}
	}
}

func (r *running) pid() int { return r.cmd.Process.Pid }

// alive reports whether it still runs, and gives one that is dying a moment.
func (r *running) alive() bool {
	select {
	case <-r.ended:
		return false
	case <-time.After(300 * time.Millisecond):
		return true
	}
}

// kill ends it with its children, as a crash would.
func (r *running) kill() {
	syscall.Kill(-r.pid(), syscall.SIGKILL)
	<-r.ended
}

// answers reports whether an honest client gets its answer within the time that it waits, and when.
func (r *running) answers(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, r.s.silence)
	defer cancel()
	return r.question.Ask(ctx, r.dial)
}

// server returns the process that would answer a client now, or 0.
func (r *running) server() int {
	c, err := r.dial()
	if err != nil {
		return 0
	}
	defer c.Close()
	raw, err := c.SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	raw.Control(func(fd uintptr) {
		if cred, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
			pid = int(cred.Pid)
		}
	})
	return pid
}

// output runs a short command and returns what it prints.
func output(ctx context.Context, env []string, stdin string, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env, cmd.Stdin = env, strings.NewReader(stdin)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", filepath.Base(name), err, bytes.TrimSpace(out))
	}
	return strings.TrimSpace(string(out)), err
}

// tell sends text on a connection of its own, ends it, and returns what comes back.
func tell(ctx context.Context, path string, text string) (string, error) {
	c, err := attack.To(path)()
	if err != nil {
		return "", err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	_, err = io.WriteString(c, text)
	if err = errors.Join(err, c.CloseWrite()); err != nil {
		return "", err
	}
	out, err := io.ReadAll(c)
	return string(out), err
}
