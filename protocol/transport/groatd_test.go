package transport_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/groat-dev/groat/protocol"
)

// groatd stands in for the daemon: one profile "work", whose tokens are "token-1", "token-2" and so on.
type groatd struct {
	mu       sync.Mutex
	origins  []string // that the profile lists
	other    string   // an origin that the profile "other" lists
	current  int      // of the token
	asked    []string // method and whose token, of each request
	header   string   // before the token; "Authorization: Bearer " if empty
	static   bool
	refusal  string // an error object, instead of a better token
	refusing bool   // the refusal is the answer to every request for a token
	sameNext bool   // reject answers with the same token
}

// client returns a client of the stand-in; end closes it.
func (g *groatd) client() (c *protocol.Client, end func()) {
	here, there := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.serve(there)
	}()
	c = protocol.NewClient(here)
	return c, func() { c.Close(); <-done }
}

// serve answers on a connection until it ends.
func (g *groatd) serve(c net.Conn) {
	defer c.Close()
	for lines := bufio.NewScanner(c); lines.Scan(); {
		fmt.Fprintln(c, g.answer(lines.Bytes()))
	}
}

// apiURL is the API of the Example. It refuses every token but "token-2".
var apiURL string

// TestMain has the environment lead to a stand-in, so that the Example reads like a program.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("/tmp", "gr") // which leaves room for the socket's name
	if err != nil {
		panic(err)
	}
	socket := filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		panic(err)
	}
	os.Setenv("GROAT_SOCKET", socket)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer token-2" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, "%s with %s", r.Method, r.Header.Get("Authorization"))
	}))
	apiURL = server.URL
	g := &groatd{current: 1, origins: []string{apiURL}}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go g.serve(c)
		}
	}()
	code := m.Run()
	server.Close()
	os.RemoveAll(dir)
	os.Exit(code)
}

func (g *groatd) answer(line []byte) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var q struct {
		ID     json.RawMessage
		Method string
		Params struct {
			Profile, Target string
			AccessToken     string `json:"access_token"`
		}
	}
	if err := json.Unmarshal(line, &q); err != nil {
		panic(err)
	}
	g.asked = append(g.asked, strings.TrimSpace(q.Method+" "+q.Params.Profile+q.Params.Target))
	reply := func(member, value string) string {
		return `{"jsonrpc":"2.0","id":` + string(q.ID) + `,"` + member + `":` + value + `}`
	}
	profile := "work"
	if q.Params.Target != "" {
		listed := g.other != "" && strings.HasPrefix(q.Params.Target, g.other+"/")
		if listed {
			profile = "other"
		}
		for _, o := range g.origins {
			listed = listed || strings.HasPrefix(q.Params.Target, o+"/")
		}
		if !listed {
			return reply("error", `{"code":-32005,"message":"no profile lists it","data":{"kind":"unknown_profile"}}`)
		}
	}
	if g.refusing || q.Method == protocol.MethodReject && g.refusal != "" {
		return reply("error", g.refusal)
	}
	if q.Method == protocol.MethodReject {
		if !g.sameNext && q.Params.AccessToken == fmt.Sprintf("token-%d", g.current) {
			g.current++
		}
	}
	header := g.header
	if header == "" {
		header = "Authorization: Bearer "
	}
	token := fmt.Sprintf("token-%d", g.current)
	t, _ := json.Marshal(protocol.TokenResult{AccessToken: token, TokenType: "Bearer", Profile: profile,
		Header: header + token, Static: g.static})
	return reply("result", string(t))
}

// requests returns what was asked so far.
func (g *groatd) requests() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string(nil), g.asked...)
}

func start(t *testing.T, g *groatd) *protocol.Client {
	t.Helper()
	c, end := g.client()
	t.Cleanup(end)
	return c
}
