package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// newDying is a daemon that ends the first connections after their request, as one does that is killed, and then
// answers.
func newDying(t *testing.T, deaths int32, result string) (socket string, asked *atomic.Int32) {
	t.Helper()
	socket = filepath.Join(shortDir(t), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	asked = &atomic.Int32{}
	var serving sync.WaitGroup
	t.Cleanup(func() { l.Close(); serving.Wait() })
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				for lines := bufio.NewScanner(c); lines.Scan(); {
					if asked.Add(1) <= deaths {
						return
					}
					var r request
					json.Unmarshal(lines.Bytes(), &r)
					fmt.Fprintf(c, `{"jsonrpc":"2.0","id":%s,%s}`+"\n", r.ID, result)
				}
			})
		}
	})
	return socket, asked
}

// A daemon that ends before it has answered is asked again, where asking twice does no harm.
func TestE20AskedAgain(t *testing.T) {
	const (
		status = `"result":{"release":"x","pid":1,"started_at":1,"socket":"/s","keystore":{"use":"memory",` +
			`"state":"ok"},"profiles":[]}`
		gone = `"result":{"profile":"work","forgotten":true}`
	)
	for _, c := range []struct {
		name, stdin, result string
		deaths, asked       int32
		code                int
		args                []string
	}{
		{"E20 get", "", tokenResult, 1, 2, 0, []string{"get", "work"}},
		{"E20 get, and it dies again", "", tokenResult, 2, 3, 0, []string{"get", "work"}},
		{"E20 get, and it dies each time", "", tokenResult, 9, 3, 69, []string{"get", "work"}},
		{"E20 get --refused", "abc", tokenResult, 1, 2, 0, []string{"get", "work", "--refused"}},
		{"E20 status", "", status, 1, 2, 0, []string{"status"}},
		{"E20 list", "", `"result":{"profiles":[]}`, 1, 2, 0, []string{"list"}},
		{"E20 git", "protocol=https\nhost=h\n\n", tokenResult, 1, 2, 0, []string{"helper", "git", "get"}},
		{"E20 logout is not said twice", "", gone, 1, 1, 69, []string{"logout", "work", "--yes"}},
		{"E20 nor is a passphrase", "horse\n", status, 1, 1, 69,
			[]string{"keystore", "use", "sealed", "--passphrase-stdin"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			socket, asked := newDying(t, c.deaths, c.result)
			o := run(t, socket, c.stdin, c.args...)
			if o.code != c.code || asked.Load() != c.asked {
				t.Errorf("asked %d times, ended with %d: %s%s", asked.Load(), o.code, o.stdout, o.stderr)
			}
			if c.code != 0 && !strings.Contains(o.stderr, "ended the connection before it answered") {
				t.Error(o.stderr)
			}
		})
	}
}
