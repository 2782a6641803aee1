package login

import (
	"net/http"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// A token endpoint redirects: the error names the target, and the hint has it where it is on the same host.
func TestARedirectNamesItsTarget(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		endpoint := h.server.URL() + h.server.TokenPath()
		for target, want := range map[string]string{
			endpoint + "/":                     "groat login p --token-url " + endpoint + "/ --client-id machine",
			"https://elsewhere.example/token":  "groat login p --token-url " + endpoint + " --client-id machine",
			"http://elsewhere.example/token":   "groat login p --token-url " + endpoint + " --client-id machine",
			"https://elsewhere.example/\u202e": "groat login p --token-url " + endpoint + " --client-id machine",
		} {
			h.server.Script(h.server.TokenPath(),
				sandbox.Fault{Status: http.StatusPermanentRedirect, Header: http.Header{"Location": {target}}})
			_, _, err := h.attend(protocol.LoginParams{Profile: "p", TokenURL: endpoint, ClientID: "machine"})
			e := wantError(t, err, protocol.Config)
			if e.Hint() != want || target[len(target)-1] < 0x80 && !strings.Contains(e.Message, "it leads to "+target) {
				t.Errorf("%s: %v, hint %q", target, e, e.Hint())
			}
		}
	})
}
