package daemon

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/fleet/engine"
	"github.com/groat-dev/groat/daemon/fleet/member"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

// open makes this machine's part of what the keystore and the configuration say.
func (f *fleetPart) open(ctx context.Context, c *config.Fleet) (*fleetRun, error) {
	item, err := f.item(ctx)
	if errors.Is(err, keystore.ErrNotFound) {
		err = protocol.NewError(protocol.Config, "the keystore has not what fleet.toml belongs to: this machine's keys",
			"groat fleet leave --forget")
	}
	if err != nil {
		return nil, err
	}
	defer item.Wipe()
	ca, err := readAuthorities(c.CAFile)
	if err != nil {
		return nil, err
	}
	if item.TokenEndpoint != boundTo(*c, ca) || item.Issuer != c.ID || item.Username != c.User {
		return nil, protocol.NewError(protocol.Config, "fleet.toml was changed: its endpoints, fleet, user or file of "+
			"authorities are not those that the engine's password was stored for; nothing was sent",
			"groat fleet leave --forget")
	}
	j, err := f.reach(*c, ca, item.ClientSecret, func(o member.Options) (*member.Member, error) {
		return member.Open(o, item.PrivateKey)
	})
	if err != nil {
		return nil, err
	}
	r, err := f.assemble(j)
	if err != nil {
		j.close()
		return nil, err
	}
	return r, nil
}

// item reads what the keystore has of the fleet.
func (f *fleetPart) item(ctx context.Context) (keystore.Item, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	return f.d.stores.Kept.Get(ctx, fleetItem)
}

// boundTo is where the engine's password may be sent: its endpoints, and the authorities that vouch for them.
func boundTo(c config.Fleet, ca []byte) string {
	to := c.Endpoints
	if ca != nil {
		to = append(slices.Clip(to), fmt.Sprintf("ca:%x", member.CAHash(ca)))
	}
	return strings.Join(to, " ")
}

// joined is this machine as a member, with the engine. Nothing of it is used after close.
type joined struct {
	engine engine.Engine
	member *member.Member
	keeper *keeper
}

// reach makes this machine a member by begin, on the engine of a configuration. ca is what its file of authorities
// holds. The password stays the caller's.
func (f *fleetPart) reach(c config.Fleet, ca []byte, password keystore.Secret,
	begin func(member.Options) (*member.Member, error)) (*joined, error) {
	e, err := f.engineOf(c, ca, password.Clone())
	if err != nil {
		return nil, err
	}
	j := &joined{engine: e, keeper: &keeper{f: f, config: c, boundTo: boundTo(c, ca), password: password.Clone()}}
	j.member, err = begin(member.Options{
		Engine: e, Now: f.d.Now, StateDir: f.d.StateDir, Changed: f.membersChanged, Healed: f.healed,
		Warn: func(err error) { f.d.Log.Warn("the fleet's engine shows what no member has written", zap.Error(err)) },
		Keep: j.keeper.keep,
	})
	if err != nil {
		j.close()
		return nil, err
	}
	return j, nil
}

// close erases the secrets and ends the connections.
func (j *joined) close() {
	j.keeper.close()
	if j.member != nil {
		j.member.Keys().Wipe()
	}
	if e, ok := j.engine.(interface{ Close() }); ok {
		e.Close()
	}
}

// keeper writes what this machine is in the fleet to the keystore, until it is closed.
type keeper struct {
	f       *fleetPart
	config  config.Fleet
	boundTo string

	mu       sync.Mutex
	password keystore.Secret
	closed   bool
}

func (k *keeper) keep(ctx context.Context, id string, state keystore.Secret) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed { // a call that was under way when this machine left
		return errNoFleet
	}
	return k.f.d.stores.Kept.Set(ctx, fleetItem, keystore.Item{
		Issuer: id, TokenEndpoint: k.boundTo, Username: k.config.User, ClientSecret: k.password,
		ClientID: "fleet", PrivateKey: state, // an item has a client's name
	})
}

func (k *keeper) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.password.Wipe()
	k.closed = true
}

// engineOf returns the engine that a configuration names. It owns the password.
func (f *fleetPart) engineOf(c config.Fleet, ca []byte, password keystore.Secret) (e engine.Engine, err error) {
	defer func() {
		if err != nil {
			password.Wipe()
		}
	}()
	o := engine.Options{Endpoints: c.Endpoints, User: c.User, Password: password, Network: f.d.Network}
	if ca != nil {
		o.Roots = x509.NewCertPool()
		o.Roots.AppendCertsFromPEM(ca)
	}
	if c.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(c.Certificate, c.Key)
		if err != nil {
			return nil, protocol.NewError(protocol.Config, "the certificate or its key cannot be used: "+err.Error(),
				"ls -l "+visible.Word(c.Certificate))
		}
		o.Certificate = &pair
	}
	if f.d.NewEngine != nil {
		return f.d.NewEngine(o)
	}
	etcd, err := engine.NewEtcd(o)
	if err != nil {
		return nil, protocol.InvalidParams("%s", err)
	}
	return etcd, nil
}

// maxAuthorities bounds a file of certificate authorities.
const maxAuthorities = 1 << 20

// readAuthorities reads a PEM file of certificates; nil for none.
func readAuthorities(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	info, err := os.Stat(path)
	if err == nil && (info.Size() > maxAuthorities || !info.Mode().IsRegular()) {
		err = errors.New("it is no file of certificates")
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(path)
	}
	if err == nil && !x509.NewCertPool().AppendCertsFromPEM(text) {
		err = errors.New("there is no certificate in it")
	}
	if err != nil {
		return nil, protocol.NewError(protocol.Config,
			fmt.Sprintf("the engine's certificate authorities cannot be read: %s: %s", visible.Name(path), cause(err)),
			"ls -l "+visible.Word(path))
	}
	return text, nil
}

// cause is an error of a file without its path.
func cause(err error) string {
	if p, ok := errors.AsType[*os.PathError](err); ok {
		return p.Err.Error()
	}
	return err.Error()
}
