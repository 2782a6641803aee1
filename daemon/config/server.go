package config

import (
	"errors"
	"fmt"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/preset"
	"github.com/groat-dev/groat/daemon/origin"
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
		Userinfo: p.UserinfoEndpoint, RevocationEndpoint: p.RevocationEndpoint, Redirect: p.Redirect,
	}
	p.header(&s)
	p.endings(&s)
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
	s, err := grant.FromPreset(provider, p.AuthServer, grant.Kind(p.Grant))
	if err != nil {
		return s, nil, err
	}
	p.header(&s)
	p.endings(&s)
	if p.ClientAuth != "" {
		s.ClientAuth, s.RefreshAuth = grant.Method(p.ClientAuth), ""
	}
	if p.Redirect != "" {
		s.Redirect = p.Redirect
	}
	resources := p.Resources
	if resources == nil {
		resources = provider.Resources
	}
	if p.AuthServer == "" {
		for _, r := range provider.Resources {
			own, err := origin.WithPort(r)
			if err != nil {
				return s, nil, err
			}
			s.PresetAPIs = append(s.PresetAPIs, own)
		}
	}
	return s, resources, s.Check()
}

// endings sets whether a renewal ends the tokens before it, where the profile says so and has a session.
func (p Profile) endings(s *grant.Server) {
	if p.RefreshEndsTokens != nil && p.Kind().Session() {
		s.RefreshEndsTokens = p.RefreshEndsTokens
	}
}

// header sets how a token or key is sent to an API, where the profile says so.
func (p Profile) header(s *grant.Server) {
	if p.Header == "" && p.Prefix == nil {
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
	s.Header = &h
}
