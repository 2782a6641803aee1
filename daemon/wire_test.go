package daemon

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// TestEveryErrorLeavesWithAKindAndTheNextCommand is the table of wire.go.
func TestEveryErrorLeavesWithAKindAndTheNextCommand(t *testing.T) {
	refusal := func(c grant.Class) error { return &grant.Error{Class: c, Where: "auth.example.org", Reason: "refuses"} }
	for _, c := range []struct {
		err  error
		kind protocol.Kind
		hint string
	}{
		{refusal(grant.Refused), protocol.LoginRequired, "groat login work"},
		{refusal(grant.InvalidClient), protocol.LoginRequired, "groat login work"},
		{refusal(grant.Misconfigured), protocol.Config, "groat login work"},
		{refusal(grant.Transient), protocol.Temporary, "groat status work"},
		{refusal(grant.TransientSlow), protocol.Temporary, "groat status work"},
		{refusal(grant.Malformed), protocol.Temporary, "groat status work"},
		{refusal(grant.Ambiguous), protocol.Temporary, "groat status work"},
		{grant.ErrEndpointChanged, protocol.Config, "groat login work"},
		{grant.ErrNotOffered, protocol.Config, "groat list"},
		{keystore.ErrNotFound, protocol.LoginRequired, "groat login work"},
		{keystore.ErrCorrupt, protocol.LoginRequired, "groat login work"},
		{keystore.ErrLocked, protocol.Locked, "groat unlock"},
		{keystore.ErrUndecided, protocol.KeystoreUnavailable, "groat keystore use sealed --key-file"},
		{keystore.ErrUnavailable, protocol.KeystoreUnavailable, "groat keystore"},
		{keystore.ErrTooBig, protocol.KeystoreUnavailable, "groat keystore"},
		{broker.ErrUnknown, protocol.UnknownProfile, "groat login work"},
		{broker.ErrEnded, protocol.LoginRequired, "groat login work"},
		{fmt.Errorf("%w: %w", broker.ErrRotationLost, refusal(grant.Refused)), protocol.LoginRequired, "groat login work"},
		{broker.ErrManyTokens, protocol.Temporary, "groat status work"},
		{broker.ErrWaited, protocol.Temporary, "groat status work"},
		{broker.ErrStopped, protocol.Temporary, "groat status work"},
		{broker.ErrRejected, protocol.Temporary, "groat status work"},
		{broker.ErrSameToken, protocol.Temporary, "groat status work"},
		{&config.Error{File: "f", Line: 3, Message: "bad", Hint: "mend it"}, protocol.Config, "mend it"},
		{errors.New("surprise"), protocol.Internal, "groat status"},
	} {
		d := &Daemon{Options: Options{Log: zaptest.NewLogger(t)}}
		for _, err := range []error{c.err, fmt.Errorf("around: %w", c.err), &broker.Unavailable{Err: c.err, RetryAfter: 1500 * time.Millisecond}} {
			e := d.wire(err, "work")
			if e.Kind() != c.kind || !strings.Contains(e.Hint(), c.hint) || e.Message == "" || e.Code >= -32000 {
				t.Errorf("%v: kind %q, hint %q, code %d", err, e.Kind(), e.Hint(), e.Code)
			}
			_, waits := err.(*broker.Unavailable)
			if want := c.kind != protocol.LoginRequired; waits && (e.Data.RetryAfter == 2) != want {
				t.Errorf("%v: retry after %d", err, e.Data.RetryAfter)
			}
		}
	}
}

// Why a session was lost is said in one sentence, the one that explains most.
func TestALostSessionIsExplained(t *testing.T) {
	refused := &grant.Error{Class: grant.Refused, Code: "invalid_grant", Where: "auth.example.org", Reason: "has ended the session"}
	for _, c := range []struct {
		why  []error
		says string
	}{
		{nil, "by one that is not here"},
		{[]error{keystore.ErrUnanswered}, "never arrived"},
		{[]error{keystore.ErrUnanswered, broker.ErrInterrupted}, "groatd ended"},
		{[]error{keystore.ErrNewestDamaged}, "is damaged"},
		{[]error{keystore.ErrRolledBack}, "restored from an older copy"},
		{[]error{keystore.ErrRolledBack, keystore.ErrUnanswered, broker.ErrInterrupted}, "restored from an older copy"},
	} {
		d := &Daemon{}
		err := fmt.Errorf("%w: %w: %w", broker.ErrRotationLost, errors.Join(c.why...), refused)
		e := d.wire(&broker.Unavailable{Err: err}, "work")
		if e.Kind() != protocol.LoginRequired || e.Hint() != "groat login work" || !strings.Contains(e.Message, c.says) || !strings.HasSuffix(e.Message, ": sign in again") {
			t.Errorf("%v: %s %q, %q", c.why, e.Kind(), e.Message, e.Hint())
		}
		back := d.wire(standingOf(broker.Standing{Whole: true, Parked: true, Err: err}).restored().Err, "work")
		if back.Message != e.Message {
			t.Errorf("after a restart: %q, not %q", back.Message, e.Message)
		}
	}
}

func TestATooGreatMinTTLTellsTheGreatestPossibleOne(t *testing.T) {
	d := &Daemon{}
	e := d.wire(&broker.TooLong{Max: 838 * time.Second}, "work")
	if e.Code != protocol.CodeInvalidParams || e.Data.MaxMinTTL != 838 || e.Hint() != "groat get work --min-ttl 838s" {
		t.Errorf("%+v, %+v", e, e.Data)
	}
}
