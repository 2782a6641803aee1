package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/groat-dev/groat/cmd/groat/get"
	"github.com/groat-dev/groat/cmd/groat/helper"
	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

// This file and its neighbours of the same first name own every sentence that groat says to a person, in the person's
// words: App Credentials, access token, profile. An error is one line without a capital or a full stop; a hint is what
// to type next.

// Causes of an unreadable input, completed by errStdin.
const (
	causeSlow  = "it does not end"
	causeEmpty = "it is empty"
	causeNoFit = "it is too long for one request"
)

func errUsage(msg, command string) *report.Failure {
	return &report.Failure{Code: report.ExitUsage, Message: msg, Hint: command + " --help"}
}

func errUnknownCommand(name string, similar []string) *report.Failure {
	f := errUsage(fmt.Sprintf("there is no command %q", name), "groat")
	if len(similar) > 0 {
		f.Hint = "groat " + similar[0]
	}
	return f
}

func errDuration(limit time.Duration) error {
	return fmt.Errorf(`it must be a number of seconds or like "5m", and at most %s`,
		report.DurationWords(int64(limit/time.Second)))
}

func msgOutput(format string) string {
	return fmt.Sprintf("--output %q is none of %s", format, strings.Join(get.Formats, ", "))
}

func msgJSONAndOutput(format string) string {
	return fmt.Sprintf("--json and --output %s exclude each other", format)
}

const msgDisconnected = "groatd has ended or closed the connection; the watch goes on when one runs again"

const msgSealedFlags = "--passphrase and --key-file are two ways to protect the sealed keystore, and only that one: " +
	"use one of them"

// What a secret on stdin may begin or end with, completed by errInputEnd.
const (
	endByteOrderMark = "a byte order mark"
	endLineBreak     = "a line break"
	endTab           = "a tab"
	endBlank         = "a blank"
)

func endInvisible(r rune) string { return fmt.Sprintf("the invisible character %U", r) }

// errInputEnd says what a secret on stdin begins or ends with; what is between its ends is its own business.
func errInputEnd(begins bool, with string) error {
	if begins {
		return fmt.Errorf("it begins with %s, which is hardly a part of it", with)
	}
	return fmt.Errorf("it ends with %s, which is hardly a part of it (one newline at the end is taken away)", with)
}

func inputTooLong(limit int) error { return fmt.Errorf("it is longer than %d KiB", limit>>10) }

func (a *app) errStdin(cause error) *report.Failure {
	return &report.Failure{Code: report.ExitUsage, Message: "cannot use what is on stdin: " + cause.Error(),
		Hint: a.again("< FILE"), Cause: cause}
}

// errTypedTooLong: a line that was typed at a terminal cannot be used.
var errTypedTooLong = inputTooLong(maxInput)

func (a *app) errTyped(cause error) *report.Failure {
	return &report.Failure{Code: report.ExitUsage, Message: "cannot use what was typed: " + cause.Error(),
		Hint: a.again(), Cause: cause}
}

func (a *app) errStdinSpent() *report.Failure {
	return &report.Failure{Code: report.ExitUsage,
		Message: "this sign-in needs a second secret, and stdin brings one; at a terminal groat asks for each",
		Hint:    a.without("--secret-stdin")}
}

func errSecretUnused(profile string) *report.Failure {
	return &report.Failure{Code: report.ExitUsage,
		Message: "what is on stdin was not asked for, so it was neither used nor stored",
		Hint:    "groat login " + profile}
}

func (a *app) errRefusedInput() *report.Failure {
	return &report.Failure{Code: report.ExitUsage, Message: "what is on stdin is no token",
		Hint: `printf %s "$TOKEN" | ` + a.again()}
}

// again is the command that runs, as it can be typed with further words.
func (a *app) again(further ...string) string {
	words := []string{"groat"}
	for _, word := range a.typed {
		words = append(words, visible.Word(word))
	}
	return strings.Join(append(words, further...), " ")
}

// without is the command that runs, as it can be typed without a flag.
func (a *app) without(flag string) string {
	left := *a
	left.typed = slices.DeleteFunc(slices.Clone(a.typed), func(word string) bool { return word == flag })
	return left.again()
}

// errNoTerminal says which question could not be asked, and which flag answers it.
func (a *app) errNoTerminal(question, flag string) *report.Failure {
	question = strings.TrimSpace(strings.TrimPrefix(question, "groat: "))
	question = strings.TrimSuffix(strings.TrimSpace(strings.TrimSuffix(question, "[y/N]")), ":")
	f := &report.Failure{Code: report.ExitUsage, Message: "there is no terminal to ask on: " + sentence(question)}
	switch {
	case flag == "":
		f.Hint = a.again()
	case strings.HasSuffix(flag, "-stdin"):
		f.Hint = a.again("--"+flag, "< FILE")
	default:
		f.Hint = a.again("--" + flag)
	}
	return f
}

// errNoAnswer: a person was asked, and typed nothing.
var errNoAnswer = errors.New("nothing was typed")

func (a *app) errNothingTyped() *report.Failure {
	return &report.Failure{Code: report.ExitUsage,
		Message: "nothing was typed, so nothing was changed", Hint: a.again(), Cause: errNoAnswer}
}

func (a *app) errPassphrasesDiffer() *report.Failure {
	return &report.Failure{Code: report.ExitUsage,
		Message: "the two passphrases differ, so nothing was changed", Hint: a.again()}
}

func errOldPassphrase(cause error) *report.Failure {
	return &report.Failure{Code: report.ExitDenied, Hint: "groat keystore passphrase", Cause: cause,
		Message: "the old passphrase does not fit, and nothing was changed"}
}

// errKeyNotKind says how the sealed keystore is protected by what was typed.
func errKeyNotKind(verb, word string) *report.Failure {
	return &report.Failure{Code: report.ExitUsage, Message: word + " protects the sealed keystore, and is none itself",
		Hint: "groat keystore " + verb + " sealed --" + word}
}

// errKeystoreUnasked says how a passphrase is chosen without a terminal, before a login.
func errKeystoreUnasked() *report.Failure {
	return &report.Failure{Code: report.ExitUsage, Message: "there is no terminal to ask on for a new passphrase",
		Hint: "groat keystore use sealed --passphrase-stdin < FILE"}
}

func errNotConfirmed() *report.Failure {
	return &report.Failure{Code: report.ExitConfig,
		Message: "not confirmed, so nothing was forgotten", Hint: "groat status"}
}

// errSignal says nothing: the person knows what they pressed.
func errSignal(s syscall.Signal) *report.Failure {
	return &report.Failure{Code: report.ExitSignal + int(s)}
}

func errWorkingDirectory(cause error) *report.Failure {
	return &report.Failure{Code: report.ExitConfig,
		Message: cause.Error(), Hint: "cd", Cause: cause}
}

// Questions.

const (
	promptPassphrase      = "Passphrase"
	promptNewPassphrase   = "New passphrase"
	promptRepeat          = "The same again"
	questionLogout        = "Forget them on this machine? [y/N] "
	textPassphrasesDiffer = "groat: the two passphrases differ\n"
	textUnlockedAlready   = "groat: the keystore is unlocked already\n"
	textDesktopAsks       = "groat: the desktop may ask you now, in a window of its own, to unlock its keychain\n"
)

// textPrompt is a question of groatd's as it stands before the cursor.
func textPrompt(text string) string { return strings.TrimRight(sentence(text), ": ") + ": " }

// Results.

func keystoreWords(r protocol.KeystoreResult) string {
	s := clean(r.Use)
	if r.Key != "" {
		s += " (key: " + clean(r.Key) + ")"
	}
	s += ", " + clean(r.State)
	if why := whyKeystore(r); why != "" {
		s += ": " + why
	}
	return s
}

// whyKeystore is the message about a keystore without what its state says already.
func whyKeystore(r protocol.KeystoreResult) string {
	why := sentence(r.Message)
	for state, said := range map[string]string{"locked": "the keystore is locked",
		"unavailable": "the keystore is not available"} {
		if rest, found := strings.CutPrefix(why, said); found && r.State == state {
			return strings.TrimPrefix(rest, ": ")
		}
	}
	return why
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

// textDockerVersion is what docker's own helpers print: NAME (PACKAGE) VERSION.
func textDockerVersion() []byte {
	return fmt.Appendf(nil, "%s (github.com/groat-dev/groat) %s\n", helper.DockerName, release)
}

func textVersion(v versionJSON) []byte {
	return fmt.Appendf(nil, "groat %s, protocol %d\n", v.Release, v.Protocol)
}
