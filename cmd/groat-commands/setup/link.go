package setup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/groat-dev/groat/protocol/ownpath"
)

// formatLink is the format of a file that is a symbolic link: its one setting's value is where that leads.
const formatLink = "link"

// link returns the link to groat that makes a name a program on PATH, or nothing where one is there that another has
// made. It is made beside groat, or else in ~/.local/bin.
func (m *Machine) link(name string) ([]File, error) {
	path := filepath.Join(filepath.Dir(m.Groat), name)
	if there := m.Find(name); there != "" {
		if to, err := os.Readlink(there); err != nil || to != m.Groat {
			return nil, nil
		}
		path = there
	} else if !m.mayLink(path) {
		if path = filepath.Join(m.Home, ".local", "bin", name); !m.mayLink(path) {
			return nil, &Error{Reason: NoLink, Path: path, Tool: name, Program: m.Groat}
		}
	}
	return []File{{Path: path, Format: formatLink, Settings: []Setting{{Name: name, Value: m.Groat}}}}, nil
}

// mayLink reports whether a link can be made at a path, and would be found on PATH.
func (m *Machine) mayLink(path string) bool {
	dir := filepath.Dir(path)
	if !slices.Contains(filepath.SplitList(m.Getenv("PATH")), dir) {
		return false
	}
	if to, err := os.Readlink(path); !errors.Is(err, fs.ErrNotExist) {
		return to == m.Groat
	}
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	if err != nil {
		return false
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(owner.Uid) == os.Geteuid() && info.Mode()&0o200 != 0
}

// addLink plans a link. One that is there is this plan's too only where groat has made it, for another profile.
func (p *Plan) addLink(f File) {
	e := edit{Path: f.Path, Format: f.Format, Settings: f.Settings, Created: true, Dirs: missing(f.Path)}
	if old := p.oldEdit(f.Path); old != nil {
		e = *old
	}
	to := f.Settings[0].Value
	if now, _ := os.Readlink(f.Path); now != to {
		p.Changes = append(p.Changes, Change{Path: f.Path, Link: to, Created: true, dirs: e.Dirs})
	} else if p.oldEdit(f.Path) == nil && !p.machine.linked(p.Tool, p.Profile, f.Path) {
		return
	}
	p.record.Edits = append(p.record.Edits, e)
}

// revertLink plans to remove a link, unless another profile needs it, or it is another one by now.
func (p *Plan) revertLink(e edit) {
	to := e.Settings[0].Value
	now, err := os.Readlink(e.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist), p.machine.linked(p.Tool, p.Profile, e.Path):
	case err != nil || now != to:
		p.leave(e.Path, e.Settings)
	default:
		p.Changes = append(p.Changes, Change{Path: e.Path, Link: to, Removed: true, dirs: e.Dirs})
	}
}

// linked reports whether groat has made a link for another profile than this one.
func (m *Machine) linked(tool, profile, path string) bool {
	return slices.ContainsFunc(m.Profiles(tool), func(other string) bool {
		r, err := m.load(tool, other)
		return other != profile && err == nil && r != nil &&
			slices.ContainsFunc(r.Edits, func(e edit) bool { return e.Path == path })
	})
}

// applyLink makes or removes a link.
func (c *Change) applyLink() error {
	if c.Removed {
		if to, err := os.Readlink(c.Path); err != nil || to != c.Link {
			return &Error{Reason: Changed, Path: c.Path, Err: err}
		}
		if err := os.Remove(c.Path); err != nil {
			return &Error{Reason: NotWritten, Path: c.Path, Err: err}
		}
		removeDirectories(c.dirs)
		return nil
	}
	dir := filepath.Dir(c.Path)
	err := ownpath.System().MayMakeIn(dir) // programs run what the link leads to
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err == nil {
		err = os.Symlink(c.Link, c.Path)
	}
	if err != nil {
		return &Error{Reason: NotWritten, Path: c.Path, Err: err}
	}
	return nil
}
