package login

import (
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/keystore"
)

// use is one endpoint that a sign-in, or the profile it makes, sends something of a credential to.
type use struct {
	origin string
	what   string // it would receive
	needed bool   // without it there is no sign-in
	client bool   // it is what the client proves itself by
	much   grant.Carries
}

// What is less than a credential.
const (
	signInPage    = "the sign-in, in a browser"
	signInRequest = "the sign-in's request"
	accessTokens  = "access tokens"
	theAPIKey     = "the API key"
)

// carries is how much of a credential it is.
func carries(what string) grant.Carries {
	switch what {
	case accessTokens:
		return grant.AccessOnly
	case signInPage, signInRequest:
		return grant.SignInRequest
	}
	return grant.Anything
}

// signedBy names the assertions of a key, or of a file.
func signedBy(file string) string {
	if file != "" {
		return "the assertion in a file"
	}
	return "assertions that the private key signs"
}

// proofsOf names what the client of an item proves itself by at a server: to get tokens, and to refresh and revoke
// them.
func proofsOf(item keystore.Item, s grant.Server) (proofs [2]string) {
	names := map[grant.Method]string{
		grant.ClientSecretBasic: "the client secret", grant.ClientSecretPost: "the client secret",
		grant.ClientSecretJWT: "assertions that the client secret signs",
		grant.PrivateKeyJWT:   signedBy(item.AssertionFile),
		grant.TLSClientAuth:   "the client certificate", grant.SelfSignedTLSClientAuth: "the client certificate",
	}
	for i, m := range s.SealedMethods(item) {
		proofs[i] = names[m]
	}
	return proofs
}

// usesOf returns where something of a credential goes.
func (l *Login) usesOf(s grant.Server) (all []use) {
	var client, refresher string
	add := func(at string, needed bool, what ...string) {
		for _, w := range what {
			if at != "" && w != "" {
				all = append(all, use{origin.OfEndpoint(at), w, needed, w == client || w == refresher, carries(w)})
			}
		}
	}
	signed := signedBy(s.AssertionFile)
	proofs := proofsOf(s.NewItem("", l.kind), s)
	client, refresher = proofs[0], proofs[1]
	switch l.kind {
	case grant.ByAuthorizationCode:
		add(s.AuthorizeEndpoint, true, signInPage)
		add(s.PAREndpoint, true, signInRequest, client)
		add(s.TokenEndpoint, true, "the sign-in's code")
	case grant.ByDeviceCode:
		add(s.DeviceEndpoint, true, signInRequest, client)
		add(s.TokenEndpoint, true, "the device code")
	case grant.ByPassword:
		add(s.TokenEndpoint, true, "the password")
	case grant.ByTokenExchange:
		add(s.TokenEndpoint, true, "the token to exchange")
	case grant.ByJWTBearer:
		add(s.TokenEndpoint, true, signed)
	case grant.ByAppCredentials:
		if s.Apps != nil {
			add(s.Apps.FirstTokenEndpoint, true, "the password")
			add(s.Apps.ClientsEndpoint, true, "a temporary token")
		}
	case grant.ByKeyLogin:
		add(s.KeyLogin, true, "the password")
		if u := s.UserTokens; u != nil {
			add(u.Create, true, "the password")
			add(u.List, true, "the password")
		}
	case grant.ByAPIKey:
		add(s.Issuer, true, theAPIKey)
	}
	if !l.kind.StaticKey() {
		add(s.TokenEndpoint, true, client)
	}
	if l.kind.Session() {
		add(s.TokenEndpoint, true, "refresh tokens", refresher)
		add(s.RevocationEndpoint, false, "refresh tokens", refresher)
	}
	what := accessTokens
	if l.kind.StaticKey() {
		what = theAPIKey
	}
	add(s.Userinfo, false, what)
	return all
}
