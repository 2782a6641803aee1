package importer

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/groat-dev/groat/daemon/grant/preset"
	"github.com/groat-dev/groat/keystore"
)

// value returns a setting and the layer that has it.
func value(stack []*layer, setting string) (string, *layer) {
	for _, l := range stack {
		if v := l.values[setting]; v != "" {
			return v, l
		}
	}
	return "", nil
}

// copyOf describes where a layer keeps some of its settings.
func (l *layer) copyOf(settings map[string]string) Copy {
	at := l.at
	at.Holds = nil
	var names []string
	for _, setting := range []string{"client_id", "client_secret", "refresh_token", "access_token", "id_token"} {
		if holds, ok := settings[setting]; ok && l.values[setting] != "" {
			names = append(names, setting)
			if holds != "" {
				at.Holds = append(at.Holds, holds)
			}
		}
	}
	switch {
	case len(at.Variables) == 1 && at.Variables[0] == "ES_OAUTH2__":
		at.Variables = nil
		for _, name := range names {
			at.Variables = append(at.Variables, "ES_OAUTH2__"+strings.ToUpper(name))
		}
		at.Remove = unset(at.Variables)
	case l.remove != "":
		for i := range names {
			names[i] = "oauth2." + names[i]
		}
		at.Remove, at.Note = l.remove, "remove "+strings.Join(names, " and ")+" there; the file has other settings too"
	}
	return at
}

var (
	holdsMachine = map[string]string{"client_id": "", "client_secret": "client secret"}
	holdsSession = map[string]string{"refresh_token": "refresh token", "access_token": "access token"}
	holdsAll     = map[string]string{"client_secret": "client secret", "refresh_token": "refresh token",
		"access_token": "access token"}
	holdsAccess = map[string]string{"access_token": "access token"}
)

// earthscopeProfile adds the candidates of one profile, whose layers are in the SDK's order of precedence.
func (s *search) earthscopeProfile(name string, stack []*layer) {
	holder := slices.IndexFunc(stack, func(l *layer) bool {
		return l.values["client_secret"] != "" || l.values["refresh_token"] != "" || l.values["access_token"] != ""
	})
	if holder < 0 {
		return // settings without a credential are of no use here
	}
	row := Candidate{System: "EarthScope", Name: earthscopeName(name)}
	for _, l := range stack {
		row.Lost, row.Warnings = union(row.Lost, l.other), union(row.Warnings, l.doubts)
	}
	if err := row.earthscopeTarget(stack, "earthscope"); err != nil {
		s.refuse(row.System, "profile", row.Name, stack[holder].copyOf(holdsAll), err)
		return
	}
	secret, _ := value(stack, "client_secret")
	if secret != "" {
		s.earthscopeMachine(row, stack)
	}
	s.earthscopeSessions(row, stack, secret != "")
}

// earthscopeTarget sets server, audience and scope from the settings.
func (f *Candidate) earthscopeTarget(stack []*layer, provider string) error {
	f.Target = Target{Provider: provider}
	p, _ := preset.Lookup(provider)
	if domain, _ := value(stack, "domain"); domain != "" {
		server, err := earthscopeServer(domain)
		if err != nil {
			return err
		}
		if !sameURL(server, p.AuthServer) {
			f.Target.AuthServer = server
			f.Warnings = union(f.Warnings, []string{"it signs in at " + server + ", not at EarthScope's usual server"})
		}
	}
	if audience, _ := value(stack, "audience"); audience != p.Audience && checkPrintable(audience) == nil {
		f.Target.Audience = audience
	}
	f.Target.Scope, _ = value(stack, "scope")
	return nil
}

// earthscopeServer returns the origin of a domain, which is a bare host for one generation and a URL for the other.
func earthscopeServer(domain string) (string, error) {
	if !strings.Contains(domain, "://") {
		domain = "https://" + domain
	}
	if checkServer(domain) != nil {
		return "", flawed("", "its domain is no address of a server, or does not begin with https://")
	}
	u, err := url.Parse(domain)
	if err != nil || strings.Trim(u.Path, "/") != "" {
		return "", flawed("", "its domain has a path")
	}
	return u.Scheme + "://" + u.Host, nil
}

// scopeFor sets the grant, and drops a scope that the provider's tokens are requested with anyway.
func (f *Candidate) scopeFor(grant string) {
	p, _ := preset.Lookup(f.Target.Provider)
	if f.Target.Grant = grant; f.Target.Scope != "" {
		_, f.Target.Scope = override(p.For(grant), nil, strings.Fields(f.Target.Scope))
	}
	if checkPrintable(f.Target.Scope) != nil {
		f.Target.Scope = ""
	}
}

// earthscopeMachine reads a client secret, with which the SDK signs in as a machine.
func (s *search) earthscopeMachine(f Candidate, stack []*layer) {
	f.What = "machine account"
	f.Warnings, f.Lost = slices.Clone(f.Warnings), slices.Clone(f.Lost)
	f.scopeFor(byClient)
	f.Target.Scope = "" // the SDK sends none for a machine
	id, _ := value(stack, "client_id")
	text, from := value(stack, "client_secret")
	secret, ok := asSecret(text)
	if !ok || id == "" || !isPrintableASCII([]byte(id)) {
		secret.Wipe()
		s.refuse(f.System, f.What, f.Name, from.copyOf(holdsMachine), flawed("",
			"client_secret needs client_id beside it, both in printable ASCII"))
		return
	}
	f.Item.ClientID, f.Item.ClientSecret = id, secret
	for _, l := range stack {
		switch {
		case l.values["client_secret"] == text:
			f.Copies = append(f.Copies, l.copyOf(holdsMachine))
			f.servers = append(f.servers, l.servers...)
			f.servers = append(f.servers, namedServersOf(asToken(l.values["access_token"]), jwts["access_token"])...)
		case l.values["client_secret"] != "":
			f.Warnings = append(f.Warnings, "another client secret stands in "+place(l.at)+
				"; this one is used in its place")
		case l.saved && l.values["refresh_token"] == "" && l.values["access_token"] != "":
			f.Copies = append(f.Copies, l.copyOf(holdsAccess))
		}
	}
	s.add(f)
}

// place names a layer in a sentence.
func place(at Copy) string {
	if at.Path != "" {
		return at.Path
	}
	return "the environment"
}

// earthscopeSessions adds one candidate for each refresh token. Where there are two, a person has to choose: the SDK
// uses the one of the environment or of config.toml, although the one that it saved itself is newer.
func (s *search) earthscopeSessions(f Candidate, stack []*layer, machine bool) {
	var from []*layer
	tokens := map[string]bool{}
	for _, l := range stack {
		if token := l.values["refresh_token"]; token != "" {
			from = append(from, l)
			tokens[token] = true
		}
	}
	if len(from) == 0 {
		if _, l := value(stack, "access_token"); l != nil && !machine {
			at := l.copyOf(holdsAccess)
			why := "it is an access token that nothing can renew: there is no refresh token"
			if l.saved {
				why += " (a machine account's sign-in overwrites the one that was there)"
			}
			s.refuse(f.System, "session", f.Name, at, flawed("", "%s", why))
		}
		return
	}
	for i, l := range from {
		g := s.earthscopeSession(f, stack, l)
		if g == nil {
			continue
		}
		if len(tokens) > 1 {
			g.Confirm = "there are two different refresh tokens for this profile, perhaps of two people"
			if i == 0 {
				g.Warnings = append(g.Warnings, "EarthScope's programs use this one, which shadows the one in "+
					place(from[len(from)-1].at)+"; it may be the older")
			} else {
				g.Warnings = append(g.Warnings, "EarthScope's programs do not use this one: the one in "+
					place(from[0].at)+" shadows it")
			}
		} else if machine {
			g.Confirm = "the profile has a client secret, so EarthScope's programs use its machine account and not " +
				"this person's session"
		}
	}
}

// earthscopeSession adds a candidate for one layer's refresh token, or refuses it and returns nil.
func (s *search) earthscopeSession(f Candidate, stack []*layer, l *layer) *Candidate {
	f.What = "session"
	f.Warnings, f.Lost = slices.Clone(f.Warnings), slices.Clone(f.Lost)
	f.Copies = []Copy{l.copyOf(holdsSession)}
	access := l.object()
	defer access.wipe()
	refresh, token, ok := access.tokens(&f)
	defer token.Wipe()
	if id, _ := value(stack, "client_id"); !ok || id != "" && !isPrintableASCII([]byte(id)) {
		refresh.Wipe()
		s.refuse(f.System, f.What, f.Name, f.Copies[0],
			flawed("", "its tokens or client_id hold something else than printable ASCII"))
		return nil
	}
	said := claims(token)
	f.servers = slices.Concat(access.namedServers(), namedServersOf(asToken(l.values["id_token"]), jwts["id_token"]),
		l.servers)
	f.audience(said)
	f.scopeFor(byDevice)
	f.Target.Scope = "" // a session's scope is the one that was signed in for
	f.Item.ClientID, f.Item.Grant, f.Item.RefreshToken = f.earthscopeClient(stack, said), byDevice, refresh
	f.share(signIn(f.Target, f.Item.ClientID))
	return s.add(f)
}

// audience corrects the generation: tokens of the old programs name another audience, and the new programs use them
// too.
func (f *Candidate) audience(said object) {
	names, _ := said.list("aud")
	for _, provider := range []string{"earthscope", "earthscope-0.2"} {
		if p, _ := preset.Lookup(provider); slices.Contains(names, p.Audience) {
			if f.Target.Provider = provider; f.Target.Audience == p.Audience {
				f.Target.Audience = ""
			}
			return
		}
	}
}

// earthscopeClient returns the public client of a session.
func (f *Candidate) earthscopeClient(stack []*layer, said object) string {
	id, _ := value(stack, "client_id")
	switch said := said.issuedTo(); {
	case id != "" && said != "" && id != said:
		f.Warnings = append(f.Warnings,
			"the settings name another client than the one that the tokens were issued to, which is used")
		return said
	case id != "":
		return id
	case said != "":
		return said
	}
	p, _ := preset.Lookup(f.Target.Provider)
	return p.For(byDevice).ClientID
}

// object returns a layer's tokens in the form of a file.
func (l *layer) object() object {
	o := object{}
	for _, name := range []string{"access_token", "refresh_token", "expires_at", "issued_at"} {
		if v := l.values[name]; v != "" {
			if quoted, err := json.Marshal(v); err == nil {
				o[name] = quoted
			}
		}
	}
	return o
}

// asToken returns a setting as a secret, or the zero Secret.
func asToken(text string) keystore.Secret {
	token, _ := asSecret(text)
	return token
}
