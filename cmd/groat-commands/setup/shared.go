package setup

import "slices"

// A file may have to say the same for two profiles: go asks groat for every server alike, and two profiles may list one
// registry. What both have stays until it is taken back for the last of them.

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

// find returns the setting that is the same as s, or nil.
func (e *edit) find(s Setting) *Setting {
	i := slices.IndexFunc(e.Settings, func(t Setting) bool { return t.Name == s.Name && t.Value == s.Value })
	if i < 0 {
		return nil
	}
	return &e.Settings[i]
}

// alone returns the part of an edit that is no other profile's too. If that is not all of it, the file cannot be put
// back as it was, and the settings are taken away one by one.
func (p *Plan) alone(e edit) edit {
	others := p.others(e.Path)
	mine := slices.DeleteFunc(slices.Clone(e.Settings), func(s Setting) bool {
		return slices.ContainsFunc(others, func(other edit) bool { return other.find(s) != nil })
	})
	if len(mine) < len(e.Settings) {
		e.Settings, e.After = mine, ""
	}
	return e
}

// join gives an edit what groat found when it changed the file for another profile: the value before a setting that
// both have, and that there was no file. Whichever is taken back last needs it. It reports whether they have one.
func (p *Plan) join(e *edit) (shared bool) {
	for _, other := range p.others(e.Path) {
		if other.Created {
			e.Created, e.Dirs = true, other.Dirs
		}
		for i := range e.Settings {
			if s := other.find(e.Settings[i]); s != nil {
				e.Settings[i].Was, e.After, shared = s.Was, "", true
			}
		}
	}
	return shared
}
