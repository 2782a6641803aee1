package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/groat-dev/groat/cmd/groat/get"
	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/frame"
)

// Events that groat itself tells: what a profile is like when the watch begins, and that groatd is gone.
const (
	eventState        = "state"
	eventDisconnected = "disconnected"
)

// The pause before a watch connects again doubles from the first to the last.
const (
	firstReconnect = 100 * time.Millisecond
	lastReconnect  = 5 * time.Second
)

func (a *app) watchCommand() *cobra.Command {
	var once bool
	cmd := command("watch [PROFILE] [flags]", helpWatch, cobra.MaximumNArgs(1),
		func(cmd *cobra.Command, args []string) error {
			return a.watch(cmd.Context(), a.profile(args), once)
		})
	cmd.ValidArgsFunction = a.completeProfiles
	cmd.Flags().BoolVar(&once, "once", false, flagOnce)
	return cmd
}

// watch prints a line for each change, and goes on with the next groatd where one ends. It starts groatd only where
// none runs at first: one that a person has ended is waited for.
func (a *app) watch(ctx context.Context, profile string, once bool) error {
	c, r, err := a.openClient(ctx)
	if err != nil {
		return err
	}
	wait, seen := firstReconnect, false
	for {
		err := c.Watch(ctx, protocol.WatchParams{Profile: profile}, func(change protocol.Change) error {
			// The name holds for the watches that follow, also where another profile comes to be.
			wait, profile = firstReconnect, change.Profile
			changed := change.Event != ""
			if !changed {
				change.Event = eventState
			}
			if err := a.printJSON(change); err != nil {
				return &printError{err}
			}
			if seen = once && changed && change.Event != protocol.EventDropped; seen {
				return context.Canceled
			}
			return nil
		})
		c.Close()
		if printing, ok := errors.AsType[*printError](err); ok {
			return printing.error
		}
		switch {
		case seen:
			return nil
		case errors.Is(err, protocol.ErrDropped): // the state says the rest
		case ctx.Err() != nil || refusal(err) != nil || errors.Is(err, protocol.ErrAnswer):
			return get.NamePlaces(r, otherPlace(err), err)
		default:
			gone := protocol.Change{Profile: profile, Event: eventDisconnected, At: time.Now().Unix(),
				Message: msgDisconnected, Hint: "groat status"}
			if err := a.printJSON(gone); err != nil {
				return err
			}
		}
		if c, wait, err = a.reconnect(ctx, r, wait); err != nil {
			return err
		}
	}
}

// printError is why a line cannot be printed.
type printError struct{ error }

// reconnect waits for a groatd, and returns a connection to it and the next pause.
func (a *app) reconnect(ctx context.Context, r *frame.Route, wait time.Duration) (
	*protocol.Client, time.Duration, error,
) {
	for {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
		wait = min(2*wait, lastReconnect)
		deadline := time.Now().Add(get.ConnectTime)
		conn, err := r.Reach(deadline, false)
		if conn == nil && err == nil {
			conn = r.ReachHolder(deadline)
		}
		if err != nil {
			f := report.Describe(err)
			if f.Code != report.ExitUnavailable {
				return nil, 0, err
			}
		}
		if conn != nil {
			c, err := protocol.FromConn(conn)
			return c, wait, err
		}
	}
}
