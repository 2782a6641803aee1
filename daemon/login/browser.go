package login

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// byBrowser is RFC 6749 §4.1 with PKCE: the browser comes back to this machine, or a person brings what it ended at.
func (l *Login) byBrowser() (item keystore.Item, s grant.Session, err error) {
	if item, err = l.newClientItem(); err != nil {
		return item, s, err
	}
	receiver, err := l.listenForBrowser()
	if err != nil {
		return item, s, err
	}
	l.receiver = receiver // held until the login has ended
	var a *grant.Authorization
	err = l.inEitherForm(item, true, func() (err error) { // it may be pushed
		a, err = l.endpoint.StartAuthCode(l.ctx, item, l.request(), receiver.RedirectURI())
		return err
	})
	if err != nil {
		return item, s, l.besideHint(l.redirectError(err, receiver.RedirectURI()))
	}
	question := l.showPrompt(protocol.Prompt{Kind: protocol.PromptBrowser, Text: "Sign in at " + host(a.URL),
		URL: a.URL})
	code, err := l.awaitCode(receiver, a, question)
	if err != nil {
		return item, s, l.redirectError(err, receiver.RedirectURI())
	}
	defer code.Wipe()
	s, err = l.endpoint.Exchange(context.WithoutCancel(l.ctx), item, a, code) // a code is good for one exchange
	return item, s, l.redirectError(err, receiver.RedirectURI())
}

// redirectError names the redirect URI of this sign-in where a server does not take it, and how another one is used.
// Only some servers have a code for that; the others say it in words.
func (l *Login) redirectError(err error, redirect string) error {
	e, ok := errors.AsType[*grant.Error](err)
	if !ok || e.Class != grant.Misconfigured && e.Class != grant.Refused || e.Redirect != "" ||
		!strings.Contains(strings.ToLower(e.Code+" "+e.Description), "redirect") {
		return err
	}
	return protocol.NewError(protocol.Config, fmt.Sprintf("%s; this sign-in's redirect URI is %s: register it for the "+
		"client, or name one that is registered with --redirect", e, redirect), l.tryAgain("--redirect URI"))
}

// awaitCode waits for whichever comes first: the browser, or a person who pastes.
func (l *Login) awaitCode(receiver *grant.Receiver, a *grant.Authorization, question int64) (keystore.Secret, error) {
	type arrival struct {
		code keystore.Secret
		err  error
	}
	came := make(chan arrival, 1)
	go func() {
		code, err := receiver.Await(l.ctx, a)
		came <- arrival{code, err}
	}()
	for {
		select {
		case c := <-came:
			return c.code, c.err
		case pasted := <-l.answer:
			if !pasted.to(question, protocol.PromptBrowser) {
				continue
			}
			code, err := a.ParseRedirect(pasted.secret.Reveal())
			pasted.secret.Wipe()
			if !errors.Is(err, grant.ErrNotThisLogin) {
				return code, err
			}
			l.notice(fmt.Sprintf("That was %s. Paste the whole address that the browser ended at.", err))
		}
	}
}
