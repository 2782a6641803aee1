package get

import (
	"io"
	"strconv"
	"strings"

	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol/frame"
	"github.com/groat-dev/groat/protocol/strictjson"
	"github.com/groat-dev/groat/protocol/visible"
)

// Print writes the token in the format asked for, in one write.
//
// Only what a whole header field goes into quotes anything, and json. So the alphabet of RFC 6750's b64token is checked
// here once more: a newline in a token would be a header, an option or a command to whatever reads our output.
func Print(w io.Writer, format string, t frame.Token) error {
	out, err := appendToken(nil, format, t)
	if err != nil {
		return err
	}
	return Write(w, append(out, '\n'))
}

// Write writes to stdout at once. If the reader has closed the pipe, the runtime ends this process by SIGPIPE, and
// nothing is printed.
func Write(w io.Writer, b []byte) error {
	if _, err := w.Write(b); err != nil {
		return report.CannotWrite(err)
	}
	return nil
}

func appendToken(out []byte, format string, t frame.Token) ([]byte, error) {
	if t.TokenUse == frame.UseID {
		return appendIDToken(out, format, t)
	}
	if t.Static {
		return appendKey(out, format, t)
	}
	odd := !frame.ValidToken(t.AccessToken)
	if odd && (t.TokenChars != frame.VisibleChars || !frame.ValidVisible(t.AccessToken)) ||
		!strings.EqualFold(t.TokenType, "Bearer") {
		return nil, report.BadToken()
	}
	if isHeader(format) {
		return appendHeader(out, format, t.Header, t.AccessToken)
	}
	if odd && format != "json" {
		return nil, report.VisibleToken(t.Profile, format)
	}
	switch format {
	case "env":
		return appendEnv(out, "", "GROAT_ACCESS_TOKEN", t.AccessToken, "GROAT_EXPIRES_AT", t.ExpiresAt), nil
	case "export":
		return appendEnv(out, "export ", "GROAT_ACCESS_TOKEN", t.AccessToken, "GROAT_EXPIRES_AT", t.ExpiresAt), nil
	case "json":
		return appendTokenJSON(out, t), nil
	}
	return append(out, t.AccessToken...), nil
}

// appendIDToken appends an ID token, which is a b64token always.
func appendIDToken(out []byte, format string, t frame.Token) ([]byte, error) {
	if !frame.ValidToken(t.IDToken) {
		return nil, report.BadToken()
	}
	if isHeader(format) {
		return appendHeader(out, format, t.Header, t.IDToken)
	}
	switch format {
	case "env":
		return appendEnv(out, "", "GROAT_ID_TOKEN", t.IDToken, "GROAT_ID_TOKEN_EXPIRES_AT", t.ExpiresAt), nil
	case "export":
		return appendEnv(out, "export ", "GROAT_ID_TOKEN", t.IDToken, "GROAT_ID_TOKEN_EXPIRES_AT", t.ExpiresAt), nil
	case "json":
		out = appendMember(out, `{"id_token":`, t.IDToken)
		out = append(out, `,"token_use":"id","expires_at":`...)
		out = strconv.AppendInt(out, t.ExpiresAt, 10)
		out = append(out, `,"expires_in":`...)
		out = strconv.AppendInt(out, t.ExpiresIn, 10)
		return append(appendMember(out, `,"profile":`, t.Profile), '}'), nil
	}
	return append(out, t.IDToken...), nil
}

// appendKey appends an API key, which is any printable ASCII: only if that can do no harm.
func appendKey(out []byte, format string, t frame.Token) ([]byte, error) {
	switch {
	case isHeader(format):
		return appendHeader(out, format, t.Header, t.AccessToken)
	case format != "json":
		return nil, report.StaticKey(t.Profile, format)
	case !frame.ValidHeader(t.Header, t.AccessToken):
		return nil, report.BadToken()
	}
	// It is none of what RFC 6749 calls a token, so no member is called access_token.
	out = appendMember(out, `{"api_key":`, t.AccessToken)
	out = appendMember(out, `,"header":`, t.Header)
	return append(appendMember(out, `,"static":true,"profile":`, t.Profile), '}'), nil
}

// isHeader reports whether a format is the whole header field, and so may hold what is no b64token.
func isHeader(format string) bool {
	return format == "header" || format == "curl" || format == "json-header"
}

// appendHeader appends the header field that a secret goes into: as it is; as an option of a file for "curl --config",
// where a backslash and a quotation mark need a backslash within quotation marks (curl(1), -K); or as the object of
// header fields that coding agents want of a headers command, {"Authorization":"Bearer …"}.
func appendHeader(out []byte, format, header, secret string) ([]byte, error) {
	if !frame.ValidHeader(header, secret) {
		return nil, report.BadToken()
	}
	switch format {
	case "curl":
		out = append(out, `header = "`...)
		for i := range len(header) {
			if c := header[i]; c == '"' || c == '\\' {
				out = append(out, '\\')
			}
			out = append(out, header[i])
		}
		return append(out, '"'), nil
	case "json-header":
		name, value, _ := strings.Cut(header, ": ")
		out = strictjson.AppendString(append(out, '{'), name)
		return append(appendMember(out, ":", value), '}'), nil
	}
	return append(out, header...), nil
}

// appendEnv appends two assignments, which a shell reads after the word export.
func appendEnv(out []byte, word, name, token, endName string, end int64) []byte {
	out = append(append(append(out, word...), name...), '=')
	out = append(append(out, token...), '\n')
	out = append(append(append(out, word...), endName...), '=')
	return strconv.AppendInt(out, end, 10)
}

// appendTokenJSON appends what RFC 6749 §5.1 calls a token response, with the integer expires_at that authlib,
// requests-oauthlib and httpx's adapters expect of a stored token. There is no refresh_token: renewing is groatd's.
func appendTokenJSON(out []byte, t frame.Token) []byte {
	out = appendMember(out, `{"access_token":`, t.AccessToken)
	out = append(out, `,"token_type":"Bearer","expires_at":`...)
	out = strconv.AppendInt(out, t.ExpiresAt, 10)
	out = append(out, `,"expires_in":`...)
	out = strconv.AppendInt(out, t.ExpiresIn, 10)
	if t.TokenChars != "" {
		out = appendMember(out, `,"token_chars":`, t.TokenChars)
	}
	if t.Scope != "" {
		out = appendMember(out, `,"scope":`, t.Scope)
	}
	for _, end := range []struct {
		member string
		at     int64
	}{{`,"session_idle_ends_at":`, t.SessionIdleEndsAt}, {`,"session_ends_at":`, t.SessionEndsAt}} {
		if end.at != 0 {
			out = strconv.AppendInt(append(out, end.member...), end.at, 10)
		}
	}
	return append(appendMember(out, `,"profile":`, t.Profile), '}')
}

// appendMember appends a member whose value is foreign text. The result is safe on a terminal.
func appendMember(out []byte, name, value string) []byte {
	out = append(out, name...)
	return append(out, visible.JSON(strictjson.AppendString(nil, value))...)
}
