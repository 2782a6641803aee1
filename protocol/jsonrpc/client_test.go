package jsonrpc

import (
	"bufio"
	"net"
	"testing"

	"github.com/groat-dev/groat/protocol"
)

// The client's requests are ones that a strict server reads.
func TestTheClientsRequestsAreRead(t *testing.T) {
	ttl := int64(0)
	for _, test := range []struct {
		method string
		params any
	}{
		{protocol.MethodHello, nil},
		{protocol.MethodToken, protocol.TokenParams{}},
		{protocol.MethodToken, protocol.TokenParams{Profile: "work", MinTTL: &ttl}},
		{protocol.MethodReject, protocol.RejectParams{TokenParams: protocol.TokenParams{Profile: "work"},
			AccessToken: "t"}},
		{protocol.MethodStatus, protocol.StatusParams{Profile: "work"}},
	} {
		here, there := net.Pipe()
		line := make(chan []byte, 1)
		go func() {
			defer there.Close()
			b, err := bufio.NewReader(there).ReadBytes('\n')
			if err != nil {
				t.Error(err)
			}
			line <- b
		}()
		c := protocol.NewClient(here)
		c.Call(t.Context(), test.method, test.params, nil) // the server hangs up
		c.Close()
		r, _, err := ParseRequest(<-line)
		if err != nil || r.Method != test.method || string(r.ID) != "1" || (r.Params == nil) != (test.params == nil) {
			t.Errorf("%+v, %v", r, err)
		}
	}
}
