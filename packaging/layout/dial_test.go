package layout_test

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// dialling is what reaches something outside of the process, or decides how, and the files that may name it. Anything
// that connects elsewhere goes by none of the rules that stand in these files.
var dialling = map[string][]string{
	// The bus that is dialled is the bus that was looked at.
	"dbus.SessionBus": nil, "dbus.SessionBusPrivate": nil, "dbus.SessionBusPrivateHandler": nil,
	"dbus.SessionBusPrivateNoAutoStartup": nil,
	"dbus.ConnectSessionBus":              nil, "dbus.SystemBus": nil, "dbus.SystemBusPrivate": nil,
	"dbus.ConnectSystemBus": nil,
	"dbus.Dial":             nil, "dbus.Connect": nil, "dbus.NewConn": nil, "dbus.DialUnix": nil,
	"dbus.ConnectUnix":    {"keystore/keychain/bus.go"},
	"ss.NewSecretService": nil,
	"keyring.Get":         {"keystore/keychain/keychain_darwin.go"},
	"keyring.Set":         {"keystore/keychain/keychain_darwin.go"},
	"keyring.Delete":      {"keystore/keychain/keychain_darwin.go"}, "keyring.DeleteAll": nil,

	// Servers are reached by one client, whose proxy and authorities are shown and can be set.
	"http.DefaultTransport": {"protocol/transport/transport.go"}, // which is for other programs
	"http.DefaultClient":    nil, "http.Get": nil, "http.Post": nil, "http.PostForm": nil,
	"http.Head":                 nil,
	"http.ProxyFromEnvironment": nil, "http.ProxyURL": {"daemon/grant/transport.go"},
	"http.Transport": {"daemon/grant/transport.go"},
	"tls.Dial":       nil, "tls.DialWithDialer": nil, "tls.Client": {"daemon/grant/transport.go"}, "tls.Dialer": nil,
	"net.Dial": nil, "net.DialTimeout": nil, "net.DialTCP": nil, "net.LookupHost": nil, "net.LookupIP": nil,
	"net.ResolveTCPAddr": nil,
	"net.Dialer":         {"daemon/grant/transport.go", "keystore/keychain/bus.go"},
}

// certificates are the fields by which a client shows one, and where they are set: for a server and not for its proxy.
var certificates = []string{"GetClientCertificate", "InsecureSkipVerify", "VerifyPeerCertificate", "VerifyConnection"}

func TestH72WhatIsReachedIsReachedInOnePlace(t *testing.T) {
	seen := map[string]bool{}
	source(t, func(file string, at token.Position, n ast.Node) {
		s, ok := n.(*ast.SelectorExpr)
		if !ok {
			return
		}
		if slices.Contains(certificates, s.Sel.Name) && file != "daemon/grant/transport.go" {
			t.Errorf("%s:%d: %s belongs into transport.go", file, at.Line, s.Sel.Name)
		}
		x, ok := s.X.(*ast.Ident)
		if !ok {
			return
		}
		name := x.Name + "." + s.Sel.Name
		files, listed := dialling[name]
		if !listed || x.Name == "net" && !strings.HasPrefix(file, "daemon/") && !strings.HasPrefix(file, "keystore/") {
			return // groatd's own socket is package protocol's and main's
		}
		seen[name] = true
		if !slices.Contains(files, file) {
			t.Errorf("%s:%d: %s may be named in %s only", file, at.Line, name, orNowhere(files))
		}
	})
	for name, files := range dialling {
		if len(files) > 0 && !seen[name] {
			t.Errorf("%s is in the list and not in the source", name)
		}
	}
}

func orNowhere(files []string) string {
	if len(files) == 0 {
		return "no file"
	}
	return strings.Join(files, ", ")
}
