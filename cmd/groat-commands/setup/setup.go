// Package setup makes other programs ask groat for tokens: it knows what their own configuration files have to say, and
// adds that, for the APIs of one profile and nothing else. A tool is a file of this package and a row of [Tools].
//
// A [Plan] is made first, and changes nothing: each file as it is and as it would be. [Plan.Apply] writes the files,
// and before that a copy of each and a record of what is added to it, from which [Machine.Undo] makes the plan back.
//
// The invariants: no token and no secret is written; what stays in a file is not shown, for it may be one; a file is
// replaced as a whole or not at all, through the links that lead to it; of a file that the tool itself could not read
// nothing is changed; an undo takes away what was added and nothing else. What is not here: sentences for people, and
// questions.
package setup

import (
	"context"
	"slices"
	"strings"
)

// Machine is what is here: where files are, and which programs.
type Machine struct {
	Getenv func(string) string
	// Home is the person's home directory, and State groat's directory for what must survive.
	Home, State string
	// Groat is the absolute path of groat that stays the same when groat is replaced by a newer one.
	Groat string
	// Find returns the absolute path of a program on PATH, or "".
	Find func(name string) string
}

// Profile is who signs in, and where the tokens may go.
type Profile struct {
	Name string
	// APIs are the origins that the profile lists, some with a path, as [API] writes them.
	APIs []string
	// Shared are those of them that another profile lists too.
	Shared []string
	// IDToken is set where the tool is to get the ID token instead of the access token.
	IDToken bool
	// HeaderFile is the path of a file with the header that groatd keeps, for a tool that wants one.
	HeaderFile string
}

// API is an origin, maybe with a path, in the form in which tools compare it with their own addresses: without the port
// that its scheme has anyway, and without a slash at its end.
func API(origin string) string {
	scheme, rest, _ := strings.Cut(origin, "://")
	host, path, _ := strings.Cut(rest, "/")
	switch scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	}
	return strings.TrimSuffix(scheme+"://"+host+"/"+path, "/")
}

// Tool is a program that groat can set up.
type Tool struct {
	Name string // what a person types
	// Programs are those of which one has to be on PATH.
	Programs []string
	// HeaderFile is set where the tool reads the header from a file that groatd keeps.
	HeaderFile bool
	// IDToken is set where the tool can be given the ID token.
	IDToken bool
	// NamesNone is set where the tool's question names an address and no profile.
	NamesNone bool
	// Want returns what the tool's files have to say so that it asks groat for the tokens of a profile's APIs, of which
	// there is one at least. A path is there once; no file means that the tool could ask none of the APIs. The error is
	// an [*Error].
	Want func(context.Context, *Machine, Profile) ([]File, error)
}

// Tools are all of them, by name.
var Tools = []*Tool{cargo, curl, docker, gdal, git, goTool, kubectl, rclone}

// Names returns the names of the tools.
func Names() (names []string) {
	for _, t := range Tools {
		names = append(names, t.Name)
	}
	return names
}

// Installed reports whether one of a tool's programs is there.
func (m *Machine) Installed(t *Tool) bool {
	return slices.ContainsFunc(t.Programs, func(name string) bool { return m.Find(name) != "" })
}

// Find returns the tool of a name, or nil.
func Find(name string) *Tool {
	if i := slices.IndexFunc(Tools, func(t *Tool) bool { return t.Name == name }); i >= 0 {
		return Tools[i]
	}
	return nil
}

// File is what one file of a tool has to say.
type File struct {
	Path     string
	Format   string // a key of [formats], or [formatLink]
	Settings []Setting
	// Lock is added to the file's name for the new version, where the tool locks the file by that name; else "".
	Lock string
	// Parse refuses a content that the tool could not read; nil takes all. The error is an [*Error] with the line.
	Parse func(context.Context, []byte) error
	// Verify refuses a change that means more to the tool than the settings; nil takes all.
	Verify func(ctx context.Context, before, after []byte) error
	// Counts reports whether settings that are in the content also count, whatever else is there; nil is a yes.
	Counts func(context.Context, []byte) bool
}

// Setting is one thing that a file has to say. What it means is the format's business.
type Setting struct {
	Name  string  `json:"name"`
	Value string  `json:"value"`
	Was   *string `json:"was,omitempty"` // the value that it replaced, if there was one
}

// format adds settings to the content of a file and takes them away.
type format interface {
	// set returns the content with the settings, each with what it replaced. A content that has them is returned as it
	// is.
	set(content []byte, wanted []Setting) (after []byte, made []Setting, err error)
	// unset returns the content without the settings that are still as they were made, and the others.
	unset(content []byte, made []Setting) (after []byte, left []Setting, err error)
}

// formats are all of them. Their names are in records.
var formats = map[string]format{"assignments": assignments{}, "keys": keys{},
	"kubeconfig": kubeconfig{}, "members": members{}, formatSections: sections{}}
