package importer

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/groat-dev/groat/daemon/grant/preset"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol/visible"
)

// planetKey reads a static key: {api_key, bearer_token_prefix} of either file, or {key, jwt} of the login from before
// OAuth.
func (s *search) planetKey(p *planetProfile, kind string) error {
	f := Candidate{System: "Planet", What: apiKey, Name: planetName(p.name), Target: Target{Grant: keyGrant}}
	for _, d := range []document{p.token, p.client} {
		key, prefix, err := d.planetKey()
		if err != nil {
			f.Wipe()
			return err
		}
		if key.IsZero() {
			continue
		}
		d.at.Holds = []string{apiKey}
		f.Copies = append(f.Copies, d.at)
		if !f.Item.APIKey.IsZero() { // the token file's wins, as it does for Planet's library
			key.Wipe()
			continue
		}
		f.Item.APIKey = key
		f.Target.Provider, f.Target.Header = planetHeader(prefix, kind == "planet_legacy" || prefix == "")
	}
	if f.Item.APIKey.IsZero() {
		return flawed("groat login "+namePlace+" --provider planet-key", "there is no API key in it")
	}
	if endpoint := p.client.text("legacy_auth_endpoint"); endpoint != "" &&
		!strings.HasPrefix(endpoint, "https://api.planet.com/") {
		p.lost = append(p.lost, "legacy_auth_endpoint")
	}
	f.Item.Grant = keyGrant
	s.planetAdd(p, f)
	return nil
}

// planetKey returns a document's key and the prefix that it is sent with; an empty prefix is the old login's.
func (d document) planetKey() (key keystore.Secret, prefix string, err error) {
	name := "api_key"
	if d.has("key") {
		name = "key"
	} else if d.has("api_key") && !d.has("client_type") && !d.has("bearer_token_prefix") {
		return keystore.Secret{}, "",
			flawed("", "a key needs its bearer_token_prefix beside it; Planet's own library refuses the file too")
	} else if prefix = d.text("bearer_token_prefix"); prefix == "" && d.text("client_type") != "planet_legacy" {
		prefix = "Bearer" // the library's default
	}
	key, ok := d.secret(name)
	if ok && key.IsZero() && d.has("jwt") { // a v2 SDK's file may have lost its key; the JWT carries it
		token, _ := d.secret("jwt")
		defer token.Wipe()
		key, ok = claims(token).secret("api_key")
	}
	if !ok || !word(prefix) {
		key.Wipe()
		return keystore.Secret{}, "",
			flawed("", "its API key or bearer_token_prefix is no text that could stand in a header")
	}
	return key, prefix, nil
}

func word(text string) bool {
	return text == "" || isPrintableASCII([]byte(text)) && !strings.Contains(text, " ")
}

// planetHeader returns the provider, and the header where it differs from the provider's own.
func planetHeader(prefix string, old bool) (string, *preset.Header) {
	if old {
		return "planet-legacy", nil
	}
	p, _ := preset.Lookup("planet-key")
	if p.Header != nil && p.Header.Prefix == prefix {
		return "planet-key", nil
	}
	return "planet-key", &preset.Header{Name: "Authorization", Prefix: prefix}
}

// planetPreferences reads ~/.planet.json. A missing file is an empty document; an unusable one adds a candidate.
func (s *search) planetPreferences() document {
	d, err := s.readDocument(filepath.Join(s.env.Home, ".planet.json"), false)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.refuse("Planet", "preferences", "planet", d.at, err)
	}
	d.at.Readers = readersPlanet
	return d
}

// These credentials may stand in the preferences, each perhaps behind the name of an embedding program: NS_PL_API_KEY.
const (
	keyName    = "PL_API_KEY"
	idName     = "PL_AUTH_CLIENT_ID"
	secretName = "PL_AUTH_CLIENT_SECRET"
)

// planetSettings are variables that change the tokens which Planet's programs request.
var planetSettings = []string{"PL_AUTH_SCOPE", "PL_AUTH_AUDIENCE", "PL_AUTH_EXTRA", "PL_AUTH_ORGANIZATION",
	"PL_AUTH_PROJECT", "PL_AUTH_ISSUER"}

// planetPreferred reads the credentials in ~/.planet.json.
func (s *search) planetPreferred(prefs document) {
	var spaces []string
	for name := range prefs.object {
		for _, known := range []string{keyName, idName, secretName} {
			if space, ok := strings.CutSuffix(name, known); ok && (space == "" || strings.HasSuffix(space, "_")) &&
				checkPrintable(space) == nil {
				spaces = union(spaces, []string{space})
			}
		}
	}
	slices.Sort(spaces)
	for _, space := range spaces {
		at := prefs.at
		if space != "" {
			at.Readers = []string{"the program that sets the namespace " + strings.TrimSuffix(space, "_")}
		}
		get := func(name string) (keystore.Secret, string, bool) {
			secret, ok := prefs.secret(space + name)
			return secret, prefs.text(space + name), ok
		}
		suffix := strings.Trim("-"+profileName(space, ""), "-")
		s.planetMachine(get, space, suffix, prefs.only(at, "client secret", space+idName, space+secretName),
			prefs.doubts)
		s.planetStatic(get, space+keyName, keyName, suffix, prefs.only(at, apiKey, space+keyName), prefs.doubts)
	}
	if prefs.has("key") {
		get := func(string) (keystore.Secret, string, bool) {
			key, _, err := prefs.planetKey()
			return key, "", err == nil
		}
		s.planetStatic(get, "key", "key", "", prefs.only(prefs.at, apiKey, "key", "jwt"), prefs.doubts)
	}
}

// only describes a copy in a file that may have other settings too: then an editor has to remove it.
func (d document) only(at Copy, holds string, names ...string) Copy {
	at.Holds = []string{holds}
	for name := range d.object {
		if !slices.Contains(names, name) {
			at.Remove, at.Note = edit(at.Path), "remove "+strings.Join(names, " and ")+
				" there; the file has other settings too"
			break
		}
	}
	return at
}

// edit returns the command that opens a file in an editor. No shell command removes one setting safely while the
// program that owns the file may write it.
func edit(path string) string { return "${EDITOR:-vi} " + visible.Word(path) }

// planetVariables reads the credentials in the environment.
func (s *search) planetVariables() {
	get := func(name string) (keystore.Secret, string, bool) {
		secret, ok := asSecret(s.env.Getenv(name))
		return secret, s.env.Getenv(name), ok
	}
	at := variables("client secret", idName, secretName)
	at.Readers = readersPlanet
	before := len(s.found)
	s.planetMachine(get, "", "", at, nil)
	for _, f := range s.found[before:] {
		s.planetAdjust(f)
	}
	at = variables(apiKey, keyName)
	at.Readers = readersPlanet
	s.planetStatic(get, keyName, keyName, "", at, nil)
	const misnamed = "PL_AUTH_API_KEY"
	before = len(s.found)
	s.planetStatic(get, misnamed, misnamed, "", variables(apiKey, misnamed), nil)
	for _, f := range s.found[before:] {
		f.Confirm = "Planet's documentation names " + misnamed + ", but its programs read " + keyName +
			": nothing uses this key now"
	}
}

// planetAdjust applies the variables beside a machine account's.
func (s *search) planetAdjust(f *Candidate) {
	if !f.Importable() {
		return
	}
	p, _ := preset.Lookup(f.Target.Provider)
	audiences, scopes := strings.Fields(s.env.Getenv("PL_AUTH_AUDIENCE")), strings.Fields(s.env.Getenv("PL_AUTH_SCOPE"))
	f.Target.Audience, f.Target.Scope = override(p.For(byClient), audiences[:min(1, len(audiences))], scopes)
	f.Lost = union(f.Lost, s.set("PL_AUTH_EXTRA", "PL_AUTH_ORGANIZATION", "PL_AUTH_PROJECT", "PL_AUTH_ISSUER"))
}

// getter returns a setting as a secret and as text, and whether it is well-formed.
type getter func(name string) (secret keystore.Secret, text string, ok bool)

func (s *search) planetMachine(get getter, space, suffix string, at Copy, doubts []string) {
	_, id, okID := get(idName)
	secret, _, okSecret := get(secretName)
	const what = "machine account"
	name := profileName("planet-m2m-"+suffix, "planet-m2m")
	switch {
	case id == "" && secret.IsZero() && okSecret:
		return
	case !okID || !okSecret || id == "" || secret.IsZero() || !isPrintableASCII([]byte(id)):
		secret.Wipe()
		s.refuse("Planet", what, name, at,
			flawed("", "%s and %s must both be set, to printable ASCII: Planet's programs ignore one without the other",
				space+idName, space+secretName))
		return
	}
	f := s.add(Candidate{System: "Planet", What: what, Name: name, Copies: []Copy{at}, Warnings: doubts})
	f.Target = Target{Provider: "planet-m2m", Grant: byClient}
	f.Item.ClientID, f.Item.ClientSecret = id, secret
}

func (s *search) planetStatic(get getter, shown, name, suffix string, at Copy, doubts []string) {
	key, _, ok := get(name)
	profile := profileName("planet-key-"+suffix, "planet-key")
	switch {
	case !ok:
		s.refuse("Planet", apiKey, profile, at, flawed("", "%s holds something else than printable ASCII", shown))
	case !key.IsZero():
		f := s.add(Candidate{System: "Planet", What: apiKey, Name: profile, Copies: []Copy{at}, Warnings: doubts})
		f.Target = Target{Provider: "planet-key", Grant: keyGrant}
		f.Item.APIKey, f.Item.Grant = key, keyGrant
	}
}
