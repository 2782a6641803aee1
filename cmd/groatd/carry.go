package main

import (
	"context"
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/handover"
)

// A service manager starts the next groatd only when the one before has ended. In between a third process has the lock
// and the tokens, in its memory: the carrier. "groat restart" starts it; it serves no client and opens no keystore, and
// the service manager knows nothing of it.

// carryTime is how long a carrier waits for the next groatd.
const carryTime = 30 * time.Second

// carried is what a carrier has.
type carried []handover.Token

// KeepsFromHandover implements [source].
func (carried) KeepsFromHandover(context.Context) *handover.Refusal { return nil }

// IsReplaced implements [source].
func (carried) IsReplaced() {}

// Tokens implements [source].
func (c carried) Tokens() []handover.Token { return c }

// carry takes over from the groatd of a service and hands over to the next one that asks. If none does in time, the
// tokens are gone.
func carry(where location, log *zap.Logger, file *logFile) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := privateDir(where.State, "the state directory"); err != nil {
		return err
	}
	st, err := takeOver(where, handover.ForRestart)
	if err != nil {
		return err
	}
	defer st.lock.Close()
	file.open(where.State)
	if st.socket != nil { // of a groatd that is no service: the next one binds its own
		st.socket.Close()
	}
	o := newOffer(where.State, where.ID, carried(st.tokens), log)
	if o == nil {
		return fmt.Errorf("%d tokens are not carried to the next groatd", len(st.tokens))
	}
	defer o.give(st.lock)
	defer o.release()
	ctx, over := context.WithTimeout(ctx, carryTime)
	defer over()
	go o.serve(over, make(chan struct{}, 1))
	st.lock.record("", o.path)
	log.Info("carries tokens to the next groatd", zap.Int("tokens", len(st.tokens)))
	<-ctx.Done()
	return nil
}
