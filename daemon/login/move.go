package login

import (
	"context"
	"fmt"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"go.uber.org/zap"
)

// MoveCredentials runs move, which moves all credentials, while no session is being renewed and nothing is in memory
// only that should be in the keystore.
func (s *Logins) MoveCredentials(ctx context.Context, move func(context.Context) error) error {
	profiles := s.Profiles.Snapshot()
	for p := range profiles.All() {
		if p.Ephemeral || !p.Kind().Session() {
			continue
		}
		short, done := context.WithTimeout(ctx, pauseTime)
		resume, err := s.Broker.Pause(short, p.Name)
		done()
		if err != nil {
			return protocol.NewError(protocol.Temporary,
				fmt.Sprintf("the session of profile %q is being renewed just now", p.Name), "groat status "+p.Name)
		}
		defer resume()
	}
	s.Stores.Kept.RetryAll(ctx, true)
	for p := range profiles.All() {
		if err := s.Stores.Kept.PendingError(p.Name); err != nil {
			return fmt.Errorf("the newest credential of profile %q is in groatd's memory only, "+
				"so nothing was moved: %w", p.Name, err)
		}
	}
	if s.Stores.Kept.HasPending() {
		return fmt.Errorf("%w: a credential is in groatd's memory only, so nothing was moved", keystore.ErrUnavailable)
	}
	err := move(ctx)
	s.Log.Info("the keystore was moved", zap.Bool("done", err == nil))
	return err
}
