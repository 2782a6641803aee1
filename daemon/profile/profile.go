// Package profile is the table of the profiles that are configured, each resolved against its provider's preset.
//
// A profile is immutable and so is a [Set] of them; the [Table] replaces the whole set. The invariants: a configuration
// that cannot be used changes nothing; a profile that cannot be used takes away no other one, stays known by its name,
// and goes on as it was where it is in use; a profile whose configuration has not changed stays the same *Profile, with
// what its endpoint has learned. It knows nothing of credentials, tokens or requests: [Options].Changed decides what a
// change of the set means for those.
package profile

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"iter"
	"maps"
	"reflect"
	"slices"

	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/origin"
)

// Profile is one configured profile with its server resolved. It is immutable once it is in a [Set].
type Profile struct {
	config.Profile
	Endpoint *grant.Endpoint
	// APIs are the resources, as [origin.Resource] writes them.
	APIs []string
	// Ephemeral: the profile is in no file and ends with the daemon.
	Ephemeral bool
}

// Fingerprint returns the SHA-256 digest, in hexadecimal, of the configuration that decides what a profile asks which
// server, and how. It is empty for nil and for an ephemeral profile, of which nothing outlives the daemon.
func (p *Profile) Fingerprint() string {
	if p == nil || p.Ephemeral {
		return ""
	}
	plain := p.Profile
	plain.File, plain.Line = "", 0
	text, err := json.Marshal([]any{plain, p.Endpoint.Server()})
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Same reports whether two configurations of a profile differ at most in the file and line where they stand.
func Same(a, b config.Profile) bool {
	a.File, a.Line, b.File, b.Line = "", 0, "", 0
	return reflect.DeepEqual(a, b)
}

// Set is all profiles at one moment. It is immutable; the zero Set is empty.
type Set struct {
	byName   map[string]*Profile
	byOrigin map[string][]Listing // :: origin → what is listed there, sorted by name; nearly always one
	names    []string             // sorted
	// broken :: name → why what is described under it cannot be used. Where it is in byName too, that is what was
	// described before.
	broken map[string]*config.Error
	// doubts :: origin → what profiles list there that cannot be used and are not in use; under "" are those whose
	// list cannot be read.
	doubts  map[string][]doubt
	known   []string      // the names of both, sorted
	refused *config.Error // see Err
}

// NewSet returns the set of some profiles, each of another name.
func NewSet(all ...*Profile) *Set { return newSet(all, nil, nil) }

// newSet is NewSet with those that cannot be used and what they list, as in [config.Config].
func newSet(all []*Profile, broken map[string]*config.Error, mayList map[string][]string) *Set {
	s := &Set{byName: map[string]*Profile{}, byOrigin: map[string][]Listing{}, broken: broken}
	for _, p := range all {
		s.byName[p.Name] = p
	}
	s.names = slices.Sorted(maps.Keys(s.byName))
	s.known = s.names
	if len(broken) > 0 {
		s.known = slices.AppendSeq(slices.Clone(s.names), maps.Keys(broken))
		slices.Sort(s.known)
		s.known = slices.Compact(s.known)
	}
	for p := range s.All() {
		for _, r := range p.APIs {
			o := origin.OfResource(r)
			s.byOrigin[o] = append(s.byOrigin[o], Listing{p, r})
		}
	}
	s.doubts = s.doubtful(mayList)
	return s
}

// Named returns the profile of a name, or nil, also where it cannot be used.
func (s *Set) Named(name string) *Profile { return s.byName[name] }

// Broken returns why what the configuration describes under a name cannot be used, or nil. [Set.Named] may return a
// profile all the same, which is then what was described before.
func (s *Set) Broken(name string) *config.Error { return s.broken[name] }

// AllBroken returns the names of what cannot be used, sorted.
func (s *Set) AllBroken() []string { return slices.Sorted(maps.Keys(s.broken)) }

// Knows reports whether a profile of a name is described, though it may not be one that can be used. What is kept by
// the profile's name is kept as long.
func (s *Set) Knows(name string) bool { return s.byName[name] != nil || s.broken[name] != nil }

// Len returns how many profiles there are that can be used.
func (s *Set) Len() int { return len(s.names) }

// Known returns how many profiles there are, with those that cannot be used.
func (s *Set) Known() int { return len(s.known) }

// NamesAfter returns the names of all profiles that come after a name, sorted, with those that cannot be used.
func (s *Set) NamesAfter(name string) iter.Seq[string] {
	i, found := slices.BinarySearch(s.known, name)
	if found {
		i++
	}
	return slices.Values(s.known[i:])
}

// All returns the profiles, sorted by name.
func (s *Set) All() iter.Seq[*Profile] { return s.After("") }

// After returns the profiles whose names come after a name, sorted by name.
func (s *Set) After(name string) iter.Seq[*Profile] {
	i, found := slices.BinarySearch(s.names, name)
	if found {
		i++
	}
	return func(yield func(*Profile) bool) {
		for _, name := range s.names[i:] {
			if !yield(s.byName[name]) {
				return
			}
		}
	}
}

// Err returns why the configuration cannot be used and there is no profile, a [*config.Error], or nil. See
// [Table.Refuse].
func (s *Set) Err() error {
	if s.refused == nil {
		return nil
	}
	return s.refused
}
