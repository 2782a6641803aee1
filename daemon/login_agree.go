package daemon

import (
	"fmt"
	"slices"
	"strings"

	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

// use is one endpoint that a sign-in, or the profile it makes, sends something of a credential to.
type use struct {
	origin string
	what   string // it would receive
	needed bool   // without it there is no sign-in
	client bool   // it is what the client proves itself by
}

// known reads which server the profile's stored credential is sealed for. Its secrets are wiped.
func (l *login) known() error {
	stores := []*keystore.Holder{&l.d.kept, &l.d.memory}
	if l.params.Ephemeral {
		stores = stores[1:]
	} else if was := l.d.profiles.Load().byName[l.params.Profile]; was == nil || !was.ephemeral {
		stores = stores[:1]
	}
	for _, store := range stores {
		item, err := store.Get(l.ctx, l.params.Profile)
		switch {
		case keystore.Absent(err):
			continue
		case err != nil:
			return err // not knowing is no reason not to ask
		}
		item.Wipe()
		l.was = &item
		return nil
	}
	return nil
}

// agree makes sure that a person knows every host that the sign-in, or the profile, sends something of a credential to: one
// that was named on this command line, that the stored credential is sealed for, or that is shown and agreed to now. What
// is agreed to is sealed with the credential. An endpoint that a discovered server could do without is left out instead.
func (l *login) agree(p *config.Profile, discovered *grant.Server) error {
	server, _, err := p.Server()
	if discovered != nil {
		server, err = *discovered, nil
		server.RevocationEndpoint, server.Userinfo = p.RevocationEndpoint, p.UserinfoEndpoint
	}
	if err != nil {
		return nil // resolving the profile says so
	}
	home := homeOf(server.TokenEndpoint, server.Issuer)
	agreed, err := l.agreed(server, home, p.Provider != "" && p.AuthServer == "")
	if err != nil {
		return err
	}
	if at := grant.Origin(p.UserinfoEndpoint); discovered != nil && !l.kind.Session() && !slices.Contains(agreed, at) {
		p.UserinfoEndpoint, server.Userinfo = "", "" // a machine is nobody: not worth a question
	}
	uses := l.uses(server)
	foreign := slices.DeleteFunc(slices.Clone(uses), func(u use) bool { return slices.Contains(agreed, u.origin) })
	left, err := l.askAbout(server, home, uses, foreign)
	if err != nil {
		return err
	}
	if discovered != nil && left {
		for _, at := range []*string{&p.UserinfoEndpoint, &p.RevocationEndpoint} {
			if !slices.Contains(agreed, grant.Origin(*at)) {
				*at = ""
			}
		}
	}
	for _, o := range l.params.Trust {
		o, _ = grant.CheckOrigin(o, "")
		l.origins = union(l.origins, o)
	}
	for _, u := range uses {
		if !left || slices.Contains(agreed, u.origin) {
			l.origins = union(l.origins, u.origin)
		}
	}
	if l.sameServer(server) {
		l.origins = union(l.origins, l.was.Origins...)
	}
	l.origins = slices.DeleteFunc(l.origins, func(o string) bool { return o == home || slices.Contains(server.PresetOrigins, o) })
	if err := keystore.CheckOrigins(l.origins); err != nil {
		return protocol.InvalidParams("%s", err)
	}
	for _, u := range uses {
		if u.client && (u.origin == home || slices.Contains(l.origins, u.origin) || slices.Contains(server.PresetOrigins, u.origin)) {
			l.clientTo = union(l.clientTo, host(u.origin))
		}
	}
	switch issuer := grant.Origin(server.Issuer); {
	case issuer == home, len(server.PresetOrigins) > 0:
	case discovered != nil:
		l.tell(fmt.Sprintf("%s says that its tokens come from %s: that is where the credential will be used.", server.Issuer, home))
	case l.was == nil || homeOf(l.was.TokenEndpoint, l.was.Issuer) != home:
		l.tell(fmt.Sprintf("The credential of profile %s will be used at %s, which is not its issuer's host.", p.Name, home))
	}
	return nil
}

// homeOf is the origin that a credential is for.
func homeOf(tokenEndpoint, issuer string) string {
	if tokenEndpoint != "" {
		return grant.Origin(tokenEndpoint)
	}
	return grant.Origin(issuer)
}

// sameServer reports whether the stored credential is for a server: only then was what it is sealed with agreed to for this one. Two
// servers that a person has named one after the other are not to be sent what is the other's.
func (l *login) sameServer(s grant.Server) bool {
	return l.was != nil && grant.Origin(l.was.Issuer) == grant.Origin(s.Issuer) &&
		homeOf(l.was.TokenEndpoint, l.was.Issuer) == homeOf(s.TokenEndpoint, s.Issuer)
}

// sealedHost is the host that a credential is sealed for.
func sealedHost(item keystore.Item) string { return host(homeOf(item.TokenEndpoint, item.Issuer)) }

// agreed returns the origins that need no question. What only a configuration names counts where nothing is stored. preset
// reports that all of the server is groat's own data.
func (l *login) agreed(server grant.Server, home string, preset bool) (agreed []string, err error) {
	q := l.params
	for _, raw := range q.Trust {
		o, err := grant.CheckOrigin(raw, "what to trust")
		if err != nil {
			return nil, protocol.InvalidParams("%s", err)
		}
		agreed = append(agreed, o)
	}
	named := []string{q.Issuer, q.TokenURL, q.AuthServer}
	if l.alone { // they are a file's word
		named = slices.Clone(l.trusted)
	}
	preset = preset && (q.Provider != "" || l.was == nil)
	if was := l.d.profiles.Load().byName[q.Profile]; l.was == nil && was != nil && q.Issuer == "" && q.TokenURL == "" && q.Provider == "" {
		for _, at := range []string{was.Issuer, was.TokenEndpoint, was.AuthServer} {
			if grant.Origin(at) == home { // every other host is asked about
				named = append(named, at)
			}
		}
	}
	if l.sameServer(server) {
		named = append(named, l.was.TokenEndpoint, l.was.Issuer)
		agreed = append(agreed, l.was.Origins...)
	}
	for _, at := range named {
		if o := grant.Origin(at); o != "" {
			agreed = append(agreed, o)
		}
	}
	if preset {
		agreed = append(agreed, home)
	}
	if slices.Contains(agreed, home) {
		agreed = append(agreed, server.PresetOrigins...)
	}
	return agreed, nil
}

// signInPage is what an authorization endpoint receives.
const signInPage = "the sign-in, in a browser"

// uses returns where something of a credential goes.
func (l *login) uses(s grant.Server) (all []use) {
	var client string
	add := func(at string, needed bool, what ...string) {
		for _, w := range what {
			if at != "" && w != "" {
				all = append(all, use{grant.Origin(at), w, needed, w == client})
			}
		}
	}
	client = map[grant.Method]string{
		grant.ClientSecretBasic: "the client secret", grant.ClientSecretPost: "the client secret",
		grant.ClientSecretJWT: "assertions that the client secret signs", grant.PrivateKeyJWT: "assertions that the private key signs",
		grant.TLSClientAuth: "the client certificate",
	}[s.ClientAuth]
	switch l.kind {
	case grant.ByAuthorizationCode:
		add(s.AuthorizeEndpoint, true, signInPage)
		if s.RequirePAR {
			add(s.PAREndpoint, true, "the sign-in's request", client)
		}
		add(s.TokenEndpoint, true, "the sign-in's code")
	case grant.ByDeviceCode:
		add(s.DeviceEndpoint, true, "the sign-in's request", client)
		add(s.TokenEndpoint, true, "the device code")
	case grant.ByPassword:
		add(s.TokenEndpoint, true, "the password")
	case grant.ByTokenExchange:
		add(s.TokenEndpoint, true, "the token to exchange")
	case grant.ByJWTBearer:
		add(s.TokenEndpoint, true, "assertions that the private key signs")
	case grant.ByAppCredentials:
		if s.Apps != nil {
			add(s.Apps.FirstTokenEndpoint, true, "the password")
			add(s.Apps.ClientsEndpoint, true, "a temporary token")
		}
	case grant.ByKeyLogin:
		add(s.KeyLogin, true, "the password")
	case grant.ByAPIKey:
		add(s.Issuer, true, "the API key")
	}
	if !l.kind.StaticKey() {
		add(s.TokenEndpoint, true, client)
	}
	if l.kind.Session() {
		add(s.TokenEndpoint, true, "refresh tokens")
		add(s.RevocationEndpoint, false, "refresh tokens", client)
	}
	what := "access tokens"
	if l.kind.StaticKey() {
		what = "the API key"
	}
	add(s.Userinfo, false, what)
	return all
}

// maxQuestion bounds what a person must read to agree; clients may cut longer texts.
const maxQuestion = 500

// askAbout asks about the hosts that nobody has named yet. left reports that the sign-in goes on without them.
func (l *login) askAbout(server grant.Server, home string, uses, foreign []use) (left bool, err error) {
	if len(foreign) == 0 {
		return false, nil
	}
	var hosts, others []string
	gets := map[string][]string{}
	needed := false
	mixed := false // who was named would receive something of another server's credential, such as its sign-in's code
	for _, u := range foreign {
		hosts = union(hosts, u.origin)
		needed = needed || u.needed
		mixed = mixed || u.origin == home || u.what == signInPage
	}
	for _, u := range uses {
		gets[u.origin] = union(gets[u.origin], u.what)
		if mixed && !slices.Contains(hosts, u.origin) {
			others = union(others, u.origin)
		}
	}
	var b strings.Builder
	if stored := l.was; stored != nil && l.params.Issuer == "" {
		fmt.Fprintf(&b, "the credential of profile %s is sealed for %s, and what is configured now names another host.",
			l.params.Profile, host(homeOf(stored.TokenEndpoint, stored.Issuer)))
	} else {
		fmt.Fprintf(&b, "%s names other hosts.", host(server.Issuer))
	}
	trust := l.asked
	trust.Trust = slices.Clone(trust.Trust)
	for _, o := range append(hosts, others...) {
		what := gets[o]
		if n := len(what); n > 1 {
			what = append(slices.Clone(what[:n-2]), what[n-2]+" and "+what[n-1])
		}
		fmt.Fprintf(&b, " %s would receive %s.", host(o), strings.Join(what, ", "))
	}
	trust.Trust = append(trust.Trust, hosts...)
	hint := command(trust)
	if l.alone {
		hint = "groat import"
		for _, o := range hosts {
			hint += " --trust " + visible.Word(o)
		}
	}
	if b.Len() > maxQuestion { // a terminal would cut off the host that matters
		return false, protocol.NewError(protocol.Config, host(server.Issuer)+" names hosts that are too many, or too long, to be shown; nothing was asked or sent", hint)
	}
	refusal := protocol.NewError(protocol.Config, strings.TrimSuffix(b.String(), ".")+"; nothing was asked or sent", hint)
	question := " Go on?"
	if !needed {
		question = " Use them? Without them the sign-in goes on."
	}
	if err = l.confirm(b.String()+question, refusal); err == nil || needed || err != error(refusal) {
		return false, err
	}
	l.tell(b.String() + " Nobody agreed to that, so it is left out. To use it: " + hint)
	return true, nil
}

// seal completes a new item with what the person agreed to.
func (l *login) seal(item *keystore.Item) { item.Origins, item.APIs = l.origins, l.apis }

// newItem is what the sign-in's credential begins with.
func (l *login) newItem(clientID string) keystore.Item {
	item := l.server().NewItem(clientID, l.kind)
	l.seal(&item)
	return item
}

// union appends what is not there yet; list is not changed.
func union(list []string, more ...string) []string {
	list = slices.Clip(list)
	for _, m := range more {
		if !slices.Contains(list, m) {
			list = append(list, m)
		}
	}
	return list
}
