package importer

import (
	"strconv"
	"strings"

	"github.com/groat-dev/groat/daemon/grant/preset"
	"github.com/groat-dev/groat/protocol/visible"
)

// maxName is the longest profile name.
const maxName = 64

// profileName turns a name given by people into a valid profile name; fallback must be valid.
func profileName(wanted, fallback string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, wanted)
	name = strings.Trim(name[:min(len(name), maxName)], "._-")
	if name == "" {
		return fallback
	}
	return name
}

// name gives each candidate its own name. Importable ones choose first; names that groat has already are not used.
func (s *search) name(rows []*Candidate) {
	used := map[string]bool{}
	for _, importable := range []bool{true, false} {
		for _, f := range rows {
			if f.Importable() != importable {
				continue
			}
			wanted := f.Name
			for n := 2; used[f.Name] || s.env.Taken != nil && s.env.Taken(f.Name); n++ {
				suffix := "-" + strconv.Itoa(n)
				f.Name = wanted[:min(len(wanted), maxName-len(suffix))] + suffix
			}
			used[f.Name] = true
			f.Fresh = strings.ReplaceAll(f.Fresh, namePlace, f.Name)
			f.Hint = strings.ReplaceAll(f.Hint, namePlace, f.Name)
		}
	}
}

// namePlace stands for the candidate's name in a command until the name is known. It cannot come from a file: words
// from files are quoted and hold no control characters.
const namePlace = "\x00"

// signIn returns the command for a separate sign-in.
func signIn(t Target, clientID string) string {
	words := []string{"groat login", namePlace}
	option := func(name, value string) {
		if value != "" && checkPrintable(value) == nil {
			words = append(words, name, visible.Word(value))
		}
	}
	option("--provider", t.Provider)
	option("--issuer", t.Issuer)
	option("--auth-server", t.AuthServer)
	p, _ := preset.Lookup(t.Provider)
	if clientID != p.For(t.Grant).ClientID {
		option("--client-id", clientID)
	}
	if len(p.Grants) == 0 || t.Grant != p.Grants[0] {
		option("--grant", t.Grant)
	}
	option("--client-auth", t.ClientAuth)
	option("--scope", t.Scope)
	option("--audience", t.Audience)
	return strings.Join(words, " ")
}
