package export

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/groat-dev/groat/daemon/wire"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

// Variant is one of a profile's tokens: without a scope and an audience the default one.
type Variant struct{ Profile, Scope, Audience string }

func (v Variant) isDefault() bool { return v.Scope == "" && v.Audience == "" }

// String is how a sentence names it.
func (v Variant) String() string {
	s := "profile " + v.Profile
	if v.Scope != "" {
		s += " with the scope " + visible.Quote(v.Scope)
	}
	if v.Audience != "" {
		s += " for " + visible.Quote(v.Audience)
	}
	return s
}

// Wanted is a file to keep.
type Wanted struct {
	Variant
	Path, Form string
	Hook       string // the name of what is run after each replacement, or empty
	PID        int    // a process as long as which it is kept, beside those that keep it already, or 0
	EndsAt     int64  // until when it is kept, Unix seconds, or 0
}

// Check returns what a request wants to be kept, or why it cannot be wanted. The profile is not looked at.
func Check(p protocol.ExportParams, now time.Time) (Wanted, error) {
	w := Wanted{Variant: Variant{p.Profile, p.Scope, p.Audience}, Hook: p.OnChange, PID: p.WhilePID}
	files := 0
	for _, f := range []struct{ path, form string }{
		{p.HeaderFile, protocol.FormHeader}, {p.TokenFile, protocol.FormToken}, {p.File, p.As},
	} {
		if f.path != "" {
			w.Path, w.Form = f.path, f.form
			files++
		}
	}
	known := p.As == "" || slices.Contains(named(), p.As)
	switch {
	case files != 1:
		return w, protocol.InvalidParams("a file has one form: give one of header_file, token_file and file")
	case (p.File != "") != (p.As != ""), !known:
		return w, protocol.InvalidParams("file goes with as, which must be one of %s", strings.Join(named(), ", "))
	case p.Stop != "" || p.All:
		return w, protocol.InvalidParams("a file is kept or stopped: stop and all go with nothing else")
	case p.WhilePID != 0 && p.For != 0:
		return w, protocol.InvalidParams("while_pid and for exclude each other")
	case p.WhilePID < 0 || p.For < 0 || p.For > protocol.MaxExportFor:
		return w, protocol.InvalidParams("while_pid must be a process id, and for from 0 to %d", protocol.MaxExportFor)
	}
	if err := wire.CheckScope(p.Scope, p.Audience); err != nil {
		return w, err
	}
	if p.For != 0 {
		w.EndsAt = now.Unix() + p.For
	}
	return w, checkPath(w.Path)
}

func checkPath(path string) error {
	text, err := json.Marshal(path)
	switch {
	case !filepath.IsAbs(path) || filepath.Clean(path) != path || path == "/":
		return protocol.InvalidParams("the path of a file must be absolute and clean")
	case err != nil || len(path) > protocol.MaxExportPath, len(text) > 2*protocol.MaxExportPath: // all fit into a line
		return protocol.InvalidParams("the path of a file must be of %d bytes at most", protocol.MaxExportPath)
	case strings.ContainsFunc(path, func(r rune) bool { return !unicode.IsPrint(r) }):
		return protocol.InvalidParams("the path of a file must be made of printable characters")
	}
	return nil
}

// checkName refuses the names of files that a person or another program edits: groat replaces its file as a whole.
func (w Wanted) checkName() error {
	dir, name := filepath.Split(w.Path)
	if !slices.Contains(forms[w.Form].shared, name) {
		return nil
	}
	other := visible.Word(dir + "groat-" + w.Form)
	return protocol.NewError(protocol.Config,
		fmt.Sprintf("%s is a file that other programs write too, and groat replaces its file as a whole: choose "+
			"another name", w.Path), "groat export "+w.Profile+" --"+w.Form+" "+other)
}
