package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/groat-dev/groat/packaging/attack"
)

// attackedEnv is a groatd of this test's own user, so that the test itself can be its bad and its good client.
type attackedEnv struct {
	*userEnv
	daemon *process
	dial   attack.Dial
}

// newAttackedEnv starts it; limits is what its shell sets before it becomes groatd ("ulimit -n 128"), or nothing.
func newAttackedEnv(t *testing.T, limits string) *attackedEnv {
	t.Helper()
	r := newUserEnv(t, os.Getuid())
	u := &attackedEnv{userEnv: r, dial: attack.To(r.socket())}
	if limits == "" {
		u.daemon = r.start()
		return u
	}
	p, err := become(exec.Command("/bin/sh", "-c", limits+` && exec "$0"`, filepath.Join(bin, "groatd")), r)
	if err != nil {
		t.Fatal(err)
	}
	u.daemon = p
	return u
}

// become starts groatd by way of another program. The environment stops it.
func become(cmd *exec.Cmd, r *userEnv) (*process, error) {
	cmd.Env, cmd.Dir, cmd.SysProcAttr = r.environ(), "/", r.as()
	p, err := launch(cmd)
	if err != nil {
		return nil, err
	}
	r.env.daemon, r.logs = p, append(r.logs, p.log)
	return p, p.waitLog(ready)
}

// hello is a question that takes no waiting, and work one for the token of a profile of that name.
var (
	hello = line(`{"jsonrpc":"2.0","id":1,"method":"hello"}`, `"server":"groatd"`)
	work  = line(`{"jsonrpc":"2.0","id":1,"method":"token","params":{"profile":"work"}}`, `"access_token":"`)
)

func line(text, want string) attack.Question {
	return attack.Question{Text: []byte(text + "\n"), Whole: func(answer []byte) (bool, error) {
		whole := bytes.HasSuffix(answer, []byte("\n"))
		if whole && !bytes.Contains(answer, []byte(want)) {
			return true, fmt.Errorf("without %s: %s", want, answer)
		}
		return whole, nil
	}}
}

// ask asks, and ends the test where there is no good answer.
func (u *attackedEnv) ask(q attack.Question) {
	u.t.Helper()
	ctx, cancel := context.WithTimeout(u.t.Context(), patience)
	defer cancel()
	if _, err := q.Ask(ctx, u.dial); err != nil {
		u.t.Fatal(err)
	}
}

// median asks many times, each time on a new connection.
func (u *attackedEnv) median(q attack.Question) time.Duration {
	u.t.Helper()
	ctx, cancel := context.WithTimeout(u.t.Context(), patience)
	defer cancel()
	d, err := q.Median(ctx, u.dial, 101)
	if err != nil {
		u.t.Fatal(err)
	}
	return d
}

// lively asks again and again until stop is called, counts the answers, and fails the test where one is missing.
func (u *attackedEnv) lively(q attack.Question) (answered *atomic.Int64, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	answered = new(atomic.Int64)
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			asking, enough := context.WithTimeout(context.Background(), patience) // the one that is under way counts
			_, err := q.Ask(asking, u.dial)
			enough()
			if err != nil {
				u.t.Errorf("a good client, after %d answers: %v", answered.Load(), err)
				return
			}
			answered.Add(1)
		}
	}()
	return answered, func() { cancel(); <-done }
}

// measures is what an attack must not leave behind.
type measures struct {
	rss         int64
	descriptors int
}

func (u *attackedEnv) measure() measures {
	u.t.Helper()
	rss, err := attack.RSS(u.daemon.pid())
	fds, err2 := attack.Descriptors(u.daemon.pid())
	if err := errors.Join(err, err2); err != nil {
		u.t.Fatal(err)
	}
	return measures{rss, fds}
}

// settle waits until the daemon has no more descriptors than it had, and returns what it takes then.
func (u *attackedEnv) settle(before measures) measures {
	u.t.Helper()
	now := u.measure()
	for end := time.Now().Add(patience); now.descriptors > before.descriptors; now = u.measure() {
		if time.Now().After(end) {
			u.t.Errorf("%d descriptors before, %d now", before.descriptors, now.descriptors)
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return now
}

func mib(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }

// lineReader returns the lines that come until the connection ends.
func lineReader(c io.Reader) iter.Seq2[[]byte, error] {
	r := bufio.NewReaderSize(c, 64<<10)
	return func(yield func([]byte, error) bool) {
		for {
			line, err := r.ReadSlice('\n')
			if errors.Is(err, io.EOF) && len(line) == 0 {
				return
			}
			if !yield(line, err) || err != nil {
				return
			}
		}
	}
}
