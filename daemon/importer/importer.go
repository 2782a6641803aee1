// Package importer knows the credentials that other programs keep on this machine: where they are, how they are read and
// what they mean here.
//
// It reads and never writes, deletes or renames; the only program it starts is sops, to read what sops encrypted. The
// invariant: no byte of a secret is in anything that is handed out but a [keystore.Secret], whatever is wrong with a file.
// What it is not: it proves nothing, sends nothing and stores nothing. What it finds is an offer to a person, and becomes a
// profile only after the provider has accepted it.
package importer

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/groat-dev/groat/daemon/grant/preset"
	"github.com/groat-dev/groat/keystore"
)

// Candidate is one credential, or one place that looked like one. The secrets belong to the caller, who calls [Candidate.Wipe].
type Candidate struct {
	// System is whose it is, for people: "SpatiaFi", "Planet", "EarthScope", "Google", "Climate Engine".
	System string
	// What is the kind of credential, for people: "App Credentials", "machine account", "session", "API key", …
	What string
	// Name is a valid name for a profile that no other Found of the same call has, and that [Env.Taken] does not know.
	Name string
	// Target is the server and how its tokens are asked for.
	Target Target
	// Item holds the client's id, the secrets and what is needed to use them; Grant is as the keystore keeps it. Where it may
	// be sent (Issuer, the endpoints, ClientAuth) is empty: that is the profile's to say, not the file's that a secret was in.
	Item keystore.Item
	// Copies are the places where the credential stays after it was imported, the one it was read from first.
	Copies []Copy

	// Reason is why this cannot be imported, empty if it can: Item is then empty. Hint is the command to type next.
	Reason, Hint string
	// Confirm is a question's first half where a person must be asked about this one whatever they said about all.
	Confirm string
	// Shared: the refresh token may be replaced at each use, and another program has the same one.
	Shared bool
	// Fresh is the command for a sign-in of groat's own, where that is better than sharing a session or the only way.
	Fresh string
	// Warnings are sentences for people; Lost are the settings that groat does not carry over, by the names they had.
	Warnings, Lost []string
	// Issued and Expires are those of the access token beside the credential, as it says itself; zero if unknown. They tell
	// which of two copies is newer, no more.
	Issued, Expires time.Time

	servers []namedServer // what JWTs beside the credential say of its server
}

// Target is a server in the terms of a profile's configuration. An empty field is the provider's own value.
type Target struct {
	// Provider is a preset's name; else Issuer, perhaps with TokenEndpoint, describes the server and discovery does the rest.
	Provider string
	// Either are the providers between which a person must choose, because the same file is written for each. Provider is
	// the first of them.
	Either                []string
	Issuer, TokenEndpoint string
	// AuthServer is another host with the provider's paths.
	AuthServer string
	// Grant is the kind of sign-in, never empty in what can be imported.
	Grant           string
	ClientAuth      string
	Scope, Audience string
	// Redirect is the loopback redirect URI that the client is registered with.
	Redirect string
	// Header carries an API key where it differs from the provider's.
	Header *preset.Header
}

// Copy is one place where a credential is kept.
type Copy struct {
	// Path is a file or a directory, or Variables are of the environment.
	Path      string
	Variables []string
	// Mode and UID are the file's.
	Mode fs.FileMode
	UID  int
	// Plain: whoever reads it has the credential. False for a file that sops encrypted.
	Plain bool
	// Holds says what is there: "client secret", "refresh token", …
	Holds []string
	// Readers are the programs that still use this copy; empty if none does.
	Readers []string
	// Remove is a line for sh that removes it; nothing here ever runs it. Note says what to know before or after.
	Remove, Note string
}

// Importable reports whether there is something to import.
func (f *Candidate) Importable() bool { return f.Reason == "" }

// Wipe overwrites the secrets.
func (f *Candidate) Wipe() { f.Item.Wipe() }

// Env is where to look. Only Home and Getenv are needed.
type Env struct {
	// Home is absolute.
	Home string
	// Getenv is asked for the names in [Variables] and no others.
	Getenv func(string) string
	// GOOS is "linux" or "darwin", by default the system's.
	GOOS string
	// Taken reports whether a profile's name is in use; nil: none is.
	Taken func(name string) bool
}

// config returns where programs keep their settings (XDG Base Directory Specification; Apple's File System Programming Guide).
func (e Env) config() string {
	if e.GOOS == "darwin" {
		return filepath.Join(e.Home, "Library", "Application Support")
	}
	if dir := e.Getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return dir
	}
	return filepath.Join(e.Home, ".config")
}

// search is one call of Find, Read or Parse.
type search struct {
	ctx   context.Context
	env   Env
	found []*Candidate
}

func newSearch(ctx context.Context, env Env) (*search, error) {
	if !filepath.IsAbs(env.Home) {
		return nil, errors.New("no home directory to look in")
	}
	if env.GOOS == "" {
		env.GOOS = runtime.GOOS
	}
	if env.Getenv == nil {
		env.Getenv = func(string) string { return "" }
	}
	return &search{ctx: ctx, env: env}, nil
}

// Find looks in every known place and returns what is there, importable or not, in a stable order. The error is the
// context's or about env; whatever is wrong with a file is the [Candidate.Reason] of its row.
func Find(ctx context.Context, env Env) ([]Candidate, error) {
	s, err := newSearch(ctx, env)
	if err != nil {
		return nil, err
	}
	for _, system := range []func(*search){
		(*search).spatiafi, (*search).climateEngine, (*search).google, (*search).planet, (*search).earthscope,
	} {
		if system(s); ctx.Err() != nil {
			s.wipe()
			return nil, context.Cause(ctx)
		}
	}
	return s.result(), nil
}

// add appends a row and returns it for more to be said about it.
func (s *search) add(f Candidate) *Candidate {
	f.servers = append(f.servers, namedServersOf(f.Item.RefreshToken, jwts["refresh_token"])...)
	s.found = append(s.found, &f)
	return &f
}

// instead is what a person can do where nothing can be imported :: system → command.
var instead = map[string]string{
	"":               "groat login",
	"SpatiaFi":       "groat login " + namePlace + " --provider spatiafi",
	"Climate Engine": "groat login " + namePlace + " --provider climateengine-key",
	"Google":         "groat login " + namePlace + " --provider google",
	"Planet":         "groat login " + namePlace + " --provider planet-user",
	"EarthScope":     "groat login " + namePlace + " --provider earthscope",
}

// refuse appends a row that cannot be imported.
func (s *search) refuse(system, what, name string, at Copy, why error) *Candidate {
	f := Candidate{System: system, What: what, Name: name, Reason: why.Error(), Hint: instead[system]}
	if at.Path != "" || at.Variables != nil {
		f.Copies = []Copy{at}
	}
	if flaw, ok := errors.AsType[*flaw](why); ok && flaw.hint != "" {
		f.Hint = flaw.hint
	}
	return s.add(f)
}

func (s *search) wipe() {
	for _, f := range s.found {
		f.Wipe()
	}
}

// result merges what is the same credential, and names each row.
func (s *search) result() []Candidate {
	var rows []*Candidate
	for _, f := range s.found {
		f.Copies = slices.DeleteFunc(f.Copies, func(c Copy) bool { return c.Path == "" && c.Variables == nil }) // what Parse was given
		if i := slices.IndexFunc(rows, f.same); i >= 0 {
			rows[i].merge(f)
			continue
		}
		rows = append(rows, f)
	}
	for _, f := range rows {
		if why := f.Contradiction(); why != "" && f.Importable() && len(f.Target.Either) == 0 {
			f.Wipe()
			f.Item, f.Reason, f.Hint = keystore.Item{}, why, instead[f.System]
		}
	}
	s.name(rows)
	all := make([]Candidate, len(rows))
	for i, f := range rows {
		all[i] = *f
	}
	return all
}

// same reports whether two rows are one credential. A refresh token is one session whatever stands beside it; a client
// may be used in two ways.
func (f *Candidate) same(g *Candidate) bool {
	if !f.Importable() || !g.Importable() || !f.Item.Equal(g.Item) {
		return false
	}
	return !f.Item.RefreshToken.IsZero() || f.Target.equal(g.Target)
}

func (t Target) equal(u Target) bool {
	sameHeader := t.Header == u.Header || t.Header != nil && u.Header != nil && *t.Header == *u.Header
	t.Header, u.Header = nil, nil
	either := slices.Equal(t.Either, u.Either)
	t.Either, u.Either = nil, nil
	return sameHeader && either && t.plain() == u.plain()
}

// plain is the target without what cannot be compared by ==.
func (t Target) plain() [9]string {
	return [9]string{t.Provider, t.Issuer, t.TokenEndpoint, t.AuthServer, t.Grant, t.ClientAuth, t.Scope, t.Audience, t.Redirect}
}

// merge adds another place of the same credential.
func (f *Candidate) merge(g *Candidate) {
	for _, c := range g.Copies {
		known := func(k Copy) bool { return k.Path == c.Path && slices.Equal(k.Variables, c.Variables) }
		if !slices.ContainsFunc(f.Copies, known) {
			f.Copies = append(f.Copies, c)
		}
	}
	f.Warnings = union(f.Warnings, g.Warnings)
	f.Lost = union(f.Lost, g.Lost)
	if g.Confirm == "" { // one place without doubt is enough
		f.Confirm = ""
	}
	f.servers = append(f.servers, g.servers...)
	if f.Issued.Before(g.Issued) {
		f.Issued, f.Expires = g.Issued, g.Expires
	}
	g.Wipe()
}

func union(a, b []string) []string {
	for _, text := range b {
		if !slices.Contains(a, text) {
			a = append(a, text)
		}
	}
	return a
}

// apiKey is what a static key is for people; keyGrant is its kind of sign-in.
const (
	apiKey   = "API key"
	keyGrant = "api_key"
)

// ours are the variables that are looked at, by the program they are for.
var ours = [][]string{
	{"XDG_CONFIG_HOME", "TMPDIR", "APP_DIRECTORY"},
	{"SPATIAFI_CLIENT_ID", "SPATIAFI_CLIENT_SECRET", "CLIENT_ID", "CLIENT_SECRET", "USER_ID"},
	{"CLIMATE_ENGINE_API_KEY", "CLIMATE_ENGINE_API_TOKEN"},
	{"GS_OAUTH2_CLIENT_ID", "GS_OAUTH2_CLIENT_SECRET", "GS_OAUTH2_REFRESH_TOKEN"},
	{"PL_API_KEY", "PL_AUTH_API_KEY", "PL_AUTH_PROFILE", "PL_AUTH_CLIENT_ID", "PL_AUTH_CLIENT_SECRET"},
	planetSettings, earthscopeVariables, earthscopeOldVariables, sopsVariables,
}

// Variables returns the names of all that [Find], [Read] and [Parse] may ask [Env.Getenv] for. A caller whose environment is
// not the person's own has them sent: some hold secrets.
func Variables() []string {
	names := slices.Concat(ours...)
	slices.Sort(names)
	return slices.Compact(names)
}

// variables describes a copy in the environment.
func variables(holds string, names ...string) Copy {
	return Copy{
		Variables: names, Plain: true, Holds: []string{holds}, Remove: unset(names),
		Note: "every program that is started from this shell has them; remove the lines that set them (a start-up file of the shell, a .env file, a service's unit) too",
	}
}

func unset(names []string) string { return "unset " + strings.Join(names, " ") }

// set returns those of some variables that are not empty.
func (s *search) set(names ...string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return s.env.Getenv(name) == "" })
}
