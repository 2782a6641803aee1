package helper

import (
	"bytes"
	"strings"
	"testing"

	"github.com/groat-dev/groat/protocol/frame"
)

// Git gets no token that RFC 6750 does not allow: it would end up where such characters mean something. The person is
// told why.
func TestGitGetsNoVisibleToken(t *testing.T) {
	for _, asked := range []string{"", "capability[]=authtype\n", "capability[]=authtype\nwwwauth[]=Basic\n"} {
		d := &daemon{token: frame.Token{AccessToken: "00D!AQ|x:y", TokenType: "Bearer", TokenChars: frame.VisibleChars}}
		var out bytes.Buffer
		err := Git(d, []string{"get"}, strings.NewReader(asked+"protocol=https\nhost=h\n"), &out)
		if err == nil || !strings.Contains(err.Error(), "RFC 6750") || strings.Contains(err.Error(), "00D") ||
			out.Len() > 0 {
			t.Errorf("%q: %v, printed %q", asked, err, &out)
		}
	}
}
