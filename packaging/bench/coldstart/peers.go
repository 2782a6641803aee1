package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// nobodys is what the other programs keep: nobody's.
const nobodys = "secret-of-nobody-for-groat-0123456789"

// peers returns what people ask for a secret today, each with the daemon that has it in memory, where there is one.
func (s *stage) peers() (programs []*program, err error) {
	for _, peer := range []func() (*program, error){s.ssh, s.gitCache, s.secretTool, s.docker, s.oidc,
		s.authlib} {
		p, err := peer()
		if err != nil {
			return nil, fmt.Errorf("%w (packaging/testing/install.sh installs it)", err)
		}
		programs = append(programs, p)
	}
	return programs, nil
}

// environ returns a small environment with a home of its own.
func (s *stage) environ(name string, more ...string) ([]string, error) {
	home := filepath.Join(s.dir, name)
	err := os.Mkdir(home, 0o700)
	return append([]string{"HOME=" + home, "PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"}, more...), err
}

// serve starts a daemon that ends with the stage, and waits until its socket is there.
func (s *stage) serve(env []string, socket string, args ...string) error {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = env
	if err := cmd.Start(); err != nil {
		return err
	}
	s.ends = append(s.ends, func() { cmd.Process.Kill(); cmd.Wait() })
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(socket); err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s did not serve in %v", args[0], patience)
		}
	}
}

// found returns a program that is to be timed.
func found(p program) (*program, error) {
	path, err := exec.LookPath(p.argv[0])
	p.path = path
	return &p, err
}

func (s *stage) ssh() (*program, error) {
	socket := filepath.Join(s.dir, "ssh.sock")
	env, err := s.environ("ssh", "SSH_AUTH_SOCK="+socket)
	if err != nil {
		return nil, err
	}
	key := filepath.Join(s.dir, "ssh", "key")
	err = s.serve(env, socket, "ssh-agent", "-D", "-a", socket)
	if err == nil {
		_, err = s.output(env, "", "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
	}
	if err == nil {
		_, err = s.output(env, "", "ssh-add", "-q", key)
	}
	if err != nil {
		return nil, err
	}
	return found(program{name: "ssh-add -l (ssh-agent)", argv: []string{"ssh-add", "-l"}, env: env})
}

func (s *stage) gitCache() (*program, error) {
	socket := filepath.Join(s.dir, "git.sock")
	env, err := s.environ("git")
	if err != nil {
		return nil, err
	}
	at, err := s.output(env, "", "git", "--exec-path")
	if err != nil {
		return nil, err
	}
	if err := s.serve(env, socket, filepath.Join(at, "git-credential-cache--daemon"), socket); err != nil {
		return nil, err
	}
	about := "protocol=https\nhost=" + api + "\n"
	store := []string{"git", "credential-cache", "--socket", socket, "store"}
	if _, err := s.output(env, about+"username=u\npassword="+nobodys+"\n\n", store...); err != nil {
		return nil, err
	}
	stdin, err := s.file("cache-asks", about+"\n")
	if err != nil {
		return nil, err
	}
	// The helper itself, which git would start.
	helper := filepath.Join(at, "git-credential-cache")
	return &program{name: "git-credential-cache get", path: helper, env: env, stdin: stdin,
		argv: []string{"git-credential-cache", "--socket", socket, "get"}}, nil
}

// secretService returns the environment of programs that ask gnome-keyring, which it starts once.
func (s *stage) secretService() ([]string, error) {
	if s.bus != nil {
		return s.bus, nil
	}
	env, err := s.environ("keyring")
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(s.dir, "keyring")
	script := []string{"packaging/testing/secret-service.sh", "start", dir, fmt.Sprint(os.Getpid())}
	said, err := s.output(env, "", script...)
	if err != nil {
		return nil, err
	}
	s.ends = append(s.ends, func() { s.output(env, "", script[0], "stop", dir) })
	// It prints lines for a shell: export NAME=VALUE.
	for line := range strings.Lines(said) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "export "); ok {
			env = append(env, strings.ReplaceAll(v, "'", ""))
		}
	}
	s.bus = env
	return env, nil
}

func (s *stage) secretTool() (*program, error) {
	env, err := s.secretService()
	if err != nil {
		return nil, err
	}
	store := []string{"secret-tool", "store", "--label=bench", "service", "bench"}
	if _, err := s.output(env, nobodys, store...); err != nil {
		return nil, err
	}
	return found(program{name: "secret-tool lookup (gnome-keyring)", env: env, every: 5,
		argv: []string{"secret-tool", "lookup", "service", "bench"}})
}

func (s *stage) docker() (*program, error) {
	env, err := s.secretService()
	if err != nil {
		return nil, err
	}
	const name = "docker-credential-secretservice"
	kept := `{"ServerURL":"https://` + api + `","Username":"u","Secret":"` + nobodys + `"}`
	if _, err := s.output(env, kept, name, "store"); err != nil {
		return nil, err
	}
	stdin, err := s.file("docker-asks", "https://"+api)
	if err != nil {
		return nil, err
	}
	return found(program{name: name + " get", env: env, every: 5, stdin: stdin, argv: []string{name, "get"}})
}

func (s *stage) oidc() (*program, error) {
	socket, cfg := filepath.Join(s.dir, "oidc.sock"), filepath.Join(s.dir, "oidc", "cfg")
	env, err := s.environ("oidc", "OIDC_SOCK="+socket, "OIDC_CONFIG_DIR="+cfg)
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(cfg, 0o700); err != nil {
		return nil, err
	}
	if err := s.serve(env, socket, "oidc-agent", "-d", "-a", socket, "--no-webserver", "--no-scheme"); err != nil {
		return nil, err
	}
	issuer, end, err := anyIssuer()
	if err != nil {
		return nil, err
	}
	s.ends = append(s.ends, end)
	if _, err := s.output(env, "", "oidc-gen", "-m", "--client-id=bench", "--client-secret=none", "--iss="+issuer,
		"--redirect-uri=http://localhost:4242", "--scope=openid offline_access", "--rt="+nobodys,
		"--pw-cmd=echo password", "--confirm-yes", "--prompt=none", "bench"); err != nil {
		return nil, err
	}
	return found(program{name: "oidc-token (oidc-agent)", env: env, argv: []string{"oidc-token", "bench"}})
}

// oneToken is what a person's script does without groat: authlib's client_secret_jwt, one request to the server. The
// sandbox calls itself by its name without a port.
const oneToken = `
import os, re
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import ClientSecretJWT
url = os.environ["TOKEN_URL"]
method = ClientSecretJWT(re.sub(":[0-9]+/", "/", url))
s = OAuth2Session("bench-client", os.environ["CLIENT_SECRET"], token_endpoint_auth_method=method)
print(s.fetch_token(url, grant_type="client_credentials")["access_token"])
`

func (s *stage) authlib() (*program, error) {
	env, err := s.environ("python", "TOKEN_URL="+s.agent.Servers.TokenURL(0), "CLIENT_SECRET="+s.agent.Secret(),
		"AUTHLIB_INSECURE_TRANSPORT=1")
	if err != nil {
		return nil, err
	}
	path, err := s.file("ask.py", oneToken)
	if err != nil {
		return nil, err
	}
	// Debian's own, for which Debian's authlib is.
	return &program{name: "authlib, client_secret_jwt, one request", env: env, every: 25,
		path: "/usr/bin/python3", argv: []string{"python3", path}}, nil
}
