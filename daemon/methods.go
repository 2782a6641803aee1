package daemon

import (
	"context"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// handlers :: method → what answers it. A handler may wait; it runs in a goroutine of its own.
var handlers map[string]func(*conn, []byte) (any, error)

func init() { // hello lists the map it stands in
	handlers = map[string]func(*conn, []byte) (any, error){
		protocol.MethodHello: hello, protocol.MethodToken: token, protocol.MethodReject: reject,
		protocol.MethodLogin: startLogin, protocol.MethodLoginInput: loginInput, protocol.MethodLogout: logout,
		protocol.MethodStatus: status, protocol.MethodProfiles: listProfiles, protocol.MethodWhoami: whoami,
		protocol.MethodKeystore: useKeystore, protocol.MethodUnlock: unlock, protocol.MethodReload: reload,
	}
}

func hello(c *conn, _ []byte) (any, error) {
	return protocol.HelloResult{
		Server: "groatd", Release: c.d.Release, Protocol: protocol.Version,
		Methods: slices.Sorted(maps.Keys(handlers)), PID: os.Getpid(),
	}, nil
}

func listProfiles(c *conn, _ []byte) (any, error) {
	ps := c.d.profiles.Load()
	list := make([]protocol.ProfileInfo, 0, len(ps.names))
	for _, name := range ps.names {
		p := ps.byName[name]
		list = append(list, protocol.ProfileInfo{
			Profile: name, Provider: p.Provider, Issuer: p.endpoint.Server().Issuer, Resources: append([]string{}, p.origins...),
		})
	}
	return protocol.ProfilesResult{Profiles: list}, nil
}

func status(c *conn, params []byte) (any, error) {
	var sp protocol.StatusParams
	if err := protocol.DecodeParams(params, &sp); err != nil {
		return nil, err
	}
	ps := c.d.profiles.Load()
	names := ps.names
	if sp.Profile != "" {
		if ps.byName[sp.Profile] == nil {
			return nil, unknownProfile(sp.Profile)
		}
		names = []string{sp.Profile}
	}
	r := protocol.StatusResult{
		Release: c.d.Release, PID: os.Getpid(), StartedAt: c.d.started.Unix(), Socket: c.d.Socket,
		Keystore: c.d.keystoreStatus(), Profiles: make([]protocol.ProfileStatus, 0, len(names)),
	}
	for _, name := range names {
		r.Profiles = append(r.Profiles, c.d.profileStatus(ps.byName[name]))
	}
	return r, nil
}

// profileStatus is one profile's line of "status".
func (d *Daemon) profileStatus(p *profile) protocol.ProfileStatus {
	server := p.endpoint.Server()
	st := protocol.ProfileStatus{
		Profile: p.Name, Provider: p.Provider, Issuer: server.Issuer, ClientAuth: string(server.ClientAuth), State: "idle",
	}
	b, ok := d.broker.Status(p.Name)
	if !ok {
		return st
	}
	st.Requests, st.Tokens = b.Requests, b.Tokens
	if b.Held {
		st.State = "fresh"
		st.ExpiresIn, st.Lifetime = seconds(b.Remaining), seconds(b.Lifetime)
		st.ExpiresAt = d.Now().Wall.Add(b.Remaining).Unix()
		st.RenewIn = seconds(b.RenewIn)
	}
	if b.Err != nil {
		e := d.wire(&broker.Unavailable{Err: b.Err, RetryAfter: b.RetryIn}, p.Name)
		st.Message, st.Hint, st.RetryIn = e.Message, e.Hint(), seconds(b.RetryIn)
		if !b.Held {
			st.State = string(e.Kind())
		}
	}
	return st
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

func whoami(c *conn, params []byte) (any, error) {
	var wp protocol.WhoamiParams
	if err := protocol.DecodeParams(params, &wp); err != nil {
		return nil, err
	}
	q, p, err := c.d.queryOf(protocol.TokenParams{Profile: wp.Profile})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(c.ctx, protocol.DefaultWait)
	defer cancel()
	t, err := c.d.broker.Token(ctx, q.Query)
	if err != nil {
		return nil, c.d.wire(err, p.Name)
	}
	claims, err := p.endpoint.Userinfo(ctx, t)
	if err != nil {
		return nil, c.d.wire(err, p.Name)
	}
	return protocol.WhoamiResult{Profile: p.Name, Claims: claims}, nil
}

func reload(c *conn, _ []byte) (any, error) {
	if err := c.d.Reload(); err != nil {
		return nil, c.d.wire(err, "")
	}
	return protocol.ReloadResult{Profiles: c.d.Profiles()}, nil
}

func (d *Daemon) keystoreStatus() protocol.KeystoreResult {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	st := d.Keystore.Status(ctx)
	return protocol.KeystoreResult{Use: st.Use, Key: st.Key, State: st.State, Message: st.Message}
}

func useKeystore(c *conn, params []byte) (any, error) {
	var kp protocol.KeystoreParams
	if err := protocol.DecodeParams(params, &kp); err != nil {
		return nil, err
	}
	passphrase, err := secretParam(params, "passphrase")
	if err != nil {
		return nil, err
	}
	if kp.Use != "" {
		ctx, cancel := context.WithTimeout(context.Background(), protocol.DefaultWait)
		defer cancel()
		if err := c.d.Keystore.Use(ctx, kp.Use, kp.Key, passphrase); err != nil {
			return nil, c.d.wire(err, "")
		}
	}
	passphrase.Wipe()
	return c.d.keystoreStatus(), nil
}

func unlock(c *conn, params []byte) (any, error) {
	passphrase, err := secretParam(params, "passphrase")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), protocol.DefaultWait)
	defer cancel()
	if err := c.d.Keystore.Unlock(ctx, passphrase); err != nil {
		return nil, c.d.wire(err, "")
	}
	return c.d.keystoreStatus(), nil
}

func secretParam(params []byte, name string) (keystore.Secret, error) {
	b, err := protocol.SecretParam(params, name)
	if err != nil {
		return keystore.Secret{}, err
	}
	return keystore.NewSecret(b), nil
}
