package config

import (
	"bytes"

	"github.com/pelletier/go-toml/v2"
)

// Text is a profile as [Dir.Save] writes it, for another machine. It holds nothing secret.
func (p Profile) Text() (string, error) {
	var text bytes.Buffer
	err := toml.NewEncoder(&text).Encode(p)
	return text.String(), err
}

// ParseProfile reads what [Profile.Text] returned, as strictly as a file. Every error is an [*Error] that names where, which
// is for people to read.
func ParseProfile(where, name, text string) (Profile, error) {
	p := Profile{}
	if err := decode(where, []byte(text), &p); err != nil {
		return Profile{}, err
	}
	p.Name, p.File, p.Line = name, where, 1
	if err := p.check([]byte(text)); err != nil {
		return Profile{}, err
	}
	p.File, p.Line = "", 0
	return p, nil
}
