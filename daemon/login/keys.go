package login

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/protocol"
)

// Keys of a profile that a sign-in looks at, and that have no parameter of their own.
const (
	introspectionEndpoint = "introspection_endpoint"
	sessionScope          = "session_scope"
	tokenChars            = "token_chars"
)

// idleKeys are the keys that a login may set :: key → why this sign-in has no use for it, or "".
var idleKeys = map[string]func(*Login) string{
	"assertion_life":       (*Login).noAssertion,
	"assertion_not_before": (*Login).noAssertion,
	"scope_in_assertion":   (*Login).noAssertionGrant,
	tokenChars:             (*Login).noToken,
	introspectionEndpoint:  (*Login).noIntrospection,
	"refresh_ends_tokens":  (*Login).noRefresh,
	"refresh_auth":         (*Login).noRefresh,
	"tokens_last":          (*Login).noRefresh,
	"authorize_params":     (*Login).noRedirect,
	"iss_in_redirect":      (*Login).noRedirect,
	"second_factor":        (*Login).noPasswordGrant,
	"revoke_json":          (*Login).noSession,
	sessionScope:           (*Login).noRefresh,
	"session_idle":         (*Login).noRefresh,
	"session_absolute":     (*Login).noRefresh,
	"token_prefix":         func(*Login) string { return "" },
	"keep_session":         (*Login).noRefresh,
}

// setKeys makes the profile say what the request sets.
func (l *Login) setKeys(p *config.Profile) error {
	for _, key := range slices.Sorted(maps.Keys(l.params.Set)) {
		if _, settable := idleKeys[key]; !settable {
			return l.refuseKey(key, notSet(key))
		}
		if err := p.Set(key, l.params.Set[key]); err != nil {
			return l.refuseKey(key, err.Error())
		}
	}
	return nil
}

// notSet says why no login sets a key by its name.
func notSet(key string) string {
	for _, k := range config.Keys() {
		if k.Name != key {
			continue
		}
		if k.Login != "" && !strings.HasPrefix(k.Login, config.ByName) {
			return "it is said by " + k.Login
		}
		return "it has a flag of its own, --" + strings.ReplaceAll(key, "_", "-")
	}
	return fmt.Sprintf("a login sets %s", strings.Join(slices.Sorted(maps.Keys(idleKeys)), ", "))
}

// refuseUnusedKeys refuses the first key that this sign-in has no use for.
func (l *Login) refuseUnusedKeys() error {
	for _, key := range slices.Sorted(maps.Keys(l.params.Set)) {
		if why := idleKeys[key](l); why != "" {
			return l.refuseKey(key, why)
		}
	}
	return nil
}

// Unused says why a profile that is signed in has no use for one of its keys, or "".
func Unused(p *profile.Profile, key string) string {
	l := &Login{profile: p, endpoint: p.Endpoint, kind: p.Kind()}
	if idle := idleKeys[key]; idle != nil && key != introspectionEndpoint {
		return idle(l)
	}
	for _, a := range parameters {
		if a.flag == strings.ReplaceAll(key, "_", "-") && a.idle != nil {
			return a.idle(l)
		}
	}
	return ""
}

// refuseKey is the refusal of a key; its hint is the command without it.
func (l *Login) refuseKey(key, why string) error {
	without := l.asked
	without.Set = maps.Clone(without.Set)
	delete(without.Set, key)
	e := protocol.InvalidParams("--set %s cannot be used here: %s", key, why)
	e.Data = &protocol.ErrorData{Hint: Command(without)}
	return e
}

func (l *Login) noRefresh() string {
	if l.kind.Session() {
		return ""
	}
	return fmt.Sprintf("a %s sign-in has no session", l.kind)
}

func (l *Login) noPasswordGrant() string {
	if l.kind == grant.ByPassword {
		return ""
	}
	return fmt.Sprintf("only a %s sign-in has a one-time code beside the password, and this is %s", grant.ByPassword,
		l.kind)
}

func (l *Login) noAssertionGrant() string {
	if l.kind == grant.ByJWTBearer && l.server().AssertionFile == "" {
		return ""
	}
	return fmt.Sprintf("only a %s sign-in with a key signs an assertion that is a grant", grant.ByJWTBearer)
}

// noIntrospection says why no server is asked whether a token is good.
func (l *Login) noIntrospection() string {
	at := origin.OfEndpoint(l.params.Set[introspectionEndpoint])
	if home := origin.OfEndpoint(l.server().TokenEndpoint); at != home {
		return "it is not on the token endpoint's host " + host(home)
	}
	return l.noRefresh()
}
