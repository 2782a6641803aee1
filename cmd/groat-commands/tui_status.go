package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

// What "groat status" says: first the profiles that need a person, each with the command to type, then the others, and
// in the end groatd itself.

const textNoProfiles = "no profiles yet\nnext: groat login\n"

func textStatus(s screen, r *statusJSON, now time.Time) []byte {
	var b bytes.Buffer
	keystoreWell := r.Keystore.State == "ok" || r.Keystore.State == "undecided" || r.Keystore.State == ""
	if !keystoreWell {
		s.keystoreTrouble(&b, r.Keystore)
	}
	if c := r.Configuration; c != nil {
		s.flow(&b, 0, 2, s.words("configuration: not used as it is now: "+sentence(c.Message)))
		if c.Hint != "" {
			s.hint(&b, c.Hint)
		}
		b.WriteByte('\n')
	}
	if f := r.Fleet; f != nil && f.Message != "" {
		s.fleetState(&b, f)
		b.WriteByte('\n')
	}
	var needing, others []entry
	for _, p := range r.Profiles {
		if p.Blocked == protocol.Locked && r.Keystore.State == string(protocol.Locked) {
			p.Message, p.Hint = "", "" // which the keystore's own lines say
		}
		if e := s.entry(p, now); e.needed {
			needing = append(needing, e)
		} else {
			others = append(others, e)
		}
	}
	const longest = 16 // a longer name moves only its own line
	names := 0
	for _, p := range r.Profiles {
		names = min(max(names, columns(clean(p.Profile))), longest)
	}
	if len(r.Profiles) > 1 && len(needing) > 0 {
		b.WriteString(needWords(len(needing), len(r.Profiles)) + "\n\n")
	}
	s.entries(&b, needing, names)
	if len(needing) > 0 && len(others) > 0 {
		b.WriteByte('\n')
	}
	s.entries(&b, others, names)
	if len(r.Profiles) == 0 && r.Configuration == nil {
		b.WriteString(textNoProfiles)
	}
	b.WriteByte('\n')
	if len(r.Exports) > 0 {
		b.Write(append(textExports(s, r.Exports, now), '\n'))
	}
	s.network(&b, r.Network)
	if p := r.Place; p != nil && !p.Usual {
		s.flow(&b, 0, 2, s.words("place: "+clean(p.String())))
	}
	daemon := fmt.Sprintf("groatd %s, process %d, running for %s", clean(r.Release), r.PID,
		report.DurationWords(now.Unix()-r.StartedAt))
	if r.Socket != "" {
		daemon += " at " + visible.Name(r.Socket)
	}
	if keystoreWell {
		daemon += "; keystore: " + keystoreWords(r.Keystore)
	}
	s.flow(&b, 0, 2, s.words(daemon))
	return b.Bytes()
}

func needWords(needing, all int) string {
	if needing == 1 {
		return fmt.Sprintf("1 of %d profiles needs you", all)
	}
	return fmt.Sprintf("%d of %d profiles need you", needing, all)
}

// keystoreTrouble says what is wrong with the keystore, on which every profile depends.
func (s screen) keystoreTrouble(b *bytes.Buffer, k protocol.KeystoreResult) {
	s.flow(b, 0, 2, s.words("keystore: "+keystoreWords(k)))
	if k.State == string(protocol.Locked) {
		s.hint(b, "groat unlock")
	}
	b.WriteByte('\n')
}

// hint writes a command on a line of its own, which is never broken.
func (s screen) hint(b *bytes.Buffer, command string) {
	b.WriteString("  hint: " + s.paint(piece{sentence(command), bold}) + "\n")
}

// entry is what is said of a profile.
type entry struct {
	name, state string
	needed      bool // of a person
	rest        []piece
	notes       []note
}

// note is a sentence about a profile, and the command that helps; each may be empty.
type note struct{ text, hint string }

// entries writes profiles, their names padded to a number of columns. Where the next one has the same notes, they are
// written once, behind both.
func (s screen) entries(b *bytes.Buffer, all []entry, names int) {
	indent, states := names+2, 0
	for _, e := range all {
		states = max(states, columns(e.state))
	}
	if s.narrow() {
		names, indent, states = 0, 2, 0
	}
	open := false // a blank line is due, and written before the next profile
	for i, e := range all {
		again := i > 0 && slices.Equal(e.notes, all[i-1].notes)
		if i > 0 && len(e.notes) > 0 && !again || open && !again {
			b.WriteByte('\n')
		}
		state := piece{text: padded(e.state, states+1)}
		if e.needed {
			state.style = attention
		}
		s.flow(b, 0, indent, slices.Concat([]piece{{text: padded(e.name, names+1)}, state}, e.rest))
		if open = len(e.notes) > 0; i+1 < len(all) && slices.Equal(e.notes, all[i+1].notes) {
			continue
		}
		for _, n := range e.notes {
			if n.text != "" {
				b.WriteString("  ")
				s.flow(b, 2, 2, s.words(n.text))
			}
			if n.hint != "" {
				s.hint(b, n.hint)
			}
		}
	}
}

// textSessionEnds warns of a sign-in that ends soon.
func textSessionEnds(w protocol.SessionWarning, now time.Time) string {
	profile := clean(w.Profile)
	return "groat: the sign-in of profile " + profile + " ends in " +
		report.DurationWords(max(w.EndsAt-now.Unix(), 0)) + ", whatever is renewed: groat login " + profile + "\n"
}

// textProfiles lists the profiles.
func textProfiles(s screen, r *protocol.ProfilesResult) []byte {
	if len(r.Profiles) == 0 {
		return []byte(textNoProfiles)
	}
	var rows [][]string
	for _, p := range r.Profiles {
		var apis []string
		for _, api := range p.Resources {
			apis = append(apis, serverWords(api))
		}
		account := ""
		if p.Account != "" {
			account = s.shorten(nameOf(p.Account), max(s.width/3, leastWidth))
		}
		rows = append(rows, []string{p.Profile, p.Provider, account,
			s.shorten(serverWords(p.Issuer), max(s.width/3, leastWidth)), strings.Join(apis, " ")})
	}
	b := bytes.NewBuffer(s.table([]string{"PROFILE", "PROVIDER", "ACCOUNT", "SERVER", "APIS"}, rows))
	for _, p := range r.Profiles {
		if p.Broken {
			b.WriteByte('\n')
			s.flow(b, 0, 2, s.words(clean(p.Profile)+": "+sentence(p.Message)))
			s.hint(b, p.Hint)
		}
	}
	return b.Bytes()
}
