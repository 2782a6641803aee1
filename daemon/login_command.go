package daemon

import (
	"strings"

	"github.com/groat-dev/groat/protocol"
)

// loginCommand is the command line of a login, to be typed as it stands.
func loginCommand(q protocol.LoginParams) string {
	args := []string{"groat", "login", q.Profile}
	add := func(flag string, values ...string) {
		for _, v := range values {
			if v != "" {
				args = append(args, "--"+flag, quoted(v))
			}
		}
	}
	add("provider", q.Provider)
	add("username", q.Username)
	add("client-id", q.ClientID)
	add("grant", q.Grant)
	add("issuer", q.Issuer)
	add("token-url", q.TokenURL)
	add("auth-server", q.AuthServer)
	add("client-auth", q.ClientAuth)
	add("key", q.Key)
	add("key-alg", q.KeyAlg)
	add("key-id", q.KeyID)
	add("certificate", q.Certificate)
	add("subject", q.Subject)
	add("redirect", q.Redirect)
	add("scope", q.Scope)
	add("audience", q.Audience)
	add("api", q.Resources...)
	add("header", q.Header)
	if q.Prefix != nil {
		args = append(args, "--prefix", quoted(*q.Prefix))
	}
	for _, b := range []struct {
		flag string
		set  bool
	}{{"new-client", q.NewClient}, {"no-browser", q.NoBrowser}, {"ephemeral", q.Ephemeral}} {
		if b.set {
			args = append(args, "--"+b.flag)
		}
	}
	add("trust", q.Trust...)
	return strings.Join(args, " ")
}

// quoted is a word as a POSIX shell reads it.
func quoted(s string) string {
	plain := func(r rune) bool {
		return r < 0x80 && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._~/:@%+=,", r))
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
