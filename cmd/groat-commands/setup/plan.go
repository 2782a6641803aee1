package setup

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/groat-dev/groat/protocol/ownpath"
)

// Plan is what setting up a tool, or undoing that, changes.
type Plan struct {
	Tool, Profile string
	Changes       []Change
	// Left is what an undo leaves because it was changed by someone else since, and Stays what another profile needs.
	Left, Stays []Left
	// Undecided are APIs that another profile lists too, of which the tool names neither.
	Undecided []string

	machine *Machine
	record  *record // what becomes of the record; without edits it goes
	old     *record
}

// Left is a setting that an undo cannot take back.
type Left struct {
	Path string `json:"path"`
	Name string `json:"name"`
}

// Change is one file as it is, and as it would be.
type Change struct {
	Path string
	// Copy is where the file is kept as it was, once the plan is applied, or "" where there was none.
	Copy          string
	Before, After []byte
	// Link is where a symbolic link leads that is made or removed, instead of a file.
	Link string
	// Created is set where there is no file yet, and Removed where there would be none.
	Created, Removed bool

	was  snapshot
	lock string
	dirs []string
}

// Setup returns what has to change so that a tool asks groat for the tokens of a profile's APIs. A plan without changes
// means that it does already.
func (m *Machine) Setup(ctx context.Context, t *Tool, p Profile) (*Plan, error) {
	if !m.Installed(t) {
		return nil, &Error{Reason: NotInstalled, Tool: t.Programs[0]}
	}
	if p.IDToken && !t.IDToken {
		return nil, &Error{Reason: NoIDToken, Tool: t.Name}
	}
	old, err := m.load(t.Name, p.Name)
	if err != nil {
		return nil, err
	}
	var files []File
	if len(p.APIs) > 0 {
		if files, err = t.Want(ctx, m, p); err != nil {
			return nil, err
		}
	}
	if len(files) == 0 {
		return nil, &Error{Reason: NoAPI, Tool: t.Name, Profile: p.Name}
	}
	plan := &Plan{Tool: t.Name, Profile: p.Name, machine: m, old: old, record: &record{}}
	if t.NamesNone {
		plan.Undecided = p.Shared
	}
	for i := range files {
		f := &files[i]
		if f.Path, err = absolute(f.Path); err != nil {
			return nil, err
		}
		if f.Format == formatLink {
			plan.addLink(*f)
			continue
		}
		if err := plan.add(ctx, *f); err != nil {
			return nil, err
		}
	}
	if old == nil {
		return plan, nil
	}
	for _, e := range old.Edits { // of files that the tool has left
		if !slices.ContainsFunc(files, func(f File) bool { return f.Path == e.Path }) {
			if err := plan.revert(e); err != nil {
				return nil, err
			}
		}
	}
	return plan, nil
}

// absolute is a path of a tool's, which may be one from where groat was called, as every later groat finds it.
func absolute(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", &Error{Reason: Unreadable, Path: path, Err: err}
	}
	return abs, nil
}

// add plans what a file has to say.
func (p *Plan) add(ctx context.Context, f File) error {
	was, err := read(f.Path)
	if err != nil {
		return err
	}
	if err := f.parse(ctx, was.content); err != nil {
		return err
	}
	base, there, old := was.content, was.there, p.oldEdit(f.Path)
	after, _, err := formats[f.Format].set(base, f.Settings)
	if err != nil {
		return inFile(err, f.Path)
	}
	counts := bytes.Equal(after, base) && (f.Counts == nil || f.Counts(ctx, base))
	if counts && (old == nil || sameSettings(old.Settings, f.Settings)) {
		if old != nil {
			p.record.Edits = append(p.record.Edits, *old)
			return nil
		}
		return p.adopt(f, was.content)
	}
	dirs := missing(was.target)
	switch {
	case old != nil: // begin where groat began
		var left []Setting
		alone := p.alone(*old)
		if base, there, left, err = alone.undone(was); err != nil {
			return inFile(err, f.Path)
		}
		p.leave(f.Path, left)
		dirs = old.Dirs
	case bytes.Equal(after, base): // it is there and does not count
		if base, _, err = formats[f.Format].unset(base, f.Settings); err != nil {
			return inFile(err, f.Path)
		}
	}
	after, made, err := formats[f.Format].set(base, f.Settings)
	if err != nil {
		return inFile(err, f.Path)
	}
	if err := f.parse(ctx, after); err != nil {
		return err
	}
	if f.Verify != nil {
		if err := f.Verify(ctx, base, after); err != nil {
			return inFile(err, f.Path)
		}
	}
	e := edit{Path: f.Path, Format: f.Format, Settings: made, Lock: f.Lock, Created: !there, Dirs: dirs,
		After: sum(after), before: base}
	p.join(&e)
	p.record.Edits = append(p.record.Edits, e)
	if !bytes.Equal(after, was.content) || !was.there {
		p.Changes = append(p.Changes, Change{Path: f.Path, Before: was.content, After: after, Created: !was.there,
			was: was, lock: f.Lock, dirs: dirs})
	}
	return nil
}

// adopt records what is there although the profile's record does not say so: it was lost, or groat has written the same
// for another profile. Only sections say that groat has written them; anything else a person may have.
func (p *Plan) adopt(f File, content []byte) error {
	for _, other := range p.others(f.Path) {
		if sameSettings(other.Settings, f.Settings) {
			other.Copy = ""
			p.record.Edits = append(p.record.Edits, other)
			return nil
		}
	}
	e := edit{Path: f.Path, Format: f.Format, Settings: slices.Clone(f.Settings), Lock: f.Lock, before: content}
	if p.join(&e) {
		p.record.Edits = append(p.record.Edits, e)
		return nil
	}
	if f.Format != formatSections {
		return nil
	}
	before, _, err := formats[f.Format].unset(content, f.Settings)
	if err != nil {
		return inFile(err, f.Path)
	}
	p.record.Edits = append(p.record.Edits, edit{Path: f.Path, Format: f.Format, Settings: f.Settings, Lock: f.Lock,
		After: sum(content), before: before})
	return nil
}

func (f *File) parse(ctx context.Context, content []byte) error {
	if f.Parse == nil {
		return nil
	}
	return inFile(f.Parse(ctx, content), f.Path)
}

// inFile gives an error of a content the name of the file.
func inFile(err error, path string) error {
	if e, ok := err.(*Error); ok && e.Path == "" {
		e.Path = path
	}
	return err
}

func (p *Plan) oldEdit(path string) *edit { return p.old.edit(path) }

// edit returns the edit of a file, or nil. A record may be nil.
func (r *record) edit(path string) *edit {
	if r == nil {
		return nil
	}
	i := slices.IndexFunc(r.Edits, func(e edit) bool { return e.Path == path })
	if i < 0 {
		return nil
	}
	return &r.Edits[i]
}

func sameSettings(a, b []Setting) bool {
	return slices.EqualFunc(a, b, func(a, b Setting) bool { return a.Name == b.Name && a.Value == b.Value })
}

// Undo returns what has to change so that a tool's files are without what was set up for a profile.
func (m *Machine) Undo(t *Tool, profile string) (*Plan, error) {
	old, err := m.load(t.Name, profile)
	if err != nil {
		return nil, err
	}
	if old == nil {
		return nil, &Error{Reason: NotSetUp, Tool: t.Name, Profile: profile}
	}
	p := &Plan{Tool: t.Name, Profile: profile, machine: m, old: old, record: &record{}}
	for _, e := range old.Edits {
		if err := p.revert(e); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// revert plans to undo an edit.
func (p *Plan) revert(e edit) error {
	if e.Format == formatLink {
		p.revertLink(e)
		return nil
	}
	was, err := read(e.Path)
	if err != nil {
		return err
	}
	all := e.Settings
	e = p.alone(e)
	for _, s := range all {
		if e.find(s.Name) == nil {
			p.Stays = append(p.Stays, Left{e.Path, s.Name})
		}
	}
	if len(e.Settings) == 0 {
		return nil
	}
	after, there, left, err := e.undone(was)
	if err != nil {
		return inFile(err, e.Path)
	}
	p.leave(e.Path, left)
	if there == was.there && bytes.Equal(after, was.content) {
		return nil
	}
	p.Changes = append(p.Changes, Change{Path: e.Path, Before: was.content, After: after, Removed: !there, was: was,
		lock: e.Lock, dirs: e.Dirs})
	return nil
}

// leave notes settings that someone has changed since; another profile's are as they should be.
func (p *Plan) leave(path string, left []Setting) {
	for _, s := range left {
		if !slices.ContainsFunc(p.others(path), func(other edit) bool { return other.find(s.Name) != nil }) {
			p.Left = append(p.Left, Left{path, s.Name})
		}
	}
}

// undone returns the content without an edit, and whether there would be a file at all. Where nothing else has changed
// the file, that is what it was, byte for byte; else its settings are taken away one by one.
func (e *edit) undone(was snapshot) (after []byte, there bool, left []Setting, err error) {
	switch {
	case !was.there:
		return nil, false, nil, nil
	case sum(was.content) == e.After:
		return e.before, !e.Created || !blank(e.before), nil, nil
	case !e.Created && bytes.Equal(was.content, e.before): // it was not written, or put back
		return was.content, true, nil, nil
	}
	after, left, err = formats[e.Format].unset(was.content, e.Settings)
	return after, !e.Created || !blank(after), left, err
}

// blank reports whether a content says nothing: no byte that counts, or an empty JSON object.
func blank(content []byte) bool {
	return len(bytes.Trim(content, " \t\r\n{}")) == 0
}

// Apply makes the plan true, and says so in the record before: that of what is to be taken back goes only when it is.
// What fails leaves the files after it as they are. The lock is to be held since before the plan was made.
func (p *Plan) Apply() error {
	now, gone := p.record, p.gone()
	if n := len(now.Edits); n > 0 {
		both := &record{Edits: slices.Concat(now.Edits, gone)}
		if err := p.machine.store(p.Tool, p.Profile, both, p.old); err != nil {
			return err
		}
		now.Edits = both.Edits[:n:n]
	}
	for i := range p.Changes {
		if err := p.Changes[i].apply(); err != nil {
			return err
		}
	}
	switch {
	case len(now.Edits) == 0 && p.old == nil:
		return nil
	case len(now.Edits) == 0:
		return p.machine.forget(p.Tool, p.Profile, p.old)
	case len(gone) > 0:
		if err := p.machine.store(p.Tool, p.Profile, now, p.old); err != nil {
			return err
		}
	}
	for i := range p.Changes {
		if e := now.edit(p.Changes[i].Path); e != nil {
			p.Changes[i].Copy = e.Copy
		}
	}
	if p.old != nil {
		for _, e := range p.old.Edits {
			if !slices.ContainsFunc(now.Edits, func(now edit) bool { return now.Copy == e.Copy }) {
				os.Remove(e.Copy)
			}
		}
	}
	return nil
}

// gone are the edits of the old record that the plan takes back.
func (p *Plan) gone() []edit {
	if p.old == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(p.old.Edits), func(e edit) bool { return p.record.edit(e.Path) != nil })
}

// apply makes one file what it would be.
func (c *Change) apply() error {
	switch {
	case c.Link != "":
		return c.applyLink()
	case c.Removed:
		return c.was.remove(c.Path, c.dirs)
	}
	return c.was.replace(c.Path, c.lock, c.After, c.was.mode)
}

// Lock keeps every other groat from planning and applying until unlock is called.
func (m *Machine) Lock() (unlock func(), err error) {
	path := filepath.Join(m.State, "setup.lock")
	if err = ownpath.System().MayMakeIn(m.State); err == nil {
		err = os.MkdirAll(m.State, 0o700)
	}
	var f *os.File
	if err == nil {
		f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	}
	if err != nil {
		return nil, &Error{Reason: NotWritten, Path: path, Err: err}
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, &Error{Reason: BeingSetUp, Path: path, Err: err}
	}
	m.clean()
	return func() { f.Close() }, nil
}

// clean removes the copies of files, which may hold secrets, that a groat has left which was killed.
func (m *Machine) clean() {
	entries, _ := os.ReadDir(m.State)
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), privatePrefix) {
			os.RemoveAll(filepath.Join(m.State, e.Name()))
		}
	}
}
