package setup

import "slices"

// One setting may be two profiles': go asks groat for every server alike, and two profiles may list one registry. What
// both need stays until it is taken back for the last of them. Where they need different values, the one that was set
// up last counts, and then the other one's. Whichever is taken back last puts back what was there before groat.

// others returns what was done to a file for other profiles than the plan's.
func (p *Plan) others(path string) (edits []edit) {
	for _, other := range p.machine.Profiles(p.Tool) {
		if other == p.Profile {
			continue
		}
		if r, err := p.machine.load(p.Tool, other); err == nil { // its own undo says what is wrong with it
			if e := r.edit(path); e != nil {
				edits = append(edits, *e)
			}
		}
	}
	return edits
}

// find returns the setting with a name, or nil.
func (e *edit) find(name string) *Setting {
	if i := slices.IndexFunc(e.Settings, func(s Setting) bool { return s.Name == name }); i >= 0 {
		return &e.Settings[i]
	}
	return nil
}

// join gives an edit what groat found when it changed the file for another profile: the value before a setting that is
// the other one's too, and that there was no file. It reports whether there is such a setting.
func (p *Plan) join(e *edit) (shared bool) {
	for _, other := range p.others(e.Path) {
		if other.Created {
			e.Created, e.Dirs = true, other.Dirs
		}
		for i := range e.Settings {
			s := &e.Settings[i]
			if o := other.find(s.Name); o != nil && (s.Value == o.Value || s.Was != nil && *s.Was == o.Value) {
				s.Was, shared = o.Was, true
			}
		}
	}
	if shared {
		e.After = "" // the file before was groat's, too
	}
	return shared
}

// alone returns what is to be taken back of an edit: nothing that another profile needs, and in the place of a value
// that another profile needs to be another one, that one. If that is not all of it, the file cannot be put back as it
// was.
func (p *Plan) alone(e edit) edit {
	mine := make([]Setting, 0, len(e.Settings))
	for _, s := range e.Settings {
		keep := false
		for _, other := range p.others(e.Path) {
			if o := other.find(s.Name); o != nil {
				keep, s.Was, e.After = keep || o.Value == s.Value, &o.Value, ""
			}
		}
		if !keep {
			mine = append(mine, s)
		}
	}
	e.Settings = mine
	return e
}
