package config

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/preset"
	"github.com/groat-dev/groat/daemon/origin"
)

// The values of [Profile.Basic].
const (
	BasicRaw  = "raw"
	BasicForm = "form"
)

// The values of [Profile.PAR].
const (
	PARAlways = "always"
	PARNever  = "never"
)

// Server returns the profile's authorization server and the origins that may be sent its tokens.
func (p Profile) Server() (grant.Server, []string, error) {
	if p.Provider != "" {
		return p.presetServer()
	}
	if p.AuthServer != "" {
		return grant.Server{}, nil, errors.New("auth_server goes with a provider")
	}
	s := grant.Server{
		Issuer: p.Issuer, TokenEndpoint: p.TokenEndpoint, ClientAuth: grant.Method(p.ClientAuth),
		IntrospectionEndpoint: p.IntrospectionEndpoint, ByIssuer: p.Discovered,
	}
	if p.Kind() == grant.ByPassword {
		s.Grants = []grant.Kind{grant.ByPassword}
	}
	p.Adjust(&s)
	return s, p.Resources, s.Check()
}

// Kind returns the profile's grant.
func (p Profile) Kind() grant.Kind {
	if p.Grant != "" {
		return grant.Kind(p.Grant)
	}
	if provider, ok := preset.Lookup(p.Provider); ok && len(provider.Grants) > 0 {
		return grant.Kind(provider.Grants[0])
	}
	return grant.ByClientCredentials
}

func (p Profile) presetServer() (grant.Server, []string, error) {
	provider, ok := preset.Lookup(p.Provider)
	if !ok {
		return grant.Server{}, nil, fmt.Errorf("unknown provider %q", p.Provider)
	}
	if provider.Backend != "" {
		return grant.Server{}, nil, fmt.Errorf("the provider %s is found by its back end: groat login %s --backend URL",
			p.Provider, p.Name)
	}
	s, err := grant.FromPreset(provider, p.AuthServer, grant.Kind(p.Grant))
	if err != nil {
		return s, nil, err
	}
	p.Adjust(&s)
	if p.ClientAuth != "" {
		s.ClientAuth, s.RefreshAuth = grant.Method(p.ClientAuth), grant.Method(p.RefreshAuth)
		s.PresetRefreshAuth = "" // it goes with the preset's
	}
	resources := p.Resources
	if resources == nil {
		resources = provider.At(p.AuthServer).Resources
	}
	if p.AuthServer == "" {
		for _, r := range provider.Resources {
			own, err := origin.Resource(r)
			if err != nil {
				return s, nil, err
			}
			s.PresetAPIs = append(s.PresetAPIs, own)
		}
	}
	return s, resources, s.Check()
}

// Adjust changes a server, as a preset or its metadata describes it, to what the profile says.
func (p Profile) Adjust(s *grant.Server) {
	p.header(s)
	s.StrictScope, s.TokenChars = p.StrictScope, p.TokenChars
	s.WiderScope = s.WiderScope || p.WiderScope
	s.ResourceIndicator, s.AssertionFile = p.ResourceIndicator, p.AssertionFile
	s.TargetAudience = p.TargetAudience
	for _, f := range []struct {
		to   *string
		said string
	}{
		{&s.Redirect, p.Redirect}, {&s.AuthorizeEndpoint, p.AuthorizationEndpoint},
		{&s.DeviceEndpoint, p.DeviceEndpoint}, {&s.PAREndpoint, p.PAREndpoint},
		{&s.RevocationEndpoint, p.RevocationEndpoint}, {&s.Userinfo, p.UserinfoEndpoint},
	} {
		if f.said != "" {
			*f.to = f.said
		}
	}
	switch p.PAR {
	case PARAlways:
		s.RequirePAR = true
	case PARNever:
		s.PAREndpoint, s.RequirePAR = "", false
	}
	for _, f := range []struct {
		to   *bool
		said *bool
	}{
		{&s.AssertionNotBefore, p.AssertionNotBefore}, {&s.ScopeInAssertion, p.ScopeInAssertion},
		{&s.RevokeJSON, p.RevokeJSON}, {&s.IssInRedirect, p.IssInRedirect},
	} {
		if f.said != nil {
			*f.to = *f.said
		}
	}
	if p.AssertionLife != 0 {
		s.AssertionLife = time.Duration(p.AssertionLife) * time.Second
	}
	if p.SessionScope != "" {
		s.SessionScope = strings.Fields(p.SessionScope)
	}
	if p.Basic != "" {
		s.PlainBasic = p.Basic == BasicRaw
	}
	if p.AssertionAudience != "" {
		s.AssertionAudience = grant.Audience(p.AssertionAudience)
	}
	if p.RefreshAuth != "" {
		s.RefreshAuth = grant.Method(p.RefreshAuth)
	}
	if len(p.AuthorizeParams) > 0 {
		s.AuthorizeParams = p.authorizeParams(s.AuthorizeParams)
	}
	if p.Kind() == grant.ByPassword && p.SecondFactor != "" {
		s.SecondFactor = p.SecondFactor
	}
	if p.Kind().Session() {
		p.session(s)
	}
}

// authorizeParams returns the parameters of a browser's sign-in with what the profile says of them.
func (p Profile) authorizeParams(others map[string]string) map[string]string {
	all := maps.Clone(others)
	if all == nil {
		all = map[string]string{}
	}
	for _, word := range p.AuthorizeParams {
		name, value, err := authorizeParam(word)
		switch {
		case err != nil: // check refuses it
		case value == "":
			delete(all, name)
		default:
			all[name] = value
		}
	}
	return all
}

// ownParams are the parameters that groat sends itself, to whichever endpoint, or that other keys decide: RFC 6749,
// OpenID Connect Core §3.1.2.1, RFC 7636, RFC 7521 §4.2, RFC 8628, RFC 8693 §2.1, RFC 8707, RFC 9101 and RFC 9126.
var ownParams = []string{
	"response_type", "response_mode", "client_id", "redirect_uri", "scope", "audience", "resource", "state", "nonce",
	"code_challenge", "code_challenge_method", "request", "request_uri", "client_secret", "client_assertion",
	"client_assertion_type", "grant_type", "code", "code_verifier", "device_code", "refresh_token", "assertion",
	"username", "password", "subject_token", "subject_token_type", "actor_token", "actor_token_type",
	"requested_token_type", "access_token", "id_token", "token", "token_type_hint",
}

// isOwnParam reports whether a parameter is one of groat's own, or one that a server may take for it: without regard to
// case, and with '-' for '_'.
func isOwnParam(name string) bool {
	return slices.Contains(ownParams, strings.ReplaceAll(strings.ToLower(name), "-", "_"))
}

// extraParam is what a further parameter may be called: a param-name of RFC 6749 §8.2 without '.', which some servers
// read as '_', as they do with what is no name, such as "a[]" and " a".
var extraParam = regexp.MustCompile("^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$")

// authorizeParam reads an entry of [Profile.AuthorizeParams].
func authorizeParam(word string) (name, value string, err error) {
	query, err := url.ParseQuery(word)
	if err != nil || len(query) != 1 || strings.Contains(word, "&") || !strings.Contains(word, "=") {
		return "", "", fmt.Errorf("%q is not name=value", word)
	}
	for n := range query {
		name, value = n, query.Get(n)
	}
	switch {
	case !extraParam.MatchString(name):
		return "", "", fmt.Errorf("the parameter %q is not named with A-Z a-z 0-9 _ and -", name)
	case isOwnParam(name):
		return "", "", fmt.Errorf("the parameter %q is groat's own", name)
	}
	return name, value, nil
}

// session sets what the profile says of its session.
func (p Profile) session(s *grant.Server) {
	if p.RefreshEndsTokens != nil {
		s.RefreshEndsTokens = p.RefreshEndsTokens
	}
	if p.RefreshNarrows != nil {
		s.RefreshNarrows = p.RefreshNarrows
	}
	if p.SessionIdle != nil {
		s.SessionIdle = time.Duration(*p.SessionIdle) * time.Second
	}
	if p.SessionAbsolute != nil {
		s.SessionAbsolute = time.Duration(*p.SessionAbsolute) * time.Second
	}
	if p.TokensLast != nil {
		s.TokensLast = *p.TokensLast
	}
	if p.KeepSession != nil {
		s.KeepSession = *p.KeepSession
	}
}

// header sets how a token or key is sent to an API, where the profile says so.
func (p Profile) header(s *grant.Server) {
	if p.Header == "" && p.Prefix == nil && p.TokenPrefix == "" {
		return
	}
	h := grant.Header{Name: "Authorization", Prefix: "Bearer"}
	if s.Header != nil {
		h = *s.Header
	}
	if p.Header != "" {
		h.Name = p.Header
	}
	if p.Prefix != nil {
		h.Prefix = *p.Prefix
	}
	h.TokenPrefix = p.TokenPrefix
	s.Header = &h
}
