// Package config reads the profiles and where each may send its credential.
//
// config.toml is the person's and never written. `groat login` writes profiles.d/NAME.toml, one profile a file, and
// `groat network set` writes network.toml; each is replaced atomically. Decoding is strict: an unknown key is an error,
// and every error names file and line. The invariant: no value in here is secret. The credentials are package
// keystore's, and the providers package preset's.
package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/pelletier/go-toml/v2"

	"github.com/groat-dev/groat/protocol/ownpath"
	"github.com/groat-dev/groat/protocol/visible"
)

// Profile is one profile as configured. Either Provider names a preset, or Issuer and TokenEndpoint name the server.
type Profile struct {
	// Name is the name of the table or of the file.
	Name string `toml:"-"`
	// Provider is a preset's name; AuthServer replaces its host (staging, tests).
	Provider   string `toml:"provider,omitempty"`
	AuthServer string `toml:"auth_server,omitempty"`
	// Backend is the openEO back end that named the server, and is sent its tokens.
	Backend string `toml:"backend,omitempty"`
	// Issuer and TokenEndpoint describe a server without a preset.
	Issuer        string `toml:"issuer,omitempty"`
	TokenEndpoint string `toml:"token_endpoint,omitempty"`
	// AuthorizationEndpoint, DeviceEndpoint and PAREndpoint are those of a person's sign-in (RFC 6749 §3.1, RFC 8628
	// §3.1, RFC 9126 §2), instead of the preset's or of those that the server publishes.
	AuthorizationEndpoint string `toml:"authorization_endpoint,omitempty"`
	DeviceEndpoint        string `toml:"device_endpoint,omitempty"`
	PAREndpoint           string `toml:"par_endpoint,omitempty"`
	// PAR says when a browser's sign-in is pushed to the server beforehand: "always" or "never". Empty means wherever
	// the server has an endpoint for that.
	PAR string `toml:"par,omitempty"`
	// UserinfoEndpoint tells who the person is (OpenID Connect Core §5.3); empty where the server has none.
	UserinfoEndpoint string `toml:"userinfo_endpoint,omitempty"`
	// RevocationEndpoint ends a session (RFC 7009); empty where the server has none.
	RevocationEndpoint string `toml:"revocation_endpoint,omitempty"`
	// IntrospectionEndpoint says whether a token is still good (RFC 7662); empty where the server has none.
	IntrospectionEndpoint string `toml:"introspection_endpoint,omitempty"`
	// Grant is how the profile signs in (package grant's kinds); empty means the preset's default, else client
	// credentials.
	Grant string `toml:"grant,omitempty"`
	// ClientAuth is a token_endpoint_auth_method (RFC 7591 §2); empty means the preset's.
	ClientAuth string `toml:"client_auth,omitempty"`
	// Basic is how id and secret stand in HTTP Basic: "form", encoded as RFC 6749 §2.3.1 requires, or "raw", as they
	// are (RFC 7617). Empty means the preset's, without one "form".
	Basic string `toml:"basic,omitempty"`
	// Redirect is the loopback redirect URI that the client is registered with (RFC 8252 §7.3); empty means any port of
	// 127.0.0.1.
	Redirect string `toml:"redirect,omitempty"`
	// Discovered means that the server is known by its issuer, whose metadata named the endpoints. It matters for
	// assertions, and where endpoints are named beside it.
	Discovered bool `toml:"discovered,omitempty"`
	// AssertionAudience is the aud of the assertions that the profile signs: "issuer", "endpoint" (the token endpoint),
	// "called" (the one that a request goes to) or a URI. Empty means the preset's; without one the issuer for a client
	// of a discovered server, else the token endpoint.
	AssertionAudience string `toml:"assertion_audience,omitempty"`
	// AssertionFile is the absolute path of a file with an assertion that another program keeps fresh. It is read for
	// each request, and takes the place of one that a key would sign.
	AssertionFile string `toml:"assertion_file,omitempty"`
	// AssertionLife, in seconds, AssertionNotBefore and ScopeInAssertion shape the assertions that the profile signs:
	// their exp, an nbf, and the scope as a claim (Google). Empty means the preset's, else two minutes and neither.
	AssertionLife      int64 `toml:"assertion_life,omitempty"`
	AssertionNotBefore *bool `toml:"assertion_not_before,omitempty"`
	ScopeInAssertion   *bool `toml:"scope_in_assertion,omitempty"`
	// RefreshAuth is how the client authenticates for refreshing and revoking, where not as ClientAuth says.
	RefreshAuth string `toml:"refresh_auth,omitempty"`
	// AuthorizeParams are further parameters of a browser's sign-in, each "name=value" as in a URL's query; one without
	// a value is left out, though the preset or the discovered server has it.
	AuthorizeParams []string `toml:"authorize_params,omitempty"`
	// IssInRedirect refuses a redirect of the browser that does not name the issuer (RFC 9207). Empty means what the
	// preset or the server says.
	IssInRedirect *bool `toml:"iss_in_redirect,omitempty"`
	// SecondFactor is the parameter of the password grant that takes a one-time code. Empty means the preset's.
	SecondFactor string `toml:"second_factor,omitempty"`
	// TokensLast means that a sign-in's access token does not end where the server names no lifetime and gives no
	// refresh token. Empty means the preset's.
	TokensLast *bool `toml:"tokens_last,omitempty"`
	// RevokeJSON has a session ended by a JSON object (Auth0). Empty means the preset's.
	RevokeJSON *bool `toml:"revoke_json,omitempty"`
	// SessionScope is added to the scope at a sign-in, to get a refresh token. Empty means the preset's, or
	// "offline_access" where the server offers that.
	SessionScope string `toml:"session_scope,omitempty"`
	// Scope and Audience are requested where a caller names none.
	Scope    string `toml:"scope,omitempty"`
	Audience string `toml:"audience,omitempty"`
	// ResourceIndicator is the URI of the API that tokens are asked for (RFC 8707).
	ResourceIndicator string `toml:"resource_indicator,omitempty"`
	// TargetAudience is whom the ID token of a service account is for (jwt_bearer).
	TargetAudience string `toml:"target_audience,omitempty"`
	// WiderScope takes a token that may do more than Scope asked for without a word.
	WiderScope bool `toml:"wider_scope,omitempty"`
	// StrictScope refuses a token that may do more than Scope asked for.
	StrictScope bool `toml:"strict_scope,omitempty"`
	// TokenChars is "visible" where the profile takes access tokens with characters that RFC 6750 §2.1 does not allow.
	TokenChars string `toml:"token_chars,omitempty"`
	// Resources are the APIs that a helper may send a token of this profile to, instead of the preset's own: origins,
	// each with a path or without. One that the profile's credential is not sealed for is sent none.
	Resources []string `toml:"resources,omitempty"`
	// Header and Prefix are how an API key is sent, instead of the preset's: "Header: Prefix key", or "Header: key"
	// with an empty Prefix.
	Header string  `toml:"header,omitempty"`
	Prefix *string `toml:"prefix,omitempty"`
	// TokenPrefix stands right before a token in its header.
	TokenPrefix string `toml:"token_prefix,omitempty"`

	// SessionIdle and SessionAbsolute are how long a session lives without a renewal, and at all, in seconds; 0 means
	// that it is not known, whatever the preset says. Left out, the preset or the server says it. KeepSession renews an
	// unused session before its idle end.
	SessionIdle     *int64 `toml:"session_idle,omitempty"`
	SessionAbsolute *int64 `toml:"session_absolute,omitempty"`
	KeepSession     *bool  `toml:"keep_session,omitempty"`
	// RefreshEndsTokens says whether the server ends a session's earlier access tokens when its refresh token is used.
	// Left out, the preset says it, or what APIs refuse.
	RefreshEndsTokens *bool `toml:"refresh_ends_tokens,omitempty"`
	// RefreshNarrows says whether the server narrows a session for good when a narrower scope is asked for with its
	// refresh token. Left out, the preset says it, or what happens to a session.
	RefreshNarrows *bool `toml:"refresh_narrows,omitempty"`

	// Fleet means that the credential is the fleet's, and not this machine's alone.
	Fleet bool `toml:"fleet,omitempty"`

	// File and Line are where the profile is described.
	File string `toml:"-"`
	Line int    `toml:"-"`
}

// Config is all profiles and the network. It is immutable once loaded.
type Config struct {
	// Profiles :: name → profile
	Profiles map[string]Profile
	// Broken :: name → why a profile cannot be used. Profiles has none of its name. A name that no profile may have is as
	// [visible.Quote] shows it.
	Broken map[string]*Error
	// MayList :: name in Broken → the APIs that are listed under it, in the long form of package origin. Where that
	// cannot be told it has no such name: any API may be listed.
	MayList map[string][]string
	// Network is how servers are reached.
	Network Network
}

// Error says why a configuration cannot be used, where it says so, and which command helps.
type Error struct {
	File    string
	Line    int // 0 where it is about the file as a whole
	Message string
	Hint    string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", visible.Name(e.File), visible.Text(e.Message))
	}
	return fmt.Sprintf("%s:%d: %s", visible.Name(e.File), e.Line, visible.Text(e.Message))
}

// maxName is the length of a profile's name in bytes.
const maxName = 64

// ValidName reports whether name may be a profile's name: [a-z0-9][a-z0-9._-]{0,63}. Every request is asked this, so
// it is a loop: the expression took a sixth of an answer's time.
func ValidName(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case i > 0 && (c == '.' || c == '_' || c == '-'):
		default:
			return false
		}
	}
	return true
}

// Dir is the directory that holds config.toml and profiles.d.
type Dir struct {
	path string // empty where the configuration is switched off
	file string
}

// At returns the configuration at an absolute path: a file, or a directory that holds config.toml. A path that ends
// with a separator is a directory, whether it exists or not. /dev/null is a configuration that is empty and stays so.
// At does not require that anything is there. Which path a caller's environment means is for PlaceOf in protocol/frame
// to say.
func At(path string) (Dir, error) {
	if !filepath.IsAbs(path) {
		return Dir{}, fmt.Errorf("the configuration path %q is not absolute", path)
	}
	if path == os.DevNull {
		return Dir{file: path}, nil
	}
	info, err := os.Stat(path)
	if strings.HasSuffix(path, string(filepath.Separator)) || err == nil && info.IsDir() {
		return Dir{path: filepath.Clean(path), file: filepath.Join(path, "config.toml")}, nil
	}
	return Dir{path: filepath.Dir(path), file: path}, nil
}

func empty() *Config {
	return &Config{Profiles: map[string]Profile{}, Broken: map[string]*Error{}, MayList: map[string][]string{}}
}

// Load reads the whole configuration. A missing file is no error. A profile that cannot be used is in [Config].Broken
// and takes nothing else away: its file cannot be read, its TOML is wrong, or it is described twice. What is about more
// than one profile fails as a whole, with an [*Error]: a config.toml that is no TOML, the network, and a directory that
// cannot be listed or that another user could change.
func (d Dir) Load() (*Config, error) {
	c := empty()
	if d.off() {
		return c, nil
	}
	if err := checkPath(d.profiles()); err != nil {
		return nil, err
	}
	if err := d.loadMain(c); err != nil {
		return nil, err
	}
	if err := d.loadNetwork(c); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(d.profiles())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, &Error{File: d.profiles(), Message: "cannot be listed: " + cause(err),
			Hint: ownpath.DirHint(d.profiles())}
	}
	for _, e := range entries {
		name, isProfile := strings.CutSuffix(e.Name(), ".toml")
		if !isProfile || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		c.add(name, func() (*Profile, error) { return d.loadProfile(c, name) },
			func() map[string]any { return table(d.profileFile(name)) })
	}
	return c, nil
}

// add adds what load returns, if anything, as the profile of a name. Where it cannot be used, no other of that name is,
// and table returns its keys, or nil where there are none to read.
func (c *Config) add(name string, load func() (*Profile, error), table func() map[string]any) {
	p, err := load()
	if err == nil {
		if p != nil {
			c.Profiles[name] = *p
		}
		return
	}
	e, ok := errors.AsType[*Error](err)
	if !ok { // it has no place of its own
		e = &Error{File: name + ".toml", Message: err.Error(), Hint: "groatd --check"}
	}
	apis, known := mayList(table())
	if other, twice := c.Profiles[name]; twice {
		others, read := other.listed()
		apis, known = append(apis, others...), known && read
		delete(c.Profiles, name)
	}
	if !ValidName(name) {
		name = visible.Quote(name)
	}
	if c.Broken[name] != nil { // described twice
		others, read := c.MayList[name]
		apis, known = append(apis, others...), known && read
	}
	delete(c.MayList, name)
	if known {
		c.MayList[name] = apis
	}
	c.Broken[name] = e
}

// off reports whether the configuration is switched off: /dev/null stands in its place.
func (d Dir) off() bool { return d.path == "" }

// Paths returns the directories whose files are read as configuration; none where it is switched off.
func (d Dir) Paths() []string {
	if d.off() {
		return nil
	}
	if filepath.Base(d.file) == "config.toml" { // else it may be any directory, the home too
		return []string{d.path, d.profiles()}
	}
	return []string{d.profiles()}
}

// Hooks returns the directory of the programs that groatd runs after it has replaced a file; none where the
// configuration is switched off.
func (d Dir) Hooks() string {
	if d.off() {
		return ""
	}
	return filepath.Join(d.path, "hooks")
}

func (d Dir) profiles() string { return filepath.Join(d.path, "profiles.d") }

func (d Dir) profileFile(name string) string { return filepath.Join(d.profiles(), name+".toml") }

// mainFile is config.toml. Its tables of profiles are decoded into T.
type mainFile[T any] struct {
	Profiles map[string]T `toml:"profiles"`
	Network  networkTable `toml:"network"`
}

// loadMain reads config.toml.
func (d Dir) loadMain(c *Config) error {
	text, err := read(d.file)
	if text == nil || err != nil {
		return err
	}
	var main mainFile[Profile]
	loose := sync.OnceValues(func() (m mainFile[any], err error) {
		err = decode(d.file, text, &m)
		return m, err
	})
	var tables map[string]any // where one of them is wrong
	if err := decode(d.file, text, &main); err != nil {
		all, failed := loose()
		if failed != nil {
			return err // it is not only about profiles
		}
		main.Network, tables = all.Network, all.Profiles
	}
	if err := c.Network.add(main.Network, d.file, text, networkLine(text)); err != nil {
		return err
	}
	lines := tableLines(text)
	add := func(name string, decoded func(line int) (Profile, error)) {
		c.add(name, func() (*Profile, error) {
			line := max(lines[name], 1)
			p, err := decoded(line)
			if err != nil {
				return nil, err
			}
			p.Name, p.File, p.Line = name, d.file, line
			return &p, p.check(text)
		}, func() map[string]any {
			all, _ := loose()
			table, _ := all.Profiles[name].(map[string]any)
			return table
		})
	}
	for name, p := range main.Profiles {
		if tables == nil {
			add(name, func(int) (Profile, error) { return p, nil })
		}
	}
	for name, table := range tables {
		add(name, func(line int) (Profile, error) { return d.decodeTable(text, name, table, line) })
	}
	return nil
}

// decodeTable decodes one profile's table of config.toml, whose text the error's line is about.
func (d Dir) decodeTable(text []byte, name string, table any, line int) (Profile, error) {
	alone, err := toml.Marshal(mainFile[any]{Profiles: map[string]any{name: table}})
	if err != nil {
		return Profile{}, &Error{File: d.file, Line: line, Message: err.Error(), Hint: Edit(d.file)}
	}
	var main mainFile[Profile]
	err = decode(d.file, alone, &main)
	if e, ok := errors.AsType[*Error](err); ok {
		wrong := bytes.Split(alone, []byte("\n"))[max(e.Line-1, 0)]
		key, _, _ := bytes.Cut(wrong, []byte("="))
		e.Line = keyLine(text, line, strings.Trim(string(key), " \"'"))
	}
	return main.Profiles[name], err
}

// loadProfile reads one file of profiles.d. It returns nil where there is none any more.
func (d Dir) loadProfile(c *Config, name string) (*Profile, error) {
	file := d.profileFile(name)
	twice := func(other string, line int) error {
		return &Error{File: other, Line: line, Hint: Edit(other),
			Message: fmt.Sprintf("profile %q stands here and in %s", name, visible.Name(file))}
	}
	if other, ok := c.Profiles[name]; ok {
		return nil, twice(other.File, other.Line)
	}
	if other := c.Broken[name]; other != nil {
		return nil, twice(other.File, other.Line)
	}
	text, err := read(file)
	if text == nil || err != nil { // removed since it was listed
		return nil, err
	}
	p := Profile{}
	if err := decode(file, text, &p); err != nil {
		return nil, err
	}
	p.Name, p.File, p.Line = name, file, 1
	return &p, p.check(text)
}

// Edit returns the hint of what only an editor mends, in a file.
func Edit(file string) string {
	if !filepath.IsAbs(file) { // of a backup
		return "groatd --check"
	}
	return "${EDITOR:-vi} " + visible.Word(file)
}

// decode reads TOML strictly.
func decode(file string, text []byte, into any) error {
	err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(into)
	if err == nil {
		return nil
	}
	e := &Error{File: file, Message: strings.TrimPrefix(err.Error(), "toml: "), Hint: Edit(file)}
	if missing, ok := errors.AsType[*toml.StrictMissingError](err); ok && len(missing.Errors) > 0 {
		e.Line, _ = missing.Errors[0].Position()
		key := missing.Errors[0].Key()
		e.Message = fmt.Sprintf("unknown key %q", strings.Join(key, "."))
		switch table := key[0]; {
		case table == "network":
			e.Message += "; the keys of [network] are " + strings.Join(NetworkKeys(), ", ")
		case table != "profiles" && filepath.Base(file) == "config.toml":
			e.Message += "; the tables are [profiles.NAME] and [network]"
		default:
			if near := Nearest(key[len(key)-1], keys()); near != "" {
				e.Message += "; the nearest is " + near
			} else {
				e.Message += "; groat profile show lists the keys"
			}
		}
	} else if wrong, ok := errors.AsType[*toml.DecodeError](err); ok {
		e.Line, _ = wrong.Position()
		if m := wrongType.FindStringSubmatch(e.Message); m != nil && len(wrong.Key()) > 0 {
			e.Message = fmt.Sprintf("%s must be %s, and not a TOML %s", strings.Join(wrong.Key(), "."),
				cmp.Or(typeWords[m[2]], m[2]), m[1])
		}
	}
	return e
}

// wrongType is go-toml's message for a value of a type that does not fit.
var wrongType = regexp.MustCompile(`^cannot decode TOML (\w+) into struct field \S+ of type \*?(\S+)$`)

// typeWords :: type of Go → how it is written
var typeWords = map[string]string{"string": "a text in quotes", "bool": "true or false", "int64": "a number",
	"[]string": "a list of texts"}
