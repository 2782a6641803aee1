package e2e_test

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
)

// gotten is what groat get --output json says.
type gotten struct {
	AccessToken string `json:"access_token"`
	ExpiresIn   int64  `json:"expires_in"`
	ExpiresAt   int64  `json:"expires_at"`
}

func (r *userEnv) gotten(profile string) (t gotten) {
	r.t.Helper()
	if err := json.Unmarshal([]byte(r.groat("", "get", profile, "--output", "json")), &t); err != nil {
		r.t.Fatal(err)
	}
	return t
}

// The boot clock is another at each start, as after a reboot, or in a container with a time namespace: thirty days on,
// then thirty days back. What was stored is as good as it was, and a token's end is told by the wall clock.
func TestE15TheBootClockAfterARestart(t *testing.T) {
	t.Parallel()
	r := newUserEnv(t, stranger)
	inNamespace := func(offset time.Duration) {
		t.Helper()
		if err := r.stopDaemon(); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("unshare", "--user", "--map-root-user", "--time",
			"--boottime", strconv.Itoa(int(offset/time.Second)), filepath.Join(bin, "groatd"))
		if _, err := become(cmd, r); err != nil {
			t.Fatal(err)
		}
	}
	inNamespace(30 * 24 * time.Hour)
	s := r.signIn("work")
	for _, offset := range []time.Duration{30 * 24 * time.Hour, 0} {
		inNamespace(offset)
		before := time.Now().Unix()
		got, again := r.gotten("work"), r.gotten("work")
		if got.AccessToken != again.AccessToken || got.ExpiresIn < 800 || got.ExpiresIn > 840 ||
			got.ExpiresAt < before+got.ExpiresIn ||
			got.ExpiresAt > time.Now().Unix()+got.ExpiresIn+1 {
			t.Errorf("with the boot clock %s on: %d s left until %d", offset, got.ExpiresIn, got.ExpiresAt)
		}
	}
	if n := s.Count(sandbox.SpatiafiTokenPath); n != 3 {
		t.Errorf("%d requests for three starts", n)
	}
}

// groatd stands still for longer than its token lives. The first answer after that is no dead one.
func TestE12StoppedForLongerThanATokenLives(t *testing.T) {
	t.Parallel()
	r := newUserEnv(t, stranger)
	p := r.start()
	s, err := r.addServer("work", "lifetime=4s")
	if err != nil {
		t.Fatal(err)
	}
	r.groat("", "keystore", "use", "memory")
	r.groat(r.secret+"\n", "login", "work", "--issuer", s.Issuer(), "--client-id", labClient, "--client-auth",
		"client_secret_post", "--secret-stdin")
	old := r.gotten("work")
	p.cmd.Process.Signal(syscall.SIGSTOP)
	asked := exec.Command(filepath.Join(bin, "groat"), "get", "work", "--output", "json")
	asked.Env, asked.Dir, asked.SysProcAttr = r.environ(), "/", r.as()
	out, err := asked.StdoutPipe()
	if err == nil {
		err = asked.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(time.Unix(old.ExpiresAt+1, 0))) // the question waits in the socket
	resumed := time.Now()
	p.cmd.Process.Signal(syscall.SIGCONT)
	var got gotten
	if err := json.NewDecoder(out).Decode(&got); err != nil {
		t.Error(err)
	}
	if err := asked.Wait(); err != nil {
		t.Error(err)
	}
	if got.AccessToken == old.AccessToken || got.ExpiresAt <= resumed.Unix() {
		t.Errorf("a token until %d at %d", got.ExpiresAt, resumed.Unix())
	}
}
