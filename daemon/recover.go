package daemon

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/keystore"
)

// heal asks the keystore, once it can be read, which sessions an earlier process left in doubt, and renews them before
// anything else: what it sent and was not answered a server may forgive for seconds. It keeps nobody waiting, and asks nobody
// for a password.
func (d *Daemon) heal(ctx context.Context) {
	for {
		names, err := d.stores.Kept.InDoubt(ctx)
		if len(names) > 0 {
			d.Log.Info("sessions whose last renewal was not finished are renewed", zap.Strings("profiles", names))
			d.broker.Recover(names...)
		}
		switch {
		case errors.Is(err, keystore.ErrLocked), errors.Is(err, keystore.ErrUnavailable):
		case err != nil:
			d.Log.Warn("the keystore does not say which sessions were not renewed to the end", zap.Error(err))
			return
		default:
			return
		}
		d.doubtful.Store(true)
		select {
		case <-d.opened: // see watchKeystore
		case <-ctx.Done():
			return
		}
		d.doubtful.Store(false)
	}
}

// keystoreOpened lets everything that waits for the keystore go on: it can be used again.
func (d *Daemon) keystoreOpened() {
	select {
	case d.opened <- struct{}{}:
	default:
	}
	d.broker.KeystoreOpened()
}
