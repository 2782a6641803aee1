package main

import (
	"strings"
	"testing"

	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol"
)

// A variable of the caller's shell that groatd does not go by is named beside an error of a connection, with the
// command that makes it count; nothing else is changed.
func TestH70TheShellsEnvironmentIsNotGroatds(t *testing.T) {
	const status, ca = "groat status work", "groat network set ca_file FILE"
	setting := func(value string) *protocol.NetworkSetting { return &protocol.NetworkSetting{Value: value, From: "x"} }
	for name, c := range map[string]struct {
		env        map[string]string
		network    *protocol.NetworkResult
		hint       string
		says, want string // says: "" nothing is added
	}{
		"nothing set":   {nil, &protocol.NetworkResult{}, status, "", status},
		"no connection": {map[string]string{"HTTPS_PROXY": "http://p:1"}, nil, status, "", status},
		"a proxy": {map[string]string{"HTTPS_PROXY": "http://p:1"}, &protocol.NetworkResult{}, status,
			"HTTPS_PROXY is set in this shell", "groat network set proxy $HTTPS_PROXY"},
		"in small letters": {map[string]string{"https_proxy": "p:1"}, &protocol.NetworkResult{}, status,
			"https_proxy is set", "groat network set proxy $https_proxy"},
		"another proxy": {map[string]string{"HTTPS_PROXY": "http://p:1"},
			&protocol.NetworkResult{Proxy: setting("http://q:1")}, status, "uses http://q:1 instead",
			"groat network set proxy $HTTPS_PROXY"},
		"the same": {map[string]string{"HTTPS_PROXY": "p:1/"},
			&protocol.NetworkResult{Proxy: setting("http://p:1")}, status, "", status},
		"the same, secret": {map[string]string{"HTTPS_PROXY": "http://alice:dummy@p:1"},
			&protocol.NetworkResult{Proxy: setting("http://p:1")}, status, "", status},
		"a secret": {map[string]string{"HTTPS_PROXY": "http://alice:dummy@p:1"},
			&protocol.NetworkResult{PID: 4711}, status, "HTTPS_PROXY is set", "kill 4711 && groat status"},
		"authorities": {map[string]string{"SSL_CERT_FILE": "/ca.pem"}, &protocol.NetworkResult{}, ca,
			"SSL_CERT_FILE is set", `groat network set ca_file "$SSL_CERT_FILE"`},
		"the same ones": {map[string]string{"SSL_CERT_FILE": "/ca.pem"},
			&protocol.NetworkResult{CAFile: setting("/ca.pem")}, ca, "", ca},
		"authorities, no way": {map[string]string{"SSL_CERT_FILE": "/ca.pem"}, &protocol.NetworkResult{}, status, "",
			status},
		"both, no way": {map[string]string{"SSL_CERT_FILE": "/ca.pem", "HTTPS_PROXY": "p:1"},
			&protocol.NetworkResult{}, status, "HTTPS_PROXY is set", "groat network set proxy $HTTPS_PROXY"},
		"both, untrusted": {map[string]string{"SSL_CERT_FILE": "/ca.pem", "HTTPS_PROXY": "p:1"},
			&protocol.NetworkResult{}, ca, "SSL_CERT_FILE is set", `groat network set ca_file "$SSL_CERT_FILE"`},
		"proxy, untrusted": {map[string]string{"HTTPS_PROXY": "p:1"}, &protocol.NetworkResult{}, ca,
			"HTTPS_PROXY is set", ca},
	} {
		t.Run(name, func(t *testing.T) {
			e := protocol.NewError(protocol.Temporary, "auth.example.org cannot be reached", c.hint)
			e.Data.Network = c.network
			a := &app{getenv: func(name string) string { return c.env[name] }}
			f := a.explain(e)
			if added := strings.TrimPrefix(f.Message, e.Message); f.Hint != c.want || (added == "") != (c.says == "") ||
				!strings.Contains(added, c.says) {
				t.Errorf("%s\nhint: %s", f.Message, f.Hint)
			}
			if strings.Contains(f.Message+f.Hint, "dummy") || f.Code != report.ExitTemporary {
				t.Errorf("%d %s\n%s", f.Code, f.Message, f.Hint)
			}
		})
	}
}
