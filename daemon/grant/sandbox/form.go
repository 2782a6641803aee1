package sandbox

import (
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// oauthError is an error answer of RFC 6749 §5.2.
type oauthError struct {
	code, description string
	challenge         bool // the client used the Authorization header, so the answer names the scheme
	known             bool // with invalid_client: only its secret is wrong
}

func (e *oauthError) answer() answer {
	status, headers := http.StatusBadRequest, []string{"Cache-Control", "no-store", "Pragma", "no-cache"}
	if e.code == "invalid_client" {
		status = http.StatusUnauthorized
		if e.challenge { // §5.2: MUST include WWW-Authenticate with the scheme that the client used
			headers = append(headers, "WWW-Authenticate", `Basic realm="sandbox"`)
		}
	}
	if e == errFull {
		status = http.StatusServiceUnavailable
	}
	return jsonAnswer(status, map[string]string{"error": e.code, "error_description": e.description}, headers...)
}

func invalidRequest(description string) *oauthError {
	return &oauthError{code: "invalid_request", description: description}
}

// errNotForm: the body is of another media type.
var errNotForm = invalidRequest("the body is not application/x-www-form-urlencoded")

// readForm reads the parameters without judging them.
func readForm(r *request) (url.Values, *oauthError) {
	media, params, err := mime.ParseMediaType(r.header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return nil, errNotForm
	}
	if c := params["charset"]; c != "" && !strings.EqualFold(c, "utf-8") { // RFC 6749 appendix B
		return nil, invalidRequest("the charset of a form is UTF-8")
	}
	form, err := url.ParseQuery(string(r.body))
	if err != nil {
		return nil, invalidRequest("the form cannot be parsed")
	}
	return form, nil
}

// readParameters reads a form, or a JSON object of strings as Auth0 takes it, without judging them.
func readParameters(r *request) (url.Values, *oauthError) {
	media, _, _ := mime.ParseMediaType(r.header.Get("Content-Type"))
	if media != "application/json" {
		return readForm(r)
	}
	members, err := object(r.body)
	if err != nil {
		return nil, invalidRequest("the body is no JSON object")
	}
	form := url.Values{}
	for name, raw := range members {
		var v string
		if json.Unmarshal(raw, &v) != nil || string(raw) == "null" {
			return nil, invalidRequest("a member is not a string")
		}
		form.Set(name, v)
	}
	return form, nil
}

// parameters reads what the realm's endpoints for programs accept.
func (m *realm) parameters(r *request) (url.Values, *oauthError) {
	if media, _, _ := mime.ParseMediaType(r.header.Get("Content-Type")); m.takesJSON && media == "application/json" {
		form, e := readParameters(r)
		if e != nil {
			return nil, e
		}
		return judge(r, form)
	}
	return tokenForm(r)
}

// tokenForm reads a form by the rules that hold for every request to a token endpoint.
func tokenForm(r *request) (url.Values, *oauthError) {
	form, e := readForm(r)
	if e != nil {
		return nil, e
	}
	return judge(r, form)
}

func judge(r *request, form url.Values) (url.Values, *oauthError) {
	if r.query != "" { // RFC 6749 §2.3.1: credentials MUST NOT be in the request URI; nothing else belongs there
		return nil, invalidRequest("parameters belong into the body")
	}
	for name, values := range form {
		if len(values) > 1 { // §3.2: parameters MUST NOT be included more than once
			return nil, invalidRequest("a parameter is repeated")
		}
		// §3.2 lets a server treat an empty parameter as omitted; real ones refuse an empty scope (§3.3:
		// 1*scope-token).
		if values[0] == "" {
			return nil, invalidRequest("a parameter is empty")
		}
		if !utf8.ValidString(name) || !utf8.ValidString(values[0]) { // appendix B
			return nil, invalidRequest("a parameter is not UTF-8")
		}
	}
	return form, nil
}

// checkScope is RFC 6749 §3.3: scope-tokens of %x21 / %x23-5B / %x5D-7E, one space between two.
func checkScope(scope string, known []string) *oauthError {
	for token := range strings.SplitSeq(scope, " ") {
		if token == "" || strings.ContainsFunc(token, func(c rune) bool {
			return c < 0x21 || c > 0x7e || c == '"' || c == '\\'
		}) {
			return &oauthError{code: "invalid_scope", description: "the scope is malformed"}
		}
		if len(known) > 0 && !slices.Contains(known, token) {
			return &oauthError{code: "invalid_scope", description: "the scope is unknown"}
		}
	}
	return nil
}
