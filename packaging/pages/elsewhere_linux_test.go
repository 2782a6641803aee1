package pages

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/testing/parts"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

const elsewhere = "packaging/ELSEWHERE.md"

// TestElsewhere runs each block of the page as it is printed: in a job without a session, as root by sudo, over a real
// sshd, and in a container's namespaces. Each has the token of the one groatd, which the server was asked for once.
func TestElsewhere(t *testing.T) {
	tier.Needs(t, "openssh-server", "sudo", "bubblewrap", "root")
	s := newServers(t)
	n := newNetwork(t, s.hosts())
	m := newMachine(t, n)
	m.work = m.dir
	if err := os.CopyFS(filepath.Join(m.dir, "home/.local/bin"), os.DirFS(parts.Binaries(t))); err != nil {
		t.Fatal(err)
	}
	m.run(Find(t, elsewhere, "groat keystore use"))
	m.run(Block{Page: elsewhere, Text: "groat login work --provider spatiafi --username you@example.com\n"})
	token := lastLine(m.run(Block{Page: elsewhere, Text: "groat get work\n"}))

	t.Run("cron", func(t *testing.T) {
		line := strings.Fields(Find(t, elsewhere, "*/10").Text)
		home := filepath.Join(m.dir, "home")
		job := exec.Command("/bin/sh", "-c", strings.Join(line[5:], " "))
		job.Env, job.Dir = []string{"HOME=" + home, "LOGNAME=you", "SHELL=/bin/sh", "PATH=/usr/bin:/bin"}, home // crontab(5)
		var said strings.Builder
		job.Stdout, job.Stderr = &said, &said
		err := n.start(job)
		if err == nil {
			err = job.Wait()
		}
		info, _ := os.ReadFile(filepath.Join(home, "info.txt"))
		if err != nil || !strings.Contains(string(info), "user_id") {
			t.Errorf("%v: %s, %q", err, said.String(), info)
		}
	})
	t.Run("sudo", func(t *testing.T) {
		m := m.in(t)
		shown := m.run(Find(t, elsewhere, "groat get work --output header | sudo"))
		if !strings.Contains(shown, "user_id") {
			t.Error(shown)
		}
	})
	t.Run("ssh", func(t *testing.T) {
		m := m.in(t)
		m.startSSHD()
		t.Cleanup(func() { os.Remove("/tmp/you.groat") })
		if got := lastLine(m.run(Find(t, elsewhere, "ssh -R"))); got != token {
			t.Errorf("got %q", got)
		}
	})
	t.Run("container", func(t *testing.T) {
		m := m.in(t)
		b := Find(t, elsewhere, "bwrap")
		for _, uid := range []string{"0", "12345"} {
			b.Text = strings.Replace(b.Text, "--uid 0", "--uid "+uid, 1)
			if got := lastLine(m.run(b)); got != token {
				t.Errorf("user %s: got %q", uid, got)
			}
		}
	})
	if n := s.spatiafi.Count(sandbox.SpatiafiTokenPath); n != 1 {
		t.Errorf("%d requests for tokens", n)
	}
}

// in returns the machine for a part of the test.
func (m *machine) in(t *testing.T) *machine {
	is := *m
	is.t = t
	return &is
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// startSSHD runs an sshd of the machine's own for the user of this test until the test is over, and makes it what
// server.example.org is for ssh.
func (m *machine) startSSHD() {
	m.t.Helper()
	at := func(name string) string { return filepath.Join(m.dir, name) }
	for _, key := range []string{"host", "mine"} {
		out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", at(key)).CombinedOutput()
		if err != nil {
			m.t.Fatalf("%v: %s", err, out)
		}
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // sshd(8): where it has no privileges
		m.t.Fatal(err)
	}
	var port int
	m.net.do(func() {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			m.t.Error(err)
			return
		}
		port = l.Addr().(*net.TCPAddr).Port
		l.Close()
	})
	m.write("sshd_config", fmt.Sprintf("Port %d\nListenAddress 127.0.0.1\nHostKey %s\nAuthorizedKeysFile %s\nStrictModes no\n"+
		"UsePAM no\nPidFile none\nPermitRootLogin yes\nSetEnv PATH=%s:/usr/bin:/bin\n",
		port, at("host"), at("mine.pub"), at("home/.local/bin")), 0o600)
	m.net.replace("/etc/ssh/ssh_config", fmt.Sprintf("Host server.example.org\nHostName 127.0.0.1\nPort %d\nUser root\n"+
		"IdentityFile %s\nIdentitiesOnly yes\nStrictHostKeyChecking no\nUserKnownHostsFile %s\nLogLevel ERROR\n",
		port, at("mine"), at("known_hosts")))
	sshd := exec.Command("/usr/sbin/sshd", "-D", "-e", "-f", at("sshd_config"))
	log, err := sshd.StderrPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	if err := m.net.start(sshd); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { sshd.Process.Kill(); sshd.Wait() })
	line := make([]byte, 4096)
	if n, err := log.Read(line); err != nil || !strings.Contains(string(line[:n]), "Server listening") {
		m.t.Fatalf("sshd: %v: %s", err, line[:n])
	}
}
