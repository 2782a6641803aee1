package broker

import (
	"errors"
	"slices"
	"strings"

	"github.com/groat-dev/groat/daemon/grant"
)

// A refresh may ask for less scope than the session has, and the session keeps its own (RFC 6749 §6). Some servers keep
// what was asked for instead: there one program's scope takes the others' from them for good, and only a sign-in brings
// it back. Which server it is says the configuration, or a default token that comes with less scope than the one before
// it, where a narrower one was asked for in between. From then on only the default scope is obtained there.

// ErrOneScope: the server narrows a session for good when a narrower scope is asked for, so another scope cannot be
// had. It is in an [*OnlyFor].
var ErrOneScope = errors.New("this server keeps one scope a session: sign in another profile for that scope")

// Narrowing is what is known of a server that narrows sessions, and of what that has done to this one. Immutable. Its
// JSON form is what is worth outliving the process.
type Narrowing struct {
	// Configured: the preset or the configuration says that the server does.
	Configured bool `json:"-"`
	// Noticed: the default token came with less scope after a narrower one was asked for.
	Noticed bool `json:"noticed,omitempty"`
	// Lost is the scope that the session had and has no longer; empty where nothing is missing.
	Lost string `json:"lost,omitempty"`
	// Asked is the scope that was asked for since the last default token, and Granted what that one had.
	Asked   string `json:"asked,omitempty"`
	Granted string `json:"granted,omitempty"`
}

func (n Narrowing) String() string {
	switch {
	case n.Configured:
		return "configured"
	case n.Noticed:
		return "noticed"
	}
	return ""
}

// narrowing is what is known now.
func (s *slot) narrowing() Narrowing {
	if n := s.narrow.Load(); n != nil {
		return *n
	}
	return Narrowing{}
}

func (s *slot) setNarrowing(n Narrowing) {
	switch was := s.narrowing(); n {
	case was:
	case Narrowing{}:
		s.narrow.Store(nil)
	default:
		s.narrow.Store(&n)
	}
}

// narrows reports whether the session has one scope.
func (s *slot) narrows() bool {
	n := s.narrowing()
	return n.Configured || n.Noticed
}

// adoptNarrowing takes over what a new source says. What was noticed of the same server stays, and so does what the
// session has lost, until a token shows that it has it.
func (s *slot) adoptNarrowing(source Source, sameServer bool) {
	narrows, known := source.NarrowsSession()
	next := Narrowing{Configured: narrows}
	if was := s.narrowing(); sameServer {
		next.Noticed, next.Lost = was.Noticed && !known, was.Lost
	}
	s.setNarrowing(next)
}

// restoreNarrowing takes in what an earlier process has recorded.
func (s *slot) restoreNarrowing(n Narrowing) {
	narrows, known := (*s.source.Load()).NarrowsSession()
	n.Configured, n.Noticed = narrows, n.Noticed && !known
	if s.granted == "" {
		s.granted = n.Granted
	}
	n.Granted = ""
	s.setNarrowing(n)
	s.recorded = true
}

// remembered is what is recorded of it.
func (s *slot) rememberedNarrowing() Narrowing {
	n := s.narrowing()
	n.Configured = false
	if n.Asked != "" {
		n.Granted = s.granted
	}
	return n
}

// usedFor notes that the refresh token was used, or may have been, for a scope of its own.
func (s *slot) usedFor(t *tokenSlot) {
	if t.key.scope != "" {
		n := s.narrowing()
		n.Asked = t.key.scope
		s.setNarrowing(n)
	}
}

// weighScope takes in what a new token says of the session's scope.
func (s *slot) weighScope(t *tokenSlot, token grant.Token) {
	n := s.narrowing()
	switch {
	case !token.Refreshed: // the session is new
		n.Lost, n.Asked = "", ""
		s.setNarrowing(n)
	case t.key.scope != "":
		s.usedFor(t)
	case t.key == (key{}) && token.Scope != "":
		had := n.Lost
		if _, known := (*s.source.Load()).NarrowsSession(); !known && n.Asked != "" {
			had += " " + without(s.granted, n.Asked)
		}
		lost := without(canonical(had), token.Scope)
		fresh := without(lost, n.Lost) != ""
		n.Noticed, n.Lost, n.Asked = n.Noticed || fresh, lost, ""
		s.setNarrowing(n)
		if fresh && s.b.Narrowed != nil {
			s.b.Narrowed(s.name, lost)
		}
	}
}

// without returns the words of a scope that another one lacks.
func without(scope, other string) string {
	has := strings.Fields(other)
	lacks := slices.DeleteFunc(strings.Fields(scope), func(word string) bool { return slices.Contains(has, word) })
	return strings.Join(lacks, " ")
}
