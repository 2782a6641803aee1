package e2e_test

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/attack"
)

// many is how many connections say nothing. This process needs a descriptor for each.
const many = 10_000

func needDescriptors(t *testing.T, n uint64) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < n {
		t.Fatalf("this test needs %d descriptors and may have %d (%v): ulimit -Hn 20000", n, limit.Cur, err)
	}
}

// 10,000 idle connections cost little and keep no other client from its answer; the first and the last of them are
// served when they wake up. How long an answer takes beside them, packaging/bench/herd measures.
func TestA26TenThousandIdle(t *testing.T) {
	needDescriptors(t, many+many/8)
	u := newAttackedEnv(t, "")
	server := u.signIn("work")
	first := u.connect()
	without, alone := u.median(work), u.measure()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	begin := time.Now()
	crowd, err := attack.Idle(ctx, u.dial, many)
	if err != nil {
		t.Fatal(err)
	}
	defer crowd.Close()
	last := u.connect()
	last.ask() // it stood behind all the others
	with, crowded := u.median(work), u.measure()
	t.Logf("%d idle connections, made in %v: memory %s (%s without), median of a new client's answer %v (%v without)",
		crowd.Open(), time.Since(begin).Round(time.Millisecond), mib(crowded.rss), mib(alone.rss), with, without)
	t.Run("A26 all are kept", func(t *testing.T) {
		if n := crowd.Open(); n != many {
			t.Errorf("%d are open", n)
		}
		first.ask()
	})
	t.Run("A26 in less than 128 MiB", func(t *testing.T) {
		if crowded.rss >= 128<<20 {
			t.Errorf("it takes %s", mib(crowded.rss))
		}
	})
	t.Run("A26 every new client is answered", func(t *testing.T) {
		for range 100 {
			u.ask(work)
		}
		if n := crowd.Open(); n != many {
			t.Errorf("%d of the idle ones were closed for them", many-n)
		}
	})
	t.Run("A30 more than 1,024 descriptors", func(t *testing.T) {
		if crowded.descriptors <= 1024 {
			t.Errorf("it has %d", crowded.descriptors)
		}
		last.ask()
	})
	crowd.Close()
	last.Close()
	u.settle(alone)
	if n := server.Count(sandbox.SpatiafiTokenPath); n != 1 {
		t.Errorf("%d token requests, want the login's", n)
	}
}

// A groatd that may have 128 descriptors gets a thousand connections, one after another. It can still dial a server and
// write a credential, and each client that asks is answered.
func TestA28FewDescriptors(t *testing.T) {
	t.Parallel()
	u := newAttackedEnv(t, "ulimit -n 128")
	server := u.signIn("work")
	held := make(chan int)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { // at any time there are a thousand, and most of them wait
		defer close(held)
		var crowds [5]*attack.Crowd
		for i := 0; ctx.Err() == nil; i++ {
			if old := crowds[i%len(crowds)]; old != nil {
				old.Close()
			}
			crowd, err := attack.Idle(ctx, u.dial, 200)
			if err != nil && ctx.Err() == nil {
				t.Error(err)
			}
			crowds[i%len(crowds)] = crowd
			select {
			case held <- crowd.Size():
			case <-ctx.Done():
			}
		}
		for _, crowd := range crowds {
			if crowd != nil {
				crowd.Close()
			}
		}
	}()
	for total := 0; total < 1000; {
		total += <-held
	}
	most := 0
	for i := range 3 {
		name := []string{"one", "two", "three"}[i]
		u.groat(u.password+"\n", "login", name, "--provider", "spatiafi", "--username", person, "--auth-server",
			server.URL(), "--secret-stdin")
		u.groat("", "get", name)
		u.ask(work)
		most = max(most, u.measure().descriptors)
		<-held
	}
	cancel()
	for range held {
	}
	if most > 96 {
		t.Errorf("%d of 128 descriptors were taken", most)
	}
	t.Logf("%d descriptors at most", most)
	if n := server.Count(sandbox.SpatiafiClientsPath); n != 4 {
		t.Errorf("%d clients were created, want one for each login", n)
	}
	u.daemon.says(t, "the configuration was reloaded", func() { u.daemon.signal(t, syscall.SIGHUP) })
	if text, _ := u.daemon.log.snapshot(); !strings.Contains(text, "more connections than descriptors") ||
		strings.Contains(text, "could not be accepted") {
		t.Errorf("the log should tell of the crowd, and not that descriptors ran out: %s", text)
	}
}

// A system that has no descriptor left for groatd. It goes on, without a spin, and serves the clients that
// came meanwhile as soon as there is one.
func TestA29NoDescriptorLeft(t *testing.T) {
	t.Parallel()
	u := newAttackedEnv(t, "")
	u.ask(hello)
	var was unix.Rlimit
	if err := unix.Prlimit(u.daemon.pid(), unix.RLIMIT_NOFILE, nil, &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Prlimit(u.daemon.pid(), unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: was.Max}, nil); err != nil {
		t.Fatal(err)
	}
	waiting := u.connect()
	answered := make(chan error, 1)
	go func() {
		_, err := waiting.Write(hello.Text)
		if err == nil {
			waiting.SetReadDeadline(time.Now().Add(patience))
			_, err = waiting.Read(make([]byte, 1))
		}
		answered <- err
	}()
	refused := func(times int) {
		if err := u.daemon.waitLog(regexp.MustCompile(`(?s)` + strings.Repeat("could not be accepted.*",
			times))); err != nil {
			t.Fatal(err)
		}
	}
	refused(1)
	begin := time.Now()
	used, err := attack.CPU(u.daemon.pid())
	if err != nil {
		t.Fatal(err)
	}
	refused(9)
	took := time.Since(begin)
	now, err := attack.CPU(u.daemon.pid())
	if err != nil {
		t.Fatal(err)
	}
	if took < time.Second || now-used > took/2 {
		t.Errorf("nine attempts took %v and %v of the processor: that is a spin", took, now-used)
	}
	if err := unix.Prlimit(u.daemon.pid(), unix.RLIMIT_NOFILE, &was, nil); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Error("whoever waited:", err)
	}
	u.ask(hello)
}

var openFiles = regexp.MustCompile(`(?m)^Max open files +(\d+) +(\d+)`)

// A shell's soft limit on descriptors is not the daemon's: it may use as many as the hard limit allows, also where it
// starts itself anew.
func TestH71TheSoftLimitOnDescriptorsIsRaised(t *testing.T) {
	for name, variable := range map[string]string{"started": "LANG=C", "started anew": "GODEBUG=http2debug=2"} {
		t.Run(name, func(t *testing.T) {
			w, err := newEnv(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer w.close()
			var was unix.Rlimit
			if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
				t.Fatal(err)
			}
			hard := min(was.Max, 4000)
			limits := "ulimit -Sn 64; ulimit -Hn " + strconv.FormatUint(hard, 10) + "; " + variable + " exec groatd"
			cmd := exec.Command("/bin/sh", "-c", limits)
			cmd.Env = w.variables()
			p, err := launch(cmd)
			if err != nil {
				t.Fatal(err)
			}
			defer p.stop(syscall.SIGTERM)
			if err := p.waitLog(ready); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile("/proc/" + strconv.Itoa(p.pid()) + "/limits")
			if err != nil {
				t.Fatal(err)
			}
			m := openFiles.FindSubmatch(text)
			if want := strconv.FormatUint(hard, 10); m == nil || string(m[1]) != want || string(m[2]) != want {
				t.Errorf("want %s of %s: %s", want, want, text)
			}
		})
	}
}
