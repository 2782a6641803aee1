package config

import (
	"bytes"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/preset"
	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/protocol/visible"
)

// maxAssertionLife is an hour, which is the most that Google takes
// (https://developers.google.com/identity/protocols/oauth2/service-account). An assertion is used at once, and a stolen
// one works until it ends.
const maxAssertionLife = 60 * 60

// maxSession is ten years.
const maxSession = 10 * 365 * 24 * 60 * 60

// maxValue is how many bytes a key's value may have, but for resources. A scope is the longest that is known; what a
// server grants is bounded alike.
const maxValue = 4 << 10

const nameRule = "a name is made of a-z, 0-9, '.', '_' and '-', 64 at most"

// check refuses a profile that could not work, and names the line of the wrong key and what would be right there.
func (p Profile) check(text []byte) error {
	fail := func(key, right, format string, args ...any) error {
		said := fmt.Sprintf(format, args...)
		if right != "" {
			said += "; " + right
		}
		return &Error{File: p.File, Line: keyLine(text, p.Line, key), Message: said, Hint: Edit(p.File)}
	}
	if !ValidName(p.Name) {
		said := fmt.Sprintf("%q cannot be a profile's name; %s", p.Name, nameRule)
		return &Error{File: p.File, Line: p.Line, Message: said, Hint: p.rename()}
	}
	if p.Provider != "" {
		if _, ok := preset.Lookup(p.Provider); !ok {
			return fail("provider", "the providers are "+strings.Join(preset.Names(), ", "),
				"unknown provider %q", p.Provider)
		}
		if p.Issuer != "" || p.TokenEndpoint != "" {
			return fail("provider", "name a provider, or an issuer and a token_endpoint",
				"a provider brings its own issuer and token endpoint")
		}
	} else if p.TokenEndpoint == "" {
		return fail("", "the providers are "+strings.Join(preset.Names(), ", "),
			"profile %q names neither a provider nor a token_endpoint", p.Name)
	}
	for key, url := range map[string]string{"auth_server": p.AuthServer, "issuer": p.Issuer,
		"token_endpoint": p.TokenEndpoint, "authorization_endpoint": p.AuthorizationEndpoint,
		"device_endpoint": p.DeviceEndpoint, "par_endpoint": p.PAREndpoint, "backend": p.Backend,
		"userinfo_endpoint": p.UserinfoEndpoint, "revocation_endpoint": p.RevocationEndpoint,
		"introspection_endpoint": p.IntrospectionEndpoint} {
		if url == "" {
			continue
		}
		if err := origin.CheckURL(url, key); err != nil {
			return fail(key, "", "%s", err)
		}
	}
	for _, key := range keyTable {
		value, _ := p.Get(key.Name)
		switch {
		case strings.ContainsFunc(value, unicode.IsControl):
			return fail(key.Name, "leave it out", "%s holds a line break or another control character", key.Name)
		case len(value) > maxValue && key.Name != "resources":
			return fail(key.Name, "leave out what is not needed", "%s is longer than %d bytes", key.Name, maxValue)
		}
	}
	if p.Redirect != "" {
		if err := grant.CheckRedirect(p.Redirect); err != nil {
			return fail("redirect", "http://127.0.0.1/callback, for example", "%s", err)
		}
	}
	oneOfMethods := fmt.Sprintf("it is one of %s", grant.Methods())
	if p.ClientAuth != "" && !slices.Contains(grant.Methods(), grant.Method(p.ClientAuth)) {
		return fail("client_auth", oneOfMethods, "unknown client_auth %q", p.ClientAuth)
	}
	if p.Grant != "" && !slices.Contains(grant.Kinds(), grant.Kind(p.Grant)) {
		return fail("grant", fmt.Sprintf("it is one of %s", grant.Kinds()), "unknown grant %q", p.Grant)
	}
	if p.PAR != "" && p.PAR != PARAlways && p.PAR != PARNever {
		return fail("par", "it is always or never", "unknown par %q", p.PAR)
	}
	if p.Basic != "" && p.Basic != BasicRaw && p.Basic != BasicForm {
		return fail("basic", "it is raw or form", "unknown basic %q", p.Basic)
	}
	if err := grant.Audience(p.AssertionAudience).Check(); err != nil {
		return fail("assertion_audience", "", "%s", err)
	}
	if p.AssertionLife < 0 || p.AssertionLife > maxAssertionLife {
		return fail("assertion_life", fmt.Sprintf("it is at most %d seconds", maxAssertionLife),
			"an assertion cannot live for %d seconds", p.AssertionLife)
	}
	if p.RefreshAuth != "" && !slices.Contains(grant.Methods(), grant.Method(p.RefreshAuth)) {
		return fail("refresh_auth", oneOfMethods, "unknown refresh_auth %q", p.RefreshAuth)
	}
	for _, word := range p.AuthorizeParams {
		if _, _, err := authorizeParam(word); err != nil {
			return fail("authorize_params", "name=value, as in a URL's query", "%s", err)
		}
	}
	if p.SecondFactor != "" && (!parameterName.MatchString(p.SecondFactor) ||
		isOwnParam(p.SecondFactor)) {
		return fail("second_factor", "the parameter's name, such as totp", "%q cannot be a one-time code's parameter",
			p.SecondFactor)
	}
	for key, seconds := range map[string]*int64{"session_idle": p.SessionIdle, "session_absolute": p.SessionAbsolute} {
		if seconds != nil && (*seconds < 0 || *seconds > maxSession) {
			return fail(key, fmt.Sprintf("it is from 0 to %d seconds", maxSession),
				"a session cannot live for %d seconds", *seconds)
		}
	}
	if p.AssertionFile != "" && !filepath.IsAbs(p.AssertionFile) {
		return fail("assertion_file", "", "the assertion's file %q has no absolute path",
			p.AssertionFile)
	}
	if p.ResourceIndicator != "" {
		if err := grant.CheckResource(p.ResourceIndicator); err != nil {
			return fail("resource_indicator", "https://api.example.com/, for example", "%s", err)
		}
	}
	if p.TargetAudience != "" {
		if err := grant.CheckTargetAudience(p.TargetAudience); err != nil {
			return fail("target_audience", "a client id or a URL", "%s", err)
		}
		switch {
		case p.Kind() != grant.ByJWTBearer:
			return fail("target_audience", fmt.Sprintf("grant = %q asks for one", grant.ByJWTBearer),
				"a %s sign-in asks for no ID token with a key", p.Kind())
		case p.AssertionFile != "":
			return fail("target_audience", "", "the assertion in %s is another program's, which names no audience",
				p.AssertionFile)
		}
	}
	var said grant.Server
	p.header(&said)
	if key, err := said.Header.Check(); err != nil {
		return fail(key, headerForms[key], "%s", err)
	}
	for _, r := range p.Resources {
		if _, err := origin.Resource(r); err != nil {
			return fail("resources", "an API is an origin, https://HOST or https://HOST:PORT, with a path or without",
				"%s", err)
		}
	}
	if p.Provider != "" && p.Discovered {
		return fail("discovered", "leave it out", "a provider's server is known by its preset")
	}
	if p.Provider == "" && p.AuthServer != "" {
		return fail("auth_server", "name the token_endpoint instead", "auth_server goes with a provider")
	}
	if _, _, err := p.Server(); err != nil {
		return fail("", "", "%s", err)
	}
	return nil
}

// rename returns the command that gives the profile a name that it may have.
func (p Profile) rename() string {
	if filepath.Base(p.File) != p.Name+".toml" { // a table
		return Edit(p.File)
	}
	good := strings.Map(func(r rune) rune {
		if r = unicode.ToLower(r); r > unicode.MaxASCII || !ValidName("x"+string(r)) {
			return '-'
		}
		return r
	}, p.Name)
	if good = strings.TrimLeft(good[:min(len(good), maxName)], "._-"); good == "" {
		good = "profile"
	}
	return "mv -i " + visible.Word(p.File) + " " + visible.Word(filepath.Join(filepath.Dir(p.File), good+".toml"))
}

var headerForms = map[string]string{
	"header": "a header is named like X-Api-Key", "prefix": "one word such as Bearer, or nothing",
	"token_prefix": "one word such as oidc/PROVIDER/, or nothing",
}

// parameterName is what a parameter of a form may be called here.
var parameterName = regexp.MustCompile("^[a-z][a-z_0-9]{0,31}$")

// keys returns the names of a profile's keys.
func keys() []string {
	var names []string
	for _, k := range keyTable {
		names = append(names, k.Name)
	}
	return names
}

var tableHeader = regexp.MustCompile(`^\s*\[\s*profiles\s*\.\s*["']?([^\]"']+?)["']?\s*\]`)

// tableLines returns the line of each [profiles.NAME].
func tableLines(text []byte) map[string]int {
	lines := map[string]int{}
	for i, line := range bytes.Split(text, []byte("\n")) {
		if m := tableHeader.FindSubmatch(line); m != nil {
			lines[string(m[1])] = i + 1
		}
	}
	return lines
}

// keyLine returns the first line, from begin on, that sets key, or begin.
func keyLine(text []byte, begin int, key string) int {
	if key == "" {
		return begin
	}
	setting := regexp.MustCompile(`^\s*["']?` + regexp.QuoteMeta(key) + `["']?\s*=`)
	for i, line := range bytes.Split(text, []byte("\n")) {
		if i+1 >= begin && setting.Match(line) {
			return i + 1
		}
	}
	return begin
}
