package profile

import (
	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/origin"
)

// doubt is an API, in the long form, that a profile lists which cannot be used; any API where it is "".
type doubt struct{ name, resource string }

// doubtful makes [Set].doubts. A profile that is in no file is another one than a file of its name describes.
func (s *Set) doubtful(mayList map[string][]string) map[string][]doubt {
	if len(s.broken) == 0 {
		return nil
	}
	all := map[string][]doubt{}
	for _, name := range s.AllBroken() {
		if p := s.byName[name]; p != nil && !p.Ephemeral {
			continue
		}
		apis, known := mayList[name]
		if !known {
			all[""] = append(all[""], doubt{name: name})
		}
		for _, api := range apis {
			o := origin.OfResource(api)
			all[o] = append(all[o], doubt{name, api})
		}
	}
	return all
}

// doubted returns why another profile than the picked one may be meant, or nil: one that cannot be used lists the
// target as closely as the picked one does, or may; with a user name that may be its own, however closely. A profile's
// name decides, also as the user name.
func (s *Set) doubted(w Wanted, picked Listing) error {
	if w.Name != "" || w.Username == picked.Name {
		return nil
	}
	for _, d := range s.doubts[w.Target.Origin] {
		closely := w.Username != "" || len(d.resource) >= len(picked.Resource)
		if d.name != picked.Name && closely && w.Target.Under(d.resource) {
			return s.broken[d.name]
		}
	}
	for _, d := range s.doubts[""] {
		if d.name != picked.Name {
			return s.broken[d.name]
		}
	}
	return nil
}

// maxLogged is how many profiles that cannot be used are told one by one in the log, of those that a reading finds.
const maxLogged = 32

// logBroken tells what cannot be used from now on, and what can be again.
func (t *Table) logBroken(old, now *Set) {
	news := 0
	for _, name := range now.AllBroken() {
		e := now.broken[name]
		if was := old.broken[name]; was != nil && *was == *e {
			continue
		}
		if news++; news <= maxLogged {
			t.Log.Error("a profile cannot be used", zap.String("profile", name), zap.Error(e),
				zap.String("next", "groatd --check"), zap.Bool("as_before", now.Named(name) != nil))
		}
	}
	if news > maxLogged {
		t.Log.Error("more profiles cannot be used: groatd --check", zap.Int("profiles", news-maxLogged))
	}
	for _, name := range old.AllBroken() {
		if now.broken[name] == nil && now.Named(name) != nil {
			t.Log.Info("a profile can be used again", zap.String("profile", name))
		}
	}
}

// maxSpoiled is how many of the files that cannot be used are looked at for a request, beside the one that it is about.
const maxSpoiled = 64

// mended reports whether a file that could not be used is another one by now; first is the one that matters, or nil.
// loading is held.
func (t *Table) mended(first *config.Error) bool {
	if first != nil && config.FileStamp(first.File) != t.spoiled[first.File] {
		return true
	}
	looked := 0
	for file, stamp := range t.spoiled {
		if looked++; looked > maxSpoiled {
			return false
		}
		if config.FileStamp(file) != stamp {
			return true
		}
	}
	return false
}
