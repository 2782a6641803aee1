package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

// Sentences of signing in and out.

const msgNoProfile = "name the profile to sign in"

const textStdinUnread = "groat: what is on stdin was not read: --secret-stdin reads a secret from it\n"

// errStdinWaits: a secret is needed, and what is on stdin may be one.
var errStdinWaits = errors.New("something is on stdin, and no flag says that it is the secret")

// failStdinWaits is errStdinWaits for the person.
func (a *app) failStdinWaits() *report.Failure {
	return &report.Failure{Code: report.ExitUsage, Message: errStdinWaits.Error(), Hint: a.again("--secret-stdin"),
		Cause: errStdinWaits}
}

func msgSetKey(word string) string {
	return "--set takes KEY=VALUE, each key once, and " + visible.Name(word) + " is not that"
}

// Prompts.

const (
	questionPaste = "groat: if your browser is on another machine, paste the address that it ended at (or the code " +
		"in it) here:\n"
	textNotOpened = "groat: no browser could be opened: open the address yourself\n"
)

// What a login asks for that lacks something.
const (
	askOtherName    = "Name of the profile: "
	askProvider     = "Provider, or the URL of another server (issuer): "
	askUser         = "User name there: "
	askUserOrClient = "User name there (empty if you have a client id and secret): "
	askClient       = "Client id: "
	askBackend      = "URL of the back end: "
	askKey          = "Path of the private key's file: "
	askCertificate  = "Path of the certificate's file: "
	askKeystore     = `
Where shall groat keep credentials on this machine?
  1  in an encrypted file, with a passphrase that you type after each start of groatd
  2  in an encrypted file, with its key in a file beside it: nothing to type, and
     a program that can read both files can use them
  3  in memory: they are gone when groatd ends
1, 2 or 3: `

	// defaultName is a profile's name where the person types none and the provider gives none.
	defaultName = "work"
)

func hintPublicClient(again string) string { return again + " --client-auth none" }

func textNotListed(typed string) string {
	return "groat: there is no provider " + visible.Name(typed) + " in the list\n"
}

func askName(offered string) string { return "Name of the profile [" + clean(offered) + "]: " }

func msgNoKeystore(word string) string {
	return "there is no keystore " + visible.Quote(clean(word)) + ": it is keychain, passphrase, key-file or memory"
}

const textResource = "groat: --resource is now --api: it adds an API's origin (RFC 8707 calls something else a " +
	"resource)\n"

func textNotice(text string) string { return "groat: " + sentence(text) + "\n" }

func textConfirm(text string) string { return "groat: " + clean(text) + " [y/N] " }

func textDevice(p protocol.Prompt) string {
	var b strings.Builder
	b.WriteString(textNotice(p.Text))
	fmt.Fprintf(&b, "\n  %s\n\n  code: %s\n\n", address(p.URL), sentence(p.Code))
	if p.ExpiresIn > 0 {
		fmt.Fprintf(&b, "groat: the code is good for %s; this waits for you\n", report.DurationWords(p.ExpiresIn))
	}
	return b.String()
}

func textBrowser(p protocol.Prompt, opened bool) string {
	what := "open this address in a browser"
	if opened {
		what = "your browser opens this address"
	}
	return fmt.Sprintf("%sgroat: %s; this waits for you\n\n  %s\n\n", textNotice(p.Text), what, address(p.URL))
}

// address is a URL in full, since half of one is of no use; what is none is foreign text as any other.
func address(url string) string {
	if openable(url) {
		return url
	}
	return sentence(url)
}

// Results.

func textSignedIn(r protocol.LoginResult, ephemeral bool) []byte {
	var b bytes.Buffer
	profile, client, issuer := clean(r.Profile), nameOf(r.ClientID), sentence(r.Issuer)
	already := r.Outcome == protocol.AlreadySignedIn
	next := "groat get " + profile
	switch r.Grant {
	case "api_key", "key_login":
		if r.ExpiresIn > 0 {
			fmt.Fprintf(&b, "signed in: profile %s with a token of %s; it is good for %s, then sign in again\n",
				profile, issuer, report.DurationWords(r.ExpiresIn))
		} else {
			fmt.Fprintf(&b, "signed in: profile %s with an API key at %s; it does not expire\n", profile, issuer)
			next += headerOnly(r.Grant)
		}
		if r.Grant == "api_key" {
			b.WriteString("note: the key was not tried out; whether it works shows at the first use\n")
		}
	case "authorization_code", "device_code", "password", "token_exchange":
		if already {
			fmt.Fprintf(&b, "already signed in: profile %s at %s; its session works, %s\n", profile, issuer, changed(r))
		} else {
			fmt.Fprintf(&b, "signed in: profile %s at %s; access token good for %s\n", profile, issuer,
				report.DurationWords(r.ExpiresIn))
		}
	default:
		what := "its client works"
		switch r.Grant {
		case "app_credentials":
			what = "its App Credentials work"
		case "jwt_bearer":
			what = "its key works"
		}
		if already {
			fmt.Fprintf(&b, "already signed in: profile %s as client %s at %s; %s, %s\n", profile, client, issuer, what,
				changed(r))
		} else {
			fmt.Fprintf(&b, "signed in: profile %s as client %s at %s; access token good for %s\n", profile, client,
				issuer, report.DurationWords(r.ExpiresIn))
		}
	}
	if r.Created {
		fmt.Fprintf(&b, "created: App Credentials %s, which exist at the provider from now on\n", client)
	}
	if ephemeral {
		fmt.Fprintf(&b, "note: profile %s is in memory only, and gone when groatd ends\n", profile)
	}
	if len(r.Resources) > 0 {
		fmt.Fprintf(&b, "API origins of %s: %s\n", profile, textAPIs(r))
	}
	fmt.Fprintf(&b, "next: %s\n", next)
	return b.Bytes()
}

func changed(r protocol.LoginResult) string {
	switch {
	case len(r.Added) > 0:
		return "nothing else was changed"
	case r.Changed:
		return "and its configuration was changed"
	}
	return "nothing was changed"
}

// textAPIs lists the API origins of a profile, with a mark behind those that came with this login.
func textAPIs(r protocol.LoginResult) string {
	var all []string
	for _, o := range r.Resources {
		text := clean(o)
		if slices.Contains(r.Added, o) {
			text += " (added)"
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

func textLogoutWarning(r protocol.LogoutResult) string {
	return fmt.Sprintf("groat: the App Credentials %s of profile %s will still exist at %s, where they cannot be "+
		"deleted;\n"+
		"groat: their secret was shown only once, so forgetting them here cannot be undone\n",
		orDash(nameOf(r.ClientID)), clean(r.Profile), sentence(r.Issuer))
}

func textLoggedOut(r *logoutJSON, keepRemote bool) []byte {
	var b bytes.Buffer
	profile, issuer := clean(r.Profile), sentence(r.Issuer)
	where := "this machine"
	if r.Fleet {
		where = "all machines of the fleet"
	}
	switch {
	case r.Revoked:
		fmt.Fprintf(&b, "signed out: the session at %s has ended, and profile %s is forgotten on %s\n",
			issuer, profile, where)
	case r.NotEnded != "":
		fmt.Fprintf(&b, "forgotten: profile %s is no longer on %s\n", profile, where)
	default:
		fmt.Fprintf(&b, "signed out: profile %s is forgotten on %s\n", profile, where)
	}
	if r.NotEnded != "" {
		fmt.Fprintf(&b, "note: nothing was ended at %s: %s\n", issuer, clean(r.NotEnded))
	}
	switch {
	case r.ClientID != "":
		fmt.Fprintf(&b, "note: client %s still exists at %s\n", nameOf(r.ClientID), issuer)
	case keepRemote && issuer != "":
		fmt.Fprintf(&b, "note: nothing was ended at %s\n", issuer)
	}
	for _, tool := range r.Setups {
		fmt.Fprintf(&b, "note: %s still asks for its tokens; groat setup %s %s --undo ends that\n", tool, tool,
			visible.Word(r.Profile))
	}
	for _, file := range r.Exports {
		fmt.Fprintf(&b, "note: %s is written again at the next sign-in; groat export --stop %s ends that\n",
			visible.Name(file), visible.Word(file))
	}
	return b.Bytes()
}

const msgCancelWhat = "--cancel ends the sign-in of one profile, and none is named"

func errCancelAlone(profile string) *report.Failure {
	return &report.Failure{Code: report.ExitUsage, Message: "--cancel goes with no flag but --json",
		Hint: "groat login " + visible.Word(profile) + " --cancel"}
}

func textLoginCancelled(r protocol.LoginCancelResult) []byte {
	if !r.Cancelled {
		return fmt.Appendf(nil, "No sign-in of profile %s is under way.\n", clean(r.Profile))
	}
	return fmt.Appendf(nil, "The sign-in of profile %s that was under way has ended.\n", clean(r.Profile))
}
