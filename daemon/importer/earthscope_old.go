package importer

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strconv"
)

// readersEarthscopeOld are the programs before 1.0; today's SDK reads their file where it has none of its own.
var readersEarthscopeOld = []string{"es (0.x)", "EarthScope SDK for Python (0.x)",
	"EarthScope SDK for Python (1.x), where it has no tokens of its own"}

// earthscopeOldVariables are the variables of the command-line program before 1.0.
var earthscopeOldVariables = []string{
	"ES_CLI_AUTH0_AUDIENCE", "ES_CLI_AUTH0_DOMAIN", "ES_CLI_AUTH0_CLIENT_ID", "ES_CLI_SSO_TOKEN_SCOPE",
	"ES_CLI_AUTO_REFRESH_THRESHOLD_SECONDS", "ES_CLI_M2M_CLIENT_ID", "ES_CLI_M2M_CLIENT_SECRET",
}

// earthscopeOld looks where the programs before 1.0 kept credentials.
func (s *search) earthscopeOld() {
	dir := s.env.Getenv("APP_DIRECTORY")
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(s.env.config(), "earthscope-cli")
	}
	d, err := s.readDocument(filepath.Join(dir, "sso_tokens.json"), false)
	if !errors.Is(err, fs.ErrNotExist) {
		s.earthscopeOldTokens(d, err)
	}
	s.earthscopeOldMachine(filepath.Join(dir, "m2m_tokens.json"))
}

// earthscopeOldSettings returns the variables as a layer.
func (s *search) earthscopeOldSettings() *layer {
	l := &layer{values: map[string]string{}, at: Copy{Variables: []string{"ES_CLI_"}}}
	for variable, setting := range map[string]string{
		"ES_CLI_AUTH0_AUDIENCE": "audience", "ES_CLI_AUTH0_DOMAIN": "domain", "ES_CLI_AUTH0_CLIENT_ID": "client_id",
		"ES_CLI_SSO_TOKEN_SCOPE": "scope",
	} {
		if v := s.env.Getenv(variable); v != "" {
			l.values[setting] = v
		}
	}
	l.other = s.set("ES_CLI_AUTO_REFRESH_THRESHOLD_SECONDS")
	return l
}

// earthscopeOldTokens reads an sso_tokens.json: tokens, with their times beside them.
func (s *search) earthscopeOldTokens(d document, err error) {
	defer d.wipe()
	const name = "earthscope"
	if err == nil && !d.has("refresh_token") {
		err = flawed("", "%s", noSession(d, filepath.Base(d.at.Path)))
	}
	if d.at.Readers = readersEarthscopeOld; err != nil {
		s.refuse("EarthScope", "session", name, d.at, err)
		return
	}
	settings, tokens := s.earthscopeOldSettings(), d.tokenLayer()
	for _, t := range []string{"issued_at", "expires_at"} {
		if at := d.time(t); !at.IsZero() {
			tokens.values[t] = strconv.FormatInt(at.Unix(), 10)
		}
	}
	f := Candidate{System: "EarthScope", Name: name, Lost: settings.other, Warnings: d.doubts}
	if err := f.earthscopeTarget([]*layer{settings}, "earthscope-0.2"); err != nil {
		s.refuse("EarthScope", "session", name, d.at, err)
		return
	}
	g := s.earthscopeSession(f, []*layer{settings}, tokens)
	if g != nil && g.Target.Provider == "earthscope-0.2" {
		g.Fresh = instead["EarthScope"]
		g.Warnings = append(g.Warnings,
			"it is a session of the programs before 1.0, for another audience than that of EarthScope's API of "+
				"today, which needs a sign-in of its own")
	}
}

// earthscopeOldMachine reads ES_CLI_M2M_*, and the file with the tokens last obtained with them.
func (s *search) earthscopeOldMachine(tokens string) {
	const idName, secretName = "ES_CLI_M2M_CLIENT_ID", "ES_CLI_M2M_CLIENT_SECRET"
	const what = "machine account"
	d, err := s.readDocument(tokens, false)
	defer d.wipe()
	d.at.Readers, d.at.Holds = []string{"es (0.x)"}, []string{"access token"}
	there := !errors.Is(err, fs.ErrNotExist)
	at := variables("client secret", idName, secretName)
	at.Readers = []string{"es (0.x)"}
	secret, ok := asSecret(s.env.Getenv(secretName))
	id := s.env.Getenv(idName)
	why := s.pair(idName, secretName, ok && (id == "" || isPrintableASCII([]byte(id))))
	switch {
	case why != nil:
		secret.Wipe()
		s.refuse("EarthScope", what, "earthscope-m2m", at, why)
	case !secret.IsZero():
		settings := s.earthscopeOldSettings()
		f := Candidate{System: "EarthScope", What: what, Name: "earthscope-m2m", Copies: []Copy{at},
			Lost: settings.other}
		if there {
			f.Copies = append(f.Copies, d.at)
		}
		if err := f.earthscopeTarget([]*layer{settings}, "earthscope-0.2"); err != nil {
			secret.Wipe()
			s.refuse(f.System, f.What, f.Name, at, err)
			return
		}
		f.Target.Grant, f.Target.Scope = byClient, ""
		f.Item.ClientID, f.Item.ClientSecret = id, secret
		s.add(f)
	case there && err != nil:
		s.refuse("EarthScope", what, "earthscope-m2m", d.at, err)
	case there:
		s.refuse("EarthScope", what, "earthscope-m2m", d.at,
			flawed("groat login "+namePlace+" --provider earthscope-0.2 --grant client_credentials",
				"it is the access token of a machine account; its client id and secret were only in %s and %s",
				idName, secretName))
	}
}
