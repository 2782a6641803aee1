package daemon

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

// useHint is what to type where no keystore works by itself.
const useHint = "groat keystore use sealed --passphrase, or groat keystore use sealed --key-file, or groat keystore use memory"

func unknownProfile(name string) *protocol.Error {
	return protocol.NewError(protocol.UnknownProfile, fmt.Sprintf("there is no profile %q", name), "groat list, or groat login "+name+" --provider …")
}

func noSingleProfile(n int) *protocol.Error {
	if n == 0 {
		return protocol.NewError(protocol.UnknownProfile, "there is no profile yet", "groat login NAME --provider …")
	}
	return protocol.NewError(protocol.UnknownProfile, fmt.Sprintf("there are %d profiles: name one", n), "groat list")
}

// wire turns any error into the one that leaves: a kind, a sentence, the next command. It is the only place that does. The
// sentence is one line, in which everything can be seen and nothing can be taken for another line of groat's own.
func (d *Daemon) wire(err error, profile string) *protocol.Error {
	e := *d.wired(err, profile)
	e.Message = visible.Text(e.Message)
	return &e
}

func (d *Daemon) wired(err error, profile string) *protocol.Error {
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		return e
	}
	if long, ok := errors.AsType[*broker.TooLong](err); ok {
		e := protocol.InvalidParams("%s", long.Error())
		seconds := int64(long.Max / time.Second)
		e.Data = &protocol.ErrorData{MaxMinTTL: seconds, Hint: fmt.Sprintf("groat get %s --min-ttl %ds", profile, seconds)}
		return e
	}
	e := d.kindOf(err, profile)
	if cause, ok := errors.AsType[*grant.Error](err); ok {
		d.onNetwork(e, cause, profile)
	}
	if u, ok := errors.AsType[*broker.Unavailable](err); ok && u.RetryAfter > 0 && e.Kind() != protocol.LoginRequired { // time helps nobody there
		e.Data.RetryAfter = int64((u.RetryAfter + time.Second - 1) / time.Second)
	}
	return e
}

func (d *Daemon) kindOf(err error, profile string) *protocol.Error {
	if errors.Is(err, broker.ErrRotationLost) { // the server's refusal is in the chain too, and says less
		return protocol.NewError(protocol.LoginRequired, whyLost(err)+": sign in again", "groat login "+profile)
	}
	if _, ok := errors.AsType[*broker.Outage](err); ok { // its last answer is in the chain too
		return protocol.NewError(protocol.Temporary, err.Error(), "groat status "+profile)
	}
	if refusal, ok := errors.AsType[*grant.Error](err); ok {
		return fromServer(refusal, profile)
	}
	if c, ok := errors.AsType[*config.Error](err); ok {
		return protocol.NewError(protocol.Config, c.Error(), c.Hint)
	}
	if k, ok := errors.AsType[*grant.KeyFileError](err); ok {
		return protocol.NewError(protocol.Config, k.Error(), k.Hint)
	}
	login := "groat login " + profile
	if foreign, ok := errors.AsType[*grant.ForeignError](err); ok {
		return protocol.NewError(protocol.Config, fmt.Sprintf("profile %q: %s; nothing was sent", profile, err), login+" --trust "+visible.Word(foreign.Named))
	}
	switch {
	case errors.Is(err, broker.ErrUnknown):
		return unknownProfile(profile)
	case errors.Is(err, grant.ErrEndpointChanged):
		return protocol.NewError(protocol.Config, fmt.Sprintf("profile %q was changed: %s; nothing was sent", profile, err), login)
	case errors.Is(err, grant.ErrNotOffered):
		return protocol.NewError(protocol.Config, err.Error(), "groat list")
	case errors.Is(err, broker.ErrEnded):
		return protocol.NewError(protocol.LoginRequired, fmt.Sprintf("the session of profile %q has ended", profile), login)
	case errors.Is(err, keystore.ErrNotFound):
		return protocol.NewError(protocol.LoginRequired, fmt.Sprintf("profile %q is not signed in", profile), login)
	case errors.Is(err, keystore.ErrNewer): // no login may take its place
		return protocol.NewError(protocol.Config, fmt.Sprintf("the credential of profile %q cannot be read: %s", profile, err), "groat version")
	case errors.Is(err, keystore.ErrCorrupt):
		return protocol.NewError(protocol.LoginRequired, fmt.Sprintf("the credential of profile %q cannot be read: %s", profile, err), login)
	case errors.Is(err, keystore.ErrLocked):
		return protocol.NewError(protocol.Locked, err.Error(), "groat unlock")
	case errors.Is(err, keystore.ErrConflict):
		return protocol.NewError(protocol.Config, err.Error(), "groat keystore")
	case errors.Is(err, keystore.ErrUndecided):
		return protocol.NewError(protocol.KeystoreUnavailable, err.Error(), useHint)
	case errors.Is(err, keystore.ErrForeignBus):
		hint := fmt.Sprintf("kill %d && env -u DBUS_SESSION_BUS_ADDRESS groat keystore", os.Getpid())
		return protocol.NewError(protocol.KeystoreUnavailable, err.Error(), hint)
	case errors.Is(err, keystore.ErrUnavailable), errors.Is(err, keystore.ErrTooBig):
		return protocol.NewError(protocol.KeystoreUnavailable, err.Error(), "groat keystore")
	case errors.Is(err, broker.ErrWaited), errors.Is(err, broker.ErrStopped), errors.Is(err, broker.ErrRejected),
		errors.Is(err, broker.ErrSameToken), errors.Is(err, broker.ErrManyTokens), errors.Is(err, broker.ErrOften), errors.Is(err, broker.ErrQuota):
		return protocol.NewError(protocol.Temporary, err.Error(), "groat status "+profile)
	}
	d.Log.Error("an unexpected error: " + err.Error())
	return protocol.NewError(protocol.Internal, err.Error(), "groat status")
}

// whyLost says why a session's refresh token is not the one that its server has made of it.
func whyLost(err error) string {
	for _, why := range []struct {
		err  error
		said string
	}{
		{keystore.ErrRolledBack, "the credentials here were restored from an older copy, and the server has replaced the session's refresh token since"},
		{keystore.ErrNewestDamaged, "the newest copy of the session's refresh token is damaged, and the server does not take the one before it any more"},
		{broker.ErrInterrupted, "groatd ended while the server replaced the session's refresh token, before the new one was stored"},
		{keystore.ErrUnanswered, "the server replaced the session's refresh token by one that never arrived"},
	} {
		if errors.Is(err, why.err) {
			return why.said
		}
	}
	return broker.ErrRotationLost.Error()
}

// fromServer is what a server's refusal means for a person.
func fromServer(e *grant.Error, profile string) *protocol.Error {
	switch e.Class {
	case grant.Refused, grant.InvalidClient:
		return protocol.NewError(protocol.LoginRequired, e.Error(), "groat login "+profile)
	case grant.Misconfigured:
		return protocol.NewError(protocol.Config, e.Error(), "groat login "+profile)
	}
	hint := "groat status " + profile
	if errors.Is(e, grant.ErrClock) {
		hint = "date -u" // what this machine's clock says
	}
	wire := protocol.NewError(protocol.Temporary, e.Error(), hint)
	wire.Data.RetryAfter = int64((e.RetryAfter + time.Second - 1) / time.Second)
	return wire
}
