package importer

import (
	"net/url"
	"strings"

	"github.com/groat-dev/groat/daemon/grant/preset"
	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/keystore"
)

// Destination returns the origin of the server that the target's credential is sent to, and whether it is not the
// provider's own. A file of another program can name any server.
func (t Target) Destination() (at string, unusual bool) {
	p, known := preset.Lookup(t.Provider)
	switch {
	case known && t.AuthServer != "":
		at = origin.Of(t.AuthServer)
		return at, at != origin.Of(p.AuthServer)
	case known:
		if endpoint := p.URL(p.TokenPath); endpoint != "" {
			return origin.Of(endpoint), false
		}
		return origin.Of(p.AuthServer), false
	case t.TokenEndpoint != "":
		return origin.Of(t.TokenEndpoint), true
	}
	return origin.Of(t.Issuer), true
}

// Where returns all values that decide where a credential goes and how it is used; an ID is made of them.
func (t Target) Where() []string {
	plain := t.plain()
	where := append(plain[:], t.Either...)
	if t.Header != nil {
		where = append(where, t.Header.Name, t.Header.Prefix)
	}
	return where
}

// issuer is the issuer identifier that the target's server is known by.
func (t Target) issuer() string {
	if p, ok := preset.Lookup(t.Provider); ok {
		return p.At(t.AuthServer).Issuer
	}
	return t.Issuer
}

// Contradiction says why the credential is not for the target, by a JWT that was beside it: the JWT names another
// issuer, or is an assertion for another server. It is empty where nothing contradicts.
func (f *Candidate) Contradiction() string {
	destination, _ := f.Target.Destination()
	for _, s := range f.servers {
		if s.fits(f.Target, destination) {
			continue
		}
		return "its " + s.what + " names " + shownServer(s.server) + ", and it would be sent to " + destination
	}
	return ""
}

// shownServer returns an address without parts that could be secret.
func shownServer(raw string) string {
	if u, err := url.Parse(raw); err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return origin.Of(raw)
	}
	return raw
}

// namedServer is a server that a JWT names.
type namedServer struct {
	what   string // "access token"
	server string // its iss, or the aud of an assertion
	aud    bool
}

// fits reports whether the server is the target's. An assertion's audience may be any address of the server (RFC 7523
// §3). Only a preset is believed to have its token endpoint on another host than its issuer, not a file that names
// both.
func (s namedServer) fits(t Target, destination string) bool {
	_, known := preset.Lookup(t.Provider)
	if s.aud {
		return origin.Of(s.server) == destination || known && origin.Of(s.server) == origin.Of(t.issuer())
	}
	if at := t.issuer(); at != "" && origin.Of(at) != destination {
		return known && sameURL(s.server, at) || origin.Of(s.server) == destination
	} else if at != "" {
		return sameURL(s.server, at)
	}
	return origin.Of(s.server) == destination
}

// jwts are the members that may hold a JWT :: name → its description.
var jwts = map[string]string{
	"access_token": "access token", "refresh_token": "refresh token", "id_token": "ID token",
	"client_assertion": "client assertion",
	"assertion":        "assertion", "jwt": "token", "token": "token",
}

// namedServers returns the servers that the JWTs in an object name.
func (o object) namedServers() (says []namedServer) {
	for name, what := range jwts {
		token, _ := o.secret(name)
		says = append(says, namedServersOf(token, what)...)
		token.Wipe()
	}
	for _, name := range []string{"tokens", "credentials"} {
		if inner := o.object(name); inner != nil {
			says = append(says, inner.namedServers()...)
		}
	}
	return says
}

// namedServersOf returns the servers that a token names, if it is a JWT.
func namedServersOf(token keystore.Secret, what string) []namedServer {
	said := claims(token)
	defer said.wipe()
	if strings.HasSuffix(what, "assertion") {
		audiences, _ := said.list("aud")
		var says []namedServer
		for _, at := range audiences {
			if origin.Of(at) != "" {
				says = append(says, namedServer{what, at, true})
			}
		}
		return says
	}
	issuer := said.text("iss")
	if issuer == "accounts.google.com" { // OpenID Connect Core §2: Google's older form
		issuer = "https://" + issuer
	}
	if origin.Of(issuer) == "" || checkPrintable(issuer) != nil {
		return nil // no address, so that it names no server
	}
	return []namedServer{{what, issuer, false}}
}
