package profile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/origin"
)

// Wanted is what a request says of the profile that it means. Each member may be zero.
type Wanted struct {
	Name   string
	Target origin.Target
	// Username is the user name that came with Target: a profile's name, or a person or a client at the server.
	Username string
	// Knows reports whether a profile's credential is Username's. It may take its time, and is called only where more
	// than one profile lists the target and none is named Username. Where it is needed and nil, or fails for one and
	// finds no other, nothing is picked: another account's token is not the one that was asked for.
	Knows func(p *Profile) (bool, error)
}

// Listing is a profile with one of its resources, in the long form of package origin.
type Listing struct {
	*Profile
	Resource string
}

// Pick returns the profile that a request means. Its error is [Set.Err], [Set.Broken] of the profile that is meant, an
// [*UnknownError] or one of [Wanted.Knows].
//
// With a target it is one of the profiles that list it: the one of that name, or else the one of that user name, of
// these the one with the longest resource. Without a target it is the one of that name, or else the only one. A profile
// that cannot be used counts as one, with the APIs that can be read from its file, or with any where none can be:
// another is never taken in its place. One that is in use as it was before counts with what it listed then.
//
// A user name that no profile has decides nothing: it often stands in a URL that a server made up ("oauth2@", or the
// name of an organization), servers ignore it beside a token, and other helpers of git's answer all the same.
func (s *Set) Pick(w Wanted) (*Profile, error) {
	switch {
	case s.refused != nil:
		return nil, s.refused
	case w.Target.Origin != "":
		return s.forTarget(w)
	case w.Name != "":
		return s.named(w)
	case len(s.known) == 1:
		return s.named(Wanted{Name: s.known[0]})
	}
	return nil, &UnknownError{Wanted: w, Matches: len(s.known)}
}

// named is Pick by the name alone.
func (s *Set) named(w Wanted) (*Profile, error) {
	if p := s.byName[w.Name]; p != nil {
		return p, nil
	}
	if e := s.broken[w.Name]; e != nil {
		return nil, e
	}
	return nil, &UnknownError{Wanted: Wanted{Name: w.Name}, Nearest: s.nearest(w.Name), First: len(s.known) == 0}
}

// forTarget is Pick for a target.
func (s *Set) forTarget(w Wanted) (*Profile, error) {
	if w.Name != "" {
		if _, err := s.named(w); err != nil {
			return nil, err
		}
	}
	if e := s.broken[w.Username]; e != nil && w.Name == "" && s.byName[w.Username] == nil {
		return nil, e // its file may list the target, or not
	}
	here := s.byOrigin[w.Target.Origin]
	if len(here) == 1 && w.Name == "" && len(s.doubts) == 0 && w.Target.Under(here[0].Resource) { // nearly always
		return here[0].Profile, nil
	}
	here = slices.DeleteFunc(slices.Clone(here), func(l Listing) bool { return w.Name != "" && l.Name != w.Name })
	found := bestOf(here, w.Target)
	if w.Username != "" && len(found) > 1 {
		of, err := w.named(found)
		if err != nil {
			return nil, err
		}
		if len(of) > 0 {
			found = of
		}
	}
	longest := 0
	for _, l := range found {
		longest = max(longest, len(l.Resource))
	}
	found = filter(found, func(l Listing) bool { return len(l.Resource) == longest })
	switch {
	case len(found) == 1:
		if err := s.doubted(w, found[0]); err != nil {
			return nil, err
		}
		return found[0].Profile, nil
	case len(found) > 1:
		return nil, &UnknownError{Wanted: w, Matches: len(found), Choices: found}
	case w.Target.WholeOrigin(): // a path would choose, if there were one
		return nil, &UnknownError{Wanted: w, Choices: here, Broken: s.unusable(w)}
	}
	return nil, &UnknownError{Wanted: w, Broken: s.unusable(w)}
}

// unusable returns the names of the profiles that cannot be used and may list a target, sorted.
func (s *Set) unusable(w Wanted) []string {
	if w.Name != "" || len(s.broken) == 0 {
		return nil
	}
	return slices.DeleteFunc(s.AllBroken(), func(name string) bool { return s.byName[name] != nil })
}

// named returns those of a target's listings that the user name means, none where it is nobody's. Where that cannot be
// decided, the error says why.
func (w Wanted) named(found []Listing) (of []Listing, err error) {
	of = filter(found, func(l Listing) bool { return l.Name == w.Username })
	switch {
	case len(of) > 0:
		return of, nil
	case w.Knows == nil:
		return nil, &UnknownError{Wanted: Wanted{Target: w.Target}, Matches: len(found), Choices: found}
	}
	for _, l := range found {
		its, failed := w.Knows(l.Profile)
		if its {
			of = append(of, l)
		}
		err = cmp.Or(err, failed)
	}
	if len(of) > 0 {
		return of, nil
	}
	return nil, err
}

// bestOf returns each profile that lists the target once, with its longest resource.
func bestOf(all []Listing, target origin.Target) []Listing {
	var found []Listing
	for _, l := range all {
		if !target.Under(l.Resource) {
			continue
		}
		i := slices.IndexFunc(found, func(f Listing) bool { return f.Profile == l.Profile })
		switch {
		case i < 0:
			found = append(found, l)
		case len(l.Resource) > len(found[i].Resource):
			found[i] = l
		}
	}
	return found
}

// maxCompared is how many names are compared with one that no profile has.
const maxCompared = 256

// nearest returns the profile's name that a person may have meant, or "".
func (s *Set) nearest(typed string) string {
	return config.Nearest(typed, s.known[:min(len(s.known), maxCompared)])
}

// filter returns what keep reports true of, each asked once.
func filter(all []Listing, keep func(Listing) bool) (kept []Listing) {
	for _, l := range all {
		if keep(l) {
			kept = append(kept, l)
		}
	}
	return kept
}

// Lists returns the longest resource of the profile's that a target is under, or "".
func (p *Profile) Lists(target origin.Target) string { return target.Longest(p.APIs) }

// UnknownError says that a request means no profile, or more than one.
type UnknownError struct {
	// Wanted is what was asked for.
	Wanted Wanted
	// Matches is how many profiles are meant; it is never 1, and 0 where a name was asked for.
	Matches int
	// Choices are the profiles that a name, a user name or the path of a target would choose between, sorted by name.
	Choices []Listing
	// Nearest is the profile's name that is nearest to the one that was asked for, or empty.
	Nearest string
	// First says that there is no profile at all, where a name was asked for.
	First bool
	// Broken are the profiles that cannot be used, where one of them may list the target.
	Broken []string
}

func (e *UnknownError) Error() string {
	said := e.what()
	switch n := len(e.Broken); {
	case n == 1:
		said += "; profile " + e.Broken[0] + " cannot be used"
	case n > maxNamed:
		said += fmt.Sprintf("; %d profiles cannot be used: %s, …", n, strings.Join(e.Broken[:maxNamed], ", "))
	case n > 1:
		said += fmt.Sprintf("; %d profiles cannot be used: %s", n, strings.Join(e.Broken, ", "))
	}
	return said
}

func (e *UnknownError) what() string {
	w := e.Wanted
	if e.Matches > 0 && w.Target.Origin != "" { // all choices list the same
		said := "more than one profile lists " + origin.WithoutPort(e.Choices[0].Resource) + " as an API"
		if w.Username != "" {
			said += fmt.Sprintf(", and the user name %q is none of theirs", w.Username)
		}
		return said + ": " + e.names(false)
	}
	switch {
	case w.Target.Origin == "" && w.Name != "":
		said := fmt.Sprintf("there is no profile %q", w.Name)
		if e.Nearest != "" {
			said += "; the nearest is " + e.Nearest
		}
		return said
	case w.Target.Origin == "" && e.Matches == 0:
		return "there is no profile yet"
	case w.Target.Origin == "":
		return fmt.Sprintf("there are %d profiles: name one", e.Matches)
	case len(e.Choices) > 0:
		return fmt.Sprintf("no profile lists all of %s, and there is no path that chooses: %s",
			origin.WithoutPort(w.Target.Origin), e.names(true))
	}
	who := "no profile lists "
	if w.Name != "" {
		who = "profile " + w.Name + " does not list "
	}
	const most = 200
	if to := w.Target.String(); len(to) <= most {
		return who + to + " as an API"
	}
	return who + w.Target.String()[:most] + "… as an API"
}

// maxNamed is how many choices a sentence names.
const maxNamed = 5

// names lists the choices for people, with what they list or without.
func (e *UnknownError) names(resources bool) string {
	var all []string
	for _, l := range e.Choices {
		if len(all) == maxNamed {
			all = append(all, "…")
			break
		}
		name := l.Name
		if resources {
			name += " lists " + origin.WithoutPort(l.Resource)
		}
		all = append(all, name)
	}
	return strings.Join(all, ", ")
}
