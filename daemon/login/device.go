package login

import (
	"strings"
	"time"

	"rsc.io/qr"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// byDevice is RFC 8628.
func (l *Login) byDevice() (item keystore.Item, s grant.Session, err error) {
	if item, err = l.newClientItem(); err != nil {
		return item, s, err
	}
	var d *grant.DeviceLogin
	err = l.inEitherForm(item, true, func() (err error) {
		d, err = l.endpoint.StartDevice(l.ctx, item, l.request())
		return err
	})
	if err != nil {
		return item, s, l.besideHint(err)
	}
	p := protocol.Prompt{
		Kind: protocol.PromptDevice, Text: "Sign in at " + host(d.VerificationURI) + " with this code, on any device",
		URL: d.VerificationURI, Code: d.UserCode, ExpiresIn: int64(d.Lifetime / time.Second),
	}
	if d.VerificationURIComplete != "" {
		p.QR = drawQR(d.VerificationURIComplete)
	}
	l.showPrompt(p)
	s, err = l.endpoint.AwaitDevice(l.ctx, item, d)
	return item, s, err
}

// drawQR draws a QR code for a terminal, two rows of it in each line; dark on light with a light border, as scanners
// want it. It is empty where the text is too long for one that fits a screen.
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
