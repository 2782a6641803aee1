package login

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/privatekey"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

// parameter is one field of [protocol.LoginParams] as a person gives it. The rule: what was given is used or refused.
type parameter struct {
	field string // of protocol.LoginParams
	flag  string // of groat login, without the dashes
	// idle says why this sign-in has no use for the parameter; empty: it is used. Nil: every sign-in uses it.
	idle func(l *Login) string
}

// parameters are all fields but the profile's name and what the client can show, in the order in which a command gives
// them.
var parameters = []parameter{
	{field: "Provider", flag: "provider"},
	{field: "Issuer", flag: "issuer"},
	{field: "TokenURL", flag: "token-url"},
	{field: "AuthServer", flag: "auth-server"},
	{field: "Backend", flag: "backend"},
	{"AuthorizationEndpoint", "authorization-endpoint", (*Login).noRedirect},
	{"DeviceEndpoint", "device-endpoint", (*Login).noDevice},
	{"PAREndpoint", "par-endpoint", (*Login).noRedirect},
	{"RevocationEndpoint", "revocation-endpoint", (*Login).noSession},
	{field: "UserinfoEndpoint", flag: "userinfo-endpoint"},
	{field: "Grant", flag: "grant"},
	{"PAR", "par", (*Login).noRedirect},
	{"ClientAuth", "client-auth", (*Login).noClientAuth},
	{"Basic", "basic", (*Login).noBasic},
	{"ClientID", "client-id", (*Login).noClientID},
	{"Username", "username", (*Login).noUsername},
	{"Key", "key", (*Login).noKey},
	{"AssertionFile", "assertion-file", (*Login).noAssertionFile},
	{"Certificate", "certificate", (*Login).noCertificate},
	{"KeyAlg", "key-alg", (*Login).noSignature},
	{"KeyID", "key-id", (*Login).noSignature},
	{"AssertionAudience", "assertion-audience", (*Login).noAssertion},
	{"Subject", "subject", (*Login).noSubject},
	{"Redirect", "redirect", (*Login).noRedirect},
	{"NoBrowser", "no-browser", (*Login).noPage},
	{field: "Header", flag: "header"},
	{field: "Prefix", flag: "prefix"},
	{field: "Ephemeral", flag: "ephemeral"}, // refused by savable where the profile is in a file
	{field: "Fleet", flag: "fleet"},         // refused by checkFleet
	{"Scope", "scope", (*Login).noToken},
	{"Audience", "audience", (*Login).noToken},
	{"ResourceIndicator", "resource-indicator", (*Login).noToken},
	{"TargetAudience", "target-audience", (*Login).noTarget},
	{"WiderScope", "wider-scope", (*Login).noToken},
	{"StrictScope", "strict-scope", (*Login).noToken},
	{field: "Set", flag: "set"}, // see keys.go
	{field: "Resources", flag: "api"},
	{"NewClient", "new-client", (*Login).noNewClient},
	{"Secret", "secret-stdin", (*Login).noSecret},
	{field: "Replace", flag: "replace"}, // a permission: it is used where there is something to replace
	{field: "Trust", flag: "trust"},     // a permission too: it is used where an address is on that origin
}

// typed returns the words by which a command gives the parameter, or nil where p does not have it.
func (a parameter) typed(p protocol.LoginParams) (words []string) {
	v := reflect.ValueOf(p).FieldByName(a.field)
	if !v.IsValid() || v.IsZero() {
		return nil
	}
	flag := "--" + a.flag
	switch v.Kind() {
	case reflect.Bool:
		return []string{flag}
	case reflect.Pointer:
		return []string{flag, visible.Word(v.Elem().String())}
	case reflect.Slice:
		for i := range v.Len() {
			words = append(words, flag, visible.Word(v.Index(i).String()))
		}
		return words
	case reflect.Map:
		for _, key := range slices.Sorted(maps.Keys(p.Set)) {
			words = append(words, flag, visible.Word(key+"="+p.Set[key]))
		}
		return words
	}
	return []string{flag, visible.Word(v.String())}
}

// Command returns the command line that asks for a login, each word quoted for a POSIX shell where that is needed.
func Command(p protocol.LoginParams) string {
	words := []string{"groat", "login", p.Profile}
	for _, a := range parameters {
		words = append(words, a.typed(p)...)
	}
	return strings.Join(words, " ")
}

// missingError is the refusal of a login that lacks a parameter. The hint has its flag; others are what would do too.
func (l *Login) missingError(message, flags string, others ...string) error {
	e := protocol.InvalidParams("%s", message)
	flag, _, _ := strings.Cut(strings.TrimPrefix(flags, "--"), " ")
	e.Data = &protocol.ErrorData{Hint: l.tryAgain(flags),
		Missing: append([]string{strings.ReplaceAll(flag, "-", "_")}, others...)}
	return e
}

// tryAgain is the command for the next try: the one that was given, with flags in the place of those of the same name.
// The secret is typed: what stdin had is used up.
func (l *Login) tryAgain(flags string) string {
	with := l.asked
	with.Secret = false
	for _, a := range parameters {
		if slices.Contains(strings.Fields(flags), "--"+a.flag) {
			reflect.ValueOf(&with).Elem().FieldByName(a.field).SetZero()
		}
	}
	return strings.TrimSpace(Command(with) + " " + flags)
}

// refuseUnused refuses the first parameter that this sign-in has no use for. Nothing has been typed or sent then.
func (l *Login) refuseUnused() error {
	for _, a := range parameters {
		if a.idle == nil || a.typed(l.asked) == nil {
			continue
		}
		if why := a.idle(l); why != "" {
			return unusableError(l.asked, a, why)
		}
	}
	return l.refuseUnusedKeys()
}

// unusableError is the refusal of a parameter; its hint is the command without it.
func unusableError(p protocol.LoginParams, a parameter, why string) error {
	reflect.ValueOf(&p).Elem().FieldByName(a.field).SetZero()
	e := protocol.InvalidParams("--%s cannot be used here: %s", a.flag, why)
	e.Data = &protocol.ErrorData{Hint: Command(p)}
	return e
}

func (l *Login) noClientAuth() string {
	switch auth := grant.Method(l.asked.ClientAuth); {
	case l.kind.StaticKey():
		return fmt.Sprintf("an %s sign-in has no client", l.kind)
	case l.kind == grant.ByJWTBearer && auth != grant.None && auth != grant.PrivateKeyJWT:
		return fmt.Sprintf("a %s sign-in has a key and no other credential: %s or %s", l.kind, grant.None,
			grant.PrivateKeyJWT)
	}
	return ""
}

func (l *Login) noBasic() string {
	s := l.server()
	if !l.kind.StaticKey() && (s.ClientAuth == grant.ClientSecretBasic || s.RefreshAuth == grant.ClientSecretBasic) {
		return ""
	}
	return fmt.Sprintf("only the client authentication %s uses HTTP Basic, and this is %s", grant.ClientSecretBasic,
		l.authName())
}

func (l *Login) noClientID() string {
	switch {
	case l.kind.StaticKey():
		return fmt.Sprintf("an %s sign-in has no client", l.kind)
	case l.kind == grant.ByAppCredentials:
		return fmt.Sprintf("%s creates a client; one that exists signs in by --grant %s", l.kind,
			grant.ByClientCredentials)
	}
	return ""
}

// hasPassword reports whether groat sends a person's user name and password.
func (l *Login) hasPassword() bool {
	return l.kind == grant.ByPassword || l.kind == grant.ByAppCredentials || l.kind == grant.ByKeyLogin
}

func (l *Login) noUsername() string {
	if l.hasPassword() {
		return ""
	}
	return fmt.Sprintf("a %s sign-in takes no user name", l.kind)
}

// hasKey reports whether the sign-in uses a private key.
func (l *Login) hasKey() bool {
	if l.kind.StaticKey() || l.kind == grant.ByAppCredentials || l.server().AssertionFile != "" {
		return false
	}
	auth := l.server().ClientAuth
	return l.kind == grant.ByJWTBearer || auth == grant.PrivateKeyJWT || auth.ByCertificate()
}

func (l *Login) noKey() string {
	if l.hasKey() {
		return ""
	}
	return fmt.Sprintf("a %s sign-in with client authentication %s uses no key", l.kind, l.authName())
}

func (l *Login) noCertificate() string {
	if l.hasKey() && l.server().ClientAuth.ByCertificate() {
		return ""
	}
	return fmt.Sprintf("only the client authentication %s uses a certificate, and this is %s", grant.TLSClientAuth,
		l.authName())
}

func (l *Login) noSignature() string {
	auth := l.server().ClientAuth
	switch {
	case l.server().AssertionFile != "":
		return "another program signs the assertion in " + l.server().AssertionFile
	case l.kind == grant.ByJWTBearer, l.hasKey() && auth == grant.PrivateKeyJWT:
		return ""
	case auth == grant.ClientSecretJWT && !l.kind.StaticKey() && l.kind != grant.ByAppCredentials:
		return ""
	}
	return fmt.Sprintf("a %s sign-in with client authentication %s signs no assertion with a key of yours", l.kind,
		l.authName())
}

// noAssertionFile says why no assertion of another program is sent.
func (l *Login) noAssertionFile() string {
	if l.kind == grant.ByJWTBearer || !l.kind.StaticKey() && l.server().ClientAuth == grant.PrivateKeyJWT {
		return ""
	}
	return fmt.Sprintf("a %s sign-in with client authentication %s sends no assertion that a file could hold", l.kind,
		l.authName())
}

// noAssertion says why neither the client nor a key signs an assertion.
func (l *Login) noAssertion() string {
	auth := l.server().ClientAuth
	if l.server().AssertionFile != "" {
		return "another program signs the assertion in " + l.server().AssertionFile
	}
	if !l.kind.StaticKey() && (auth == grant.ClientSecretJWT || auth == grant.PrivateKeyJWT) ||
		l.kind == grant.ByJWTBearer {
		return ""
	}
	return fmt.Sprintf("a %s sign-in with client authentication %s signs no assertion", l.kind, l.authName())
}

func (l *Login) noSubject() string {
	if l.kind == grant.ByJWTBearer {
		return ""
	}
	return fmt.Sprintf("only a %s sign-in speaks for somebody, and this is %s", grant.ByJWTBearer, l.kind)
}

// noTarget says why no ID token for an audience can be asked for.
func (l *Login) noTarget() string {
	switch {
	case l.kind != grant.ByJWTBearer:
		return fmt.Sprintf("only a %s sign-in asks for an ID token with a key, and this is %s", grant.ByJWTBearer,
			l.kind)
	case l.server().AssertionFile != "":
		return "another program signs the assertion in " + l.server().AssertionFile
	}
	return ""
}

func (l *Login) noRedirect() string {
	if l.kind == grant.ByAuthorizationCode {
		return ""
	}
	return fmt.Sprintf("only a browser that signs in by %s is redirected, and this is %s", grant.ByAuthorizationCode,
		l.kind)
}

func (l *Login) noDevice() string {
	if l.kind == grant.ByDeviceCode {
		return ""
	}
	return fmt.Sprintf("only a sign-in by %s begins there, and this is %s", grant.ByDeviceCode, l.kind)
}

func (l *Login) noSession() string {
	if l.kind.Session() {
		return ""
	}
	return fmt.Sprintf("a %s sign-in has no session that could be revoked", l.kind)
}

func (l *Login) noPage() string {
	if l.kind.Interactive() {
		return ""
	}
	return fmt.Sprintf("a %s sign-in opens no browser", l.kind)
}

func (l *Login) noToken() string {
	if l.kind.StaticKey() {
		return "an API key is sent as it is, and no token is asked for"
	}
	return ""
}

func (l *Login) noNewClient() string {
	if l.kind == grant.ByAppCredentials {
		return ""
	}
	return fmt.Sprintf("only an %s sign-in creates a client, and this is %s", grant.ByAppCredentials, l.kind)
}

// noSecret says why the sign-in would never ask for the secret that is at hand.
func (l *Login) noSecret() string {
	auth := l.server().ClientAuth
	switch {
	case l.hasPassword(), l.kind == grant.ByTokenExchange, l.kind == grant.ByAPIKey:
		return ""
	case l.hasKey():
		if l.asked.Key == "" {
			return "the sign-in uses a key; --key names its file, and the secret would be that file's password"
		}
		file, err := privatekey.ReadFile(l.asked.Key)
		if err != nil {
			return "" // said where the key is read, before anything is asked for
		}
		defer file.Wipe()
		if _, err := privatekey.DefaultAlg(file, keystore.Secret{}); errors.Is(err, privatekey.ErrPassword) {
			return ""
		}
		return "the key in " + l.asked.Key + " has no password"
	case auth == grant.None:
		return fmt.Sprintf("a %s sign-in with client authentication %s takes no secret", l.kind, auth)
	}
	return ""
}

func (l *Login) authName() string {
	if auth := l.server().ClientAuth; auth != "" {
		return string(auth)
	}
	return "of no kind"
}

// refuseImpossible refuses a sign-in that can never work at this server, before anything is typed.
func (l *Login) refuseImpossible() error {
	s := l.server()
	secret := s.ClientAuth == grant.ClientSecretBasic || s.ClientAuth == grant.ClientSecretPost ||
		s.ClientAuth == grant.ClientSecretJWT
	missing, flag := "", ""
	switch l.kind {
	case grant.ByClientCredentials, grant.ByAppCredentials:
		if s.ClientAuth == grant.None || l.kind == grant.ByAppCredentials && !secret {
			return l.publicClientError()
		}
		if l.kind == grant.ByAppCredentials && s.Apps == nil {
			missing = "endpoint that creates App Credentials"
		}
	case grant.ByDeviceCode:
		if s.DeviceEndpoint == "" {
			missing, flag = "device authorization endpoint", "--device-endpoint URL"
		}
	case grant.ByAuthorizationCode:
		switch {
		case s.AuthorizeEndpoint == "":
			missing, flag = "authorization endpoint", "--authorization-endpoint URL"
		case s.RequirePAR && s.PAREndpoint == "":
			missing, flag = "endpoint for pushed authorization requests", "--par-endpoint URL"
		}
	case grant.ByKeyLogin:
		if s.KeyLogin == "" {
			missing = "endpoint that gives an API key"
		}
	}
	if missing == "" {
		return nil
	}
	e := protocol.InvalidParams("--grant %s cannot be used here: groat knows no %s of %s", l.kind, missing, s.Issuer)
	e.Data = &protocol.ErrorData{Hint: "groat login"}
	if flag != "" {
		e.Data.Hint = l.tryAgain(flag)
	}
	return e
}

// publicClientError refuses client credentials for a client that proves nothing, or not by a secret where one is
// created.
func (l *Login) publicClientError() error {
	with := l.asked
	with.ClientAuth = string(grant.ClientSecretBasic)
	e := protocol.InvalidParams(
		"--client-auth %s cannot be used here: client credentials are for confidential clients only, "+
			"which prove themselves by a secret or a key (RFC 6749, section 4.4.2)", l.authName())
	if l.kind == grant.ByAppCredentials {
		e.Message = fmt.Sprintf("--client-auth %s cannot be used here: App Credentials are an id and a secret",
			l.authName())
		with.ClientAuth = ""
	}
	e.Data = &protocol.ErrorData{Hint: Command(with)}
	return e
}

// missingClientError asks for a client; the notes of a provider say where one is to be had.
func (l *Login) missingClientError() error {
	l.showNotes()
	return l.missingError("name the client with --client-id", "--client-id ID")
}

// missingPersonError asks for a user name, or where the provider takes a key or token that a person has, for that.
func (l *Login) missingPersonError() error {
	if l.kind != grant.ByKeyLogin || !slices.Contains(l.server().Grants, grant.ByAPIKey) {
		return l.missingError("name yourself with --username", "--username YOU")
	}
	e := protocol.InvalidParams("name yourself with --username, or use a key or token that you have with --grant %s",
		visible.Word(string(grant.ByAPIKey)))
	e.Data = &protocol.ErrorData{Hint: l.tryAgain("--username YOU"), Missing: []string{"username"}}
	return e
}

// requireParameters makes sure that what the grant needs was named, or is known from before.
func (l *Login) requireParameters(stored *keystore.Item) error {
	if l.params.ClientID == "" && l.freshClient != "" {
		if l.params.ClientID = l.freshClient; stored != nil {
			l.notice(fmt.Sprintf("%s lists the client %s now, and not %s; --client-id %s keeps to that.",
				host(l.profile.Backend), visible.Name(l.freshClient), visible.Name(stored.ClientID),
				visible.Word(stored.ClientID)))
		}
	}
	own := l.namesServiceAccount()
	if l.params.ClientID == "" && stored != nil && l.kind != grant.ByAppCredentials && !own {
		l.params.ClientID = stored.ClientID
	}
	if l.params.ClientID == "" {
		l.params.ClientID = l.server().ClientID
	}
	if w := l.current; l.params.ClientID == "" && !own && w != nil && l.kind != grant.ByAppCredentials &&
		w.ClientAuth == string(l.server().ClientAuth) {
		l.params.ClientID = w.ClientID // the server has moved
	}
	if l.kind == grant.ByKeyLogin && l.params.Username == "" && stored != nil {
		l.params.Username = stored.Username
	}
	switch l.kind {
	case grant.ByAppCredentials:
		if l.params.Username == "" {
			return l.missingError("name yourself with --username, or a client you have with --client-id",
				"--username YOU", "client_id")
		}
	case grant.ByPassword, grant.ByKeyLogin:
		if l.params.Username == "" {
			return l.missingPersonError()
		}
		if l.kind == grant.ByPassword && l.params.ClientID == "" {
			return l.missingClientError()
		}
	case grant.ByJWTBearer:
		if l.params.Key == "" && l.reused == nil && l.server().AssertionFile == "" {
			return l.missingError("name the key file with --key", "--key FILE")
		}
		if l.server().AssertionFile != "" && l.params.ClientID == "" {
			return l.missingClientError()
		}
	case grant.ByAPIKey:
	default:
		if l.params.ClientID == "" {
			return l.missingClientError()
		}
		if l.server().ClientAuth.ByCertificate() && l.reused == nil {
			switch {
			case l.params.Key == "":
				return l.missingError("name the private key's file with --key", "--key FILE")
			case l.params.Certificate == "":
				return l.missingError("name the certificate's file with --certificate", "--certificate FILE")
			}
		}
	}
	return nil
}
