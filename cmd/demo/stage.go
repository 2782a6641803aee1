package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
)

// The person of the demo, who exists in the sandbox only.
const (
	username = "alice@example.com"
	password = "correct horse battery staple"
)

// lifetime is how long the sandbox's tokens live. SpatiaFi's live 900 s; with 12 s a renewal can be watched. groatd's
// rules are fractions of the lifetime, so they are the same.
const lifetime = 12 * time.Second

// stage is where the demo plays: a server, a daemon, and a home directory of their own.
type stage struct {
	bin    string
	home   string
	server *sandbox.Server
	daemon *exec.Cmd
}

func newStage(bin string) (*stage, error) {
	for _, name := range []string{"groat", "groat-commands", "groatd"} {
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			return nil, fmt.Errorf("%s is not built: make build (%w)", name, err)
		}
	}
	home, err := os.MkdirTemp("", "groat-demo-")
	if err != nil {
		return nil, err
	}
	s := &stage{bin: bin, home: home}
	s.server = sandbox.New(sandbox.Options{
		TokenLifetime: lifetime, Users: []sandbox.User{{Name: username, Password: password}},
	})
	if err := s.server.Start(""); err != nil {
		os.RemoveAll(home)
		return nil, err
	}
	return s, nil
}

// close ends everything and removes the home.
func (s *stage) close() error {
	err := s.stopDaemon()
	s.server.Close()
	return errors.Join(err, os.RemoveAll(s.home))
}

// command returns a command of groat or groatd with the stage's home. Of the caller's environment it has PATH alone.
func (s *stage) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, filepath.Join(s.bin, name), args...)
	c.Dir = s.home
	c.Env = []string{
		"HOME=" + s.home, "PATH=" + s.bin + ":" + os.Getenv("PATH"), "LANG=C.UTF-8", "GROAT_NO_AUTOSTART=1",
		"XDG_RUNTIME_DIR=" + s.home, "XDG_CONFIG_HOME=" + s.home + "/config", "XDG_STATE_HOME=" + s.home + "/state",
	}
	return c
}

// startDaemon starts groatd and returns when its log says that it is ready.
func (s *stage) startDaemon(ctx context.Context) error {
	s.daemon = s.command(context.Background(), "groatd")
	log, err := s.daemon.StderrPipe()
	if err != nil {
		return err
	}
	if err := s.daemon.Start(); err != nil {
		return err
	}
	ready := make(chan bool, 1)
	var said strings.Builder
	go func() {
		lines := bufio.NewScanner(log)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "ready") {
				ready <- true
				break
			}
			fmt.Fprintln(&said, lines.Text())
		}
		for lines.Scan() { // so that groatd never waits for a reader
		}
		close(ready)
	}()
	select {
	case ok := <-ready:
		if !ok {
			return fmt.Errorf("groatd did not start: %s", said.String())
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stopDaemon asks groatd to stop, as a service manager would, and waits for it.
func (s *stage) stopDaemon() error {
	if s.daemon == nil {
		return nil
	}
	d := s.daemon
	s.daemon = nil
	if err := d.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	kill := time.AfterFunc(15*time.Second, func() { d.Process.Kill() })
	defer kill.Stop()
	return d.Wait()
}

// groat runs the client with the input, and returns what it prints.
func (s *stage) groat(ctx context.Context, input string, args ...string) (string, error) {
	c := s.command(ctx, "groat", args...)
	c.Stdin = strings.NewReader(input)
	var out, complaint bytes.Buffer
	c.Stdout, c.Stderr = &out, &complaint
	if err := c.Run(); err != nil {
		return "", fmt.Errorf("groat %s: %w: %s", strings.Join(args, " "), err, complaint.String())
	}
	return strings.TrimRight(complaint.String()+out.String(), "\n"), nil
}

// show runs the client as a person would type it, and prints both.
func (s *stage) show(ctx context.Context, input string, args ...string) error {
	say("   $ groat %s", strings.Join(args, " "))
	out, err := s.groat(ctx, input, args...)
	for line := range strings.Lines(out) {
		say("   %s", strings.TrimRight(line, "\n"))
	}
	return err
}

func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }

// short returns the beginning and the end of a token, which opens nothing.
func short(token string) string {
	return token[:min(len(token), 16)] + "…" + token[max(0, len(token)-6):]
}
