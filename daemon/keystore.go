package daemon

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/jsonrpc"
	"github.com/groat-dev/groat/protocol/visible"
)

// Keystore is what a person decides about the store that holds the credentials.
type Keystore interface {
	// Status returns within 3 s, whatever the keychain does.
	Status(ctx context.Context) keystore.Status
	// Use chooses a store. The passphrase stays the caller's, who wipes it when Use has returned.
	Use(ctx context.Context, use, key string, passphrase keystore.Secret) error
	// Unlock opens a sealed store. The passphrase stays the caller's.
	Unlock(ctx context.Context, passphrase keystore.Secret) error
	// Move moves every credential to another store. If there is an error, either nothing has changed, or the old copies
	// are not erased yet. The passphrase stays the caller's.
	Move(ctx context.Context, use, key string, passphrase keystore.Secret) error
	// Passphrase encrypts a sealed store by another passphrase. Its error is as Move's. Both passphrases stay the
	// caller's.
	Passphrase(ctx context.Context, old, passphrase keystore.Secret) error
}

// moveTime bounds a move: it copies one credential after another, and a keychain takes its time for each.
const moveTime = 2 * time.Minute

func (d *Daemon) keystoreStatus() protocol.KeystoreResult {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	st := d.Keystore.Status(ctx)
	return protocol.KeystoreResult{Use: st.Use, Key: st.Key, State: st.State, Message: visible.Text(st.Message)}
}

// hasPassphrase reports whether the store in use is a sealed file with a passphrase.
func (d *Daemon) hasPassphrase() bool {
	now := d.keystoreStatus()
	return now.Use == "sealed" && now.Key == "passphrase"
}

// useKeystore answers "keystore": it shows the keystore, chooses it, moves it, or changes its passphrase.
func useKeystore(c *conn, params []byte) (any, error) {
	var kp protocol.KeystoreParams
	if err := jsonrpc.DecodeParams(params, &kp); err != nil {
		return nil, err
	}
	passphrase, err := secretParam(params, "passphrase")
	if err != nil {
		return nil, err
	}
	defer passphrase.Wipe()
	successor, err := secretParam(params, "new_passphrase")
	if err != nil {
		return nil, err
	}
	defer successor.Wipe()
	change, fresh, err := c.d.keystoreChange(kp, passphrase, successor)
	if err != nil {
		return nil, err
	}
	if change != nil {
		if err := c.unlocking(passphrase, change); err != nil {
			e := c.d.wireKeystore(err)
			switch {
			case errors.Is(err, keystore.ErrLocked) && kp.Change != "":
				e.Message = "the old passphrase does not fit, and nothing was changed"
				e.Data.Hint = "groat keystore passphrase"
			case errors.Is(err, keystore.ErrLocked) && kp.Use == "sealed" && kp.Key == "passphrase":
				e.Message = "the sealed keystore is protected by another passphrase, and nothing was changed; groat " +
					"keystore passphrase changes it"
				e.Data.Hint = "groat keystore use sealed --passphrase"
			case errors.Is(err, keystore.ErrLocked) && kp.Move == "sealed" && kp.Key == "passphrase" &&
				c.d.hasPassphrase():
				e.Message = "the credentials are in a sealed file with a passphrase already, and it is another one"
				e.Data.Hint = "groat keystore passphrase"
			case unusable(err) && kp.Move == "sealed" && kp.Key == "": // its key would be in the keychain
				e.Data.Hint = "groat keystore move sealed --passphrase"
			case unusable(err) && kp.Use == "sealed" && kp.Key == "":
				e.Data.Hint = "groat keystore use sealed --passphrase"
			}
			return nil, e
		}
		c.d.personOpened()
	}
	r := c.d.keystoreStatus()
	if change != nil {
		c.d.Log.Info("the keystore was changed", zap.String("use", r.Use), zap.String("state", r.State))
	}
	if r.Key == "passphrase" {
		r.Warning = keystore.Weakness(fresh)
	}
	return r, nil
}

// keystoreChange returns the change of the keystore that is asked for, nil if none is, and the passphrase that it sets.
// It refuses parameters that ask for two changes, and one that the change would not use.
func (d *Daemon) keystoreChange(kp protocol.KeystoreParams, passphrase, successor keystore.Secret) (
	change func(context.Context) error, fresh keystore.Secret, err error,
) {
	said := 0
	for _, s := range []string{kp.Use, kp.Move, kp.Change} {
		if s != "" {
			said++
		}
	}
	switch {
	case said > 1:
		return nil, fresh, protocol.InvalidParams("name one of use, move and change")
	case !successor.IsZero() && kp.Change == "":
		return nil, fresh, protocol.InvalidParams("new_passphrase goes with change")
	case kp.Use != "":
		return func(ctx context.Context) error {
			return d.Keystore.Use(ctx, kp.Use, kp.Key, passphrase)
		}, passphrase, nil
	case kp.Move != "":
		return func(context.Context) error {
			return d.atRest(func(ctx context.Context) error {
				return d.Keystore.Move(ctx, kp.Move, kp.Key, passphrase)
			})
		}, passphrase, nil
	case kp.Change == "":
		return nil, fresh, nil
	case kp.Change != "passphrase":
		return nil, fresh, protocol.InvalidParams("there is nothing but the passphrase to change")
	case passphrase.IsZero() || successor.IsZero():
		return nil, fresh, protocol.InvalidParams("passphrase and new_passphrase are needed")
	case passphrase.Equal(successor): // whether or not it fits: this is no way to try a passphrase
		return nil, fresh, protocol.InvalidParams("the new passphrase is the same as the old one, and nothing was changed")
	}
	return func(context.Context) error {
		return d.atRest(func(ctx context.Context) error { return d.Keystore.Passphrase(ctx, passphrase, successor) })
	}, successor, nil
}

// atRest is [login.Logins.MoveCredentials] with a deadline of its own, moveTime: a move does not end with its caller.
func (d *Daemon) atRest(move func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), moveTime)
	defer cancel()
	return d.logins.MoveCredentials(ctx, move)
}

// unusable reports whether err says that a keystore cannot be used, or cannot hold a credential.
func unusable(err error) bool {
	return errors.Is(err, keystore.ErrUnavailable) || errors.Is(err, keystore.ErrTooBig) ||
		errors.Is(err, keystore.ErrUndecided)
}

// wireKeystore is wire for a change of the keystore: if credentials were left behind, the hint is the command that
// moves them.
func (d *Daemon) wireKeystore(err error) *protocol.Error {
	e := d.wire(err, "")
	if left, ok := errors.AsType[*keystore.LeftBehind](err); ok && left.Move != "" {
		e.Data.Hint = left.Move
	}
	return e
}

// unlocking calls open, which may need a passphrase. If there is one, this is an attempt that [throttle.Unlock] delays.
func (c *conn) unlocking(passphrase keystore.Secret, open func(context.Context) error) error {
	if passphrase.IsZero() {
		ctx, cancel := context.WithTimeout(context.Background(), protocol.DefaultWait)
		defer cancel()
		return open(ctx)
	}
	delay, err := c.d.unlocks.Try(c.open, open)
	select {
	case <-time.After(delay):
	case <-c.ctx.Done(): // this client makes no further attempt, and others are delayed by Try
	}
	return err
}

// unlock answers "unlock".
func unlock(c *conn, params []byte) (any, error) {
	passphrase, err := secretParam(params, "passphrase")
	if err != nil {
		return nil, err
	}
	defer passphrase.Wipe()
	open := func(ctx context.Context) error { return c.d.Keystore.Unlock(ctx, passphrase) }
	if err := c.unlocking(passphrase, open); err != nil {
		if errors.Is(err, keystore.ErrLocked) && c.d.keystoreStatus().State == "ok" {
			return nil, protocol.NewError(protocol.Config,
				"the keystore is unlocked already, and its passphrase is another one", "groat keystore")
		}
		return nil, c.d.wire(err, "")
	}
	c.d.personOpened()
	c.d.Log.Info("the keystore was unlocked")
	return c.d.keystoreStatus(), nil
}

func secretParam(params []byte, name string) (keystore.Secret, error) {
	b, err := jsonrpc.SecretParam(params, name)
	if err != nil {
		return keystore.Secret{}, err
	}
	return keystore.NewSecret(b), nil
}
