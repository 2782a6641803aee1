package report

import (
	"strings"

	"github.com/groat-dev/groat/cmd/groat/unit"
	"github.com/groat-dev/groat/protocol/frame"
)

// AddNetwork says, beside a connection's error, if groatd's way to servers is not this shell's. f is what
// [Refused] made of e.
func (f *Failure) AddNetwork(e *frame.Error, getenv func(string) string) {
	n := e.Network
	if n == nil {
		return
	}
	proxyVariable, proxy := variable(getenv, "https_proxy", "HTTPS_PROXY")
	fileVariable, file := variable(getenv, "SSL_CERT_FILE")
	here, secret := withoutUserinfo(proxy)
	otherProxy, otherFile := proxy != "" && here != n.Proxy, file != "" && file != n.CAFile
	switch untrusted := strings.HasPrefix(f.Hint, hintCAFile); {
	case otherFile && untrusted: // a file of authorities matters to nothing but a certificate
		f.Message += textOtherEnvironment(fileVariable, n.CAFile, n)
		f.Hint = hintCAFile + `"$` + fileVariable + `"`
	case otherProxy:
		f.Message += textOtherEnvironment(proxyVariable, n.Proxy, n)
		switch {
		case untrusted: // a file is what is missing, whichever way
		case !secret:
			f.Hint = hintProxy + "$" + proxyVariable
		case unit.Installed(getenv):
			f.Hint = hintImportEnvironment(proxyVariable)
		default:
			f.Hint = hintStartAnew(n.PID)
		}
	}
}

// variable returns the first variable that is set and not empty.
func variable(getenv func(string) string, names ...string) (name, value string) {
	for _, name := range names {
		if value := getenv(name); value != "" {
			return name, value
		}
	}
	return "", ""
}

// withoutUserinfo returns a proxy's URL as groatd shows it, and whether it held a user name or password.
func withoutUserinfo(proxy string) (shown string, secret bool) {
	scheme, rest, ok := strings.Cut(proxy, "://")
	if !ok {
		scheme, rest = "http", proxy
	}
	rest = strings.TrimSuffix(rest, "/")
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		rest, secret = rest[at+1:], true
	}
	return strings.ToLower(scheme) + "://" + rest, secret
}
