package importer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/groat-dev/groat/protocol/visible"
)

// readersEarthscope are the programs of the SDK's version 1 and later.
var readersEarthscope = []string{"es", "EarthScope SDK for Python (1.x)"}

// earthscopeVariables are the SDK's variables; a double underscore stands for a dot.
var earthscopeVariables = []string{
	"ES_PROFILE", "ES_BOOTSTRAP_SETTINGS", "ES_RESOURCES__API_URL",
	"ES_OAUTH2__ACCESS_TOKEN", "ES_OAUTH2__REFRESH_TOKEN", "ES_OAUTH2__ID_TOKEN", "ES_OAUTH2__CLIENT_ID",
	"ES_OAUTH2__CLIENT_SECRET", "ES_OAUTH2__AUDIENCE", "ES_OAUTH2__DOMAIN", "ES_OAUTH2__SCOPE",
}

// layer is one source of EarthScope's settings. The SDK takes each setting from the first layer that has it.
type layer struct {
	at Copy
	// values :: setting below oauth2 → what it is, never empty; other names all further settings. TOML, and the
	// environment, have strings only, so a secret in here is forgotten by the garbage collector.
	values map[string]string
	other  []string
	doubts []string
	// remove is the command that removes one setting from a file with others.
	remove string
	// saved means that the SDK writes this file itself, so it is the newest.
	saved   bool
	servers []namedServer // what its file's JWTs say of their server
}

// maxNesting bounds the tables in a settings file; the SDK's own has three.
const maxNesting = 8

// flatten adds the values below one table by their dotted names.
func (l *layer) flatten(prefix string, table map[string]any, depth int) {
	for name, value := range table {
		name = prefix + name
		switch v := value.(type) {
		case map[string]any:
			if depth < maxNesting {
				l.flatten(name+".", v, depth+1)
			}
			continue
		case nil:
			continue
		case string:
			if v == "" {
				continue
			}
			if setting, ok := strings.CutPrefix(name, "oauth2."); ok {
				l.values[setting] = v
				continue
			}
		}
		if checkPrintable(name) == nil {
			l.other = append(l.other, name)
		}
	}
}

func newLayer(at Copy, table map[string]any) *layer {
	l := &layer{at: at, values: map[string]string{}}
	l.flatten("", table, 0)
	slices.Sort(l.other)
	return l
}

// earthscopeConfig is ~/.earthscope/config.toml.
type earthscopeConfig struct {
	Default map[string]any            `toml:"default"`
	Profile map[string]map[string]any `toml:"profile"`
}

// earthscope looks where EarthScope's programs of both generations keep credentials.
func (s *search) earthscope() {
	dir := filepath.Join(s.env.Home, ".earthscope")
	config, layers := s.earthscopeFile(filepath.Join(dir, "config.toml"), false)
	dirs := s.entries(dir, "EarthScope")
	profiles := []string{"default"}
	for name := range config {
		profiles = union(profiles, []string{name})
	}
	for _, name := range dirs { // tokens of a profile that config.toml no longer has
		if !slices.ContainsFunc(profiles, func(p string) bool { return slug(p) == name }) {
			profiles = append(profiles, name)
		}
	}
	slices.Sort(profiles[1:])
	active := s.earthscopeActive(profiles)
	for _, name := range profiles {
		var stack []*layer
		if name == active {
			stack = append(stack, s.earthscopeEnvironment())
		}
		stack = append(stack, config[name], layers)
		stack = append(stack, s.earthscopeTokens(filepath.Join(dir, slug(name), "tokens.json"), name,
			config[name] != nil || name == active, false))
		if name == active {
			stack = append(stack, s.earthscopeBootstrap())
		}
		s.earthscopeProfile(name, slices.DeleteFunc(stack, func(l *layer) bool { return l == nil }))
	}
	s.earthscopeOld()
}

// earthscopeActive returns the profile that the environment applies to.
func (s *search) earthscopeActive(profiles []string) string {
	name := s.env.Getenv("ES_PROFILE")
	if name == "" || slices.Contains(profiles, name) {
		if name == "" {
			name = "default"
		}
		return name
	}
	if checkPrintable(name) != nil {
		name = "(not a name)"
	}
	s.refuse("EarthScope", "profile", profileName("earthscope-"+name, "earthscope"), Copy{}, flawed("",
		"ES_PROFILE names the profile %s, which is not there; EarthScope's programs refuse it too", visible.Word(name)))
	return ""
}

// earthscopeFile reads a config.toml: the settings of each named profile, and those for all.
func (s *search) earthscopeFile(path string, explicit bool) (profiles map[string]*layer, all *layer) {
	f, err := readFile(path, maxFile, explicit)
	defer clear(f.text)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	f.at.Readers = readersEarthscope
	var config earthscopeConfig
	if err == nil && toml.Unmarshal(f.text, &config) != nil { // whose own words quote the file
		err = flawed("${EDITOR:-vi} "+visible.Word(path),
			"it is no TOML, or [default] and [profile.NAME] are no tables")
	}
	if err != nil {
		s.refuse("EarthScope", "settings", "earthscope", f.at, err)
		return nil, nil
	}
	layerOf := func(table map[string]any) *layer {
		l := newLayer(f.at, table)
		l.doubts, l.remove = f.doubts, edit(path)
		return l
	}
	profiles = map[string]*layer{}
	for name, table := range config.Profile {
		if checkPrintable(name) == nil {
			profiles[name] = layerOf(table)
		}
	}
	return profiles, layerOf(config.Default)
}

// notSlug matches the characters that a profile's directory has a dash for.
var notSlug = regexp.MustCompile(`[^a-z0-9_]+`)

// slug returns the name of the directory of a profile's tokens.
func slug(name string) string {
	return strings.Trim(notSlug.ReplaceAllString(strings.ToLower(name), "-"), "-")
}

// earthscopeTokens reads a tokens.json, whose only times are in its JWT. known means that settings name the profile.
func (s *search) earthscopeTokens(path, name string, known, explicit bool) *layer {
	d, err := s.readDocument(path, explicit)
	defer d.wipe()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	d.at.Readers = readersEarthscope
	if err != nil {
		s.refuse("EarthScope", "session", earthscopeName(name), d.at, err)
		return nil
	}
	l := d.tokenLayer()
	if !known && name != "default" {
		l.doubts = append(l.doubts,
			"config.toml has no profile of this name, so EarthScope's programs do not use these tokens")
		l.at.Readers = nil
	}
	if len(l.values) == 0 {
		s.refuse("EarthScope", "session", earthscopeName(name), d.at,
			flawed("", "%s", noSession(d, filepath.Base(path))))
		return nil
	}
	return l
}

// tokenLayer returns a file of tokens in the terms of settings.
func (d document) tokenLayer() *layer {
	l := &layer{at: d.at, values: map[string]string{}, doubts: d.doubts, saved: true, servers: d.namedServers()}
	for _, name := range []string{"access_token", "refresh_token"} {
		if text := d.text(name); text != "" {
			l.values[name] = text
		}
	}
	return l
}

// earthscopeEnvironment returns the settings in ES_OAUTH2__*. An empty variable counts as unset.
func (s *search) earthscopeEnvironment() *layer {
	l := &layer{values: map[string]string{}}
	for _, name := range s.set(earthscopeVariables...) {
		if setting, ok := strings.CutPrefix(name, "ES_OAUTH2__"); ok {
			l.values[strings.ToLower(setting)] = s.env.Getenv(name)
		} else if name == "ES_RESOURCES__API_URL" {
			l.other = append(l.other, name)
		}
	}
	l.at = variables("", "ES_OAUTH2__")
	l.at.Readers = readersEarthscope
	return l
}

// earthscopeBootstrap returns the settings in a variable that holds one JSON document.
func (s *search) earthscopeBootstrap() *layer {
	const name = "ES_BOOTSTRAP_SETTINGS"
	text := []byte(s.env.Getenv(name))
	if len(text) == 0 {
		return nil
	}
	defer clear(text)
	at := variables("settings", name)
	at.Readers = readersEarthscope
	o, err := parseObject(text)
	var table map[string]any
	if err == nil && json.Unmarshal(text, &table) != nil {
		err = flawed("", "it is no JSON object")
	}
	o.wipe()
	if err != nil {
		s.refuse("EarthScope", "settings", "earthscope", at, fmt.Errorf("%s cannot be used: %w", name, err))
		return nil
	}
	return newLayer(at, table)
}

func earthscopeName(profile string) string {
	if profile == "default" {
		return "earthscope"
	}
	return profileName("earthscope-"+profile, "earthscope")
}
