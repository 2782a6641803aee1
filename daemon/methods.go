package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/preset"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/daemon/status"
	"github.com/groat-dev/groat/daemon/wire"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/frame"
	"github.com/groat-dev/groat/protocol/jsonrpc"
)

// handler answers a method, given its parameters. It may wait: it runs in a goroutine of its own.
type handler func(c *conn, params []byte) (result any, err error)

// handlers :: method → what answers it
var handlers map[string]handler

func init() { // not where it is declared, since hello reads it
	handlers = map[string]handler{
		protocol.MethodHello: hello, protocol.MethodToken: token, protocol.MethodReject: reject,
		protocol.MethodLogin: startLogin, protocol.MethodLoginInput: loginInput, protocol.MethodLogout: logout,
		protocol.MethodLoginCancel: cancelLogin,
		protocol.MethodStatus:      profileStatus, protocol.MethodProfiles: listProfiles, protocol.MethodWhoami: whoami,
		protocol.MethodKeystore: useKeystore, protocol.MethodUnlock: unlock, protocol.MethodReload: reload,
		protocol.MethodProviders: providers, protocol.MethodImport: importForeign, protocol.MethodNetwork: network,
		protocol.MethodProfile: profileKeys, protocol.MethodWarnings: tellWarnings,
		protocol.MethodWatch: watchProfile, protocol.MethodExport: exportFile,
		protocol.MethodBackup: makeBackup, protocol.MethodRestore: restoreBackup,
		protocol.MethodFleet: useFleet,
	}
}

func hello(c *conn, _ []byte) (any, error) {
	return protocol.HelloResult{
		Server: "groatd", Release: c.d.Release, Protocol: protocol.Version,
		Methods: slices.Sorted(maps.Keys(handlers)), PID: os.Getpid(),
	}, nil
}

func listProfiles(c *conn, params []byte) (any, error) {
	var pp protocol.ProfilesParams
	if err := jsonrpc.DecodeParams(params, &pp); err != nil {
		return nil, err
	}
	lookup, done := c.d.accounts()
	defer done()
	set := c.d.profiles.Usable()
	if pp.After == "" {
		set, _ = c.d.profiles.Looked()
	}
	describe := func(name string) protocol.ProfileInfo {
		p, broken := set.Named(name), set.Broken(name)
		info := protocol.ProfileInfo{Profile: name, Resources: []string{}}
		if p != nil {
			b, _ := c.d.broker.Status(name)
			info.Provider, info.Issuer = p.Provider, p.Endpoint.Server().Issuer
			info.Account = lookup.of(p)
			info.Resources = append(info.Resources, p.APIs...)
			info.SessionIdleEndsAt = broker.UnixOf(b.Session.Idle)
			info.SessionEndsAt = broker.UnixOf(b.Session.Absolute)
		}
		if broken != nil {
			info.Broken = true
			info.Message, info.Hint = status.Unusable(broken, p != nil)
		}
		return info
	}
	list, next, err := status.Page(longBuffer(), set, pp.After, describe)
	return page{profilesAround{ProfilesResult: protocol.ProfilesResult{Next: next}}, list}, err
}

// mostWarnings is how many warnings fit a line: each is less than 256 bytes, with a name of at most 64.
const mostWarnings = frame.MaxLine / 256

// tellWarnings answers "warnings".
func tellWarnings(c *conn, _ []byte) (any, error) {
	r := protocol.WarningsResult{Sessions: []protocol.SessionWarning{}}
	for _, w := range c.d.broker.TellWarnings(mostWarnings) {
		r.Sessions = append(r.Sessions, protocol.SessionWarning{Profile: w.Profile, EndsAt: w.Ends.Unix()})
	}
	return r, nil
}

func providers(*conn, []byte) (any, error) {
	var r protocol.ProvidersResult
	for _, name := range preset.Names() {
		p, _ := preset.Lookup(name)
		info := protocol.ProviderInfo{Provider: name, Title: p.Title, Grants: p.Grants, Deprecated: p.Deprecated,
			Unconfirmed: p.Unconfirmed}
		for _, g := range p.Grants {
			info.NeedsBy = append(info.NeedsBy, needs(p, grant.Kind(g)))
		}
		info.Needs = info.NeedsBy[0]
		r.Providers = append(r.Providers, info)
	}
	return r, nil
}

// needs is what a person must bring to sign in to a provider in one way.
func needs(p preset.Provider, kind grant.Kind) string {
	switch {
	case p.Backend != "":
		return "backend"
	case kind == grant.ByAppCredentials || kind == grant.ByKeyLogin || kind == grant.ByPassword:
		return "username"
	case kind == grant.ByJWTBearer:
		return "key"
	case !kind.StaticKey() && p.For(string(kind)).ClientID == "":
		return "client_id"
	}
	return ""
}

// trouble is what people are told of a configuration that cannot be used as it is now.
func trouble(whole *config.Error) *protocol.Trouble {
	if whole == nil {
		return nil
	}
	return &protocol.Trouble{Message: whole.Error(), Hint: whole.Hint}
}

func profileStatus(c *conn, params []byte) (any, error) {
	var sp protocol.StatusParams
	if err := jsonrpc.DecodeParams(params, &sp); err != nil {
		return nil, err
	}
	r := protocol.StatusResult{
		Release: c.d.Release, PID: os.Getpid(), StartedAt: c.d.started.Unix(), Socket: c.d.socket(),
	}
	if c.d.Place.ID != "" {
		r.Place = &c.d.Place
	}
	lookup, done := c.d.accounts()
	defer done()
	var set *profile.Set
	describe := func(name string) protocol.ProfileStatus {
		st := c.d.reporter().Named(set, name)
		if p := set.Named(name); p != nil {
			if r := c.d.fleet.now(); r != nil && p.Fleet {
				st.Fleet = c.d.fleet.ofProfile(r, name)
			}
			st.Account = lookup.of(p)
		}
		return st
	}
	if sp.Profile != "" {
		if sp.After != "" {
			return nil, protocol.InvalidParams("name a profile or where to go on, not both")
		}
		_, whole := c.d.profiles.Looked()
		r.Configuration = trouble(whole)
		_, err := c.d.find(sp.Profile)
		set = c.d.profiles.Snapshot()
		if err != nil && !set.Knows(sp.Profile) {
			return nil, err
		}
		r.Network, r.Fleet = c.d.networkInStatus(), c.d.fleetInStatus()
		r.Keystore, r.Profiles = c.d.keystoreStatus(), []protocol.ProfileStatus{describe(sp.Profile)}
		return r, nil
	}
	set = c.d.profiles.Usable()
	if sp.After == "" {
		var whole *config.Error
		set, whole = c.d.profiles.Looked()
		r.Configuration = trouble(whole)
		r.Keystore = c.d.keystoreStatus()
		r.Network, r.Fleet = c.d.networkInStatus(), c.d.fleetInStatus()
		r.Unsaved, r.HandedOver = c.d.unsaved(r.Keystore.Use), c.d.handedOver(set)
	}
	list, next, err := status.Page(longBuffer(), set, sp.After, describe)
	r.Next = next
	return page{statusAround{StatusResult: r}, list}, err
}

func (d *Daemon) reporter() status.Reporter {
	return status.Reporter{Broker: d.broker, Wire: d.wire, Now: d.Now}
}

func whoami(c *conn, params []byte) (any, error) {
	var wp protocol.WhoamiParams
	if err := jsonrpc.DecodeParams(params, &wp); err != nil {
		return nil, err
	}
	p, err := c.d.find(wp.Profile)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(c.open, protocol.DefaultWait)
	defer cancel()
	t, err := c.d.broker.Token(ctx, broker.Query{Profile: p.Name, MinTTL: broker.Unset})
	if err != nil {
		return nil, c.d.wire(err, p.Name)
	}
	claims, err := p.Endpoint.Userinfo(ctx, t)
	if err != nil {
		e := c.d.wire(err, p.Name)
		switch kind := p.Kind(); {
		case errors.Is(err, grant.ErrNotOffered):
			says := fmt.Sprintf("the server of profile %q has no endpoint that says who is signed in", p.Name)
			if kind.StaticKey() {
				says = fmt.Sprintf("profile %q has an API key, and its server has no endpoint that says whose it is",
					p.Name)
			}
			e = protocol.NewError(protocol.Config, says, "groat status "+p.Name)
		case broker.NeedsLogin(err) && kind == grant.ByClientCredentials:
			says := fmt.Sprintf("profile %q is a client's, and has no person behind it: %s", p.Name, e.Message)
			e = protocol.NewError(protocol.Config, says, "groat status "+p.Name)
		// A good token without the scope openid is refused too (OpenID Connect Core §5.3).
		case broker.NeedsLogin(err) && kind.Session():
			e = protocol.NewError(protocol.Config, "this sign-in does not include who you are: "+e.Message,
				wire.WithOpenID(c.d.context(p.Name)))
		}
		return nil, e
	}
	return protocol.WhoamiResult{Profile: p.Name, Claims: claims}, nil
}

func reload(c *conn, _ []byte) (any, error) {
	if err := c.d.Reload(); err != nil {
		c.d.Log.Error("the configuration was not reloaded", zap.Error(err))
		return nil, c.d.wire(err, "")
	}
	c.d.Log.Info("the configuration was reloaded", c.d.Counts()...)
	if n, broken := c.d.Broken(); n > 0 {
		e := c.d.wire(broken, "")
		if n > 1 {
			e.Message += fmt.Sprintf("; %d profiles more cannot be used: groatd --check names all", n-1)
		}
		e.Message += "; the rest of the configuration was read"
		return nil, e
	}
	return protocol.ReloadResult{Profiles: c.d.Profiles()}, nil
}

// networkResult describes the network in use.
func (d *Daemon) networkResult() protocol.NetworkResult {
	now := d.profiles.Network()
	return protocol.NetworkResult{
		Proxy: (*protocol.NetworkSetting)(now.Proxy), NoProxy: (*protocol.NetworkSetting)(now.NoProxy),
		CAFile: (*protocol.NetworkSetting)(now.CAFile), PID: os.Getpid(), StartedAt: d.started.Unix(),
	}
}

// networkInStatus is the network as "status" shows it: nil where nothing is set.
func (d *Daemon) networkInStatus() *protocol.NetworkResult {
	if d.profiles.Network().Equal(profile.Network{}) {
		return nil
	}
	r := d.networkResult()
	r.PID, r.StartedAt = 0, 0 // "status" has them already
	return &r
}

// network answers "network".
func network(c *conn, params []byte) (any, error) {
	var np protocol.NetworkParams
	if err := jsonrpc.DecodeParams(params, &np); err != nil {
		return nil, err
	}
	switch {
	case np.Setting == "" && np.Value != "":
		return nil, protocol.InvalidParams("a value needs the setting that it is for")
	case np.Setting != "" && !slices.Contains(config.NetworkKeys(), np.Setting):
		return nil, protocol.InvalidParams("setting must be one of proxy, no_proxy, ca_file")
	case np.Setting != "":
		if err := c.d.profiles.SetNetwork(np.Setting, np.Value); err != nil {
			return nil, c.d.wire(err, "")
		}
	}
	return c.d.networkResult(), nil
}
