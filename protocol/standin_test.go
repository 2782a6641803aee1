package protocol_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain has the environment lead to a stand-in for groatd, so that the Examples read like a program.
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
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// serve answers like a groatd with one profile, "work", whose token is "token-1" until it is rejected.
func serve(c net.Conn) {
	defer c.Close()
	token := "token-1"
	for lines := bufio.NewScanner(c); lines.Scan(); {
		var q struct {
			ID     json.RawMessage
			Params struct {
				Profile     string
				AccessToken string `json:"access_token"`
			}
		}
		json.Unmarshal(lines.Bytes(), &q)
		if q.Params.AccessToken == token {
			token = "token-2"
		}
		answer := `"result":{"access_token":"TOKEN","token_type":"Bearer","expires_in":838,"profile":"work",` +
			`"header":"Authorization: Bearer TOKEN"}`
		if q.Params.Profile != "work" {
			answer = `"error":{"code":-32005,"message":"there is no such profile",` +
				`"data":{"kind":"unknown_profile","hint":"groat list"}}`
		}
		fmt.Fprintf(c, `{"jsonrpc":"2.0","id":%s,%s}`+"\n", q.ID, strings.ReplaceAll(answer, "TOKEN", token))
	}
}

// request stands for a program's request to an API, which refuses "token-1". It returns the status.
func request(header string) int {
	if header == "Authorization: Bearer token-1" {
		return 401
	}
	return 200
}
