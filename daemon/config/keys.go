package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/groat-dev/groat/daemon/origin"
)

// Key describes one key of a profile.
type Key struct {
	Name string
	// About is what the key says, in a sentence.
	About string
	// Login is the flag of groat login that decides the key, where no edit may: the credential belongs to what it says.
	// Empty where the key may be set by itself.
	Login string
}

// ByName begins a [Key.Login] that is no flag of its own: the login sets the key by its name.
const ByName = "--set "

// keyTable is all keys of a profile, in the order of its file. A test compares it with [Profile].
var keyTable = []Key{
	{"provider", "The provider's preset, which `groat login` lists.", "--provider PROVIDER"},
	{"auth_server", "Another host with the preset's paths (staging, tests).", "--auth-server URL"},
	{"backend", "The openEO back end that named the issuer, and takes its tokens.", "--backend URL"},
	{"issuer", "The server's issuer identifier (RFC 8414).", "--issuer URL"},
	{"token_endpoint", "The server's token endpoint.", "--token-url URL"},
	{"authorization_endpoint", "The page that a browser signs in at (RFC 6749, section 3.1), where not the " +
		"preset's or the published one.", ""},
	{"device_endpoint", "Where a sign-in with a code begins (RFC 8628, section 3.1), where not the preset's or " +
		"the published one.", ""},
	{"par_endpoint", "Where a browser's sign-in is pushed (RFC 9126, section 2), where not the preset's or the " +
		"published one.", ""},
	{"par", "`always`: a browser's sign-in is pushed to the server beforehand, or refused. `never`: it is not. " +
		"Without it, it is pushed wherever the server has an endpoint for that.", ""},
	{"userinfo_endpoint", "Says who the person is (OpenID Connect Core, section 5.3).", ""},
	{"revocation_endpoint", "Ends a session (RFC 7009).", ""},
	{"introspection_endpoint", "Says whether an access token is still good (RFC 7662).", ""},
	{"grant", "The way to sign in; without it the preset's first, else client credentials.", "--grant WAY"},
	{"client_auth", "How the client authenticates (RFC 7591, section 2); without it the preset's.",
		"--client-auth METHOD"},
	{"basic", "How id and secret stand in HTTP Basic: `form`, encoded (RFC 6749, section 2.3.1), or `raw`, as " +
		"they are (RFC 7617). Without it the preset's, else `form`.", ""},
	{"redirect", "The loopback redirect URI that the client is registered with (RFC 8252, section 7.3); without " +
		"it any port of 127.0.0.1.", ""},
	{"discovered", "`true`: the server is known by its issuer, whose metadata named the endpoints.", "--issuer URL"},
	{"assertion_audience", "The `aud` of assertions: `issuer`, `endpoint` (the token endpoint), `called` (the " +
		"one that is called) or a URI. Without it the preset's, else the issuer for a client of a discovered " +
		"server, else the token endpoint.", "--assertion-audience AUDIENCE"},
	{"assertion_file", "The absolute path of a file with an assertion that another program keeps fresh (Kubernetes, " +
		"CI): it is read for each request, and takes the place of one that a key would sign.", "--assertion-file PATH"},
	{"assertion_life", "How long an assertion is good for, in seconds, at most 3600; without it as the preset says, " +
		"else 120.", ""},
	{"assertion_not_before", "`true`: an assertion says from when on it is good (`nbf`). Without it as the preset " +
		"says.", ""},
	{"scope_in_assertion", "`true`: the scope is a claim of an assertion that is a grant. Without it as the preset " +
		"says.", ""},
	{"refresh_auth", "How the client authenticates for refreshing and revoking (RFC 7591, section 2), where not as " +
		"`client_auth` says. Without it as the preset says.", ByName + "refresh_auth=METHOD"},
	{"authorize_params", "Further parameters of a browser's sign-in, each `name=value` as in a URL's query, separated " +
		"by spaces; `name=` leaves one out that the preset or the server would have. None takes the place of one of " +
		"groat's own.", ""},
	{"iss_in_redirect", "`true`: a redirect of the browser that does not name the issuer is refused (RFC 9207). " +
		"Without it as the preset or the server says.", ""},
	{"second_factor", "The parameter in which the password grant takes a one-time code; it is asked for at the " +
		"sign-in. Without it the preset's.", ""},
	{"tokens_last", "`true`: a sign-in's access token does not end where the server names no lifetime and gives no " +
		"refresh token: it is kept. Without it as the preset says.", ""},
	{"revoke_json", "`true`: a session is ended by a JSON object (Auth0). Without it as the preset says.", ""},
	{"session_scope", "The scopes that are added at a sign-in to get a refresh token; without it the preset's, or " +
		"`offline_access` where the server offers that.", ""},
	{"scope", "The scopes that are asked for where a caller names none, separated by spaces.", ""},
	{"audience", "The audience that is asked for where a caller names none.", ""},
	{"resource_indicator", "The URI of the API that tokens are asked for (RFC 8707).", ""},
	{"target_audience", "Whom the ID token of a service account is for, such as the client id of an IAP or the URL " +
		"of a service: it is obtained beside each access token, and `groat get --id-token` prints it. For " +
		"`jwt_bearer` with a key.", ""},
	{"wider_scope", "`true`: a token that may do more than was asked for is taken without a word, but for a caller's " +
		"narrower scope.", ""},
	{"strict_scope", "`true`: a token that may do more than was asked for is refused.", ""},
	{"token_chars", "`visible`: access tokens with characters that RFC 6750 does not allow are taken; they leave as " +
		"a header and as JSON only.", ""},
	{"resources", "The origins of APIs that a helper may send a token to, instead of the preset's; one with a path " +
		"is all that is below that path. \"groat profile set\" and \"unset\" take some away.", "--api ORIGIN"},
	{"header", "The name of the header field that an API key goes into; none of HTTP's own, such as `Host` or " +
		"`Cookie`.", ""},
	{"prefix", "The word before an API key in its header field.", ""},
	{"token_prefix", "What stands right before a token in its header field, such as openEO's `oidc/PROVIDER/`.", ""},
	{"session_idle", "How long a session lives without a renewal, in seconds; without it what the preset or the " +
		"server says, with 0 what the server says.", ""},
	{"session_absolute", "How long a session lives at all, in seconds; without it what the preset or the server " +
		"says, with 0 what the server says.", ""},
	{"keep_session", "`true`: an unused session is renewed before its idle end. Without it the preset says it.", ""},
	{"refresh_ends_tokens", "Whether the server ends a session's earlier access tokens when its refresh token " +
		"is used. Without it the preset says it, or what APIs refuse.", ""},
	{"refresh_narrows", "Whether the server narrows a session for good when a narrower scope is asked for with its " +
		"refresh token, against RFC 6749, section 6: none is asked for then. Without it the preset says it, or a " +
		"session that has lost scope so.", ""},
	{"fleet", "`true`: the profile is the fleet's, and all its machines have it.", "--fleet"},
}

// Keys returns the keys of a profile, in the order of its file.
func Keys() []Key { return slices.Clone(keyTable) }

// fields are the indexes of the keys' fields: ten thousand profiles are read at once, with forty keys each.
var fields = sync.OnceValue(func() map[string][]int {
	all := map[string][]int{}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Profile]()) {
		if name, _, _ := strings.Cut(f.Tag.Get("toml"), ","); name != "" && name != "-" {
			all[name] = f.Index
		}
	}
	return all
})

// field returns a key's field of the profile, which may be changed through it.
func (p *Profile) field(key string) (reflect.Value, bool) {
	index, ok := fields()[key]
	if !ok {
		return reflect.Value{}, false
	}
	return reflect.ValueOf(p).Elem().FieldByIndex(index), true
}

// Get returns the value of a key as text. set reports whether the profile says it.
func (p *Profile) Get(key string) (value string, set bool) {
	v, ok := p.field(key)
	if !ok || v.IsZero() {
		return "", false
	}
	switch v.Kind() {
	case reflect.Bool:
		return strconv.FormatBool(v.Bool()), true
	case reflect.Int64:
		return strconv.FormatInt(v.Int(), 10), true
	case reflect.Pointer:
		return fmt.Sprint(v.Elem().Interface()), true
	case reflect.Slice:
		var words []string
		for i := range v.Len() {
			words = append(words, v.Index(i).String())
		}
		return strings.Join(words, " "), true
	}
	return v.String(), true
}

// Set changes the value of a key, which text is read as; what is wrong with the whole is for [Dir.Save] to say.
func (p *Profile) Set(key, text string) error {
	v, ok := p.field(key)
	if !ok {
		return unknownKey(key)
	}
	least := int64(1) // 0 is a value only where it is not the same as to say nothing
	if v.Kind() == reflect.Pointer {
		least = 0
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%s is true or false", key)
		}
		v.SetBool(b)
	case reflect.Int64:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < least {
			return fmt.Errorf("%s is a number of seconds, from %d on", key, least)
		}
		v.SetInt(n)
	case reflect.Slice:
		v.Set(reflect.ValueOf(strings.Fields(text)))
	default:
		v.SetString(text)
	}
	if key == "introspection_endpoint" {
		return p.checkIntrospection()
	}
	return nil
}

// checkIntrospection refuses an introspection endpoint that nothing would be sent to. One that has come into a file is
// no reason to refuse the file, and a profile without a server is refused for that.
func (p *Profile) checkIntrospection() error {
	s, _, err := p.Server()
	if err == nil && origin.OfEndpoint(p.IntrospectionEndpoint) != origin.OfEndpoint(s.TokenEndpoint) {
		return errors.New("introspection_endpoint is not on the token endpoint's host, so nothing would be sent there")
	}
	return nil
}

// Unset makes the profile say nothing of a key.
func (p *Profile) Unset(key string) error {
	v, ok := p.field(key)
	if !ok {
		return unknownKey(key)
	}
	v.SetZero()
	return nil
}

func unknownKey(key string) error {
	if name := Nearest(key, keys()); name != "" {
		return fmt.Errorf("a profile has no key %q; the nearest is %s", key, name)
	}
	return fmt.Errorf("a profile has no key %q; it has %s", key, strings.Join(keys(), ", "))
}

// Reference returns the page of all keys, in Markdown.
func Reference() string {
	var b strings.Builder
	b.WriteString(`# The keys of a profile

"groat login" writes a profile to profiles.d/NAME.toml in the configuration directory; a person may describe one in
config.toml, as [profiles.NAME]. No key is secret. "groat profile show NAME" shows those of a profile, and
"groat profile set NAME KEY VALUE" changes one. Most are flags of "groat login" too, with "-" for "_", and
"groat login NAME --set KEY=VALUE" sets any of the others. Where a flag stands below, the sign-in decides: a credential
belongs to its server and its way to sign in. A value has at most 4 KiB, but for resources; those of a profile
that groat writes take at most 48 KiB as JSON.

This page is made from daemon/config/keys.go by its test.

`)
	for _, k := range keyTable {
		about := "- `" + k.Name + "`: " + k.About
		if k.Login != "" {
			about += " Only `groat login NAME " + k.Login + "` changes it."
		}
		column := 0
		for _, word := range strings.Fields(about) {
			switch {
			case column == 0:
			case column+1+len(word) > 116:
				b.WriteString("\n  ")
				column = 2
			default:
				b.WriteByte(' ')
				column++
			}
			b.WriteString(word)
			column += len(word)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
