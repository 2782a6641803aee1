// Package wire translates between the daemon and the wire: it checks token requests, encodes the reply with a token,
// and has the one table from errors to what a client is told (PROTOCOL.md, "Errors"): a kind that programs test, a
// sentence for people and the command to type next.
//
// It is pure: the results depend on the arguments alone, and nothing is logged. It decides only what is said; what is
// done after an error is decided by the error itself (errors.Is, [broker.NeedsLogin]).
package wire

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/credential"
	"github.com/groat-dev/groat/daemon/fleet/engine"
	"github.com/groat-dev/groat/daemon/fleet/keyring"
	"github.com/groat-dev/groat/daemon/fleet/member"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/privatekey"
	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/ownpath"
	"github.com/groat-dev/groat/protocol/visible"
)

// useHint is what to type where no keystore works by itself.
const useHint = "groat keystore use sealed --passphrase"

// Context is what the daemon knows about an error that the error itself does not say.
type Context struct {
	// Profile is the name of the profile that the request is about; empty: none.
	Profile string
	// Configured: there is a profile of that name, so that commands may name it.
	Configured bool
	// SignIn is the flags of "groat login" that name the profile's server, for a profile beside it; empty: not known.
	SignIn string
	// NewClient is the flags of "groat login" that have the provider create another client, where it creates them;
	// empty where it does not, or the user name is not known.
	NewClient string
	// Scope is what the profile's sign-in asks for; empty where that is not known. Client: the profile signs in as a
	// client, without a person. Key: it signs an assertion that is a grant, as a service account does.
	Scope       []string
	Client, Key bool
	// Static: what the profile gives out is what is stored, an API key.
	Static bool
	// Network is how connections to servers are made now.
	Network protocol.NetworkResult
	// PID is the daemon's process ID.
	PID int
}

// Error returns what a client is told for err: the [*protocol.Error] in its chain, if there is one, or else the table's
// kind, sentence and hint. expected is false if the table has no row for err: the result is then of the kind internal,
// and the caller logs err. The sentence is one line of visible characters, so that it cannot pass for two lines.
//
// err must not be nil. The result shares its Data with a [*protocol.Error] that it was made of.
func Error(err error, c Context) (e *protocol.Error, expected bool) {
	answer, expected := answer(err, c)
	leaves := *answer
	leaves.Message = visible.Text(leaves.Message)
	return &leaves, expected
}

func answer(err error, c Context) (e *protocol.Error, expected bool) {
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		return e, true
	}
	if long, ok := errors.AsType[*broker.TooLong](err); ok {
		e := protocol.InvalidParams("%s", long.Error())
		seconds := int64(long.Max / time.Second)
		hint := fmt.Sprintf("groat get %s --min-ttl %ds", c.Profile, seconds)
		if long.ID {
			hint += " --id-token"
		}
		e.Data = &protocol.ErrorData{MaxMinTTL: seconds, Hint: hint}
		return e, true
	}
	e, expected = fromTable(err, c)
	if only, ok := errors.AsType[*broker.OnlyFor](err); ok {
		e.Message = "for " + only.What() + ": " + e.Message
		if errors.Is(err, broker.ErrOneToken) || errors.Is(err, broker.ErrOneScope) {
			e.Data.Hint = signInBeside(only, c)
		}
	}
	if cause, ok := errors.AsType[*grant.Error](err); ok {
		addNetwork(e, cause, c)
	}
	// Where a login is needed, time does not help.
	if u, ok := errors.AsType[*broker.Unavailable](err); ok && u.RetryAfter > 0 && !broker.NeedsLogin(err) {
		e.Data.RetryAfter = int64((u.RetryAfter + time.Second - 1) / time.Second)
		e.Message += untilNext(err, e.Data.RetryAfter, c)
	}
	return e, expected
}

// untilNext is the end of the sentence where an API has refused what groatd has: in how many seconds there is more.
func untilNext(err error, seconds int64, c Context) string {
	switch {
	case errors.Is(err, broker.ErrSameToken) && c.Static:
		return fmt.Sprintf("; it is given out again in %d s", seconds)
	case errors.Is(err, broker.ErrRejected), errors.Is(err, broker.ErrSameToken):
		return fmt.Sprintf("; the next one can be had in %d s", seconds)
	}
	return ""
}

func fromTable(err error, c Context) (e *protocol.Error, expected bool) {
	name := c.Profile
	if errors.Is(err, broker.ErrRotationLost) { // the server's refusal is in the chain too, and says less
		return protocol.NewError(protocol.LoginRequired, whyLost(err)+": sign in again", "groat login "+name), true
	}
	if _, ok := errors.AsType[*broker.Outage](err); ok { // its last answer is in the chain too
		return protocol.NewError(protocol.Temporary, err.Error(), "groat status "+name), true
	}
	if refusal, ok := errors.AsType[*grant.Error](err); ok {
		return fromServer(refusal, c), true
	}
	if unknown, ok := errors.AsType[*profile.UnknownError](err); ok {
		return unknownProfile(unknown), true
	}
	if none, ok := errors.AsType[*broker.NoIDToken](err); ok {
		return noIDToken(none, c), true
	}
	if bad, ok := errors.AsType[*config.Error](err); ok {
		return protocol.NewError(protocol.Config, bad.Error(), bad.Hint), true
	}
	if k, ok := errors.AsType[*privatekey.FileError](err); ok {
		return protocol.NewError(protocol.Config, k.Error(), k.Hint), true
	}
	login := "groat login " + name
	if foreign, ok := errors.AsType[*grant.ForeignError](err); ok {
		return protocol.NewError(protocol.Config, fmt.Sprintf("profile %q: %s; nothing was sent", name, err),
			login+" --trust "+visible.Word(foreign.Named)), true
	}
	if ended, ok := errors.AsType[*grant.KeyEndedError](err); ok {
		return protocol.NewError(protocol.LoginRequired, fmt.Sprintf("profile %q: %s", name, ended), login), true
	}
	switch {
	case errors.Is(err, broker.ErrUnknown):
		return unknownProfile(&profile.UnknownError{Wanted: profile.Wanted{Name: name}}), true
	case errors.Is(err, grant.ErrEndpointChanged):
		return protocol.NewError(protocol.Config,
			fmt.Sprintf("profile %q was changed: %s; nothing was sent", name, err), login), true
	case errors.Is(err, broker.ErrOneToken):
		return protocol.NewError(protocol.Config, broker.ErrOneToken.Error(), "groat list"), true
	case errors.Is(err, broker.ErrOneScope):
		return protocol.NewError(protocol.Config, broker.ErrOneScope.Error(), "groat list"), true
	case errors.Is(err, grant.ErrNotOffered):
		return protocol.NewError(protocol.Config, err.Error(), "groat list"), true
	case errors.Is(err, broker.ErrKeyRefused):
		return protocol.NewError(protocol.LoginRequired,
			fmt.Sprintf("an API has refused the token of profile %q, and only a sign-in brings another", name),
			login), true
	case errors.Is(err, broker.ErrEnded):
		return protocol.NewError(protocol.LoginRequired, fmt.Sprintf("the session of profile %q has ended", name),
			login), true
	case errors.Is(err, keystore.ErrNotFound):
		return protocol.NewError(protocol.LoginRequired, fmt.Sprintf("profile %q is not signed in", name), login), true
	case errors.Is(err, keystore.ErrNewer): // no login may take its place
		return protocol.NewError(protocol.Config,
			fmt.Sprintf("the credential of profile %q cannot be read: %s", name, err), "groat version"), true
	case errors.Is(err, keystore.ErrCorrupt):
		return protocol.NewError(protocol.LoginRequired,
			fmt.Sprintf("the credential of profile %q cannot be read: %s", name, err), login), true
	case errors.Is(err, keystore.ErrLocked):
		return protocol.NewError(protocol.Locked, err.Error(), "groat unlock"), true
	case errors.Is(err, keystore.ErrConflict):
		hint := "groat keystore"
		if _, ok := errors.AsType[*keystore.VariableError](err); ok {
			hint = "env -u GROAT_KEYSTORE groat restart"
		}
		return protocol.NewError(protocol.Config, err.Error(), hint), true
	case errors.Is(err, keystore.ErrUndecidedLocked):
		return protocol.NewError(protocol.Locked, err.Error(), "groat unlock"), true
	case errors.Is(err, keystore.ErrUndecided):
		e := protocol.NewError(protocol.KeystoreUnavailable,
			err.Error()+"; groat keystore use --help shows the others", useHint)
		e.Data.Missing = []string{"keystore"}
		return e, true
	case errors.Is(err, keystore.ErrForeignBus):
		hint := fmt.Sprintf("kill %d && env -u DBUS_SESSION_BUS_ADDRESS groat keystore", c.PID)
		return protocol.NewError(protocol.KeystoreUnavailable, err.Error(), hint), true
	case errors.Is(err, keystore.ErrUnavailable), errors.Is(err, keystore.ErrTooBig):
		hint := cmp.Or(ownpath.HintFor(err), "groat keystore")
		if gone, ok := errors.AsType[*keystore.GoneError](err); ok {
			hint = gone.Next
			if gone.SignIn {
				hint = strings.TrimPrefix(hint+" && "+strings.TrimSpace(login), " && ")
			}
		}
		return protocol.NewError(protocol.KeystoreUnavailable, err.Error(), hint), true
	case errors.Is(err, broker.ErrSameToken) && c.Static: // no server gives another one out
		return protocol.NewError(protocol.Temporary,
			fmt.Sprintf("an API has refused the key of profile %q: a login stores another one", name), login), true
	case errors.Is(err, broker.ErrRejected): // one that is too old would have been helped by the second
		return protocol.NewError(protocol.Temporary, fmt.Sprintf("%s: see whether the scope, audience and APIs of "+
			"profile %q are what it wants", err, name), "groat profile show "+name), true
	case errors.Is(err, broker.ErrWaited), errors.Is(err, broker.ErrStopped), errors.Is(err, broker.ErrSameToken),
		errors.Is(err, broker.ErrManyTokens), errors.Is(err, broker.ErrOften), errors.Is(err, broker.ErrQuota):
		return protocol.NewError(protocol.Temporary, err.Error(), "groat status "+name), true
	}
	if e := ofFleet(err); e != nil {
		return e, true
	}
	return protocol.NewError(protocol.Internal, err.Error(), "groat status"), false
}

// ofFleet is the table's part for a fleet and its engine; nil where err is of neither.
func ofFleet(err error) *protocol.Error {
	say := func(kind protocol.Kind, hint string) *protocol.Error {
		return protocol.NewError(kind, err.Error(), hint)
	}
	switch {
	case errors.Is(err, engine.ErrUnavailable), errors.Is(err, engine.ErrUnknown), errors.Is(err, engine.ErrCompacted),
		errors.Is(err, credential.ErrOtherTurn), errors.Is(err, grant.ErrLate):
		return say(protocol.Temporary, "groat fleet status")
	case errors.Is(err, engine.ErrRefused), errors.Is(err, engine.ErrUntrusted):
		return say(protocol.Config, "groat fleet status")
	case errors.Is(err, member.ErrRemoved):
		return say(protocol.Config, "groat fleet leave")
	case errors.Is(err, member.ErrOlder), errors.Is(err, member.ErrWithheld),
		errors.Is(err, keyring.ErrEpoch), errors.Is(err, keyring.ErrDamaged), errors.Is(err, keyring.ErrFull):
		return say(protocol.Temporary, "groat fleet status")
	case errors.Is(err, member.ErrState), errors.Is(err, keyring.ErrEncoding), errors.Is(err, member.ErrFull),
		errors.Is(err, member.ErrExists), errors.Is(err, member.ErrOtherFleet):
		return say(protocol.Config, "groat fleet leave --forget")
	}
	return nil
}

// signInBeside is how to sign in another profile for a scope and audience at a profile's server.
func signInBeside(only *broker.OnlyFor, c Context) string {
	hint := "groat login NAME"
	if c.SignIn != "" {
		hint += " " + c.SignIn
	}
	if only.Scope != "" {
		hint += " --scope " + visible.Word(only.Scope)
	}
	if only.Audience != "" {
		hint += " --audience " + visible.Word(only.Audience)
	}
	return hint
}

// maxChoices is how many choices an error has.
const maxChoices = 16

// unknownProfile says which profile, or which choice between profiles, is missing.
func unknownProfile(e *profile.UnknownError) *protocol.Error {
	hint, w := "groat list", e.Wanted
	at := origin.WithoutPort(w.Target.Origin)
	switch {
	case len(e.Broken) > 0:
		hint = "groat status" // which says why
	case len(e.Choices) > 0 && e.Matches > 0:
		hint = "groat get " + e.Choices[0].Name + " --target " + visible.Word(at)
	case len(e.Choices) > 0:
		hint = "groat get --target " + visible.Word(origin.WithoutPort(e.Choices[0].Resource))
	case w.Name != "" && at != "":
		hint = "groat login " + w.Name + " --api " + visible.Word(at)
	case e.First || at == "" && w.Name == "" && e.Matches == 0:
		hint = "groat login"
	case at != "":
		hint = "groat login NAME --api " + visible.Word(at)
	}
	answer := protocol.NewError(protocol.UnknownProfile, e.Error(), hint)
	for _, l := range e.Choices[:min(len(e.Choices), maxChoices)] {
		if answer.Data.Choices == nil {
			answer.Data.Choices = map[string]string{}
		}
		if answer.Data.Choices[l.Name] == "" {
			answer.Data.Choices[l.Name] = origin.WithoutPort(l.Resource)
		}
	}
	return answer
}

// whyLost says why the stored refresh token of a session is not the newest that its server has issued.
func whyLost(err error) string {
	for _, why := range []struct {
		err  error
		said string
	}{
		{keystore.ErrRolledBack, "the credentials here were restored from an older copy, " +
			"and the server has replaced the session's refresh token since"},
		{keystore.ErrNewestDamaged, "the newest copy of the session's refresh token is damaged, " +
			"and the server does not take the one before it any more"},
		{broker.ErrInterrupted, "groatd ended while the server replaced the session's refresh token, " +
			"before the new one was stored"},
		{keystore.ErrUnanswered, "the server replaced the session's refresh token by one that never arrived"},
	} {
		if errors.Is(err, why.err) {
			return why.said
		}
	}
	return broker.ErrRotationLost.Error()
}

// fromServer is the row for a server's answer that is an error.
func fromServer(e *grant.Error, c Context) *protocol.Error {
	profile := c.Profile
	switch e.Class {
	case grant.Refused, grant.InvalidClient:
		if c.NewClient != "" { // the stored one does not work, and no other is known
			return protocol.NewError(protocol.LoginRequired, e.Error(), "groat login "+profile+" "+c.NewClient)
		}
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

// addNetwork adds to an error about a connection how connections are made (proxy and certificates), and the command
// that may help.
func addNetwork(e *protocol.Error, cause *grant.Error, c Context) {
	if cause.Trouble == "" || e.Kind() != protocol.Temporary && e.Kind() != protocol.Config {
		return
	}
	e.Data.Network = &c.Network
	switch cause.Trouble {
	case grant.UntrustedAuthority:
		e.Data.Hint = "groat network set ca_file FILE"
	case grant.ProxyFailed:
		e.Data.Hint = "groat network"
	case grant.Unreachable:
		e.Message += "; where only a proxy leads out, groat network set proxy names it"
		e.Data.Hint = "groat network"
	}
}
