package login

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

// readStored reads which server the profile's stored credential is sealed for. Its secrets are wiped.
func (l *Login) readStored() error {
	stores := []*keystore.PendingStore{&l.logins.Stores.Kept, &l.logins.Stores.Memory}
	if was := l.logins.Profiles.Named(l.params.Profile); l.params.Fleet || was != nil && was.Fleet {
		stores = []*keystore.PendingStore{&l.logins.Stores.Shared}
	} else if l.params.Ephemeral {
		stores = stores[1:]
	} else if was := l.logins.Profiles.Named(l.params.Profile); was == nil || !was.Ephemeral {
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
		l.current = &item
		return nil
	}
	return nil
}

// agreeOnHosts makes sure that a person knows every host that the sign-in, or the profile, sends something of a
// credential to: one that was named on this command line, that the stored credential is sealed for, or that is shown
// and agreed to now. What is agreed to is sealed with the credential. An endpoint that a discovered server could do
// without is left out instead.
func (l *Login) agreeOnHosts(p *config.Profile, discovered *grant.Server) error {
	server, _, err := p.Server()
	if discovered != nil {
		server, err = *discovered, nil
		server.RevocationEndpoint, server.Userinfo = p.RevocationEndpoint, p.UserinfoEndpoint
	}
	if err != nil {
		return nil // resolving the profile says so
	}
	home := homeOf(server.TokenEndpoint, server.Issuer)
	agreed, err := l.agreedOrigins(server, home, p.Provider != "" && p.AuthServer == "")
	if err != nil {
		return err
	}
	known := func(u use) bool {
		return slices.Contains(agreed, u.origin) || l.sameServer(server) && isSealedFor(l.current, u) &&
			(!u.client || proofsOf(*l.current, server) == proofsOf(server.NewItem("", l.kind), server))
	}
	whose := use{origin: origin.OfEndpoint(p.UserinfoEndpoint), much: grant.AccessOnly}
	if discovered != nil && !l.kind.Session() && !known(whose) {
		p.UserinfoEndpoint, server.Userinfo = "", "" // it would say who a machine is: not worth a question
	}
	if at := (use{origin: origin.OfEndpoint(server.PAREndpoint)}); discovered != nil && !server.RequirePAR &&
		at.origin != home && !known(at) {
		discovered.PAREndpoint, server.PAREndpoint = "", "" // nor is what the server can do without
	}
	uses := l.usesOf(server)
	if err := l.refuseUnusedTrust(uses); err != nil {
		return err
	}
	foreign := slices.DeleteFunc(slices.Clone(uses), known)
	left, err := l.askAbout(server, home, uses, foreign)
	if err != nil {
		return err
	}
	declined := func(o string, much grant.Carries) bool { // an origin is sealed as a whole, not for one use of it
		return left && slices.ContainsFunc(foreign, func(u use) bool { return u.origin == o && u.much == much })
	}
	if discovered != nil {
		for _, optional := range []struct {
			at   *string
			much grant.Carries
		}{{&p.UserinfoEndpoint, grant.AccessOnly}, {&p.RevocationEndpoint, grant.Anything}} {
			if declined(origin.OfEndpoint(*optional.at), optional.much) {
				*optional.at = ""
			}
		}
	}
	for _, u := range uses {
		if !declined(u.origin, u.much) && u.origin != home && !slices.Contains(server.PresetOrigins, u.origin) {
			to := l.originsFor(u.much)
			*to = union(*to, u.origin)
		}
	}
	if l.sameServer(server) {
		before := slices.DeleteFunc(slices.Clone(l.current.Origins), func(o string) bool {
			return declined(o, grant.Anything)
		})
		l.origins, l.tokenOrigins, l.pageOrigins = union(before, l.origins...), union(l.current.TokenOrigins,
			l.tokenOrigins...), union(l.current.PageOrigins, l.pageOrigins...)
	}
	if err := cmp.Or(keystore.CheckOrigins(l.origins), keystore.CheckOrigins(l.tokenOrigins),
		keystore.CheckOrigins(l.pageOrigins)); err != nil {
		return protocol.InvalidParams("%s", err)
	}
	for _, u := range uses {
		if u.client && (u.origin == home || slices.Contains(l.origins, u.origin) ||
			slices.Contains(server.PresetOrigins, u.origin)) {
			l.clientTo = union(l.clientTo, host(u.origin))
		}
	}
	if err := l.agreeOnAudience(server); err != nil {
		return err
	}
	switch issuer := origin.OfEndpoint(server.Issuer); {
	case issuer == home, len(server.PresetOrigins) > 0:
	case discovered != nil:
		l.notice(fmt.Sprintf("%s says that its tokens come from %s: that is where the credential will be used.",
			server.Issuer, home))
	case l.current == nil || homeOf(l.current.TokenEndpoint, l.current.Issuer) != home:
		l.notice(fmt.Sprintf("The credential of profile %s will be used at %s, which is not its issuer's host.", p.Name,
			home))
	}
	return nil
}

// agreeOnAudience makes sure that a person knows of another server at which the client's assertions would be good: it
// was named on this command line, the stored credential is sealed for it, or it is shown and agreed to now.
func (l *Login) agreeOnAudience(server grant.Server) error {
	to := server.NewItem("", l.kind).AssertionAudience
	if to == "" || to == l.params.AssertionAudience || l.current == nil ||
		l.sameServer(server) && to == l.current.AssertionAudience {
		return nil
	}
	says := fmt.Sprintf("what is configured makes the assertions of profile %s good for %s, not for %s alone",
		l.params.Profile, visible.Name(to), host(homeOf(server.TokenEndpoint, server.Issuer)))
	return l.confirm(says+". Go on?", protocol.NewError(protocol.Config, says+"; nothing was asked or sent",
		l.tryAgain("--assertion-audience "+visible.Word(to))))
}

// originsFor is the list that an origin stands on for what it receives.
func (l *Login) originsFor(much grant.Carries) *[]string {
	switch much {
	case grant.AccessOnly:
		return &l.tokenOrigins
	case grant.SignInRequest:
		return &l.pageOrigins
	}
	return &l.origins
}

// isSealedFor reports whether a credential is sealed for a use: for as much, not only for the origin.
func isSealedFor(item *keystore.Item, u use) bool {
	return slices.Contains(item.Origins, u.origin) || u.much == grant.AccessOnly &&
		slices.Contains(item.TokenOrigins, u.origin) ||
		u.much == grant.SignInRequest && slices.Contains(item.PageOrigins, u.origin)
}

// refuseUnusedTrust refuses a --trust that no address of the sign-in is on: it would stand in the credential for what
// comes later.
func (l *Login) refuseUnusedTrust(uses []use) error {
	for i, raw := range l.params.Trust {
		o, err := origin.Parse(raw, "what to trust")
		if err != nil || l.importing != "" || slices.ContainsFunc(uses, func(u use) bool { return u.origin == o }) {
			continue
		}
		without := l.asked
		without.Trust = slices.Delete(slices.Clone(without.Trust), i, i+1)
		e := protocol.InvalidParams("--trust %s cannot be used here: no address of this sign-in is on it",
			visible.Word(raw))
		e.Data = &protocol.ErrorData{Hint: Command(without)}
		return e
	}
	return nil
}

// homeOf is the origin that a credential is for.
func homeOf(tokenEndpoint, issuer string) string {
	if tokenEndpoint != "" {
		return origin.OfEndpoint(tokenEndpoint)
	}
	return origin.OfEndpoint(issuer)
}

// sameServer reports whether the stored credential is for a server: only then was what it is sealed with agreed to for
// this one. Two servers that a person has named one after the other are not to be sent what is the other's.
func (l *Login) sameServer(s grant.Server) bool {
	return l.current != nil && origin.OfEndpoint(l.current.Issuer) == origin.OfEndpoint(s.Issuer) &&
		homeOf(l.current.TokenEndpoint, l.current.Issuer) == homeOf(s.TokenEndpoint, s.Issuer)
}

// sealedHost is the host that a credential is sealed for.
func sealedHost(item keystore.Item) string { return host(homeOf(item.TokenEndpoint, item.Issuer)) }

// agreedOrigins returns the origins that need no question. What only a configuration names counts where nothing is
// stored. preset reports that all of the server is groat's own data.
func (l *Login) agreedOrigins(server grant.Server, home string, preset bool) (agreed []string, err error) {
	q := l.params
	for _, raw := range q.Trust {
		o, err := origin.Parse(raw, "what to trust")
		if err != nil {
			return nil, protocol.InvalidParams("%s", err)
		}
		agreed = append(agreed, o)
	}
	named := []string{q.Issuer, q.TokenURL, q.AuthServer, q.Backend, q.AuthorizationEndpoint, q.DeviceEndpoint,
		q.PAREndpoint, q.RevocationEndpoint, q.UserinfoEndpoint}
	if l.importing != "" { // they are a file's word
		named = slices.Clone(l.trusted)
	}
	preset = preset && (q.Provider != "" || l.current == nil)
	if was := l.logins.Profiles.Named(q.Profile); l.current == nil && was != nil && q.Issuer == "" &&
		q.TokenURL == "" && q.Provider == "" {
		for _, at := range []string{was.Issuer, was.TokenEndpoint, was.AuthServer} {
			if origin.OfEndpoint(at) == home { // every other host is asked about
				named = append(named, at)
			}
		}
	}
	if l.sameServer(server) {
		named = append(named, l.current.TokenEndpoint, l.current.Issuer)
	}
	for _, at := range named {
		if o := origin.OfEndpoint(at); o != "" {
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

// maxQuestion bounds what a person must read to agree; clients may cut longer texts.
const maxQuestion = 500

// askAbout asks about the hosts that the person has not named yet. left reports that the sign-in goes on without them.
func (l *Login) askAbout(server grant.Server, home string, uses, foreign []use) (left bool, err error) {
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
	if stored := l.current; stored != nil && l.params.Issuer == "" && l.params.Backend == "" {
		fmt.Fprintf(&b, "the credential of profile %s is sealed for %s, and what is configured now names another host.",
			l.params.Profile, host(homeOf(stored.TokenEndpoint, stored.Issuer)))
	} else {
		fmt.Fprintf(&b, "%s names other hosts.", host(cmp.Or(l.params.Backend, server.Issuer)))
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
	hint := Command(trust)
	if l.importing != "" {
		hint = l.importing
		for _, o := range hosts {
			hint += " --trust " + visible.Word(o)
		}
	}
	if b.Len() > maxQuestion { // a terminal would cut off the host that matters
		return false, protocol.NewError(protocol.Config,
			host(server.Issuer)+" names hosts that are too many, or too long, to be shown; nothing was asked or sent",
			hint)
	}
	refusal := protocol.NewError(protocol.Config, strings.TrimSuffix(b.String(), ".")+"; nothing was asked or sent",
		hint)
	question := " Go on?"
	if !needed {
		question = " Use them? Without them the sign-in goes on."
	}
	if err = l.confirm(b.String()+question, refusal); err == nil || needed || err != error(refusal) {
		return false, err
	}
	l.notice(b.String() + " Nobody agreed to that, so it is left out. To use it: " + hint)
	return true, nil
}

// setDestinations completes a new item with what the person agreed to.
func (l *Login) setDestinations(item *keystore.Item) {
	item.Origins, item.TokenOrigins, item.PageOrigins, item.APIs = l.origins, l.tokenOrigins, l.pageOrigins, l.apis
}

// newItem is what the sign-in's credential begins with.
func (l *Login) newItem(clientID string) keystore.Item {
	item := l.server().NewItem(clientID, l.kind)
	l.setDestinations(&item)
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

func host(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	return u.Host
}
