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
)

// This file owns every sentence that groat says to a person, in the person's words: App Credentials, access token,
// profile. An error is one line without a capital or a full stop; a hint is what to type next.

// Causes of an unreadable input, completed by errStdin.
const (
	causeSlow    = "it does not end"
	causeTooLong = "it is longer than 16 KiB"
	causeEmpty   = "it is empty"
	causeSpent   = "a second secret was asked for, and there was only one on stdin"
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
	return fmt.Errorf(`it must be a number of seconds or like "5m", and at most %s`, span(int64(limit/time.Second)))
}

func msgOutput(format string) string {
	return fmt.Sprintf("--output %q is none of %s", format, strings.Join(outputs, ", "))
}

func msgJSONAndOutput(format string) string {
	return fmt.Sprintf("--json and --output %s exclude each other", format)
}

const msgSealedFlags = "--passphrase and --key-file are two ways to protect the sealed keystore, and only that one: use one of them"

func errStdin(cause error) *failure {
	return &failure{code: exitUsage, msg: "cannot use what is on stdin: " + cause.Error(), hint: "give it as one line on stdin", cause: cause}
}

func errRefusedInput() *failure {
	return &failure{code: exitUsage, msg: "what is on stdin is no access token",
		hint: `printf %s "$TOKEN" | groat get PROFILE --refused`}
}

func errNoTerminal(flag string) *failure {
	return &failure{code: exitUsage, msg: "this needs an answer, and there is no terminal to ask on", hint: "use --" + flag}
}

func errNothingTyped() *failure {
	return &failure{code: exitUsage, msg: "nothing was typed, so nothing was changed", hint: "try again"}
}

func errPassphrasesDiffer() *failure {
	return &failure{code: exitUsage, msg: "the two passphrases differ, so nothing was changed", hint: "try again"}
}

func errNotConfirmed() *failure {
	return &failure{code: exitInternal, msg: "not confirmed, so nothing was forgotten", hint: "groat logout PROFILE --yes"}
}

// errSignal says nothing: the person knows what they pressed.
func errSignal(s syscall.Signal) *failure { return &failure{code: exitSignal + int(s)} }

func errBadToken() *failure {
	return &failure{code: exitInternal, msg: "groatd handed out something that is no bearer token, so it was not printed", hint: "groat status"}
}

func errWrite(cause error) *failure {
	return &failure{code: exitInternal, msg: "cannot write the answer: " + cause.Error(), hint: "send the output somewhere else", cause: cause}
}

func errSocketPath(cause error) *failure {
	return &failure{code: exitConfig, msg: cause.Error(), hint: "set GROAT_SOCKET to another absolute path", cause: cause}
}

func errDial(socket string, cause error) *failure {
	if errors.Is(cause, protocol.ErrForeignServer) {
		return &failure{code: exitDenied, msg: fmt.Sprintf("%v: nothing was sent to %s", cause, socket),
			hint: "ls -l " + socket, cause: cause}
	}
	return &failure{code: exitUnavailable, msg: "cannot reach groatd: " + cause.Error(), hint: "ls -l " + socket, cause: cause}
}

func failNoAnswer(cause error) *failure {
	return &failure{code: exitUnavailable, msg: "groatd does not answer", hint: "groat status", cause: cause}
}

func failHungUp(cause error) *failure {
	return &failure{code: exitUnavailable, msg: "groatd ended the connection before it answered", hint: "try again", cause: cause}
}

func failUnexpected(cause error) *failure {
	return &failure{code: exitInternal, msg: cause.Error(), hint: "groat status", cause: cause}
}

func failOldDaemon(cause error) *failure {
	return &failure{code: exitInternal, msg: "the groatd that runs is of another version and does not know this command",
		hint: "restart groatd", cause: cause}
}

// The start of groatd.

func errNoAutostart(socket string) *failure {
	return &failure{code: exitUnavailable, msg: "groatd does not run at " + socket + ", and GROAT_NO_AUTOSTART forbids starting it",
		hint: "groatd"}
}

func errUnitInstalled() *failure {
	return &failure{code: exitUnavailable, msg: "groatd does not run; systemd starts it on this machine",
		hint: "systemctl --user start groatd.socket"}
}

func errNoDaemonProgram() *failure {
	return &failure{code: exitUnavailable, msg: "groatd does not run, and it is neither beside groat nor on PATH", hint: "install groatd beside groat"}
}

func errSpawn(program string, cause error) *failure {
	return &failure{code: exitUnavailable, msg: fmt.Sprintf("cannot start %s: %v", program, cause), hint: "groatd --check", cause: cause}
}

func errDaemonRefused() *failure {
	return &failure{code: exitConfig, msg: "groatd refuses its configuration or one of its directories", hint: "groatd --check"}
}

func errDaemonEnded(status string) *failure {
	return &failure{code: exitUnavailable, msg: "groatd ended at its start: " + status, hint: "groatd --check"}
}

func errNotReady(program string) *failure {
	return &failure{code: exitUnavailable, msg: "groatd was not ready in time", hint: "run " + program + " in another terminal and see what it says"}
}

func errSocketDir(dir string, why error) *failure {
	return &failure{code: exitConfig, msg: fmt.Sprintf("the socket's directory %s cannot be used: %v", dir, why),
		hint: "make it a directory of yours with mode 0700, or set GROAT_SOCKET", cause: why}
}

var (
	errDirOwner = errors.New("it belongs to another user")
	errDirMode  = errors.New("other users may enter it")
	errLockFile = errors.New("its start.lock is not a file of yours")
)

// Hints for answers of groatd's that bring none.

func defaultHint(e *protocol.Error) string {
	if e.Data != nil && e.Data.MaxMinTTL > 0 {
		return fmt.Sprintf("the greatest possible value is --min-ttl %d", e.Data.MaxMinTTL)
	}
	if e.Code == protocol.CodeInvalidParams {
		return "groat --help"
	}
	switch e.Kind() {
	case protocol.LoginRequired:
		return "groat login PROFILE"
	case protocol.Temporary:
		if e.Data.RetryAfter > 0 {
			return "try again in " + span(e.Data.RetryAfter)
		}
		return "try again"
	case protocol.Locked:
		return "groat unlock"
	case protocol.UnknownProfile:
		return "groat list"
	case protocol.Config:
		return "groatd --check"
	case protocol.KeystoreUnavailable:
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
)

// textPrompt is a question of groatd's as it stands before the cursor.
func textPrompt(text string) string { return strings.TrimRight(clean(text), ": ") + ": " }

// Results.

func textSignedIn(r protocol.LoginResult) []byte {
	var b bytes.Buffer
	profile, client, issuer := clean(r.Profile), clean(r.ClientID), clean(r.Issuer)
	if r.Outcome == protocol.AlreadySignedIn {
		fmt.Fprintf(&b, "already signed in: profile %s as client %s at %s; its App Credentials work, nothing was changed\n", profile, client, issuer)
	} else {
		fmt.Fprintf(&b, "signed in: profile %s as client %s at %s; access token good for %s\n", profile, client, issuer, span(r.ExpiresIn))
	}
	if r.Created {
		fmt.Fprintf(&b, "created: App Credentials %s, which exist at the provider from now on\n", client)
	}
	fmt.Fprintf(&b, "next: groat get %s\n", profile)
	return b.Bytes()
}

func textLogoutWarning(r protocol.LogoutResult) string {
	return fmt.Sprintf("groat: the App Credentials %s of profile %s will still exist at %s, where they cannot be deleted;\n"+
		"groat: their secret was shown only once, so forgetting them here cannot be undone\n",
		orDash(clean(r.ClientID)), clean(r.Profile), clean(r.Issuer))
}

func textLoggedOut(r protocol.LogoutResult) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "signed out: profile %s is forgotten on this machine\n", clean(r.Profile))
	if r.ClientID != "" {
		fmt.Fprintf(&b, "note: client %s still exists at %s\n", clean(r.ClientID), clean(r.Issuer))
	}
	return b.Bytes()
}

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
		span(now.Unix()-r.StartedAt), keystoreWords(r.Keystore))
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
		if p.Message != "" {
			fmt.Fprintf(&b, "\n%s: %s\n", clean(p.Profile), clean(p.Message))
		}
		if p.Hint != "" {
			fmt.Fprintf(&b, "hint: %s\n", clean(p.Hint))
		}
	}
	return b.Bytes()
}

func tokenWords(p protocol.ProfileStatus) string {
	switch {
	case p.ExpiresIn > 0:
		return "good for " + span(p.ExpiresIn)
	case p.ExpiresAt > 0:
		return "expired"
	}
	return "none yet"
}

func nextWords(p protocol.ProfileStatus) string {
	switch {
	case p.RetryIn > 0:
		return "retry in " + span(p.RetryIn)
	case p.RenewIn > 0:
		return "renewal in " + span(p.RenewIn)
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
		s += ": " + clean(r.Message)
	}
	return s
}

func textKeystore(r *protocol.KeystoreResult) []byte {
	return []byte("keystore: " + keystoreWords(*r) + "\n")
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

// help is what "--help" says of a command.
type help struct{ short, long, example string }

var (
	helpRoot = help{
		short: "OAuth access tokens, always fresh",
		long: `groat hands out OAuth access tokens that are good for at least the time you ask for.

Sign in once with "groat login"; from then on "groat get" prints an access token at once. groatd keeps the tokens fresh and
your App Credentials in the keychain; groat starts it when it is needed.`,
	}
	helpGet = help{
		short: "Print an access token",
		long: `Print an access token that is good for at least --min-ttl, and nothing else.

PROFILE is the one of GROAT_PROFILE, or the only one there is, if it is not given.`,
		example: `  groat get spatiafi --min-ttl 5m
  groat get spatiafi --output header | curl -H @- https://api.spatiafi.com/api/v1/users/me
  printf %s "$TOKEN" | groat get spatiafi --refused`,
	}
	helpLogin = help{
		short: "Sign in: create a profile, or renew one",
		long: `Sign in with a user name and password, or with App Credentials (a client id and its secret) that you have.

A password is used once, to create App Credentials, and then forgotten. Signing in again uses the App Credentials that are
there. Secrets are asked for at a hidden prompt, or read from stdin with --secret-stdin; there is no flag for one.`,
		example: `  groat login spatiafi --provider spatiafi --username me@example.com
  groat login work --token-url https://login.example.com/token --client-auth client_secret_basic --client-id app1`,
	}
	helpLogout = help{
		short: "Forget a profile and its App Credentials on this machine",
		long: `Forget a profile and its App Credentials on this machine.

Where the provider cannot delete App Credentials, they go on existing there: groat shows their id and asks first.`,
	}
	helpList        = help{short: "List the profiles"}
	helpStatus      = help{short: "Show how the profiles and groatd are doing"}
	helpWhoami      = help{short: "Show who a profile is at its provider"}
	helpReload      = help{short: "Make groatd read its configuration again"}
	helpKeystore    = help{short: "Show or choose where App Credentials are kept"}
	helpKeystoreUse = help{
		short: "Choose where App Credentials are kept",
		long: `Choose where App Credentials are kept:

  keychain  the keychain of the desktop (Secret Service, macOS Keychain)
  sealed    an encrypted file, its key from --passphrase or --key-file
  memory    nowhere: they are gone when groatd ends`,
	}
	helpUnlock    = help{short: "Unlock the sealed keystore with its passphrase"}
	helpHelper    = help{short: "Answer another program in its own credential protocol"}
	helpHelperGit = help{
		short: "Answer git: credential.helper",
		long: `Answer git as a credential helper, for the servers that a profile lists and no other.

Put the program on PATH as git-credential-groat (a link to groat) and scope it to the server.`,
		example: `  git config --global --add credential.https://git.example.com.helper ""
  git config --global --add credential.https://git.example.com.helper groat`,
	}
	helpVersion = help{short: "Print the version"}
)

// Flags; a word in back quotes stands for the value.
const (
	flagMinTTL          = "the `time` that the access token must still be good for (300 or 5m)"
	flagWait            = "how much `time` to wait for an access token"
	flagScope           = "`scope`s, separated by spaces, instead of the profile's own"
	flagAudience        = "an `audience` instead of the profile's own"
	flagOutput          = "`format` of the output: token (the default), header, json or env"
	flagGetJSON         = "the same as --output json"
	flagRefused         = "read an access token that an API refused from stdin, and get another one"
	flagJSON            = "print JSON"
	flagYes             = "do not ask"
	flagProvider        = "a provider that groat knows: spatiafi or climateengine"
	flagUsername        = "`user` name of your account at the provider"
	flagClientID        = "client `id` of App Credentials that you have"
	flagSecretStdin     = "read the password or client secret from stdin"
	flagNewClient       = "create new App Credentials although there are some (they are permanent at the provider)"
	flagIssuer          = "`URL` of any other server, whose endpoints it publishes"
	flagTokenURL        = "`URL` of the token endpoint of any other server"
	flagAuthServer      = "another `URL` of the same provider (staging, tests)"
	flagClientAuth      = "`method`: client_secret_basic, client_secret_post or client_secret_jwt"
	flagResource        = "a `URL` that may be sent the access token by helpers; may be repeated"
	flagPassphrase      = "protect the sealed keystore with a passphrase"
	flagPassphraseStdin = "read the passphrase from stdin"
	flagKeyFile         = "protect the sealed keystore with a key file that only you can read"
)
