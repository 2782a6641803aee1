package daemon

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// logout answers "logout". A profile of config.toml stays configured and loses its credential; one that a login wrote goes.
func logout(c *conn, params []byte) (any, error) {
	var q protocol.LogoutParams
	if err := protocol.DecodeParams(params, &q); err != nil {
		return nil, err
	}
	if q.Profile == "" {
		return nil, protocol.InvalidParams("name the profile to forget")
	}
	p, err := c.d.pick(q.Profile, "")
	if err != nil {
		return nil, err
	}
	r, err := c.d.remains(p)
	if err != nil {
		return nil, c.d.wire(err, p.Name)
	}
	if r.Permanent && !q.Yes {
		return r, nil
	}
	if err := c.d.forget(p); err != nil {
		return nil, c.d.wire(err, p.Name)
	}
	r.Forgotten = true
	c.d.Log.Info("a profile was forgotten", zap.String("profile", p.Name), zap.String("client_id", r.ClientID))
	return r, nil
}

// remains says what stays at the provider after a logout.
func (d *Daemon) remains(p *profile) (protocol.LogoutResult, error) {
	server := p.endpoint.Server()
	r := protocol.LogoutResult{Profile: p.Name, Issuer: server.Issuer}
	item, err := d.Keystore.Get(context.Background(), p.Name)
	switch {
	case errors.Is(err, keystore.ErrNotFound), errors.Is(err, keystore.ErrCorrupt), errors.Is(err, keystore.ErrUndecided):
		return r, nil
	case err != nil:
		return r, err
	}
	item.ClientSecret.Wipe()
	r.ClientID, r.Permanent = item.ClientID, server.Apps != nil
	return r, nil
}

// forget deletes the credential, then the configuration: where the first fails nothing has changed.
func (d *Daemon) forget(p *profile) error {
	d.loading.Lock()
	defer d.loading.Unlock()
	if err := d.Keystore.Delete(context.Background(), p.Name); err != nil && !errors.Is(err, keystore.ErrUndecided) {
		return err
	}
	d.mu.Lock()
	delete(d.unstored, p.Name)
	d.mu.Unlock()
	d.broker.Remove(p.Name)
	if _, err := d.Config.Remove(p.Name); err != nil {
		return err
	}
	if err := d.reload(); err != nil {
		return err
	}
	if still := d.profiles.Load().byName[p.Name]; still != nil {
		d.broker.Put(map[string]broker.Source{p.Name: d.source(still)})
	}
	return nil
}
