package get

import (
	"errors"
	"strings"
	"testing"

	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol/frame"
)

// A token with characters that RFC 6750 does not allow leaves as a header and as JSON, and only where groatd marks it.
func TestAVisibleTokenLeavesQuoted(t *testing.T) {
	of := func(access, chars string) frame.Token {
		return frame.Token{AccessToken: access, TokenType: "Bearer", TokenChars: chars, Profile: "work",
			Header: "Authorization: Bearer " + access, ExpiresAt: 2, ExpiresIn: 1}
	}
	for _, c := range []struct {
		format string
		token  frame.Token
		want   string // of the output; empty: it is refused
	}{
		{"header", of("00D!AQ|x:y", "visible"), "Authorization: Bearer 00D!AQ|x:y\n"},
		{"json", of("00D!AQ|x:y", "visible"), `"access_token":"00D!AQ|x:y"`},
		{"json", of("00D!AQ|x:y", "visible"), `"token_chars":"visible"`},
		{"token", of("00D!AQ|x:y", "visible"), ""},
		{"env", of("00D!AQ|x:y", "visible"), ""},
		{"", of("00D!AQ|x:y", "visible"), ""},
		{"header", of("00D!AQ|x:y", ""), ""},
		{"header", of("a$b", "visible"), ""},
		{"json", of("a`b", "visible"), ""},
		{"header", of("a\nb", "visible"), ""},
		{"token", of("plain", "visible"), "plain\n"},
	} {
		var out strings.Builder
		err := Print(&out, c.format, c.token)
		if c.want == "" {
			failure, ok := errors.AsType[*report.Failure](err)
			if !ok || out.Len() != 0 || strings.Contains(failure.Message, c.token.AccessToken) || failure.Hint == "" {
				t.Errorf("%s of %q: %q, %v", c.format, c.token.AccessToken, out.String(), err)
			}
			continue
		}
		if err != nil || !strings.Contains(out.String(), c.want) {
			t.Errorf("%s of %q: %q, %v", c.format, c.token.AccessToken, out.String(), err)
		}
	}
}
