package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/groat-dev/groat/cmd/groat-commands/autostart"
	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/frame"
)

const (
	// replaceTime is how long a groatd may take to get another one's place: that gives requests to providers 20 s.
	replaceTime = 45 * time.Second
	// replacePause is the time between two looks whether it has.
	replacePause = 20 * time.Millisecond
)

func (a *app) restartCommand() *cobra.Command {
	var f stopFlags
	cmd := command("restart [flags]", helpRestart, cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		if s := a.installedService(); s != nil {
			return a.restartService(cmd.Context(), s, &f)
		}
		return a.restart(cmd.Context(), &f)
	})
	return f.add(cmd)
}

// restart replaces the groatd that runs, or starts one.
func (a *app) restart(ctx context.Context, f *stopFlags) error {
	d, err := a.findRunning(ctx)
	if err != nil {
		return err
	}
	if d != nil {
		defer d.c.Close()
		r, err := a.route()
		if err != nil {
			return report.NoRoute(err)
		}
		if err := a.ofThisPlace(r, d); err != nil {
			return err
		}
		hands := handsOver(r, d, f)
		if err := a.mayEnd(&d.status, f, hands); err != nil {
			return err
		}
		if !f.dry && hands {
			return a.replace(ctx, r, d, autostart.Replacing)
		}
		if !f.dry {
			if err := a.end(ctx, d, f); err != nil {
				return err
			}
		}
	}
	if f.dry {
		return a.write(textWouldRestart(d))
	}
	var status protocol.StatusResult
	if err := a.call(ctx, providerTime, protocol.MethodStatus, struct{}{}, &status); err != nil {
		return err
	}
	return a.write(textRestarted(&status, d == nil))
}

// ofThisPlace returns an error if a groatd that GROAT_SOCKET names is another place's: the one that is started in its
// place would be this one's, and its log is there.
func (a *app) ofThisPlace(r *frame.Route, d *running) error {
	theirs := d.status.Place
	if theirs == nil || r.Place != nil && frame.SamePlace(theirs.Place, *r.Place) {
		return nil
	}
	return errForeignPlace(r, d.status.PID, theirs.Place, a.path)
}

// handsOver reports whether a groatd can give another one what it has. With --force it is not asked: it might refuse.
func handsOver(r *frame.Route, d *running, f *stopFlags) bool {
	h, ok := r.Holder()
	return ok && !f.force && h.PID == d.status.PID && h.Handover != "" && len(d.status.Unsaved) == 0
}

// replace starts a groatd that takes the place of the one that runs, and gets its socket and its access tokens from it;
// or for a service one that carries the tokens to the next, which the connection to the service's socket starts.
func (a *app) replace(ctx context.Context, r *frame.Route, d *running, how string) error {
	exited, err := autostart.TakeOver(r, a.getenv, how)
	if err != nil {
		return err
	}
	failed := func(refused error) error {
		last, cancel := context.WithTimeout(ctx, answerTime)
		defer cancel()
		s, runs := a.replacedBy(last, d.status.PID)
		if s != nil {
			return a.write(textReplaced(s))
		}
		return errNotReplaced(d.status.PID, runs, filepath.Join(r.Place.State, frame.LogFile), refused)
	}
	bounded, cancel := context.WithTimeout(ctx, replaceTime)
	defer cancel()
	tick := time.NewTicker(replacePause)
	defer tick.Stop()
	for {
		select {
		case state := <-exited:
			if !state.Success() {
				return failed(autostart.Refusal(r, a.getenv, state))
			}
			exited = nil // it has carried the tokens
		case <-bounded.Done():
			return failed(nil)
		case <-tick.C:
		}
		if s, _ := a.replacedBy(bounded, d.status.PID); s != nil {
			return a.write(textReplaced(s))
		}
	}
}

// replacedBy returns the status of the groatd that runs where it is another one than that of pid, else nil; runs
// reports whether one answers.
func (a *app) replacedBy(ctx context.Context, pid int) (other *protocol.StatusResult, runs bool) {
	d, err := a.findRunning(ctx)
	if d == nil || err != nil {
		return nil, false
	}
	d.c.Close()
	if d.status.PID == pid {
		return nil, true
	}
	return &d.status, true
}
