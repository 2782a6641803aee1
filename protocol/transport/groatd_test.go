package transport_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
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
		defer there.Close()
		for lines := bufio.NewScanner(there); lines.Scan(); {
			fmt.Fprintln(there, g.answer(lines.Bytes()))
		}
	}()
	c = protocol.NewClient(here)
	return c, func() { c.Close(); <-done }
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
	if q.Method == protocol.MethodProfiles {
		list, _ := json.Marshal(protocol.ProfilesResult{Profiles: []protocol.ProfileInfo{{Profile: "work",
			Resources: g.origins}}})
		return reply("result", string(list))
	}
	profile := "work"
	if q.Params.Target != "" {
		listed := q.Params.Target == g.other+"/"
		if listed {
			profile = "other"
		}
		for _, o := range g.origins {
			listed = listed || q.Params.Target == o+"/"
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
