package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol"
)

// What "groat status" says of one profile.

// entry says how a profile is doing.
func (s screen) entry(p protocol.ProfileStatus, now time.Time) entry {
	soon := p.SessionEndsSoon && !stuck(p)
	e := entry{name: clean(p.Profile), state: stateWords(p), notes: notes(p, soon)}
	e.needed = stuck(p) || soon || p.Degraded || p.Broken
	switch {
	case p.Broken:
		e.state = stateWords(protocol.ProfileStatus{State: string(protocol.Config)})
	case soon:
		e.state = "ends soon"
	case p.Degraded && p.Blocked == "" && p.State == "fresh":
		e.state = "not stored"
	}
	var phrases []string
	for _, words := range []string{tokenWords(p), nextWords(p), renewerWords(p.Fleet, now),
		s.whoAndWhere(p.Account, p.Issuer), signInWords(p, now)} {
		if words != "" {
			phrases = append(phrases, words)
		}
	}
	if bar := s.bar(p); bar != "" {
		e.rest = append(e.rest, piece{bar, blue})
	}
	for i, phrase := range phrases {
		if i+1 < len(phrases) {
			phrase += ","
		}
		e.rest = append(e.rest, s.phrase(phrase)...)
	}
	return e
}

// renewerWords says which machine of the fleet renewed last.
func renewerWords(f *protocol.FleetProfile, now time.Time) string {
	if f == nil {
		return ""
	}
	f.Message = "" // which is said of the fleet
	return strings.TrimPrefix(fleetWords(f, now), ", ")
}

// phrase is a piece, or the words of it where a line has no room for it.
func (s screen) phrase(text string) []piece {
	const margin = 28 // of a name of usual length
	if s.width > 0 && columns(text) > max(s.width-margin, leastWidth) {
		return s.words(text)
	}
	return []piece{{text: text}}
}

// stuck reports whether time alone brings a profile no further token, so that it needs a person.
func stuck(p protocol.ProfileStatus) bool {
	if p.Blocked != "" { // an older groatd does not say it
		return p.Blocked != protocol.Temporary
	}
	return !slices.Contains([]string{"idle", "fresh", "expired", string(protocol.Temporary)}, p.State)
}

// stateWords is a profile's state in words: its token, or the kind of what only a person ends.
func stateWords(p protocol.ProfileStatus) string {
	state := p.State
	if p.Blocked != "" && stuck(p) {
		state = string(p.Blocked)
	}
	switch protocol.Kind(state) {
	case protocol.Temporary:
		return "temporary failure"
	case protocol.Config:
		return "configuration error"
	case protocol.Internal:
		return "internal error"
	}
	return clean(strings.ReplaceAll(state, "_", " "))
}

// barCells is how many cells the bar of a token's life has.
const barCells = 8

// bar is how much of the token's life is left, for the eye; the words beside it say it too.
func (s screen) bar(p protocol.ProfileStatus) string {
	if s.width == 0 || p.ExpiresIn <= 0 || p.Lifetime <= 0 {
		return ""
	}
	full := int(min((p.ExpiresIn*barCells+p.Lifetime-1)/p.Lifetime, barCells))
	if s.utf8 {
		return strings.Repeat("█", full) + strings.Repeat("░", barCells-full)
	}
	return "[" + strings.Repeat("#", full) + strings.Repeat("-", barCells-full) + "]"
}

func tokenWords(p protocol.ProfileStatus) string {
	switch {
	case p.Static:
		return "does not expire"
	case p.ExpiresIn > 0:
		return "good for " + report.DurationWords(p.ExpiresIn)
	case p.ExpiresAt > 0:
		return "the token has expired"
	case p.State == "idle":
		return "no token yet"
	}
	return ""
}

// nextWords says what comes next by itself: nothing does where a person is needed first.
func nextWords(p protocol.ProfileStatus) string {
	switch {
	case p.Last:
		return "the sign-in ends with it"
	case stuck(p):
		return ""
	case p.RetryIn > 0:
		return "retry in " + report.DurationWords(p.RetryIn)
	case p.RenewIn > 0:
		return "renewal in " + report.DurationWords(p.RenewIn)
	}
	return ""
}

// whoAndWhere names the account and its server.
func (s screen) whoAndWhere(account, issuer string) string {
	most := max(s.width/2-4, leastWidth)
	if s.narrow() { // it has a line of its own
		most = max(s.width-len("  ,"), leastWidth)
	}
	at := s.shorten(serverWords(issuer), most)
	if account == "" {
		return at
	}
	return s.shorten(nameOf(account), most) + " at " + at
}

// serverWords is an issuer or an API without what goes without saying: https, and the scheme's own port.
func serverWords(address string) string {
	scheme, rest, found := strings.Cut(clean(address), "://")
	if !found {
		return clean(address)
	}
	host, path := rest, ""
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		host, path = rest[:i], rest[i:]
	}
	switch scheme {
	case "https":
		return strings.TrimSuffix(host, ":443") + path
	case "http":
		return "http://" + strings.TrimSuffix(host, ":80") + path
	}
	return scheme + "://" + rest
}

// signInWords says when the sign-in ends.
func signInWords(p protocol.ProfileStatus, now time.Time) string {
	until := func(unix int64) string { return report.DurationWords(max(unix-now.Unix(), 0)) }
	switch {
	case p.Last: // nextWords says it
	case p.SessionEndsAt != 0:
		return "sign-in ends in " + until(p.SessionEndsAt)
	case p.SessionIdleEndsAt != 0 && p.RenewIn == 0:
		return "sign-in ends in " + until(p.SessionIdleEndsAt) + " without a renewal"
	}
	return ""
}

// notes are the sentences about a profile: first what stands in the way.
func notes(p protocol.ProfileStatus, soon bool) (all []note) {
	login := "groat login " + clean(p.Profile)
	add := func(text, hint string) {
		if text != "" || hint != "" {
			all = append(all, note{text, hint})
		}
	}
	add(sentence(p.Message), otherThanStatus(p.Hint, p.Profile))
	if soon {
		add("", login)
	}
	if p.ScopeLost != "" {
		add("the session has less scope than it was signed in for, without "+clean(p.ScopeLost), login+" --replace")
	}
	if p.ClockOffset != 0 {
		add(clockWords(p.ClockOffset), "date -u")
	}
	add(oneTokenWords(p), "")
	return all
}

// otherThanStatus is a hint without the command whose answer it stands in.
func otherThanStatus(hint, profile string) string {
	if hint == "groat status" || hint == "groat status "+profile {
		return ""
	}
	return hint
}

// clockWords says that client assertions are not dated by this machine's clock.
func clockWords(offset int64) string {
	than := "behind"
	if offset < 0 {
		than, offset = "ahead of", -offset
	}
	return fmt.Sprintf("this machine's clock is %s %s the server's; client assertions are dated by the server's clock",
		report.DurationWords(offset), than)
}

// oneTokenWords says that the server keeps one token or one scope a session, and how that is known.
func oneTokenWords(p protocol.ProfileStatus) string {
	what, how, late := "one token", "by the configuration", "it is renewed late, and "
	switch p.EndsEarlier {
	case "refused":
		how = "an API refused a token far from its end, after a renewal"
	case "introspected":
		how = "it says so of a token before a renewal"
	case "":
		if what, late = "one scope", ""; p.Narrows == "noticed" {
			how = "a token had less scope after a narrower one was asked for"
		}
		if p.Narrows == "" {
			return ""
		}
	}
	return "this server keeps " + what + " a session (" + how + "): " + late +
		"another scope needs a profile of its own"
}
