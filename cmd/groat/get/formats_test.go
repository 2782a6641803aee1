package get

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/groat-dev/groat/protocol/frame"
)

// What is made for a shell, for curl and for a coding agent. Only a whole header field may hold what is no b64token.
func TestFormatsForPrograms(t *testing.T) {
	access := frame.Token{AccessToken: "tok-1", TokenType: "Bearer", ExpiresAt: 2, Profile: "work",
		Header: "Authorization: Bearer tok-1"}
	id := frame.Token{IDToken: "h.p.s", TokenUse: frame.UseID, ExpiresAt: 2, Header: "Authorization: Bearer h.p.s"}
	key := frame.Token{AccessToken: `k\n" y`, Static: true, Profile: "p", Header: `X-Key: k\n" y`}
	visible := frame.Token{AccessToken: "a!b", TokenType: "Bearer", TokenChars: frame.VisibleChars, Profile: "p",
		Header: "Authorization: Bearer a!b"}
	for _, tt := range []struct {
		format string
		token  frame.Token
		want   string // empty: it is refused
	}{
		{"export", access, "export GROAT_ACCESS_TOKEN=tok-1\nexport GROAT_EXPIRES_AT=2\n"},
		{"export", id, "export GROAT_ID_TOKEN=h.p.s\nexport GROAT_ID_TOKEN_EXPIRES_AT=2\n"},
		{"export", key, ""},
		{"export", visible, ""},
		{"curl", access, `header = "Authorization: Bearer tok-1"` + "\n"},
		{"curl", id, `header = "Authorization: Bearer h.p.s"` + "\n"},
		{"curl", key, `header = "X-Key: k\\n\" y"` + "\n"},
		{"curl", visible, `header = "Authorization: Bearer a!b"` + "\n"},
		{"json-header", access, `{"Authorization":"Bearer tok-1"}` + "\n"},
		{"json-header", id, `{"Authorization":"Bearer h.p.s"}` + "\n"},
		{"json-header", key, `{"X-Key":"k\\n\" y"}` + "\n"},
		{"json-header", visible, `{"Authorization":"Bearer a!b"}` + "\n"},
	} {
		var out strings.Builder
		err := Print(&out, tt.format, tt.token)
		if out.String() != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: %q, %v", tt.format, out.String(), err)
		}
		if err != nil && (strings.Contains(err.Error(), tt.token.AccessToken) ||
			!strings.Contains(err.Error(), tt.format)) {
			t.Errorf("%s: %v", tt.format, err)
		}
		if tt.format == "json-header" && !json.Valid([]byte(out.String())) {
			t.Errorf("%q is no JSON", out.String())
		}
	}
	for _, format := range []string{"curl", "json-header", "export"} {
		for _, header := range []string{"Authorization: Bearer a\nproxy = x", "Authorization: Bearer other", "x"} {
			var out strings.Builder
			bad := frame.Token{AccessToken: "a\nproxy = x", TokenType: "Bearer", Header: header}
			if err := Print(&out, format, bad); err == nil || out.Len() != 0 {
				t.Errorf("%s of a broken header: %q", format, out.String())
			}
		}
	}
}
