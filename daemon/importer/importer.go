// Package importer finds the credentials that other programs keep on this machine: where they are, how they are read,
// and which profile here they correspond to.
//
// It reads and never writes, deletes or renames. The only program it starts is sops, to read files that sops encrypted.
// The invariant: whatever is wrong with a file, every secret that it returns is a [keystore.Secret], and no error or
// text holds a part of one. It verifies nothing, sends nothing and stores nothing: what it finds is offered to a
// person, and becomes a profile only after the provider has accepted it.
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

// Candidate is one credential, or one place that looked like one. The caller owns the secrets and calls
// [Candidate.Wipe].
type Candidate struct {
	// System is the provider, for people: "SpatiaFi", "Planet", "EarthScope", "Google", "Climate Engine".
	System string
	// What is the kind of credential, for people: "App Credentials", "machine account", "session", "API key", …
	What string
	// Name is a valid profile name that no other Candidate of the same call has, and that [Env.Taken] does not report.
	Name string
	// Target is the server and how its tokens are asked for.
	Target Target
	// Item holds the client's id, its secrets and how to use them; Grant is as the keystore has it. Issuer, endpoints
	// and ClientAuth, which say where the item may be sent, are empty: the profile decides them, not the file that held
	// the secret.
	Item keystore.Item
	// Copies are the places where the credential remains after an import, first the one that it was read from.
	Copies []Copy

	// Reason says why the credential cannot be imported, and Item is then empty; empty if it can. Hint is the command
	// to type next.
	Reason, Hint string
	// Confirm is the first half of a question that a person must answer for this credential, whatever they answered for
	// all.
	Confirm string
	// Shared means that the refresh token may be replaced at each use, and that another program has the same one.
	Shared bool
	// Fresh is the command for a separate sign-in, where that is better than sharing a session, or the only way.
	Fresh string
	// Warnings are sentences for people. Lost are the settings, by their original names, that groat does not carry
	// over.
	Warnings, Lost []string
	// Issued and Expires are the times in the access token beside the credential, or zero. They only tell which of two
	// copies is newer.
	Issued, Expires time.Time

	servers []namedServer // what JWTs beside the credential say of its server
}

// Target is a server in the terms of a profile's configuration. An empty field means the provider's own value.
type Target struct {
	// Provider is a preset's name. Without it, Issuer, and perhaps TokenEndpoint, names the server, and discovery finds
	// the rest.
	Provider string
	// Either are the providers that the same file is written for, of which a person must choose one. Provider is the
	// first.
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
	// Header is how an API key is sent where that differs from the provider's way.
	Header *preset.Header
}

// Copy is one place where a credential is kept.
type Copy struct {
	// Path is a file or a directory; or Variables are names of environment variables.
	Path      string
	Variables []string
	// Mode and UID are the file's.
	Mode fs.FileMode
	UID  int
	// Plain means that reading it gives the credential. It is false for a file that sops encrypted.
	Plain bool
	// Holds lists the contents: "client secret", "refresh token", …
	Holds []string
	// Readers are the programs that still use this copy.
	Readers []string
	// Remove is a command line that removes the copy; groat never runs it. Note says what to know before or after.
	Remove, Note string
}

// Importable reports whether the credential can be imported.
func (f *Candidate) Importable() bool { return f.Reason == "" }

// Wipe overwrites the secrets.
func (f *Candidate) Wipe() { f.Item.Wipe() }

// Env says where to look. Only Home and Getenv are required.
type Env struct {
	// Home is absolute.
	Home string
	// Getenv is called with the names in [Variables] and no others.
	Getenv func(string) string
	// GOOS is "linux" or "darwin", by default the system's.
	GOOS string
	// Taken reports whether a profile has the name; nil means that none has.
	Taken func(name string) bool
}

// config returns the directory of programs' settings (XDG Base Directory Specification; Apple's File System Programming
// Guide).
func (e Env) config() string {
	if e.GOOS == "darwin" {
		return filepath.Join(e.Home, "Library", "Application Support")
	}
	if dir := e.Getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return dir
	}
	return filepath.Join(e.Home, ".config")
}

// search is the state of one call of Find, Read or Parse.
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

// Find looks in every known place and returns all candidates, importable or not, in a stable order. The error is the
// context's or about env. A failure about one file is the [Candidate.Reason] of its candidate.
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

// add appends a candidate and returns it for further changes.
func (s *search) add(f Candidate) *Candidate {
	f.servers = append(f.servers, namedServersOf(f.Item.RefreshToken, jwts["refresh_token"])...)
	s.found = append(s.found, &f)
	return &f
}

// instead is the command that helps where nothing can be imported :: system → command.
var instead = map[string]string{
	"":               "groat login",
	"SpatiaFi":       "groat login " + namePlace + " --provider spatiafi",
	"Climate Engine": "groat login " + namePlace + " --provider climateengine-key",
	"Google":         "groat login " + namePlace + " --provider google",
	"Planet":         "groat login " + namePlace + " --provider planet-user",
	"EarthScope":     "groat login " + namePlace + " --provider earthscope",
}

// refuse appends a candidate that cannot be imported.
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

// result merges candidates that are the same credential, and names the others.
func (s *search) result() []Candidate {
	var rows []*Candidate
	for _, f := range s.found {
		// what Parse was given
		f.Copies = slices.DeleteFunc(f.Copies, func(c Copy) bool { return c.Path == "" && c.Variables == nil })
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

// same reports whether two candidates are one credential. A refresh token is one session whatever stands beside it; one
// client may be used in two ways.
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

// plain returns the fields of the target that can be compared by ==.
func (t Target) plain() [9]string {
	return [9]string{t.Provider, t.Issuer, t.TokenEndpoint, t.AuthServer, t.Grant, t.ClientAuth, t.Scope,
		t.Audience, t.Redirect}
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

// apiKey is the name of a static key for people; keyGrant is its grant.
const (
	apiKey   = "API key"
	keyGrant = "api_key"
)

// ours are the variables that are read, by the program they are for.
var ours = [][]string{
	{"XDG_CONFIG_HOME", "TMPDIR", "APP_DIRECTORY"},
	{"SPATIAFI_CLIENT_ID", "SPATIAFI_CLIENT_SECRET", "CLIENT_ID", "CLIENT_SECRET", "USER_ID"},
	{"CLIMATE_ENGINE_API_KEY", "CLIMATE_ENGINE_API_TOKEN"},
	{"GS_OAUTH2_CLIENT_ID", "GS_OAUTH2_CLIENT_SECRET", "GS_OAUTH2_REFRESH_TOKEN"},
	{"PL_API_KEY", "PL_AUTH_API_KEY", "PL_AUTH_PROFILE", "PL_AUTH_CLIENT_ID", "PL_AUTH_CLIENT_SECRET"},
	planetSettings, earthscopeVariables, earthscopeOldVariables, sopsVariables,
}

// Variables returns the names of all variables that [Find], [Read] and [Parse] may read by [Env.Getenv]. A caller whose
// environment is not the person's has their values sent: some hold secrets.
func Variables() []string {
	names := slices.Concat(ours...)
	slices.Sort(names)
	return slices.Compact(names)
}

// variables describes a copy in the environment.
func variables(holds string, names ...string) Copy {
	return Copy{
		Variables: names, Plain: true, Holds: []string{holds}, Remove: unset(names),
		Note: "every program that is started from this shell has them; remove the lines that set them (a start-up " +
			"file of the shell, a .env file, a service's unit) too",
	}
}

func unset(names []string) string { return "unset " + strings.Join(names, " ") }

// set returns the names of those variables that are not empty.
func (s *search) set(names ...string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return s.env.Getenv(name) == "" })
}
