package export

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/strictjson"
)

// form is one kind of file.
type form struct {
	// what the file has, as a sentence says it.
	what string
	// render returns the content of the file. The error is a [*protocol.Error].
	render func(profile string, t grant.Token) (keystore.Secret, error)
	// ahead is with which remaining life a token is replaced at the latest, of one that lives so long; nil: whenever
	// the broker renews it. The programs that read the file would renew it by themselves soon after that.
	ahead func(life time.Duration) time.Duration
	// flaw is what a person is told of a token with which the file will not do, or empty.
	flaw func(t grant.Token) string
	// shared are the names of the files in this form that a person or another program edits. groat keeps none of those.
	shared []string
}

var forms = map[string]form{
	protocol.FormNetrc: {what: "netrc entry", render: netrc.render, flaw: netrc.flaw,
		shared: []string{".netrc", "_netrc"}},
	protocol.FormNpmrc:      {what: "npmrc entry", render: npmrc.render, flaw: npmrc.flaw, shared: []string{".npmrc"}},
	protocol.FormHeader:     {what: "header", render: header},
	protocol.FormToken:      {what: "token", render: bare},
	protocol.FormPlanet:     {what: "token for Planet's programs", render: planet, ahead: aheadOfPlanet},
	protocol.FormEarthScope: {what: "token for EarthScope's programs", render: earthscope, ahead: aheadOfEarthScope},
	protocol.FormEarthScope02: {what: "token for EarthScope's programs of 0.2", render: earthscope02,
		ahead: aheadOfEarthScope02, flaw: shortForEarthScope02},
}

// named returns the forms that a request names, sorted.
func named() []string {
	all := slices.Sorted(maps.Keys(forms))
	return slices.DeleteFunc(all, func(f string) bool { return f == protocol.FormHeader || f == protocol.FormToken })
}

// header is the header field, as curl's "-H @FILE" and GDAL's GDAL_HTTP_HEADER_FILE read it
// (https://curl.se/docs/manpage.html#-H, https://gdal.org/en/stable/user/configoptions.html#networking-options).
func header(_ string, t grant.Token) (keystore.Secret, error) {
	name, value := t.Header()
	return keystore.NewSecret([]byte(name + ": " + value + "\n")), nil
}

// bare is the token alone, as the WLCG Bearer Token Discovery reads it (https://zenodo.org/records/3937438).
func bare(profile string, t grant.Token) (keystore.Secret, error) {
	if t.Static || t.Visible {
		return keystore.Secret{}, headerOnly(profile)
	}
	return keystore.NewSecret(append(t.Access.AppendTo(nil), '\n')), nil
}

// bearer reports whether programs send the token as RFC 6750 §2.1 says.
func bearer(t grant.Token) bool {
	return !t.Static && !t.Visible && (t.Destinations == nil || t.Destinations.Header == nil)
}

func headerOnly(profile string) error {
	return protocol.NewError(protocol.Config,
		fmt.Sprintf("what profile %s has is to be sent as a header only", profile),
		"groat export "+profile+" --header-file FILE")
}

// planet is the token file of planet-auth 2.3, ~/.planet/PROFILE/token.json: the token response of RFC 6749 with two
// times beside it, in Unix seconds; as the package writes it, with two spaces, sorted
// (https://github.com/planetlabs/planet-auth-python, src/planet_auth/oidc/oidc_credential.py and storage_utils.py). It
// has no refresh token: only groat renews.
func planet(profile string, t grant.Token) (keystore.Secret, error) {
	if !bearer(t) {
		return keystore.Secret{}, headerOnly(profile)
	}
	o := object{}
	o.number("_exp", t.Sent.Wall.Add(t.Lifetime).Unix())
	o.number("_iat", t.Sent.Wall.Unix())
	o.secret("access_token", t.Access)
	o.number("expires_in", int64(t.Lifetime/time.Second))
	o.text("scope", t.Scope)
	o.text("token_type", t.Type)
	return o.end(), nil
}

// aheadOfPlanet: planet-auth reads the file anew when three quarters of the token's life are over, and asks the server
// where the file has no newer token then (src/planet_auth/oidc/request_authenticator.py).
func aheadOfPlanet(life time.Duration) time.Duration { return life / 3 }

// earthscope is the file of the EarthScope SDK 1, ~/.earthscope/PROFILE/tokens.json. The SDK reads the expiry from the
// token, which must be a JWT with these claims
// (https://docs.earthscope.org/projects/SDK, earthscope_sdk/config/models.py).
func earthscope(profile string, t grant.Token) (keystore.Secret, error) {
	c, err := claimsOf(profile, t)
	if err == nil && (c.Audience == nil || c.Issuer == "" || c.Subject == "" || c.ClientID == "" && c.Party == "") {
		err = noJWT(profile, "lacks one of the claims aud, iss, sub and azp")
	}
	if err != nil {
		return keystore.Secret{}, err
	}
	o := object{}
	o.secret("access_token", t.Access)
	return o.end(), nil
}

// aheadOfEarthScope: the SDK 1 renews what ends within a minute (AuthFlow.async_refresh_if_necessary).
func aheadOfEarthScope(life time.Duration) time.Duration { return min(2*time.Minute, life/3) }

// earthscope02 is the file of the EarthScope SDK 0.2, sso_tokens.json. DeviceCodeFlowSimple reads both times from the
// token, which must be a JWT; the file has them all the same (earthscope_sdk/auth/auth_flow.py,
// earthscope_sdk/auth/device_code_flow.py of 0.2.1).
func earthscope02(profile string, t grant.Token) (keystore.Secret, error) {
	c, err := claimsOf(profile, t)
	if err != nil {
		return keystore.Secret{}, err
	}
	o := object{}
	o.secret("access_token", t.Access)
	o.number("expires_at", int64(*c.Expires))
	o.number("issued_at", int64(*c.Issued))
	o.text("scope", t.Scope)
	return o.end(), nil
}

// thresholdOfEarthScope02 is what is left of a token that get_access_token_refresh_if_necessary renews by itself.
const thresholdOfEarthScope02 = time.Hour

func aheadOfEarthScope02(life time.Duration) time.Duration {
	return min(thresholdOfEarthScope02+5*time.Minute, life/2)
}

func shortForEarthScope02(t grant.Token) string {
	if t.Lifetime > 2*thresholdOfEarthScope02 {
		return ""
	}
	return fmt.Sprintf("these access tokens are good for %s, and the EarthScope SDK 0.2 renews by itself what "+
		"ends within an hour: call get_access_token_refresh_if_necessary(no_auto_refresh=True)",
		t.Lifetime.Truncate(time.Second))
}

// claims are those of an access token that the EarthScope SDKs read.
type claims struct {
	Audience any      `json:"aud"`
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	ClientID string   `json:"client_id"`
	Party    string   `json:"azp"`
	Issued   *float64 `json:"iat"`
	Expires  *float64 `json:"exp"`
}

// claimsOf returns the claims of a JWT, which has both times. They are the token's own words, and are not verified: the
// program that reads the file does not either.
func claimsOf(profile string, t grant.Token) (c claims, err error) {
	if !bearer(t) {
		return c, headerOnly(profile)
	}
	text := t.Access.AppendTo(nil)
	defer clear(text)
	parts := strings.Split(string(text), ".")
	if len(parts) != 3 {
		return c, noJWT(profile, "is no JWT")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &c) != nil {
		return c, noJWT(profile, "is no JWT")
	}
	if c.Issued == nil || c.Expires == nil {
		return c, noJWT(profile, "lacks one of the claims iat and exp")
	}
	return c, nil
}

func noJWT(profile, why string) error {
	return protocol.NewError(protocol.Config, fmt.Sprintf("the access token of profile %s %s, so that EarthScope's "+
		"programs cannot use it", profile, why), "groat export "+profile+" --token-file FILE")
}

// object is a JSON object with a member in each line.
type object struct{ b []byte }

func (o *object) name(name string) {
	o.b = slices.Grow(o.b, 256)
	if len(o.b) == 0 {
		o.b = append(o.b, "{\n  "...)
	} else {
		o.b = append(o.b, ",\n  "...)
	}
	o.b = append(strictjson.AppendString(o.b, name), ": "...)
}

func (o *object) number(name string, n int64) {
	o.name(name)
	o.b = strconv.AppendInt(o.b, n, 10)
}

func (o *object) text(name, s string) {
	o.name(name)
	o.b = strictjson.AppendString(o.b, s)
}

// secret appends a token, in which there is nothing to escape.
func (o *object) secret(name string, s keystore.Secret) {
	o.name(name)
	o.b = append(s.AppendTo(append(slices.Grow(o.b, s.Len()+1024), '"')), '"')
}

func (o *object) end() keystore.Secret { return keystore.NewSecret(append(o.b, "\n}\n"...)) }
