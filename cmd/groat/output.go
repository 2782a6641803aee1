package main

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/groat-dev/groat/protocol/frame"
	"github.com/groat-dev/groat/protocol/visible"
)

// outputs are the formats of "groat get".
var outputs = []string{"token", "header", "json", "env"}

// tokenJSON is what RFC 6749 §5.1 calls a token response, with the integer expires_at that authlib, requests-oauthlib
// and httpx's adapters expect of a stored token. There is no refresh_token: renewing is groatd's.
type tokenJSON struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresAt   int64  `json:"expires_at"`
	ExpiresIn   int64  `json:"expires_in"`
	Scope       string `json:"scope,omitempty"`
	Profile     string `json:"profile"`
}

// keyJSON is what is printed of an API key: it is none of the above, so no member is called access_token.
type keyJSON struct {
	APIKey  string `json:"api_key"`
	Header  string `json:"header"`
	Static  bool   `json:"static"`
	Profile string `json:"profile"`
}

// printToken writes the token in the format asked for, in one write.
//
// No format quotes anything, so the alphabet of RFC 6750's b64token is checked here once more: a newline in a token
// would be a header, an option or a command to whatever reads our output.
func (a *app) printToken(format string, t frame.Token) error {
	if t.Static {
		return a.printKey(format, t)
	}
	if !frame.ValidToken(t.AccessToken) || !isBearer(t.TokenType) {
		return errBadToken()
	}
	var out []byte
	switch format {
	case "token":
		out = append(out, t.AccessToken...)
	case "header":
		if !frame.ValidHeader(t.Header, t.AccessToken) {
			return errBadToken()
		}
		out = append(out, t.Header...)
	case "env":
		out = append(out, "GROAT_ACCESS_TOKEN="...)
		out = append(out, t.AccessToken...)
		out = append(out, "\nGROAT_EXPIRES_AT="...)
		out = strconv.AppendInt(out, t.ExpiresAt, 10)
	case "json":
		return a.printJSON(tokenJSON{
			AccessToken: t.AccessToken, TokenType: "Bearer", ExpiresAt: t.ExpiresAt, ExpiresIn: t.ExpiresIn,
			Scope: t.Scope, Profile: t.Profile,
		})
	}
	return a.write(append(out, '\n'))
}

// printKey writes an API key, which is any printable ASCII: only if that can do no harm.
func (a *app) printKey(format string, t frame.Token) error {
	switch {
	case format != "header" && format != "json":
		return errStaticKey(t.Profile, format)
	case !frame.ValidHeader(t.Header, t.AccessToken):
		return errBadToken()
	case format == "json":
		return a.printJSON(keyJSON{APIKey: t.AccessToken, Header: t.Header, Static: true, Profile: t.Profile})
	}
	return a.write([]byte(t.Header + "\n"))
}

func isBearer(tokenType string) bool { return strings.EqualFold(tokenType, "Bearer") }

// printJSON writes v as one line of JSON that is safe on a terminal.
func (a *app) printJSON(v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	return a.write(append(escapeUnprintable(bytes.TrimRight(b.Bytes(), "\n")), '\n'))
}

// escapeUnprintable replaces what encoding/json leaves as it is and a terminal obeys: DEL, C1 controls, bidirectional
// overrides. The meaning of the JSON text stays the same.
func escapeUnprintable(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r < 0x7f || visible.Rune(r) {
			out = append(out, b[:n]...)
		} else if r <= 0xffff {
			out = appendEscape(out, r)
		} else {
			r -= 0x10000
			out = appendEscape(out, 0xd800+r>>10)
			out = appendEscape(out, 0xdc00+r&0x3ff)
		}
		b = b[n:]
	}
	return out
}

func appendEscape(dst []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}

// write writes to stdout at once. If the reader has closed the pipe, the runtime ends this process by SIGPIPE, and
// nothing is printed.
func (a *app) write(b []byte) error {
	if _, err := a.stdout.Write(b); err != nil {
		return errWrite(err)
	}
	return nil
}
