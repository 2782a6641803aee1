package credential

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// storeLimit is how long each step of the write order may keep the answer from those who wait for it.
const storeLimit = 3 * time.Second

// rotate obtains a token with a session's refresh token, in the order of ROTATION.md: the keystore notes that the token will
// be sent; it is sent, once; what replaces it is durable and was read back; only then is the access token returned, or, where
// nothing was replaced, the note struck out. Where the successor cannot be stored the access token is returned all the same,
// for it is good, and the store holds the successor in memory ([Source.Degraded]).
func (c *Source) rotate(ctx context.Context, item keystore.Item, r grant.Request, need broker.Need) (grant.Token, error) {
	ctx = context.WithoutCancel(ctx)
	if err := c.Store.PendingError(c.Profile); err != nil && need == broker.Ahead {
		return grant.Token{}, &broker.PutOff{Err: err}
	}
	doubt, err := c.present(ctx)
	if err != nil && need == broker.Ahead {
		return grant.Token{}, &broker.PutOff{Err: err}
	}
	t, rotated, err := c.Endpoint.Refresh(ctx, item, r)
	if !rotated.IsZero() {
		defer rotated.Wipe()
		presented := item.RefreshToken // Obtain's to wipe
		item.RefreshToken = rotated
		c.replace(ctx, presented, item)
		return t, err
	}
	return t, c.conclude(ctx, doubt, err)
}

func (c *Source) present(ctx context.Context) (doubt, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	return c.Store.MarkSent(ctx, c.Profile)
}

func (c *Source) replace(ctx context.Context, presented keystore.Secret, item keystore.Item) {
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	c.Store.Rotate(ctx, c.Profile, presented, item)
}

// conclude is the end of a request that brought no new refresh token. Its note is struck out where the server has told what
// became of the one that was sent, and an older doubt only where the server still takes it.
func (c *Source) conclude(ctx context.Context, doubt, err error) error {
	refusal, refused := errors.AsType[*grant.Error](err)
	known := err == nil || doubt == nil && !(refused && refusal.RotationLost)
	if known {
		ctx, cancel := context.WithTimeout(ctx, storeLimit)
		defer cancel()
		c.Store.MarkAnswered(ctx, c.Profile) // at worst the next process asks once more
	}
	if doubt != nil && refused && refusal.Code == "invalid_grant" {
		return fmt.Errorf("%w: %w: %w", broker.ErrRotationLost, doubt, err)
	}
	return err
}
