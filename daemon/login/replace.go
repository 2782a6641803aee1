package login

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/privatekey"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

// isPermanent reports whether a credential is lost for good once it is forgotten.
func (l *Login) isPermanent(item *keystore.Item) bool {
	return !item.ClientSecret.IsZero() || !item.PrivateKey.IsZero() || !item.APIKey.IsZero()
}

// confirmReplace asks before a sign-in takes the place of a credential that is lost for good with it: a client secret,
// a private key or an API key of another client, grant or server. A session is no such thing: it is had again by
// signing in. The question comes before anything is typed or sent.
//
// A new client of the same provider is what --new-client says, so it is no second question: the id that is given up is
// told. The flag has no other meaning on a profile that has a client, and would never be given without --replace.
func (l *Login) confirmReplace(old *keystore.Item) error {
	if old == nil || !l.isPermanent(old) {
		return nil
	}
	server := l.profile.Endpoint.Server()
	client, err := l.nextClient()
	if err != nil {
		return err
	}
	want := server.NewItem(client, l.kind)
	same := !l.anotherProvider() && old.Issuer == want.Issuer && old.TokenEndpoint == want.TokenEndpoint &&
		old.Grant == want.Grant
	switch {
	case same && l.kind == grant.ByAppCredentials && l.params.NewClient:
		l.notice(fmt.Sprintf("This gives up %s: once the new ones work, the secret of the old ones is forgotten here.",
			l.describeCredential(old)))
		return nil
	case !same, l.kind == grant.ByAppCredentials:
	case l.kind == grant.ByAPIKey:
		return nil // a person types the key that is to be used from now on
	case l.kind == grant.ByKeyLogin:
		same = old.Username == l.params.Username
	default:
		same = old.ClientID == want.ClientID
	}
	if same && l.kind != grant.ByAppCredentials || l.params.Replace {
		return nil
	}
	return l.askToReplace(*old)
}

// anotherProvider reports whether the profile exists and is another provider's, whatever addresses both have.
func (l *Login) anotherProvider() bool {
	was := l.logins.Profiles.Named(l.params.Profile)
	return was != nil && was.Provider != l.profile.Provider
}

// askToReplace asks whether a credential may be given up.
func (l *Login) askToReplace(old keystore.Item) error {
	loses := fmt.Sprintf("this sign-in at %s would give up what profile %s holds, "+
		"and groat could not bring it back: %s",
		sealedHost(l.profile.Endpoint.Server().NewItem("", l.kind)), l.params.Profile, l.describeCredential(&old))
	if l.params.Username != "" && old.Username != l.params.Username && l.hasPassword() {
		loses += fmt.Sprintf("; nothing says that it belongs to --username %s", visible.Word(l.params.Username))
	}
	refusal := protocol.InvalidParams("%s; --replace gives it up", loses)
	refusal.Data = &protocol.ErrorData{Hint: Command(l.underAnotherName())}
	if len(loses) > maxQuestion { // a terminal would cut off what is lost
		return refusal
	}
	return l.confirm(capitalize(loses)+". Go on?", refusal)
}

// underAnotherName asks for the same sign-in under another name. A new profile names its server, also where this one's
// configuration does.
func (l *Login) underAnotherName() protocol.LoginParams {
	p := l.asked
	p.Profile = l.otherName()
	if p.Provider == "" && p.Issuer == "" && p.TokenURL == "" {
		now := l.profile.Profile
		p.Provider, p.AuthServer, p.ClientAuth = now.Provider, now.AuthServer, now.ClientAuth
		switch {
		case now.Provider != "":
		case l.kind.Interactive():
			p.Issuer = now.Issuer
		default:
			p.TokenURL = now.TokenEndpoint
		}
	}
	if p.Grant == "" && (l.profile.Provider == "" || l.asked.Username == "") && l.kind != grant.ByClientCredentials {
		p.Grant = string(l.kind)
	}
	if p.ClientID == "" && !l.kind.StaticKey() && l.kind != grant.ByAppCredentials {
		p.ClientID = l.params.ClientID
	}
	return p
}

// otherName is a name that no profile has.
func (l *Login) otherName() string {
	for n := 2; ; n++ {
		name := fmt.Sprintf("%s-%d", l.params.Profile[:min(len(l.params.Profile), 56)], n)
		if !l.logins.Profiles.Snapshot().Knows(name) {
			return name
		}
	}
}

// describeCredential is a stored credential in words.
func (l *Login) describeCredential(item *keystore.Item) string {
	at := sealedHost(*item)
	switch {
	case !item.APIKey.IsZero():
		return "an API key for " + at
	case !item.PrivateKey.IsZero():
		return fmt.Sprintf("the private key of client %s at %s", visible.Name(item.ClientID), at)
	}
	named := ""
	if was := l.logins.Profiles.Named(l.params.Profile); was != nil {
		named = was.Provider
	}
	if p, ok := appCredentials(*item, named); ok {
		return fmt.Sprintf("the App Credentials %s of %s (%s), which stay there for good "+
			"and whose secret is never shown again",
			visible.Name(item.ClientID), p.Title, at)
	}
	return fmt.Sprintf("the secret of client %s at %s", visible.Name(item.ClientID), at)
}

func capitalize(sentence string) string { return strings.ToUpper(sentence[:1]) + sentence[1:] }

// nextClient is the client that this sign-in will store, where it is known before anything is typed or sent.
func (l *Login) nextClient() (string, error) {
	if l.kind != grant.ByJWTBearer || l.params.ClientID != "" {
		return l.params.ClientID, nil
	}
	file, err := privatekey.ReadFile(l.params.Key)
	if err != nil {
		return "", err
	}
	defer file.Wipe()
	item, err := l.server().ServiceAccount(file)
	if err != nil {
		return "", l.keyFileError(err)
	}
	defer item.Wipe()
	return item.ClientID, nil
}

func (l *Login) keyFileError(err error) error {
	return protocol.NewError(protocol.Config, fmt.Sprintf("%s: %s", l.params.Key, err),
		"groat login "+l.params.Profile+" --key FILE")
}

// namesServiceAccount reports whether the key file is a JSON object, which says itself which client it is of.
func (l *Login) namesServiceAccount() bool {
	if l.kind != grant.ByJWTBearer || l.params.Key == "" {
		return false
	}
	file, err := privatekey.ReadFile(l.params.Key)
	if err != nil {
		return false // said where it is read for its key
	}
	defer file.Wipe()
	text := file.AppendTo(nil)
	defer clear(text)
	return bytes.HasPrefix(bytes.TrimSpace(text), []byte("{"))
}
