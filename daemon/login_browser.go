package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"rsc.io/qr"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// session is a grant that brings a session: the item and its first token.
func (l *login) session(item keystore.Item, s grant.Session, err error) (keystore.Item, grant.Token, error) {
	if err != nil {
		item.Wipe()
		return keystore.Item{}, grant.Token{}, l.refused(err)
	}
	item.RefreshToken = s.Refresh
	if s.Refresh.IsZero() {
		l.tell(fmt.Sprintf("%s gave no refresh token: this sign-in ends with its access token.", l.server().Issuer))
	}
	return item, s.Token, nil
}

// client is the client that a person signs in through: a public one, or one with a secret, which is asked for.
func (l *login) client() (keystore.Item, error) {
	item := l.newItem(l.params.ClientID)
	// The profile's configuration knows less of a discovered server than the sign-in does; the item is the profile's.
	item.RevocationEndpoint = l.profile.Endpoint.Server().RevocationEndpoint
	return item, l.prepare(&item)
}

// request is what the profile's tokens are asked with.
func (l *login) request() grant.Request {
	return grant.Request{Scope: strings.Fields(l.profile.Scope), Audience: l.profile.Audience}
}

// byDevice is RFC 8628.
func (l *login) byDevice() (item keystore.Item, s grant.Session, err error) {
	if item, err = l.client(); err != nil {
		return item, s, err
	}
	d, err := l.endpoint.StartDevice(l.ctx, item, l.request())
	if err != nil {
		return item, s, err
	}
	p := protocol.Prompt{
		Kind: protocol.PromptDevice, Text: "Sign in at " + host(d.VerificationURI) + " with this code, on any device",
		URL: d.VerificationURI, Code: d.UserCode, ExpiresIn: seconds(d.Lifetime),
	}
	if d.VerificationURIComplete != "" {
		p.QR = drawQR(d.VerificationURIComplete)
	}
	l.show(p)
	s, err = l.endpoint.AwaitDevice(l.ctx, item, d)
	return item, s, err
}

// byBrowser is RFC 6749 §4.1 with PKCE: the browser comes back to this machine, or a person brings what it ended at.
func (l *login) byBrowser() (item keystore.Item, s grant.Session, err error) {
	if item, err = l.client(); err != nil {
		return item, s, err
	}
	receiver, err := l.listen()
	if err != nil {
		return item, s, err
	}
	l.receiver = receiver // held until the login has ended
	a, err := l.endpoint.StartAuthCode(l.ctx, item, l.request(), receiver.RedirectURI())
	if err != nil {
		return item, s, err
	}
	question := l.show(protocol.Prompt{Kind: protocol.PromptBrowser, Text: "Sign in at " + host(a.URL), URL: a.URL})
	code, err := l.code(receiver, a, question)
	if err != nil {
		return item, s, err
	}
	defer code.Wipe()
	s, err = l.endpoint.Exchange(context.WithoutCancel(l.ctx), item, a, code) // a code is good for one exchange
	return item, s, err
}

// code waits for whichever comes first: the browser, or a person who pastes.
func (l *login) code(receiver *grant.Receiver, a *grant.Authorization, question int64) (keystore.Secret, error) {
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
			l.tell(fmt.Sprintf("That was %s. Paste the whole address that the browser ended at.", err))
		}
	}
}

func host(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	return u.Host
}

// drawQR draws a QR code for a terminal, two rows of it in each line; dark on light with a light border, as scanners want
// it. It is empty where the text is too long for one that fits a screen.
func drawQR(text string) string {
	const border, widest = 2, 60
	code, err := qr.Encode(text, qr.L)
	if err != nil || code.Size+2*border > widest {
		return ""
	}
	var b strings.Builder
	light := func(x, y int) bool { return !code.Black(x, y) }
	for y := -border; y < code.Size+border; y += 2 {
		for x := -border; x < code.Size+border; x++ {
			switch upper, lower := light(x, y), light(x, y+1); {
			case upper && lower:
				b.WriteString("█")
			case upper:
				b.WriteString("▀")
			case lower:
				b.WriteString("▄")
			default:
				b.WriteString(" ")
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}
