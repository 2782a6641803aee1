package setup

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/groat-dev/groat/protocol/visible"
)

// git asks the helpers that its configuration names for a URL: git-config(1), credential.<url>.helper, and
// gitcredentials(7).
var git = &Tool{Name: "git", Programs: []string{"git"}, Want: wantGit}

func wantGit(_ context.Context, m *Machine, p Profile) ([]File, error) {
	f := File{Path: gitConfig(m), Format: formatSections, Lock: ".lock"} // git's own lock: lockfile.h of its source
	g := gitProgram(m.Find("git"))
	f.Parse = func(ctx context.Context, content []byte) error {
		_, err := g.list(ctx, content)
		return err
	}
	helper := GitHelper(m.Groat)
	for _, api := range p.APIs {
		f.Settings = append(f.Settings, Setting{Name: "credential." + api + ".helper",
			Value: gitSection(p.Name, api, helper, slices.Contains(p.Shared, api))})
	}
	f.Counts = func(ctx context.Context, content []byte) bool {
		entries, err := g.list(ctx, content)
		for _, api := range p.APIs {
			if err != nil || !lastHelper(entries, api, helper) {
				return false
			}
		}
		return true
	}
	return []File{f}, nil
}

// gitConfig is the file that "git config --global" writes (git-config(1), FILES and GIT_CONFIG_GLOBAL).
func gitConfig(m *Machine) string {
	if path := m.Getenv("GIT_CONFIG_GLOBAL"); path != "" {
		return path
	}
	own := filepath.Join(m.Home, ".gitconfig")
	if s, err := read(own); err == nil && !s.there {
		config := m.Getenv("XDG_CONFIG_HOME")
		if config == "" {
			config = filepath.Join(m.Home, ".config")
		}
		other := filepath.Join(config, "git", "config")
		if s, err := read(other); err != nil || s.there {
			return other
		}
	}
	return own
}

// GitHelper is the value of credential.helper that runs groat. git runs an absolute path as a command, and what follows
// "!" by a shell; the name alone would be looked for on a PATH that may be without groat where an editor runs git.
func GitHelper(groat string) string {
	if word := visible.Word(groat); word != groat {
		return "!" + word + " helper git"
	}
	return groat + " helper git"
}

// gitSection is the section for one API. The empty value turns off the helpers that stand before it: git gives a token
// to each of them to keep, and some write it to disk. Of an API with a path git has to say the path; of one that is
// another profile's too, which of them is meant, by the user name (package helper).
func gitSection(profile, api, helper string, shared bool) string {
	_, rest, _ := strings.Cut(api, "://")
	_, path, _ := strings.Cut(rest, "/")
	var b strings.Builder
	b.WriteString("# groat setup git " + profile + "\n")
	b.WriteString("[credential " + gitQuote(api) + "]\n\thelper =\n\thelper = " + gitQuote(helper) + "\n")
	if path != "" {
		b.WriteString("\tuseHttpPath = true\n")
	}
	if shared {
		b.WriteString("\tusername = " + profile + "\n")
	}
	return b.String()
}

// gitQuote quotes a value or the name of a subsection (git-config(1), Syntax).
func gitQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// gitProgram is the path of git.
type gitProgram string

// gitEntry is one line of a configuration: SECTION.KEY or SECTION.SUBSECTION.KEY, and the value.
type gitEntry struct{ name, value string }

// list reads a content as git does, without the files that it includes.
func (g gitProgram) list(ctx context.Context, content []byte) (entries []gitEntry, err error) {
	out, err := ask(ctx, content, string(g), "config", "--file", "-", "--no-includes", "--null", "--list")
	if err != nil {
		return nil, unreadBy("git", err, "") // bad config line 3 in standard input
	}
	for entry := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		key, value, _ := strings.Cut(entry, "\n")
		entries = append(entries, gitEntry{key, value})
	}
	return entries, nil
}

// lastHelper reports whether a helper is the only one for a URL: nothing that could also be for it comes after it.
func lastHelper(entries []gitEntry, api, helper string) bool {
	last, reset := false, false
	_, rest, _ := strings.Cut(api, "://")
	host, _, _ := strings.Cut(rest, "/")
	for _, e := range entries {
		where, ok := strings.CutPrefix(e.name, "credential.")
		where, isHelper := strings.CutSuffix("."+where, ".helper")
		where = strings.TrimPrefix(where, ".")
		switch {
		case !ok || !isHelper:
		case where == api && e.value == "":
			last, reset = false, true
		case where == api:
			last = reset && e.value == helper
		case where == "" || strings.Contains(where, "*") || strings.Contains(strings.ToLower(where), host):
			last, reset = false, false
		}
	}
	return last
}
