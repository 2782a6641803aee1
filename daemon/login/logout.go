package login

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/preset"
	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// Logout forgets a profile's credential: it ends the session at the provider unless keepRemote is set, deletes the
// credential, and removes the profile's file if groat wrote it. What would be lost for good is forgotten only where yes
// is set; else the result says what stays at the provider, and nothing has changed. The error is a [*protocol.Error].
func (s *Logins) Logout(p *profile.Profile, yes, keepRemote bool) (protocol.LogoutResult, error) {
	if err := s.Profiles.Config.Removable(p.Name); err != nil { // before anything is asked or given up
		return protocol.LogoutResult{}, s.Wire(err, p.Name)
	}
	r, err := s.describeLogout(p)
	if err != nil {
		return r, s.Wire(err, p.Name)
	}
	if r.Permanent && !yes {
		return r, nil
	}
	if r.Revoked, r.NotEnded, err = s.forgetProfile(p, keepRemote); err != nil {
		e := s.Wire(err, p.Name)
		if _, remote := errors.AsType[*grant.Error](err); remote {
			e.Message = "the session could not be ended at the provider, so nothing was forgotten: " + e.Message
			e.Data.Hint = "groat logout " + p.Name + " --keep-remote"
		}
		return r, e
	}
	r.Forgotten = true
	s.Log.Info("a profile was forgotten",
		zap.String("profile", p.Name), zap.String("client_id", r.ClientID), zap.Bool("revoked", r.Revoked))
	return r, nil
}

// describeLogout says what stays at the provider after a logout.
func (s *Logins) describeLogout(p *profile.Profile) (protocol.LogoutResult, error) {
	server := p.Endpoint.Server()
	r := protocol.LogoutResult{Profile: p.Name, Issuer: server.Issuer, Fleet: p.Fleet}
	item, err := s.readCredential(p)
	if err != nil || item == nil {
		return r, err
	}
	defer item.Wipe()
	// What is stored is forgotten, whatever the configuration says by now.
	elsewhere := item.TokenEndpoint != server.TokenEndpoint || item.Issuer != server.Issuer
	if !grant.Kind(item.Grant).Session() {
		_, apps := appCredentials(*item, p.Provider)
		r.ClientID, r.Permanent = item.ClientID, apps || server.Apps != nil || elsewhere && !item.ClientSecret.IsZero()
	}
	if elsewhere {
		r.Issuer = item.Issuer
	}
	return r, nil
}

// appCredentials returns the provider whose App Credentials an item holds, on whatever host, by what is stored: a
// profile's file may name another provider by now. Where two have the same addresses there, it is the one that the file
// names.
func appCredentials(item keystore.Item, named string) (preset.Provider, bool) {
	if item.ClientSecret.IsZero() || item.Grant != "" && item.Grant != string(grant.ByClientCredentials) {
		return preset.Provider{}, false
	}
	for _, name := range append([]string{named}, preset.Names()...) {
		p, _ := preset.Lookup(name)
		if p.AppCredentials == nil {
			continue
		}
		for _, at := range []preset.Provider{p, p.At(origin.OfEndpoint(item.TokenEndpoint))} {
			if at.Issuer == item.Issuer && at.URL(at.TokenPath) == item.TokenEndpoint {
				return p, true
			}
		}
	}
	return preset.Provider{}, false
}

// readCredential returns a profile's credential, or nil where there is none that can be read.
func (s *Logins) readCredential(p *profile.Profile) (*keystore.Item, error) {
	item, err := s.Stores.Of(p).Get(context.Background(), p.Name)
	switch {
	case err == nil:
		return &item, nil
	case keystore.Absent(err):
		return nil, nil
	}
	return nil, err
}

// forgetProfile ends the session at the provider, deletes the credential, then the configuration: where one fails the
// rest is left as it is, and the tokens that are held go on being handed out. revoked reports whether the provider
// ended a session; why is why it was not asked to, if there is something to say.
func (s *Logins) forgetProfile(p *profile.Profile, keepRemote bool) (revoked bool, why string, err error) {
	if err := s.Profiles.Reload(); err != nil { // what could not be read could not be written
		return false, "", err
	}
	if broken := s.Profiles.Broken(p.Name); broken != nil { // its file would go
		return false, "", broken
	}
	ctx, cancel := context.WithTimeout(context.Background(), pauseTime)
	defer cancel()
	// so that no renewal replaces the refresh token while it is being revoked
	resume, err := s.Broker.Pause(ctx, p.Name)
	if err != nil {
		return false, "", err
	}
	defer resume()
	if !keepRemote {
		if revoked, why, err = s.revoke(p); err != nil {
			return false, "", err
		}
	}
	if err := s.Stores.Of(p).Delete(context.Background(), p.Name); err != nil &&
		!errors.Is(err, keystore.ErrUndecided) {
		return revoked, why, err
	}
	err = s.Profiles.Remove(p.Name, func(still *profile.Profile) { // it starts anew
		s.Broker.Put(map[string]broker.Source{p.Name: s.Stores.Source(still)})
	})
	return revoked, why, err
}

// accountPage says where a person ends a session.
func accountPage(p *profile.Profile) string {
	if provider, _ := preset.Lookup(p.Provider); provider.AccountPage != "" && p.AuthServer == "" {
		return "at " + provider.AccountPage
	}
	return "where you manage your account"
}

// revoke ends a profile's session at its provider, if there is one and the provider can do that. Where the credential
// is not sealed for the endpoint that would be asked, or the server has none, nothing is sent and why says so.
func (s *Logins) revoke(p *profile.Profile) (revoked bool, why string, err error) {
	item, err := s.readCredential(p)
	if err != nil || item == nil {
		return false, "", err
	}
	defer item.Wipe()
	u := p.Endpoint.Server().UserTokens
	switch {
	case u != nil && item.KeyEnds != "":
		why = fmt.Sprintf("the token works there until %s, unless you delete it at %s", item.KeyEnds, u.Page)
		return false, why, nil
	case !item.RefreshToken.IsZero():
	case grant.Kind(item.Grant).Session() && !item.APIKey.IsZero():
		return false, "its access token does not end by itself: end it " + accountPage(p), nil
	case grant.Kind(item.Grant).Session():
		return false, "its sign-in gave no refresh token, so there is nothing to end; an access token that was " +
			"handed out works until its own end", nil
	default:
		return false, "", nil
	}
	err = p.Endpoint.Revoke(context.Background(), *item)
	switch {
	case errors.Is(err, grant.ErrNotOffered):
		return false, "it names no address at which a session is ended (RFC 7009), so the session goes on there " +
			"until it ends by itself, or you end it " + accountPage(p), nil
	case errors.Is(err, grant.ErrEndpointChanged):
		return false, err.Error(), nil
	}
	return err == nil, "", err
}
