package grant

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/groat-dev/groat/protocol/strictjson"
)

// object is a JSON object whose names are compared exactly; a nil one has no members.
type object map[string]json.RawMessage

// object returns the body, or says why it is not a JSON object. A byte order mark before it is ignored (RFC 8259 §8.1).
// Servers and static files also send JSON as plain text or as nothing in particular: such a body counts where it is a
// success, never as an error, so that what a proxy writes costs no credential.
func (a Answer) object() (body object, flaw string) {
	if a.Flaw != "" {
		return nil, a.Flaw
	}
	text := bytes.TrimPrefix(a.Body, []byte("\ufeff"))
	media, _, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
	if err != nil {
		media = ""
	}
	isJSON := media == "application/json" || strings.HasSuffix(media, "+json")
	mayBeJSON := (a.Status == http.StatusOK || a.Status == http.StatusCreated) && slices.Contains(unlabelled, media)
	switch {
	case len(text) == 0:
		return nil, "is empty"
	case media == "text/html":
		return nil, "is a web page and not JSON (a captive portal? look whether this network wants a sign-in first)"
	case !isJSON && !mayBeJSON:
		return nil, "is not JSON"
	case strictjson.Check(text) != nil:
		return nil, "is not JSON, or ambiguous"
	case json.Unmarshal(text, &body) != nil || body == nil:
		return nil, "is not a JSON object"
	}
	if _, failed := body.errorCode(); failed && !isJSON {
		return nil, "is an error that is not marked as JSON"
	}
	return body, ""
}

// unlabelled are the media types under which a success may be JSON too.
var unlabelled = []string{
	"text/plain", "text/json", "text/javascript", "application/octet-stream", "binary/octet-stream",
}

// text returns a member that is a string.
func (o object) text(name string) (s string, ok bool) {
	raw := o[name]
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	return s, json.Unmarshal(raw, &s) == nil
}

// detail returns FastAPI's explanation: a string, or a list of what is wrong with each field.
func (o object) detail() (text string, found bool) {
	if text, ok := o.text("detail"); ok {
		return text, true
	}
	var list []struct {
		Msg string `json:"msg"`
		Loc []any  `json:"loc"`
	}
	raw := o["detail"]
	if len(raw) == 0 || raw[0] != '[' {
		return "", false
	}
	if json.Unmarshal(raw, &list) != nil {
		return "", true
	}
	for i, l := range list {
		if i > 0 {
			text += "; "
		}
		if n := len(l.Loc); n > 0 {
			if field, ok := l.Loc[n-1].(string); ok {
				text += field + ": "
			}
		}
		text += l.Msg
	}
	return text, true
}

// jwtClaims returns the unverified claims of a token that has the form of a signed JWT.
func jwtClaims(token string) (object, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || strictjson.Check(payload) != nil {
		return nil, false
	}
	var claims object
	return claims, json.Unmarshal(payload, &claims) == nil && claims != nil
}

// list returns a member that is a string or a list of strings.
func (o object) list(name string) []string {
	if text, ok := o.text(name); ok {
		return []string{text}
	}
	var all []string
	if json.Unmarshal(o[name], &all) != nil {
		return nil
	}
	return all
}
