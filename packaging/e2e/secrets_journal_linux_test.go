package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/testing/parts"
)

// groatd as a service of a real user manager: what goes well, what is refused, what a server sends back, a status, a
// crash. Then the journal, which keeps for months what a service prints, is searched.
func TestSecretsStayOutOfTheJournal(t *testing.T) {
	t.Parallel()
	m := parts.StartUserManager(t)
	var secrets, tokens canaries
	secret, wrong, planted := "canary +/&=%:\""+random(), "canary.wrong."+random(), "canary.planted."+random()
	secrets.add("the client secret", secret)
	secrets.add("a wrong secret", wrong)
	mirror := newEchoServer(t, &secrets, &tokens)
	server := sandbox.New(sandbox.Options{Clients: []sandbox.Client{{ID: labClient, Secret: secret}}})
	if err := server.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	for _, name := range []string{"groatd.socket", "groatd.service"} {
		text, err := os.ReadFile(filepath.Join(root, "packaging", "systemd", name))
		if err != nil {
			t.Fatal(err)
		}
		install(t, m, name, string(text))
	}
	install(t, m, "groatd.service.d/test.conf", "[Service]\nExecStart=\nExecStart="+bin+"/groatd\nLimitCORE=infinity\n"+
		"Environment=GROAT_KEYSTORE=memory GODEBUG=http2debug=2,gctrace=1 GOTRACEBACK=crash\n")
	m.Run(t, "systemctl", "--user", "daemon-reload")
	m.Run(t, "systemctl", "--user", "start", "groatd.socket")
	groat := func(fails bool, typed string, args ...string) string {
		t.Helper()
		c := m.Command(t, append([]string{filepath.Join(bin, "groat")}, args...)...)
		c.Stdin = strings.NewReader(typed + "\n")
		out, err := c.CombinedOutput()
		if (err != nil) != fails {
			t.Errorf("groat %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	login := []string{"login", "lab", "--token-url", server.URL() + server.TokenPath(), "--client-auth",
		"client_secret_post", "--client-id", labClient, "--secret-stdin"}
	pid := func() string {
		return m.Run(t, "systemctl", "--user", "show", "--value", "-p", "MainPID", "groatd.service")
	}
	signIn := func() {
		t.Helper()
		groat(false, secret, login...)
		tokens.add("an access token", strings.TrimSpace(groat(false, "", "get", "lab")))
	}
	signIn()
	groat(true, wrong, append(login, "--scope", "x")...)
	for n := range reflections {
		mark := fmt.Sprintf("echo-%02d", n)
		groat(true, secret, "login", "m", "--token-url", mirror.URL+"/token", "--client-auth", "client_secret_post",
			"--client-id", mark, "--secret-stdin")
	}
	first := pid()
	m.Run(t, "kill", "-QUIT", first)
	until(t, "the journal has the status",
		func() (string, bool) { j := m.Journal(t); return j, strings.Contains(j, "still here") })
	m.Run(t, "kill", "-ABRT", first)
	until(t, "the manager has started another", func() (string, bool) { p := pid(); return p, p != first && p != "0" })
	signIn()
	command := m.Command(t, "systemd-cat")
	command.Stdin = strings.NewReader(planted + "\n")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	journal := until(t, "the journal has what was planted",
		func() (string, bool) { j := m.Journal(t); return j, strings.Contains(j, planted) })
	for _, c := range []*canaries{&secrets, &tokens} {
		if what := c.find(journal); what != "" {
			t.Errorf("the journal holds %s:\n%s", what, journal)
		}
	}
	secrets.add("what was planted", planted)
	if secrets.find(journal) == "" {
		t.Error("what was planted in the journal is not found there")
	}
	for _, line := range []string{"ready", "SIGABRT: abort", "goroutine ", "a login failed"} {
		if !strings.Contains(journal, line) {
			t.Errorf("the journal has no %q: it is not groatd's\n%s", line, journal)
		}
	}
	if strings.Contains(journal, "gc 1 @") || strings.Contains(journal, "dumped core") {
		t.Errorf("the journal says too much:\n%s", journal)
	}
	t.Logf("figure: secrets in the journal of a service that was used, refused and crashed = 0, in %d lines",
		strings.Count(journal, "\n"))
}

// install writes a unit of the manager's user.
func install(t *testing.T, m *parts.UserManager, name, text string) {
	t.Helper()
	file := filepath.Join(m.Dir, filepath.Base(name))
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	m.Install(t, file, name)
}
