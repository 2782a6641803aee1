package importer

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/groat-dev/groat/protocol/visible"
)

// readersPlanet are the programs that share ~/.planet.
var readersPlanet = []string{"planet", "plauth", "Planet SDK for Python"}

// maxEntries bounds how many directory entries are looked at.
const maxEntries = 4096

// planetBuiltins are the profiles that Planet's SDK defines. Its definition overrides a directory's configuration, but
// the tokens in that directory are used :: name → groat's name.
var planetBuiltins = map[string]string{"planet-user": "planet-user", "planet-m2m": "planet-m2m",
	"legacy": "planet-legacy"}

// planetProfile is one directory of ~/.planet.
type planetProfile struct {
	dir, name string
	// client is auth_client.json, token is token.json. A nil object in either means that it is missing, or unusable for
	// the reason in its error.
	client, token       document
	clientErr, tokenErr error
	// twins are plaintext copies that Planet's programs no longer read.
	twins    []Copy
	warnings []string
	lost     []string
}

// planet looks in ~/.planet, ~/.planet.json and the environment, in the order of preference of Planet's library.
func (s *search) planet() {
	prefs := s.planetPreferences()
	defer prefs.wipe()
	selected, broken := s.planetSelected(prefs), false
	first := len(s.found)
	for _, name := range s.entries(filepath.Join(s.env.Home, ".planet"), "Planet") {
		s.planetDirectory(filepath.Join(s.env.Home, ".planet", name), false)
	}
	if selected != "" {
		broken = s.planetChoice(selected, s.found[first:])
	}
	next := len(s.found)
	s.planetVariables()
	s.planetPreferred(prefs)
	if broken {
		for _, f := range s.found[next:] {
			f.Confirm = "Planet's programs are told to use the profile " + visible.Word(selected) +
				", which cannot be used; they silently take this other identity instead"
		}
	}
	s.planetLeftOvers()
}

// entries returns the names of the directories in one, in order. The directory may be missing.
func (s *search) entries(dir, system string) []string {
	f, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer f.Close()
	all, _ := f.ReadDir(maxEntries + 1)
	var names []string
	for _, e := range all {
		if !e.IsDir() && e.Type()&fs.ModeSymlink == 0 || checkPrintable(e.Name()) != nil {
			continue
		}
		names = append(names, e.Name())
	}
	if len(all) > maxEntries {
		s.refuse(system, "profiles", "more", Copy{Path: dir}, flawed("ls "+visible.Word(dir),
			"there are more than %d entries, not all of which were looked at", maxEntries))
	}
	slices.Sort(names)
	return names
}

// planetDirectory reads one profile. An error becomes a candidate with a Reason.
func (s *search) planetDirectory(dir string, explicit bool) {
	p := planetProfile{dir: dir, name: filepath.Base(dir)}
	p.client, p.clientErr = s.readSealedOrPlain(&p, "auth_client", explicit)
	p.token, p.tokenErr = s.readSealedOrPlain(&p, "token", explicit)
	defer p.client.wipe()
	defer p.token.wipe()
	noClient, noToken := errors.Is(p.clientErr, fs.ErrNotExist), errors.Is(p.tokenErr, fs.ErrNotExist)
	if noClient && noToken {
		return
	}
	if p.name != strings.ToLower(p.name) && !explicit {
		p.warn("Planet's programs read lower-case directories only, so none of them uses this one")
	}
	_, builtin := planetBuiltins[strings.ToLower(p.name)]
	if builtin && !noClient {
		p.warn("the name is that of a built-in profile: Planet's programs ignore this directory's auth_client.json " +
			"and use the built-in settings with its tokens")
		p.client, p.clientErr, noClient = document{}, fs.ErrNotExist, true
	}
	p.warnings = union(p.warnings, union(p.client.doubts, p.token.doubts))
	switch {
	case noClient && noToken: // nothing but what is ignored
		s.planetRefuse(&p, flawed("", "the directory holds no tokens"))
	case !noClient && p.clientErr != nil:
		s.planetRefuse(&p, p.clientErr)
	default:
		if err := s.planetImport(&p); err != nil {
			s.planetRefuse(&p, err)
		}
	}
}

func (p *planetProfile) warn(text string) { p.warnings = union(p.warnings, []string{text}) }

// readSealedOrPlain reads NAME.sops.json, or NAME.json where there is no such file, as Planet's library does.
func (s *search) readSealedOrPlain(p *planetProfile, name string, explicit bool) (document, error) {
	sealed, plain := filepath.Join(p.dir, name+".sops.json"), filepath.Join(p.dir, name+".json")
	d, err := s.readDocument(sealed, explicit)
	if errors.Is(err, fs.ErrNotExist) {
		d, err = s.readDocument(plain, explicit)
	} else if f, twinErr := readFile(plain, maxFile, explicit); twinErr == nil {
		clear(f.text)
		f.at.Holds, f.at.Note = []string{"an older state of " + filepath.Base(sealed)}, "no program reads it while "+
			filepath.Base(sealed)+" is there"
		p.twins = append(p.twins, f.at)
		p.warn(name + ".json lies unencrypted beside " + name + ".sops.json")
	}
	if err == nil {
		d.at.Readers = readersPlanet
		if p.name != strings.ToLower(p.name) {
			d.at.Readers = nil
		}
	}
	return d, err
}

// planetRefuse adds a candidate for a profile that cannot be imported.
func (s *search) planetRefuse(p *planetProfile, why error) {
	at := p.client.at
	if at.Path == "" {
		at = p.token.at
	}
	if at.Path == "" {
		at.Path = p.dir
	}
	f := s.refuse("Planet", "profile", planetName(p.name), at, why)
	if p.token.at.Path != "" && p.token.at.Path != at.Path {
		f.Copies = append(f.Copies, p.token.at)
	}
	f.Copies = append(f.Copies, p.twins...)
	f.Warnings = p.warnings
}

// clientID matches a client id, which is long; eight characters are enough to tell two apart.
var clientID = regexp.MustCompile(`^([0-9a-f]{8})-[0-9a-f-]{27}$|^([0-9a-z]{8})[0-9a-z]{24}$`)

// planetName returns a profile name for a directory, which Planet's SDK often names after a client id.
func planetName(dir string) string {
	name := strings.ToLower(dir)
	if builtin := planetBuiltins[name]; builtin != "" {
		return builtin
	}
	id, prefixed := strings.CutPrefix(name, "planet-m2m-")
	if m := clientID.FindStringSubmatch(id); m != nil {
		name = "planet-" + m[1] + m[2]
		if prefixed {
			name = "planet-m2m-" + m[1] + m[2]
		}
	}
	return profileName(name, "planet")
}

// planetSelected returns the profile that Planet's programs are told to use.
func (s *search) planetSelected(prefs document) string {
	name := s.env.Getenv("PL_AUTH_PROFILE")
	if name == "" {
		name = prefs.text("PL_AUTH_PROFILE")
	}
	if strings.ContainsRune(name, '/') || checkPrintable(name) != nil || len(name) > 255 {
		return "(not a name)"
	}
	return name
}

// planetChoice reports whether the selected profile cannot be used, and adds a candidate that says so. Planet's library
// then goes on to any other credential; an import that did so would sign a person in as another one.
func (s *search) planetChoice(selected string, profiles []*Candidate) (broken bool) {
	if _, builtin := planetBuiltins[strings.ToLower(selected)]; builtin {
		return false // at worst signed out, which is no mistake
	}
	dir := filepath.Join(s.env.Home, ".planet", strings.ToLower(selected))
	for _, f := range profiles {
		for _, c := range f.Copies {
			if filepath.Dir(c.Path) == dir || c.Path == dir {
				return !f.Importable()
			}
		}
	}
	s.refuse("Planet", "profile", planetName(selected), Copy{},
		flawed("ls "+visible.Word(filepath.Join(s.env.Home, ".planet")),
			"PL_AUTH_PROFILE names the profile %s, which is not there", visible.Word(selected)))
	return true
}

// resetName matches the names that `plauth reset` gives.
var resetName = regexp.MustCompile(`^\.planet(\.json)?-\d{4}-\d{2}-\d{2}-\d{6}$`)

// planetLeftOvers warns of files that `plauth reset` has put aside; their tokens may still be valid.
func (s *search) planetLeftOvers() {
	home, err := os.Open(s.env.Home)
	if err != nil {
		return
	}
	defer home.Close()
	all, _ := home.ReadDir(maxEntries)
	slices.SortFunc(all, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, e := range all {
		info, err := e.Info()
		if !resetName.MatchString(e.Name()) || err != nil {
			continue
		}
		path := filepath.Join(s.env.Home, e.Name())
		at := Copy{Path: path, Mode: info.Mode().Perm(), UID: owner(info), Plain: true,
			Remove: "rm -- " + visible.Word(path)}
		if e.IsDir() {
			at.Remove = "rm -r -- " + visible.Word(path)
		}
		at.Holds = []string{"whatever Planet's programs had before a reset"}
		s.refuse("Planet", "left-over", "planet", at, flawed("",
			"`plauth reset` put it aside, and no program reads it any more"))
	}
}
