package login

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// tricks are answers by which a server may want more than one request: where a client follows, repeats or falls back.
func tricks(elsewhere string) map[string]sandbox.Fault {
	with := func(status int, body string, header ...string) sandbox.Fault {
		f := sandbox.Fault{Times: -1, Status: status, Body: body, Header: http.Header{}}
		for i := 0; i < len(header); i += 2 {
			f.Header.Add(header[i], header[i+1])
		}
		return f
	}
	all := map[string]sandbox.Fault{
		"a link":         with(401, `{"error":"invalid_client"}`, "Link", "<"+elsewhere+`>; rel="token_endpoint"`),
		"a refresh":      with(401, `{"error":"invalid_client"}`, "Refresh", "0; url="+elsewhere),
		"Basic":          with(401, "", "WWW-Authenticate", `Basic realm="again"`),
		"Digest":         with(401, "", "WWW-Authenticate", `Digest realm="again", nonce="n"`),
		"Negotiate":      with(401, "", "WWW-Authenticate", "Negotiate"),
		"DPoP's nonce":   with(400, `{"error":"use_dpop_nonce"}`, "DPoP-Nonce", "n"),
		"a proxy's":      with(407, "", "Proxy-Authenticate", "Basic"),
		"a timeout":      with(408, ""),
		"early":          with(425, "", "Retry-After", "0"),
		"misdirected":    with(421, ""),
		"retry at once":  with(503, "", "Retry-After", "0"),
		"slow down":      with(429, "", "Retry-After", "0"),
		"another place":  with(400, `{"error":"invalid_request","error_uri":"`+elsewhere+`"}`),
		"a server error": with(500, `{"error":"server_error"}`),
		"a page":         with(403, "<html><meta http-equiv=refresh content='0;url="+elsewhere+"'>"),
		"a cut":          {Times: -1, Cut: sandbox.CutAfterHandling},
		"another date":   with(401, `{"error":"invalid_client"}`, "Date", "Fri, 01 Jan 2066 00:00:00 GMT"),
	}
	for _, status := range []int{300, 301, 302, 303, 307, 308, 305} {
		all[fmt.Sprint("a redirect ", status)] = with(status, "", "Location", elsewhere)
	}
	return all
}

// Whatever a hostile server answers to a login, nothing of it is sent elsewhere. A client's secret leaves twice
// at most, a password or a token to exchange the second time only after invalid_client, and a code once; so does a
// device code that is not to be polled for.
func TestAHostileServerGetsNothingTwice(t *testing.T) {
	for _, way := range []struct {
		grant, at string
		most      int
	}{
		{"client_credentials", "/token", 2},
		{"device_code", "/device/code", 2},
		{"device_code", "/token", 1},
		{"authorization_code", "/par", 2},
		{"authorization_code", "/token", 1},
		{"password", "/token", 2},
		{"token_exchange", "/token", 2},
	} {
		t.Run(way.grant+" at "+way.at, func(t *testing.T) {
			const elsewhere = "/stolen"
			for name, trick := range tricks(elsewhere) {
				o := sandbox.Options{PasswordGrant: true, RawBasic: true, RequirePAR: way.at == "/par",
					Clients: []sandbox.Client{oddClient()}}
				if way.grant == "authorization_code" {
					o.Consent = sandbox.ConsentAllow
				}
				attack := func(t *testing.T, h *harness) {
					h.server.Script(way.at, trick)
					p := protocol.LoginParams{Profile: "p", Issuer: h.server.URL(), ClientID: "odd", Grant: way.grant,
						ClientAuth: "client_secret_basic"}
					if way.grant == "password" {
						p.Username = person
					}
					if way.most == 1 {
						p.Basic = "raw" // so that the way to the token endpoint is free
					}
					var said []string
					if _, err := h.login(t.Context(), p, h.typing(t, oddSecret, &said)); err == nil {
						t.Errorf("%s: signed in; %q", name, said)
					}
					n := 0
					for _, e := range h.server.Log() {
						switch {
						case strings.Contains(e.Path, "stolen"):
							t.Errorf("%s: followed: %+v", name, e)
						case e.Path == way.at:
							n++
						}
					}
					limit := way.most
					if !strings.Contains(trick.Body, "invalid_client") {
						switch way.grant + way.at {
						case "device_code/token":
							limit = 200 // it is polled for (RFC 8628 §3.5), a quarter of an hour at most
						case "password/token", "token_exchange/token":
							limit = 1
						}
					}
					if n < 1 || n > limit {
						t.Errorf("%s: %d requests, want %d at most", name, n, limit)
					}
				}
				if way.grant == "authorization_code" {
					attack(t, onSockets(t, o))
				} else {
					inBubble(t, o, attack)
				}
			}
		})
	}
}
