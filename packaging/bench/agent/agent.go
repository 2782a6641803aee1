// Package agent is what the benchmarks measure: a real groatd in a directory of its own, the sandbox servers that its
// profiles are signed in at, and what the system says of the process.
package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/backend"
	"github.com/groat-dev/groat/protocol"
)

// First is the profile that [New] signs in.
const First = "p00000"

const (
	clientID = "bench-client"
	// secret is nobody's: the sandbox that knows it lives as long as this process, on loopback.
	secret = "not-a-secret-of-anybody-0123456789"

	patience = time.Minute
)

// Options say what to make.
type Options struct {
	Bin string // directory of groat and groatd
	Dir string // an empty directory of the caller's
	// Servers is how many servers there are, each an origin of its own.
	Servers int
	// Lifetime is that of the servers' tokens, Latency how long their answers take.
	Lifetime, Latency time.Duration
	// Memory keeps the credentials in groatd's memory, so that there is one profile only and it ends with groatd.
	// Otherwise they are in a sealed file whose key is in a file.
	Memory bool
	// API is an origin that the first profile's tokens are for, or empty.
	API string
}

// Agent is a place with a groatd, which [Agent.Start] starts.
type Agent struct {
	Groat   string   // the program
	Env     []string // of groat and groatd
	Socket  string
	Servers *Servers
	Names   []string // of the profiles

	options Options
	groatd  string
	daemon  *exec.Cmd
	log     bytes.Buffer // the daemon's; read it only after its end
}

// New makes the place and its servers, and signs in to the first of them. groatd runs afterwards.
func New(o Options) (a *Agent, err error) {
	bin, err := filepath.Abs(o.Bin)
	if err != nil {
		return nil, err
	}
	store := backend.Sealed
	if o.Memory {
		store = backend.Memory
	}
	a = &Agent{
		Groat: filepath.Join(bin, "groat"), groatd: filepath.Join(bin, "groatd"), options: o,
		Socket: filepath.Join(o.Dir, "groat", "agent.sock"),
		Env: []string{
			"HOME=" + o.Dir, "PATH=" + bin + ":/usr/bin:/bin", "LANG=C.UTF-8", "GROAT_NO_AUTOSTART=1",
			"XDG_RUNTIME_DIR=" + o.Dir, "GROAT_KEYSTORE=" + store,
			"GROAT_CONFIG=" + filepath.Join(o.Dir, "config") + "/", "GROAT_STATE_DIR=" + filepath.Join(o.Dir, "state"),
		},
	}
	for _, dir := range []string{"config", "state", "groat", "keep"} {
		if err := os.Mkdir(filepath.Join(o.Dir, dir), 0o700); err != nil {
			return nil, err
		}
	}
	if a.Servers, err = startServers(o); err != nil {
		return nil, err
	}
	if !o.Memory {
		err = a.withKeystore(func(ctx context.Context, k *backend.Keystore) error {
			return k.Use(ctx, backend.Sealed, backend.KeyFile, keystore.Secret{})
		})
	}
	if err == nil {
		_, err = a.Start()
	}
	if err == nil {
		err = a.login()
	}
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	a.Names = []string{First}
	return a, nil
}

func (a *Agent) login() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	args := []string{"login", First, "--token-url", a.Servers.TokenURL(0),
		"--client-auth", sandbox.ClientSecretPost, "--client-id", clientID, "--secret-stdin"}
	if a.options.API != "" {
		args = append(args, "--api", a.options.API)
	}
	cmd := exec.CommandContext(ctx, a.Groat, args...)
	cmd.Env = a.Env
	cmd.Stdin = strings.NewReader(secret + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("groat login: %w\n%s", err, out)
	}
	return nil
}

// withKeystore opens the keystore, which no groatd may have open.
func (a *Agent) withKeystore(f func(context.Context, *backend.Keystore) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*patience)
	defer cancel()
	k, err := backend.Open(backend.Options{StateDir: filepath.Join(a.options.Dir, "state"), Env: backend.Sealed})
	if err != nil {
		return err
	}
	return errors.Join(f(ctx, k), k.Close())
}

// Grow makes as many profiles as asked, each like the first in a file of its own as groat login writes it, in turn at
// one server after the other. groatd must not run.
func (a *Agent) Grow(profiles int) error {
	return a.withKeystore(func(ctx context.Context, k *backend.Keystore) error {
		item, err := k.Get(ctx, First)
		if err != nil {
			return err
		}
		defer item.Wipe()
		files := filepath.Join(a.options.Dir, "config", "profiles.d")
		text, err := os.ReadFile(filepath.Join(files, First+".toml"))
		if err != nil {
			return err
		}
		first := a.Servers.origin(0)
		for n := len(a.Names); n < profiles; n++ {
			name, origin := fmt.Sprintf("p%05d", n), a.Servers.origin(n)
			other := item
			other.Issuer = strings.ReplaceAll(item.Issuer, first, origin)
			other.TokenEndpoint = strings.ReplaceAll(item.TokenEndpoint, first, origin)
			if err := k.Set(ctx, name, other); err != nil {
				return err
			}
			file := filepath.Join(files, name+".toml")
			if err := os.WriteFile(file, bytes.ReplaceAll(text, []byte(first), []byte(origin)), 0o600); err != nil {
				return err
			}
			a.Names = append(a.Names, name)
		}
		return nil
	})
}

// Start starts groatd, and returns how long it took from the fork until it said that it is ready, as to a service
// manager (sd_notify(3)): it listens then.
func (a *Agent) Start() (time.Duration, error) {
	path := filepath.Join(a.options.Dir, "notify")
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return 0, err
	}
	defer os.Remove(path)
	defer notify.Close()
	a.log.Reset()
	a.daemon = exec.Command(a.groatd)
	a.daemon.Env = append(slices.Clip(a.Env), "NOTIFY_SOCKET="+path)
	a.daemon.Stderr = &a.log
	begin := time.Now()
	if err := a.daemon.Start(); err != nil {
		a.daemon = nil
		return 0, err
	}
	if err := notify.SetReadDeadline(begin.Add(patience)); err != nil {
		return 0, err
	}
	for buf := make([]byte, 4096); ; {
		n, err := notify.Read(buf)
		if err != nil {
			return 0, fmt.Errorf("groatd did not say that it is ready: %w", err)
		}
		if bytes.Contains(buf[:n], []byte("READY=1")) {
			return time.Since(begin), nil
		}
	}
}

// callers ask at once when every profile gets its first token.
const callers = 64

// Fill gets every profile its first token.
func (a *Agent) Fill(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	names := make(chan string)
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			c, err := a.Connect(ctx)
			if err != nil {
				cancel(err)
				return
			}
			defer c.Close()
			for name := range names {
				if _, err := c.Token(ctx, protocol.TokenParams{Profile: name}); err != nil {
					cancel(fmt.Errorf("%s: %w", name, err))
					return
				}
			}
		})
	}
	for _, name := range a.Names {
		select {
		case names <- name:
		case <-ctx.Done():
		}
	}
	close(names)
	all.Wait()
	return context.Cause(ctx)
}

// PID is groatd's.
func (a *Agent) PID() int { return a.daemon.Process.Pid }

// Connect opens a connection to groatd.
func (a *Agent) Connect(ctx context.Context) (*protocol.Client, error) {
	return protocol.Dial(ctx, a.Socket)
}

// Stop ends groatd. The profiles stay.
func (a *Agent) Stop() error {
	if a.daemon == nil {
		return nil
	}
	daemon := a.daemon
	a.daemon = nil
	if err := daemon.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := daemon.Wait(); err != nil {
		return fmt.Errorf("groatd: %w\n%s", err, &a.log)
	}
	return nil
}

// Close ends groatd and the servers; the directory is the caller's.
func (a *Agent) Close() error {
	err := a.Stop()
	if a.Servers != nil {
		a.Servers.close()
	}
	return err
}

// StopStarted ends the groatd that a groat has started, which is no child of this process.
func (a *Agent) StopStarted() error {
	text, err := os.ReadFile(filepath.Join(a.options.Dir, "state", "lock"))
	if err != nil {
		return err
	}
	var holder struct {
		PID int `json:"pid"`
	}
	if err := json.Unmarshal(text, &holder); err != nil || holder.PID <= 1 {
		return fmt.Errorf("who holds %q: %w", text, err)
	}
	return syscall.Kill(holder.PID, syscall.SIGTERM)
}

// Secret is the client secret of the profiles, for a program that asks the servers itself.
func (a *Agent) Secret() string { return secret }
