package report

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/groat-dev/groat/protocol/frame"
	"github.com/groat-dev/groat/protocol/ownpath"
	"github.com/groat-dev/groat/protocol/visible"
)

// A message is one line without a capital or a full stop; a hint is what to type next.

// BadToken says that what groatd handed out is not printed.
func BadToken() *Failure {
	return &Failure{Code: ExitInternal,
		Message: "groatd handed out something that is no bearer token, so it was not printed", Hint: "groat status"}
}

// StaticKey says that an API key has no such format.
func StaticKey(profile, format string) *Failure {
	return &Failure{Code: ExitUsage,
		Message: "profile " + profile + " has an API key, which is no access token: it is not printed as " + format,
		Hint:    "groat get " + profile + " --output header"}
}

// VisibleToken says that a token with characters that RFC 6750 does not allow has no such format.
func VisibleToken(profile, format string) *Failure {
	return &Failure{Code: ExitUsage,
		Message: "the access token of profile " + profile + " has characters that RFC 6750 does not allow: it is not " +
			"printed as " + format,
		Hint: "groat get " + profile + " --output header"}
}

// UndecidedGit says between which profiles git's user must choose, and how: cause has the choices, server is a URL as
// git's configuration has it, username and path are what git has said.
func UndecidedGit(cause *frame.Error, server, username, path string) *Failure {
	f := Refused(cause)
	first := cause.Choices[0]
	configure := func(key, value string) string {
		return "git config --global " + visible.Word("credential."+server+"."+key) + " " + value
	}
	_, resource, _ := strings.Cut(first.Resource, "://")
	switch {
	case path == "" && strings.Contains(resource, "/"):
		f.Hint = configure("useHttpPath", "true")
	case username != "": // a configured one does not replace it
		f.Hint = "export GROAT_PROFILE=" + first.Profile
	default:
		f.Hint = configure("username", first.Profile)
	}
	return f
}

// Undecided says between which profiles the user of a program must choose that cannot choose itself; cause has the
// choices.
func Undecided(cause *frame.Error) *Failure {
	f := Refused(cause)
	f.Hint = "export GROAT_PROFILE=" + cause.Choices[0].Profile
	return f
}

// NotStored says that a password which a program brought is not kept.
func NotStored(cause error) *Failure {
	return &Failure{Code: ExitUsage, Message: cause.Error(), Hint: "groat login", Cause: cause}
}

// KeyringUsage says that the program keyring is asked for what there is not.
func KeyringUsage(cause error) *Failure {
	return &Failure{Code: ExitUsage, Message: cause.Error(), Hint: "groat helper keyring --help", Cause: cause}
}

// ExecInfo says that kubectl asks for what there is not.
func ExecInfo(cause error) *Failure {
	return &Failure{Code: ExitConfig, Message: cause.Error(), Hint: "groat helper kubectl --help", Cause: cause}
}

// GitWritesToDisk says that another of git's helpers writes a server's access tokens to a file as they are. The command
// makes groat the only helper for the server; it comes to stand last, for git takes its settings in their order.
func GitWritesToDisk(server string) *Failure {
	set := func(how, value string) string {
		return "git config --global " + how + " " + visible.Word("credential."+server+".helper") + value
	}
	return &Failure{
		Message: "git gives the access token for " + server + " to its helper store too, which writes it to a file " +
			"as it is",
		Hint: set("--unset-all", "") + "; " + set("--add", " ''") + " && " + set("--add", " '!groat helper git'")}
}

// GitOtherUser says that git got the token of the only profile for a server although it has another user name for it.
func GitOtherUser(server, username, profile string) *Failure {
	return &Failure{
		Message: "git has the user name " + visible.Quote(username) + " for " + server + ", which no profile here is " +
			"known by: it got the token of profile " + profile,
		Hint: "export GROAT_PROFILE=" + profile}
}

// CannotWrite says that the answer could not be written to stdout.
func CannotWrite(cause error) *Failure {
	return &Failure{Code: ExitInternal, Message: "cannot write the answer: " + cause.Error(),
		Hint: "df -h .", Cause: cause}
}

// NoRoute says why the environment leads to no socket.
func NoRoute(cause error) *Failure {
	f := &Failure{Code: ExitConfig, Message: cause.Error(), Hint: "export " + frame.LocalSocket(), Cause: cause}
	if e, ok := errors.AsType[*frame.VariableError](cause); ok {
		f.Hint = e.Hint()
	}
	if errors.Is(cause, frame.ErrNoHome) {
		f.Hint = "HOME=" + ownpath.SpareHome() + " groat status"
	}
	return f
}

// OtherPlace says that the groatd at a socket is another place's.
func OtherPlace(r *frame.Route, theirs frame.Place, cause error) *Failure {
	f := &Failure{Code: ExitConfig,
		Message: fmt.Sprintf("groatd at %s is another place's (%s); this is %s", r.OwnSocket(),
			visible.Text(theirs.String()), *r.Place),
		Hint: "env -u GROAT_SOCKET groat status", Cause: cause}
	if r.Sockets.Explicit == "" { // GROAT_SOCKET has led that groatd here: it has to go
		f.Hint = "GROAT_SOCKET=" + visible.Word(r.OwnSocket()) + " groat stop"
	}
	return f
}

// NoAnswer says that groatd took too long. The command says how to end one that hangs.
func NoAnswer(cause error) *Failure {
	return &Failure{Code: ExitUnavailable, Message: "groatd does not answer", Hint: "groat restart", Cause: cause}
}

// Unexpected shows an error as it is.
func Unexpected(cause error) *Failure {
	return &Failure{Code: ExitInternal, Message: cause.Error(), Hint: "groat status", Cause: cause}
}

// NoCommands says that the program for all but the short way is missing.
func NoCommands(path string) *Failure {
	return &Failure{Code: ExitInternal, Message: "groat is installed in part: " + path + " is missing, which belongs " +
		"beside groat with groatd", Hint: whichAll}
}

// whichAll shows every copy of the programs that the shell finds.
const whichAll = "which -a groat groat-commands groatd"

// UnsafeCommands says that somebody could change that program who could not change groat.
func UnsafeCommands(path string) *Failure {
	return &Failure{Code: ExitDenied, Message: path + " could be changed by others, who could not change groat itself",
		Hint: "ls -l " + visible.Word(path)}
}

// CannotHandOver says why that program could not be run.
func CannotHandOver(cause error) *Failure {
	return &Failure{Code: ExitInternal, Message: "cannot go on as groat-commands (" + cause.Error() + ")",
		Hint: whichAll, Cause: cause}
}

func hungUp(cause error) *Failure {
	return &Failure{Code: ExitUnavailable, Message: "groatd ended the connection before it answered",
		Hint: "groat status", Cause: cause}
}

func oldDaemon(cause error) *Failure {
	return &Failure{Code: ExitInternal,
		Message: "the groatd that runs is of another version and does not know this command",
		Hint:    "groat restart", Cause: cause}
}

func dialFailed(e *frame.DialError) *Failure {
	hint := "ls -l " + visible.Word(e.Socket)
	if errors.Is(e, frame.ErrForeignServer) {
		return &Failure{Code: ExitDenied, Message: e.Error() + ": nothing was sent to " + e.Socket, Hint: hint,
			Cause: e}
	}
	return &Failure{Code: ExitUnavailable, Message: "groatd cannot be reached: " + e.Error(), Hint: hint, Cause: e}
}

// defaultHint is for an answer of groatd's that brings none.
func defaultHint(e *frame.Error) string {
	if e.MaxMinTTL > 0 {
		return "groat get --min-ttl " + strconv.FormatInt(e.MaxMinTTL, 10)
	}
	if e.Code == frame.CodeInvalidParams {
		return "groat --help"
	}
	switch e.Kind {
	case frame.LoginRequired:
		return "groat login"
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

func number(n time.Duration) string { return strconv.FormatInt(int64(n), 10) }
