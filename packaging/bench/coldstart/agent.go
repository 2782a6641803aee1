package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
)

const (
	profile  = "bench"
	clientID = "bench-client"
	// secret is nobody's: the sandbox that knows it lives as long as this process, on loopback.
	secret = "not-a-secret-of-anybody-0123456789"
)

// agent is a groatd with one signed-in profile.
type agent struct {
	groat  string
	env    []string
	server *sandbox.Server
	daemon *exec.Cmd
	log    bytes.Buffer  // the daemon's; read it only after the daemon's end
	notify *net.UnixConn // where the daemon says how it is
}

// startAgent starts the sandbox and groatd, all of it under dir, and signs in.
func startAgent(bin, dir string) (*agent, error) {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return nil, err
	}
	a := &agent{
		groat: filepath.Join(bin, "groat"),
		env: []string{
			"HOME=" + dir, "PATH=/usr/bin:/bin", "LANG=C.UTF-8", "GROAT_NO_AUTOSTART=1", "GROAT_KEYSTORE=memory",
			"XDG_RUNTIME_DIR=" + filepath.Join(dir, "run"),
		},
		server: sandbox.New(sandbox.Options{Clients: []sandbox.Client{{ID: clientID, Secret: secret}}}),
	}
	if err := os.Mkdir(filepath.Join(dir, "run"), 0o700); err != nil {
		return nil, err
	}
	if err := a.server.Start(""); err != nil {
		return nil, err
	}
	if err := a.startDaemon(filepath.Join(bin, "groatd"), dir); err != nil {
		a.stop()
		return nil, fmt.Errorf("groatd: %w\n%s", err, &a.log)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	login := exec.CommandContext(ctx, a.groat, "login", profile, "--token-url", a.server.URL()+a.server.TokenPath(),
		"--client-auth", sandbox.ClientSecretPost, "--client-id", clientID, "--secret-stdin")
	login.Env = a.env
	login.Stdin = strings.NewReader(secret + "\n")
	if out, err := login.CombinedOutput(); err != nil {
		a.stop()
		return nil, fmt.Errorf("groat login: %w\n%s", err, out)
	}
	return a, nil
}

// startDaemon starts groatd and waits until it says READY=1, as a service manager would (sd_notify(3)).
func (a *agent) startDaemon(groatd, dir string) (err error) {
	path := filepath.Join(dir, "notify")
	if a.notify, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"}); err != nil {
		return err
	}
	daemon := exec.Command(groatd)
	daemon.Env = append(a.env, "NOTIFY_SOCKET="+path)
	daemon.Stderr = &a.log
	if err := daemon.Start(); err != nil {
		return err
	}
	a.daemon = daemon
	if err := a.notify.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	for buf := make([]byte, 4096); ; {
		n, err := a.notify.Read(buf)
		if err != nil {
			return fmt.Errorf("it did not say that it is ready: %w", err)
		}
		if bytes.Contains(buf[:n], []byte("READY=1")) {
			return nil
		}
	}
}

// stop ends what was started; the directory is the caller's.
func (a *agent) stop() {
	if a.daemon != nil {
		a.daemon.Process.Signal(syscall.SIGTERM)
		a.daemon.Wait()
	}
	if a.notify != nil {
		a.notify.Close()
	}
	a.server.Close()
}
