//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/groat-dev/groat/packaging/attack"
)

// The secrets that the programs hold. No server knows them.
const (
	clientSecret = "secret-of-nobody-for-groat-0123456789"
	password     = "secret-of-nobody-for-git-0123456789"
	refreshToken = "secret-of-nobody-for-oidc-0123456789"
)

var endless = bytes.Repeat([]byte("x"), 32<<10)

// environ returns a small environment with a home of its own.
func environ(home string, more ...string) []string {
	return append([]string{
		"HOME=" + home, "PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "TMPDIR=" + home,
	}, more...)
}

// first returns a function that returns the first line of what a program prints.
func first(name string, args ...string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		out, err := output(ctx, environ("/"), "", name, args...)
		line, _, _ := strings.Cut(out, "\n")
		return line, err
	}
}

func (s *stage) groat() *agent {
	groat := filepath.Join(s.bin, "groat")
	env := func(home string) []string {
		return environ(home, "GROAT_NO_AUTOSTART=1", "GROAT_SOCKET="+home+"/s",
			"GROAT_CONFIG="+home+"/config/config.toml", "GROAT_STATE_DIR="+home+"/state")
	}
	ask := func(account string, least int) attack.Question {
		min := ""
		if least > 0 {
			min = fmt.Sprintf(`,"min_ttl":%d`, least)
		}
		return attack.Question{
			Text: fmt.Appendf(nil, `{"jsonrpc":"2.0","id":1,"method":"token","params":{"profile":"%s"%s}}`+"\n",
				account, min),
			Whole: func(answer []byte) (bool, error) {
				whole := bytes.HasSuffix(answer, []byte("\n"))
				if !whole || bytes.Contains(answer, []byte(`"access_token"`)) {
					return whole, nil
				}
				return true, fmt.Errorf("%w: %s", errRefused, answer)
			},
		}
	}
	return &agent{
		name: "groat", version: first(groat, "version"), accounts: true, ask: ask, question: ask("a", 0),
		secret: clientSecret, begun: []byte(`{"jsonrpc":"2.0","id":1,"meth`), endless: endless,
		command: func(home string) *exec.Cmd {
			cmd := exec.Command(filepath.Join(s.bin, "groatd"))
			cmd.Env = env(home)
			return cmd
		},
		stock: func(ctx context.Context, r *running, accounts ...string) error {
			if _, err := output(ctx, env(r.home), "", groat, "keystore", "use", "sealed", "--key-file"); err != nil {
				return err
			}
			for _, account := range accounts {
				if _, err := output(ctx, env(r.home), clientSecret+"\n", groat, "login", account,
					"--token-url", r.issuer(account)+"token", "--client-auth", "client_secret_post",
					"--client-id", "figures", "--secret-stdin"); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// errRefused means that the program answered, and not with what was asked for.
var errRefused = errors.New("refused")

func (*stage) ssh() *agent {
	return &agent{
		name: "ssh-agent", version: first("ssh", "-V"), begun: []byte{0, 0},
		endless: bytes.Repeat([]byte{0xff}, 32<<10), // also the length that it announces
		question: attack.Question{
			Text: []byte{0, 0, 0, 1, 11}, // SSH_AGENTC_REQUEST_IDENTITIES
			Whole: func(answer []byte) (bool, error) {
				if len(answer) < 9 || len(answer) < 4+int(binary.BigEndian.Uint32(answer)) {
					return false, nil
				}
				if keys := binary.BigEndian.Uint32(answer[5:]); answer[4] != 12 || keys == 0 {
					return true, fmt.Errorf("%w: it has %d keys", errRefused, keys)
				}
				return true, nil
			},
		},
		command: func(home string) *exec.Cmd {
			cmd := exec.Command("/usr/bin/ssh-agent", "-D", "-a", home+"/s")
			cmd.Env = environ(home)
			return cmd
		},
		stock: func(ctx context.Context, r *running, _ ...string) error {
			key := filepath.Join(r.home, "key")
			_, err := output(ctx, environ(r.home), "", "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
			if err != nil {
				return err
			}
			_, err = output(ctx, environ(r.home, "SSH_AUTH_SOCK="+r.socket()), "", "ssh-add", "-q", key)
			return err
		},
	}
}

func (*stage) gitCache() *agent {
	const about = "timeout=900\nprotocol=https\nhost=git.example.org\n"
	return &agent{
		name: "git-credential-cache", version: first("git", "--version"), secret: password,
		begun: []byte("action=get\ntime"), endless: endless,
		question: attack.Question{Text: []byte("action=get\n" + about + "\n"), End: true},
		command: func(home string) *exec.Cmd {
			cmd := exec.Command("git", "credential-cache--daemon", home+"/s")
			// The daemon itself, not a git that waits for it.
			if path, err := exec.Command("git", "--exec-path").Output(); err == nil {
				cmd.Path = filepath.Join(strings.TrimSpace(string(path)), "git-credential-cache--daemon")
				cmd.Args = []string{"git-credential-cache--daemon", home + "/s"}
			}
			cmd.Env = environ(home)
			return cmd
		},
		stock: func(ctx context.Context, r *running, _ ...string) error {
			_, err := tell(ctx, r.socket(), "action=store\n"+about+"username=u\npassword="+password+"\n")
			return err
		},
	}
}

func (*stage) oidc() *agent {
	env := func(home string) []string {
		return environ(home, "OIDC_SOCK="+home+"/s", "OIDC_CONFIG_DIR="+home+"/cfg")
	}
	ask := func(account string, least int) attack.Question {
		return attack.Question{
			Text: fmt.Appendf(nil,
				`{"request":"access_token","account":%q,"min_valid_period":%d,"application_hint":"figures"}`,
				account, least),
			Whole: func(answer []byte) (bool, error) {
				var a struct{ Status, Error string }
				if json.Unmarshal(answer, &a) != nil {
					return false, nil
				}
				if a.Status != "success" {
					return true, fmt.Errorf("%w: %s", errRefused, a.Error)
				}
				return true, nil
			},
		}
	}
	return &agent{
		name: "oidc-agent", version: first("oidc-agent", "--version"), accounts: true, ask: ask, question: ask("a", 0),
		secret: refreshToken, begun: []byte(`{"request":"acc`), endless: endless,
		command: func(home string) *exec.Cmd {
			os.Mkdir(home+"/cfg", 0o700) // there already for a second start
			cmd := exec.Command("/usr/bin/oidc-agent", "-d", "-a", home+"/s", "--no-webserver", "--no-scheme")
			cmd.Env = env(home)
			return cmd
		},
		stock: func(ctx context.Context, r *running, accounts ...string) error {
			for _, account := range accounts {
				_, err := output(ctx, env(r.home), "", "oidc-gen", "-m", "--client-id=figures", "--client-secret=none",
					"--iss="+r.issuer(account), "--redirect-uri=http://localhost:4242", "--scope=openid offline_access",
					"--rt="+refreshToken, "--pw-cmd=echo password", "--confirm-yes", "--prompt=none", account)
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
}
