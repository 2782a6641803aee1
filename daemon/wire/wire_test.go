package wire_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/daemon/wire"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/ownpath"
)

// of is what leaves for an error about the profile work, which is not configured.
func of(err error) *protocol.Error {
	e, _ := wire.Error(err, wire.Context{Profile: "work"})
	return e
}

// Every error leaves with a kind and the next command; those that ask for a login, and only those, need one by their
// own account.
func TestEveryErrorLeavesWithAKindAndTheNextCommand(t *testing.T) {
	refusal := func(c grant.Class) error { return &grant.Error{Class: c, Where: "auth.example.org", Reason: "refuses"} }
	at := origin.Target{Origin: "https://a.example:443", Path: "/x"}
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
		{keystore.ErrUndecided, protocol.KeystoreUnavailable, "groat keystore use sealed --passphrase"},
		{keystore.ErrUndecidedLocked, protocol.Locked, "groat unlock"},
		{keystore.ErrUnavailable, protocol.KeystoreUnavailable, "groat keystore"},
		{fmt.Errorf("%w: %w", keystore.ErrUnavailable,
			&fs.PathError{Op: "write", Path: "/nowhere/sealed", Err: syscall.ENOSPC}),
			protocol.KeystoreUnavailable, "df /"},
		{keystore.ErrTooBig, protocol.KeystoreUnavailable, "groat keystore"},
		{fmt.Errorf("%w: %w", keystore.ErrUnavailable, &ownpath.Error{Path: "/k", Hint: "chmod 600 /k"}),
			protocol.KeystoreUnavailable, "chmod 600 /k"},
		{&profile.UnknownError{Wanted: profile.Wanted{Name: "home"}}, protocol.UnknownProfile,
			"groat list"},
		{&profile.UnknownError{}, protocol.UnknownProfile, "groat login"},
		{&profile.UnknownError{Wanted: profile.Wanted{Name: "home"}, First: true}, protocol.UnknownProfile,
			"groat login"},
		{&profile.UnknownError{Matches: 2}, protocol.UnknownProfile, "groat list"},
		{&profile.UnknownError{Wanted: profile.Wanted{Target: at}}, protocol.UnknownProfile,
			"groat login NAME --api https://a.example"},
		{&profile.UnknownError{Wanted: profile.Wanted{Name: "home", Target: at}}, protocol.UnknownProfile,
			"groat login home --api https://a.example"},
		{broker.ErrUnknown, protocol.UnknownProfile, "groat list"},
		{&broker.Outage{Origin: "https://auth.example.org", Err: refusal(grant.InvalidClient)}, protocol.Temporary,
			"groat status work"},
		{keystore.ErrConflict, protocol.Config, "groat keystore"},
		{fmt.Errorf("%w: %w", keystore.ErrNewer, keystore.ErrCorrupt), protocol.Config, "groat version"},
		{broker.ErrEnded, protocol.LoginRequired, "groat login work"},
		{fmt.Errorf("%w: %w", broker.ErrRotationLost, refusal(grant.Refused)), protocol.LoginRequired,
			"groat login work"},
		{&broker.OnlyFor{Scope: "read", Err: broker.ErrOneToken}, protocol.Config, "groat login NAME --scope read"},
		{&broker.OnlyFor{Scope: "read", Err: broker.ErrOneScope}, protocol.Config, "groat login NAME --scope read"},
		{broker.ErrManyTokens, protocol.Temporary, "groat status work"},
		{broker.ErrWaited, protocol.Temporary, "groat status work"},
		{broker.ErrStopped, protocol.Temporary, "groat status work"},
		{broker.ErrRejected, protocol.Temporary, "groat profile show work"},
		{broker.ErrSameToken, protocol.Temporary, "groat status work"},
		{&config.Error{File: "f", Line: 3, Message: "bad", Hint: "mend it"}, protocol.Config, "mend it"},
		{errors.New("surprise"), protocol.Internal, "groat status"},
	} {
		for _, err := range []error{c.err, fmt.Errorf("around: %w", c.err),
			&broker.Unavailable{Err: c.err, RetryAfter: 1500 * time.Millisecond}} {
			e, expected := wire.Error(err, wire.Context{Profile: "work"})
			if expected != (c.kind != protocol.Internal) {
				t.Errorf("%v: expected %v", err, expected)
			}
			if needs := broker.NeedsLogin(err); needs != (c.kind == protocol.LoginRequired) {
				t.Errorf("%v: it needs a login: %v, and its kind is %s", err, needs, c.kind)
			}
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

// Who is told that an API refuses what groatd has reads for how long there is nothing else.
func TestWhatAnAPIRefusesIsSaidWithItsSeconds(t *testing.T) {
	for _, c := range []struct {
		err    error
		static bool
		says   string
	}{
		{broker.ErrRejected, false, "two tokens in a row: see whether the scope, audience and APIs of profile " +
			`"work" are what it wants; the next one can be had in 47 s`},
		{broker.ErrSameToken, false, "gave out the refused token again; the next one can be had in 47 s"},
		{broker.ErrSameToken, true, "a login stores another one; it is given out again in 47 s"},
	} {
		e, _ := wire.Error(&broker.Unavailable{Err: c.err, RetryAfter: 46500 * time.Millisecond},
			wire.Context{Profile: "work", Static: c.static})
		if e.Kind() != protocol.Temporary || !strings.HasSuffix(e.Message, c.says) || e.Data.RetryAfter != 47 {
			t.Errorf("%v: %s %q, %d s", c.err, e.Kind(), e.Message, e.Data.RetryAfter)
		}
	}
}

// Why a session was lost is said in one sentence, the one that explains most.
func TestALostSessionIsExplained(t *testing.T) {
	refused := &grant.Error{Class: grant.Refused, Code: "invalid_grant", Where: "auth.example.org",
		Reason: "has ended the session"}
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
		err := fmt.Errorf("%w: %w: %w", broker.ErrRotationLost, errors.Join(c.why...), refused)
		e := of(&broker.Unavailable{Err: err})
		if e.Kind() != protocol.LoginRequired || e.Hint() != "groat login work" ||
			!strings.Contains(e.Message, c.says) || !strings.HasSuffix(e.Message, ": sign in again") {
			t.Errorf("%v: %s %q, %q", c.why, e.Kind(), e.Message, e.Hint())
		}
	}
}

// What is refused for one scope or audience says so: the profile's default token is not affected.
func TestWhatIsRefusedAloneNamesTheScopeAndTheAudience(t *testing.T) {
	refused := &grant.Error{Class: grant.Refused, Code: "invalid_grant", Status: 400, Where: "auth.example.org",
		Reason: "has ended the session"}
	const said = "auth.example.org has ended the session (HTTP 400, invalid_grant)"
	for _, c := range []struct {
		scope, audience, says string
	}{
		{"read write", "", `for scope "read write": ` + said},
		{"", "https://api", `for audience "https://api": ` + said},
		{"read", "https://api", `for scope "read" and audience "https://api": ` + said},
	} {
		err := &broker.OnlyFor{Scope: c.scope, Audience: c.audience, Err: refused}
		e := of(&broker.Unavailable{Err: err})
		if e.Message != c.says || err.Error() != c.says || e.Kind() != protocol.LoginRequired {
			t.Errorf("%s %q; the error: %v", e.Kind(), e.Message, err)
		}
	}
}

func TestATooGreatMinTTLTellsTheGreatestPossibleOne(t *testing.T) {
	e := of(&broker.TooLong{Max: 838 * time.Second})
	if e.Code != protocol.CodeInvalidParams || e.Data.MaxMinTTL != 838 || e.Hint() != "groat get work --min-ttl 838s" {
		t.Errorf("%+v, %+v", e, e.Data)
	}
}

// Each kind of trouble on the way to a server leads to the command that may help, and says how connections are made.
func TestH68HintsOfConnections(t *testing.T) {
	for trouble, hint := range map[grant.Trouble]string{
		grant.UntrustedAuthority: "groat network set ca_file FILE", grant.ProxyFailed: "groat network",
		grant.Broken:      "groat status work",
		grant.Unreachable: "groat network",
		"":                "groat status work",
	} {
		cause := &grant.Error{Class: grant.TransientSlow, Where: "auth.example.org", Reason: "cannot be reached",
			Trouble: trouble}
		for what, err := range map[string]error{"alone": cause,
			"in an outage": &broker.Outage{Origin: "https://auth.example.org", Err: cause}} {
			e := of(err)
			if e.Hint() != hint || (e.Data.Network != nil) != (trouble != "") {
				t.Errorf("%q %s: hint %q, network %v", trouble, what, e.Hint(), e.Data.Network)
			}
		}
	}
	network := protocol.NetworkResult{Proxy: &protocol.NetworkSetting{Value: "http://127.0.0.1:1",
		From: "network.toml:2"}}
	e, _ := wire.Error(&grant.Error{Class: grant.Transient, Trouble: grant.Unreachable},
		wire.Context{Profile: "work", Configured: true, Network: network})
	if e.Hint() != "groat network" || !strings.Contains(e.Message, "only a proxy") ||
		*e.Data.Network != network {
		t.Errorf("%s, %+v", e.Hint(), e.Data.Network)
	}
}

func TestAnotherUsersBusNamesTheDaemonToEnd(t *testing.T) {
	e, _ := wire.Error(fmt.Errorf("x: %w", keystore.ErrForeignBus), wire.Context{PID: 4711})
	if e.Kind() != protocol.KeystoreUnavailable ||
		e.Hint() != "kill 4711 && env -u DBUS_SESSION_BUS_ADDRESS groat keystore" {
		t.Errorf("%v: %s", e, e.Hint())
	}
}
