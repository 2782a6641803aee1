package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/frame"
	"github.com/groat-dev/groat/protocol/ownpath"
)

// This file and its neighbours of the same first name own every sentence that groat says to a person, in the person's
// words: App Credentials, access token, profile. An error is one line without a capital or a full stop; a hint is what
// to type next.

// Causes of an unreadable input, completed by errStdin.
const (
	causeSlow  = "it does not end"
	causeEmpty = "it is empty"
	causeNoFit = "it is too long for one request"
	causeSpent = "a second secret was asked for, and there was only one on stdin"
)

func errUsage(msg, command string) *failure {
	return &failure{code: exitUsage, msg: msg, hint: command + " --help"}
}

func errUnknownCommand(name string, similar []string) *failure {
	f := errUsage(fmt.Sprintf("there is no command %q", name), "groat")
	if len(similar) > 0 {
		f.hint = "groat " + similar[0]
	}
	return f
}

func errDuration(limit time.Duration) error {
	return fmt.Errorf(`it must be a number of seconds or like "5m", and at most %s`,
		durationWords(int64(limit/time.Second)))
}

func msgOutput(format string) string {
	return fmt.Sprintf("--output %q is none of %s", format, strings.Join(outputs, ", "))
}

func msgJSONAndOutput(format string) string {
	return fmt.Sprintf("--json and --output %s exclude each other", format)
}

const msgSealedFlags = "--passphrase and --key-file are two ways to protect the sealed keystore, and only that one: " +
	"use one of them"

func inputTooLong(limit int) error { return fmt.Errorf("it is longer than %d KiB", limit>>10) }

func errStdin(cause error) *failure {
	return &failure{code: exitUsage, msg: "cannot use what is on stdin: " + cause.Error(),
		hint: "give it as one line on stdin", cause: cause}
}

func errSecretUnused(profile string) *failure {
	return &failure{code: exitUsage, msg: "what is on stdin was not asked for, so it was neither used nor stored",
		hint: "groat login " + profile}
}

func errRefusedInput() *failure {
	return &failure{code: exitUsage, msg: "what is on stdin is no access token",
		hint: `printf %s "$TOKEN" | groat get PROFILE --refused`}
}

func errNoTerminal(flag string) *failure {
	return &failure{code: exitUsage, msg: "this needs an answer, and there is no terminal to ask on",
		hint: "use --" + flag}
}

func errNothingTyped() *failure {
	return &failure{code: exitUsage, msg: "nothing was typed, so nothing was changed", hint: "try again"}
}

func errPassphrasesDiffer() *failure {
	return &failure{code: exitUsage, msg: "the two passphrases differ, so nothing was changed", hint: "try again"}
}

func errNotConfirmed() *failure {
	return &failure{code: exitConfig, msg: "not confirmed, so nothing was forgotten", hint: "groat status"}
}

// errSignal says nothing: the person knows what they pressed.
func errSignal(s syscall.Signal) *failure { return &failure{code: exitSignal + int(s)} }

func errBadToken() *failure {
	return &failure{code: exitInternal,
		msg: "groatd handed out something that is no bearer token, so it was not printed", hint: "groat status"}
}

func errStaticKey(profile, format string) *failure {
	return &failure{code: exitUsage,
		msg: fmt.Sprintf("profile %s has an API key, which is no access token: it is not printed as %s",
			profile, format),
		hint: "groat get " + profile + " --output header"}
}

func errWrite(cause error) *failure {
	return &failure{code: exitInternal, msg: "cannot write the answer: " + cause.Error(),
		hint: "send the output somewhere else", cause: cause}
}

func errWorkingDirectory(cause error) *failure {
	return &failure{code: exitConfig, msg: cause.Error(), hint: "cd to another directory", cause: cause}
}

func errSocketPath(cause error) *failure {
	f := &failure{code: exitConfig, msg: cause.Error(), hint: "set GROAT_SOCKET to another absolute path", cause: cause}
	if errors.Is(cause, frame.ErrNoHome) {
		f.hint = "HOME=" + ownpath.SpareHome() + " groat status"
	}
	return f
}

func failNoAnswer(cause error) *failure {
	return &failure{code: exitUnavailable, msg: "groatd does not answer", hint: "groat status", cause: cause}
}

func failHungUp(cause error) *failure {
	return &failure{code: exitUnavailable, msg: "groatd ended the connection before it answered", hint: "try again",
		cause: cause}
}

func failUnexpected(cause error) *failure {
	return &failure{code: exitInternal, msg: cause.Error(), hint: "groat status", cause: cause}
}

func failOldDaemon(cause error) *failure {
	return &failure{code: exitInternal,
		msg:  "the groatd that runs is of another version and does not know this command",
		hint: "restart groatd", cause: cause}
}

// Hints for answers of groatd's that bring none.

func defaultHint(e *frame.Error) string {
	if e.MaxMinTTL > 0 {
		return fmt.Sprintf("the greatest possible value is --min-ttl %d", e.MaxMinTTL)
	}
	if e.Code == frame.CodeInvalidParams {
		return "groat --help"
	}
	switch e.Kind {
	case frame.LoginRequired:
		return "groat login PROFILE"
	case frame.Temporary:
		if e.RetryAfter > 0 {
			return "try again in " + durationWords(e.RetryAfter)
		}
		return "try again"
	case frame.Locked:
		return "groat unlock"
	case frame.UnknownProfile:
		return "groat list"
	case frame.Config:
		return "groatd --check"
	case frame.KeystoreUnavailable:
		return "groat keystore"
	}
	return "groat status"
}

// Questions.

const (
	promptPassphrase    = "Passphrase"
	promptNewPassphrase = "New passphrase"
	promptRepeat        = "The same again"
	questionLogout      = "Forget them on this machine? [y/N] "
	textDesktopAsks     = "groat: the desktop may ask you now, in a window of its own, to unlock its keychain\n"
)

// textPrompt is a question of groatd's as it stands before the cursor.
func textPrompt(text string) string { return strings.TrimRight(sentence(text), ": ") + ": " }

// Results.

func textProfiles(r *protocol.ProfilesResult) []byte {
	if len(r.Profiles) == 0 {
		return []byte(textNoProfiles)
	}
	var rows [][]string
	for _, p := range r.Profiles {
		rows = append(rows, []string{p.Profile, p.Provider, p.Issuer, strings.Join(p.Resources, " ")})
	}
	return table([]string{"PROFILE", "PROVIDER", "SERVER", "SERVES"}, rows)
}

const textNoProfiles = "no profiles yet\nnext: groat login PROFILE --provider spatiafi --username YOU\n"

func textStatus(r *protocol.StatusResult, now time.Time) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "groatd %s, process %d, running for %s; keystore: %s\n", clean(r.Release), r.PID,
		durationWords(now.Unix()-r.StartedAt), keystoreWords(r.Keystore))
	if p := r.Place; p != nil && !p.Usual {
		fmt.Fprintf(&b, "place: %s\n", clean(p.String()))
	}
	textNetworkLines(&b, r.Network)
	if len(r.Profiles) == 0 {
		b.WriteString(textNoProfiles)
		return b.Bytes()
	}
	var rows [][]string
	for _, p := range r.Profiles {
		rows = append(rows, []string{p.Profile, p.State, tokenWords(p), nextWords(p), fmt.Sprint(p.Requests), p.Issuer})
	}
	b.WriteByte('\n')
	b.Write(table([]string{"PROFILE", "STATE", "ACCESS TOKEN", "NEXT", "REQUESTS", "SERVER"}, rows))
	for _, p := range r.Profiles {
		if p.ClockOffset != 0 {
			fmt.Fprintf(&b, "\n%s: %s\n", clean(p.Profile), clockWords(p))
		}
		if p.Message != "" {
			fmt.Fprintf(&b, "\n%s: %s\n", clean(p.Profile), sentence(p.Message))
		}
		if p.Hint != "" {
			fmt.Fprintf(&b, "hint: %s\n", sentence(p.Hint))
		}
	}
	return b.Bytes()
}

// clockWords says that client assertions are not dated by this machine's clock.
func clockWords(p protocol.ProfileStatus) string {
	than := "behind"
	offset := p.ClockOffset
	if offset < 0 {
		than, offset = "ahead of", -offset
	}
	return fmt.Sprintf("this machine's clock is %s %s the server's; client assertions are dated by the server's "+
		"clock: check it with date -u",
		durationWords(offset), than)
}

func tokenWords(p protocol.ProfileStatus) string {
	switch {
	case p.Static:
		return "does not expire"
	case p.ExpiresIn > 0:
		return "good for " + durationWords(p.ExpiresIn)
	case p.ExpiresAt > 0:
		return "expired"
	}
	return "none yet"
}

func nextWords(p protocol.ProfileStatus) string {
	switch {
	case p.RetryIn > 0:
		return "retry in " + durationWords(p.RetryIn)
	case p.RenewIn > 0:
		return "renewal in " + durationWords(p.RenewIn)
	}
	return ""
}

func keystoreWords(r protocol.KeystoreResult) string {
	s := clean(r.Use)
	if r.Key != "" {
		s += " (key: " + clean(r.Key) + ")"
	}
	s += ", " + clean(r.State)
	if r.Message != "" {
		s += ": " + sentence(r.Message)
	}
	return s
}

func textKeystore(r *protocol.KeystoreResult) []byte {
	return []byte("keystore: " + keystoreWords(*r) + "\n")
}

// textOtherKeystore says that GROAT_KEYSTORE does not count in this shell.
func textOtherKeystore(here, used string) string {
	return fmt.Sprintf("groat: GROAT_KEYSTORE is %s in this shell; groatd reads it only at its start, and uses %s\n",
		nameOf(here), nameOf(used))
}

func textReloaded(r *protocol.ReloadResult) []byte {
	return fmt.Appendf(nil, "configuration read; profiles: %d\n", r.Profiles)
}

func textWhoami(r *protocol.WhoamiResult) []byte {
	var rows [][]string
	for _, name := range slices.Sorted(maps.Keys(r.Claims)) {
		value := r.Claims[name]
		if f, ok := value.(float64); ok && f == float64(int64(f)) {
			value = int64(f) // a user id is not 1e+06
		}
		rows = append(rows, []string{name, fmt.Sprint(value)})
	}
	return table([]string{"profile", r.Profile}, rows)
}

func textVersion(v versionJSON) []byte {
	return fmt.Appendf(nil, "groat %s, protocol %d\n", v.Release, v.Protocol)
}
