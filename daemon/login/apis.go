package login

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/preset"
	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

// agreeOnAPIs adds the APIs that were named to those that the profile lists, and finds out which of them its
// credential is sealed for: those that were named now or sealed before, those of the provider's preset, and where
// nothing is stored all that the configuration lists.
func (l *Login) agreeOnAPIs(p *config.Profile) error {
	var own []string
	if provider, ok := preset.Lookup(p.Provider); ok {
		own = provider.At(p.AuthServer).Resources
	}
	before := p.Resources
	if was := l.logins.Profiles.Named(p.Name); before == nil && was != nil && was.Provider == p.Provider &&
		was.Issuer == p.Issuer {
		before = was.Resources // a server that is named anew is the same one
	}
	if p.Resources = before; before == nil {
		before = own
	}
	named, err := resourcesOf(l.params.Resources)
	if err != nil {
		return l.noResource(err)
	}
	listed, err := resourcesOf(before)
	if err != nil {
		return nil // loading the profile says so
	}
	for i, o := range named {
		if !slices.Contains(listed, o) {
			listed, before = append(listed, o), append(slices.Clip(before), l.params.Resources[i])
			p.Resources = before
		}
	}
	mine, err := resourcesOf(own)
	if err != nil {
		return err
	}
	sealed := slices.Concat(named, mine)
	if server, _, err := p.Server(); err == nil && l.sameServer(server) { // another server's tokens were not agreed to
		l.sealedAPIs = l.current.APIs
		sealed = append(sealed, l.current.APIs...)
	}
	now, err := l.currentAPIs()
	if err != nil {
		return err
	}
	var unsealed, others []string
	for _, o := range listed {
		switch {
		case p.AuthServer == "" && covered(o, mine): // needs no seal
		case l.current == nil || covered(o, sealed):
			l.apis = union(l.apis, o)
		case covered(o, now):
			others = append(others, origin.WithoutPort(o))
		default:
			unsealed = append(unsealed, origin.WithoutPort(o))
		}
	}
	if err := keystore.CheckOrigins(l.apis); err != nil {
		return protocol.InvalidParams("%s", err)
	}
	if len(unsealed) > 0 {
		l.notice(fmt.Sprintf("The file of profile %s lists %s, but its credential is not sealed for it, "+
			"and no token goes there. To allow it: %s",
			p.Name, strings.Join(names(unsealed), ", "),
			Command(protocol.LoginParams{Profile: p.Name, Resources: unsealed})))
	}
	if len(others) > 0 {
		l.notice(fmt.Sprintf("%s gets the tokens of the credential that profile %s has now, and none from a sign-in "+
			"at another server. To allow it: %s",
			strings.Join(names(others), ", "), p.Name, l.withAPIs(others)))
	}
	l.listedAPIs, l.presetAPIs = listed, mine
	return nil
}

// withAPIs is the command that was given, with APIs.
func (l *Login) withAPIs(apis []string) string {
	with := l.asked
	with.Resources = append(slices.Clip(with.Resources), apis...)
	return Command(with)
}

// currentAPIs returns the APIs that the stored credential's tokens may be sent to, whatever server is named now.
func (l *Login) currentAPIs() ([]string, error) {
	if l.current == nil {
		return nil, nil
	}
	all := slices.Clone(l.current.APIs)
	if was := l.logins.Profiles.Named(l.params.Profile); was != nil && was.AuthServer == "" {
		if provider, ok := preset.Lookup(was.Provider); ok {
			own, err := resourcesOf(provider.At("").Resources)
			return append(all, own...), err
		}
	}
	return all, nil
}

// names are addresses of foreign text as a sentence shows them.
func names(list []string) (all []string) {
	for _, s := range list {
		all = append(all, visible.Name(s))
	}
	return all
}

// noResource says why what was named is no resource, with the same command without a query or fragment where that is
// what is wrong.
func (l *Login) noResource(cause error) error {
	e := protocol.InvalidParams("--api cannot be used here: %s", cause)
	with := l.asked
	with.Resources = slices.Clone(with.Resources)
	for i, raw := range with.Resources {
		with.Resources[i], _, _ = strings.Cut(raw, "#")
		with.Resources[i], _, _ = strings.Cut(with.Resources[i], "?")
	}
	e.Data = &protocol.ErrorData{Hint: "groat login --help"}
	if _, err := resourcesOf(with.Resources); err == nil {
		e.Data.Hint = Command(with)
	}
	return e
}

// covered reports whether one of a list of resources covers another one.
func covered(resource string, by []string) bool {
	return slices.ContainsFunc(by, func(r string) bool { return origin.Covers(r, resource) })
}

// resourcesOf returns a list of resources in the long form.
func resourcesOf(list []string) (all []string, err error) {
	for _, raw := range list {
		r, err := origin.Resource(raw)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

// withAgreed is an item with what a person has agreed to just now, and whether that is more than it was sealed with.
func (l *Login) withAgreed(item keystore.Item) (next keystore.Item, more bool) {
	next = item
	next.Origins, next.TokenOrigins = union(item.Origins, l.origins...), union(item.TokenOrigins, l.tokenOrigins...)
	next.PageOrigins, next.APIs = union(item.PageOrigins, l.pageOrigins...), union(item.APIs, l.apis...)
	return next, !next.Equal(item)
}

// without returns what is in a list and not in another; neither is changed.
func without(list, other []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(o string) bool { return slices.Contains(other, o) })
}

// reseal adds to a stored credential what a person has agreed to just now, without a new sign-in. t, which has just
// been had with it, is told too. Until resume is called the profile's owner uses the credential for nothing.
func (l *Login) reseal(item *keystore.Item, t *grant.Token) (resume func(), err error) {
	next, more := l.withAgreed(*item)
	if !more {
		return func() {}, nil
	}
	if err := cmp.Or(keystore.CheckOrigins(next.Origins), keystore.CheckOrigins(next.TokenOrigins),
		keystore.CheckOrigins(next.PageOrigins), keystore.CheckOrigins(next.APIs)); err != nil {
		return nil, protocol.InvalidParams("%s", err)
	}
	ctx := context.WithoutCancel(l.ctx)
	pausing, cancel := context.WithTimeout(ctx, pauseTime)
	defer cancel()
	resume, err = l.logins.Broker.Pause(pausing, l.params.Profile)
	if err != nil { // a renewal that is still under way would write back what it has read
		resume()
		return nil, protocol.NewError(protocol.Temporary, "a renewal is under way; nothing was added", Command(l.asked))
	}
	now, err := l.store().Get(ctx, l.params.Profile)
	if err == nil && (now.TokenEndpoint != item.TokenEndpoint || now.Issuer != item.Issuer) {
		now.Wipe()
		err = protocol.NewError(protocol.Temporary, "the credential was replaced meanwhile; nothing was added",
			Command(l.asked))
	}
	if err != nil {
		resume()
		return nil, err
	}
	had := now
	now, _ = l.withAgreed(now)
	l.store().SetOrHold(ctx, l.params.Profile, now) // what could not be stored is held, and run says so
	item.Wipe()
	*item, l.resealed = now, true
	added := union(without(now.Origins, had.Origins), without(now.TokenOrigins, had.TokenOrigins)...)
	if added = union(added, without(now.PageOrigins, had.PageOrigins)...); len(added) > 0 {
		l.notice(fmt.Sprintf("From now on the credential of profile %s may be used at %s too.", l.params.Profile,
			strings.Join(added, ", ")))
	}
	t.Destinations = l.profile.Endpoint.DestinationsOf(now)
	return resume, nil
}

// addedAPIs says which APIs there are, and which of them the credential was not sealed for before.
func (l *Login) addedAPIs() (all, added []string) {
	for _, o := range l.apis {
		if !covered(o, l.sealedAPIs) && !covered(o, l.presetAPIs) {
			added = append(added, origin.WithoutPort(o))
		}
	}
	if len(added) == 0 && len(l.params.Resources) == 0 {
		return nil, nil
	}
	for _, o := range l.listedAPIs {
		if slices.Contains(l.apis, o) || covered(o, l.profile.Endpoint.Server().PresetAPIs) {
			all = append(all, origin.WithoutPort(o))
		}
	}
	return all, added
}
