package grant

import (
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/groat-dev/groat/keystore"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// said is an answer with a JSON body, dated noon.
func said(status int, body string, header ...string) Answer {
	h := http.Header{"Content-Type": {"application/json"}, "Date": {noon.Format(http.TimeFormat)}}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return Answer{Status: status, Header: h, Body: []byte(body), Sent: true, At: noon.Add(time.Hour)}
}

func page(status int) Answer {
	return said(status, "<html>Sign in to the airport</html>", "Content-Type", "text/html")
}

func broken(err error, sent bool) Answer {
	return Answer{Err: &url.Error{Op: "Post", URL: "https://auth.example.com", Err: err}, Sent: sent, At: noon}
}

// The numbers C1 to C49 are those of the catalogue of what token endpoints do wrong; the rows for a token's own members
// (C11 to C20, C27) are in response_test.go, those that need a connection in http_test.go.
func TestClassify(t *testing.T) {
	timeout := &net.OpError{Op: "dial", Err: errTimeout{}}
	for _, c := range []struct {
		name  string
		in    Answer
		proof Presented
		class Class
		code  string
		after time.Duration
	}{
		// Success, as far as it can be told here.
		{"200", said(200, `{"access_token":"x"}`), ClientCredential, OK, "", 0},
		{"201", said(201, `{"client_id":"x"}`), AccessToken, OK, "", 0},
		{"200, parameters after the media type", said(200, `{}`, "Content-Type", "application/json; charset=utf-8"),
			ClientCredential, OK, "", 0},
		{"200, vendor's JSON", said(200, `{}`, "Content-Type", "application/vnd.example+json"),
			ClientCredential, OK, "", 0},

		{"C1 captive portal", page(200), ClientCredential, Malformed, "", 0},
		{"C1 JSON that says it is HTML", said(200, `{"access_token":"x"}`, "Content-Type", "text/html"),
			ClientCredential, Malformed, "", 0},
		{"C1 JSON as plain text", said(200, `{"access_token":"x"}`, "Content-Type", "text/plain; charset=utf-8"),
			ClientCredential, OK, "", 0},
		{"C1 JSON as bytes", said(200, `{"access_token":"x"}`, "Content-Type", "application/octet-stream"),
			ClientCredential, OK, "", 0},
		{"C1 a byte order mark", said(200, "\ufeff"+`{"access_token":"x"}`), ClientCredential, OK, "", 0},
		{"C1 a byte order mark before plain text",
			said(200, "\ufeff"+`{"access_token":"x"}`, "Content-Type", "text/plain"),
			ClientCredential, OK, "", 0},
		{"C1 two byte order marks",
			said(200, "\ufeff\ufeff"+`{"access_token":"x"}`), ClientCredential, Malformed, "", 0},
		{"C1 an error as plain text", said(200, `{"error":"invalid_grant"}`, "Content-Type", "text/plain"),
			RefreshToken, Malformed, "", 0},
		{"C1 a refusal as plain text", said(400, `{"error":"invalid_grant"}`, "Content-Type", "text/plain"),
			RefreshToken, TransientSlow, "", 0},
		{"C1 an image",
			said(200, `{"access_token":"x"}`, "Content-Type", "image/png"), ClientCredential, Malformed, "", 0},
		{"C1 no content type", said(200, `{"access_token":"x"}`, "Content-Type", ""), ClientCredential,
			Malformed, "", 0},
		{"C2 error under 200", said(200, `{"error":"invalid_grant"}`), ClientCredential, Refused, "invalid_grant", 0},
		{"C2 empty error under 200", said(200, `{"error":"","access_token":"x"}`), ClientCredential, OK, "", 0},
		{"C2 null error under 200", said(200, `{"error":null,"access_token":"x"}`), ClientCredential, OK, "", 0},
		{"C4 compressed", Answer{Status: 200, Flaw: "is compressed", Sent: true}, ClientCredential, Malformed, "", 0},
		{"C5 too large", Answer{Status: 200, Flaw: "is larger than 1 MiB", Sent: true}, ClientCredential,
			Malformed, "", 0},
		{"C5 too large under 503", Answer{Status: 503, Flaw: "is larger than 1 MiB", Sent: true}, ClientCredential,
			Transient, "", 0},
		{"C7 301", said(301, ``, "Location", "https://evil.example/"), ClientCredential, Misconfigured, "", 0},
		{"C7 302", said(302, ``), ClientCredential, Misconfigured, "", 0},
		{"C7 303", said(303, ``), ClientCredential, Misconfigured, "", 0},
		{"C7 307", said(307, ``), Password, Misconfigured, "", 0},
		{"C7 308", said(308, ``), AccessToken, Misconfigured, "", 0},
		{"C8 deadline in the body", cut200(200, timeout), ClientCredential, Ambiguous, "", 0},
		{"C10 silence after the request", broken(errTimeout{}, true), ClientCredential, Ambiguous, "", 0},
		{"C28 duplicate names", said(200, `{"access_token":"x","access_token":"y"}`), ClientCredential,
			Malformed, "", 0},
		{"C28 duplicate names in an error", said(400, `{"error":"invalid_grant","error":"x"}`), ClientCredential,
			TransientSlow, "", 0},
		{"C29 invalid_grant", said(400, `{"error":"invalid_grant"}`), ClientCredential, Refused, "invalid_grant", 0},
		{"C29 invalid_grant under 403 (Auth0)", said(403, `{"error":"invalid_grant"}`), ClientCredential, Refused,
			"invalid_grant", 0},
		{"C29 invalid_grant under 503", said(503, `{"error":"invalid_grant"}`), ClientCredential, Refused,
			"invalid_grant", 0},
		{"C30 invalid_client", said(401, `{"error":"invalid_client"}`), ClientCredential, InvalidClient,
			"invalid_client", 0},
		{"C30 invalid_client under 400", said(400, `{"error":"invalid_client"}`), ClientCredential, InvalidClient,
			"invalid_client", 0},
		{"C30 invalid_client under 429", said(429, `{"error":"invalid_client"}`), ClientCredential, InvalidClient,
			"invalid_client", 0},
		{"C31 invalid_request", said(400, `{"error":"invalid_request"}`), ClientCredential, Misconfigured,
			"invalid_request", 0},
		{"C31 unsupported_grant_type", said(400, `{"error":"unsupported_grant_type"}`), ClientCredential, Misconfigured,
			"unsupported_grant_type", 0},
		{"C31 unauthorized_client", said(400, `{"error":"unauthorized_client"}`), ClientCredential, Misconfigured,
			"unauthorized_client", 0},
		{"C31 invalid_scope", said(400, `{"error":"invalid_scope"}`), ClientCredential, Misconfigured,
			"invalid_scope", 0},
		{"C31 invalid_target", said(400, `{"error":"invalid_target"}`), ClientCredential, Misconfigured,
			"invalid_target", 0},
		{"C32 use_dpop_nonce, without a DPoP key", said(400, `{"error":"use_dpop_nonce"}`), ClientCredential,
			Misconfigured, "use_dpop_nonce", 0},
		{"C33 400 page", page(400), ClientCredential, TransientSlow, "", 0},
		{"C33 401 page", page(401), ClientCredential, TransientSlow, "", 0},
		{"C33 403 page", page(403), ClientCredential, TransientSlow, "", 0},
		{"C33 403 page to a password", page(403), Password, TransientSlow, "", 0},
		{"C33 400 page to a password", page(400), Password, TransientSlow, "", 0},
		{"C33 401 page to a password, no challenge", page(401), Password, TransientSlow, "", 0},
		{"C33 401 empty", said(401, ``), ClientCredential, TransientSlow, "", 0},
		{"C33 403 JSON without an error", said(403, `{"blocked":true}`), ClientCredential, TransientSlow, "", 0},
		{"C33 400 JSON list", said(400, `["invalid_grant"]`), ClientCredential, TransientSlow, "", 0},
		{"C33 400 text that names an error", said(400, `{"error":"invalid_grant"}`, "Content-Type", "text/plain"),
			ClientCredential, TransientSlow, "", 0},
		{"C33 407", page(407), ClientCredential, TransientSlow, "", 0},
		{"C34 404", said(404, `{"detail":"Not Found"}`), ClientCredential, TransientSlow, "", 0},
		{"C34 404 to a password", said(404, `{"detail":"Not Found"}`), Password, TransientSlow, "", 0},
		{"C34 405", said(405, `{"detail":"Method Not Allowed"}`), ClientCredential, TransientSlow, "", 0},
		{"C34 410", page(410), ClientCredential, TransientSlow, "", 0},
		{"C34 421", page(421), ClientCredential, TransientSlow, "", 0},
		{"C35 408", page(408), ClientCredential, Transient, "", 0},
		{"C35 425", page(425), ClientCredential, Transient, "", 0},
		{"C35 500", said(500, `{"error":"oops"}`), ClientCredential, Transient, "oops", 0},
		{"C35 502 page", page(502), ClientCredential, Transient, "", 0},
		{"C35 503 detail", said(503, `{"detail":"Too many clients"}`), Password, Transient, "", 0},
		{"C35 504", page(504), AccessToken, Transient, "", 0},
		{"C35 500 whose body was lost", cut200(500, io.ErrUnexpectedEOF), ClientCredential, Transient, "", 0},
		{"C36 429, seconds", said(429, ``, "Retry-After", "17"), ClientCredential, Transient, "", 17 * time.Second},
		{"C36 503, seconds", said(503, ``, "Retry-After", " 17 "), ClientCredential, Transient, "", 17 * time.Second},
		{"C36 503, zero seconds", said(503, ``, "Retry-After", "0"), ClientCredential, Transient, "", time.Second},
		{"C37 date, by the server's clock", said(503, ``, "Retry-After",
			noon.Add(90*time.Second).Format(http.TimeFormat)), ClientCredential, Transient, "", 90 * time.Second},
		{"C37 date, by our clock", said(503, ``, "Retry-After",
			noon.Add(time.Hour+90*time.Second).Format(http.TimeFormat), "Date", ""), ClientCredential, Transient, "",
			90 * time.Second},
		{"C38 date in the past", said(429, ``, "Retry-After", noon.Add(-time.Minute).Format(http.TimeFormat)),
			ClientCredential, Transient, "", time.Second},
		{"C39 negative", said(429, ``, "Retry-After", "-5"), ClientCredential, Transient, "", time.Minute},
		{"C39 garbage", said(503, ``, "Retry-After", "soon"), ClientCredential, Transient, "", time.Minute},
		{"C39 a fraction", said(503, ``, "Retry-After", "1.5"), ClientCredential, Transient, "", time.Minute},
		{"C40 a day", said(429, ``, "Retry-After", "86400"), ClientCredential, Transient, "", time.Hour},
		{"C40 without end", said(429, ``, "Retry-After", "99999999999999999999"), ClientCredential, Transient,
			"", time.Hour},
		{"C40 a date next year", said(503, ``, "Retry-After", noon.AddDate(1, 0, 0).Format(http.TimeFormat)),
			ClientCredential, Transient, "", time.Hour},
		{"C41 429 without", said(429, ``), ClientCredential, Transient, "", time.Minute},
		{"C41 503 without", said(503, ``), ClientCredential, Transient, "", 0},
		{"Retry-After beside a page under 403", said(403, ``, "Retry-After", "5"), ClientCredential, TransientSlow, "",
			5 * time.Second},
		{"Retry-After beside a refusal", said(400, `{"error":"invalid_grant"}`, "Retry-After", "5"), ClientCredential,
			Refused, "invalid_grant", 0},
		{"C43 NXDOMAIN", broken(&net.DNSError{IsNotFound: true}, false), ClientCredential, Transient, "", 0},
		{"C43 SERVFAIL", broken(&net.DNSError{IsTemporary: true}, false), ClientCredential, Transient, "", 0},
		{"C43 refused", broken(syscall.ECONNREFUSED, false), ClientCredential, Transient, "", 0},
		{"C43 no route", broken(syscall.ENETUNREACH, false), ClientCredential, Transient, "", 0},
		{"C43 timeout", broken(timeout, false), ClientCredential, Transient, "", 0},
		{"C44 unknown authority", broken(x509.UnknownAuthorityError{}, false), ClientCredential, TransientSlow, "", 0},
		{"C44 wrong host", broken(x509.HostnameError{Certificate: &x509.Certificate{}}, false), ClientCredential,
			TransientSlow, "", 0},
		{"C44 expired", broken(x509.CertificateInvalidError{Reason: x509.Expired}, false), ClientCredential,
			TransientSlow, "", 0},
		{"C44 proxy refuses", broken(&proxyError{407}, false), ClientCredential, TransientSlow, "", 0},
		{"C45 reset before anything was sent", broken(syscall.ECONNRESET, false), ClientCredential, Transient, "", 0},
		{"C45 reset after", broken(syscall.ECONNRESET, true), ClientCredential, Ambiguous, "", 0},
		{"C45 end in the header", broken(io.ErrUnexpectedEOF, true), ClientCredential, Ambiguous, "", 0},
		{"C45 end in the body", cut200(200, io.ErrUnexpectedEOF), ClientCredential, Ambiguous, "", 0},
		{"C45 end in the body of a refusal", cut200(400, io.ErrUnexpectedEOF), ClientCredential, Ambiguous, "", 0},
		{"C48 202", said(202, `{"access_token":"x"}`), ClientCredential, Malformed, "", 0},
		{"C48 204", said(204, ``), ClientCredential, Malformed, "", 0},
		{"C48 206", said(206, `{"access_token":"x"}`), ClientCredential, Malformed, "", 0},
		{"C49 two lengths", broken(errors.New("net/http: HTTP/1.x transport connection broken"), true),
			ClientCredential, Ambiguous, "", 0},

		// The table of codes that are not in a C row.
		{"access_denied", said(403, `{"error":"access_denied"}`), ClientCredential, Refused, "access_denied", 0},
		{"access_denied under 401 (Auth0)", said(401, `{"error":"access_denied","error_description":"Unauthorized"}`),
			ClientCredential, Refused, "access_denied", 0},
		{"unauthorized_client under 401 (Keycloak)", said(401, `{"error":"unauthorized_client"}`), ClientCredential,
			InvalidClient, "unauthorized_client", 0},
		{"device: pending", said(400, `{"error":"authorization_pending"}`), Code, Pending, "authorization_pending", 0},
		{"device: pending under 403 (Auth0)", said(403, `{"error":"authorization_pending"}`), Code, Pending,
			"authorization_pending", 0},
		{"device: expired", said(400, `{"error":"expired_token"}`), Code, Refused, "expired_token", 0},
		{"device: expired under 403 (Auth0)", said(403, `{"error":"expired_token"}`), Code, Refused,
			"expired_token", 0},
		{"device: slow_down under 400", said(400, `{"error":"slow_down"}`), Code, Transient, "slow_down", 0},
		{"device: slow_down under 400, with a wish", said(400, `{"error":"slow_down"}`, "Retry-After", "9"), Code,
			Transient, "slow_down", 9 * time.Second},
		{"device: 429 without a code", said(429, ``), Code, Transient, "", time.Minute},
		{"device: declined under 403", said(403, `{"error":"access_denied"}`), Code, Refused, "access_denied", 0},
		{"refresh: dead", said(400, `{"error":"invalid_grant"}`), RefreshToken, Refused, "invalid_grant", 0},
		{"refresh: blocked user under 403 (Auth0)", said(403,
			`{"error":"invalid_grant","error_description":"user is blocked"}`), RefreshToken, Refused,
			"invalid_grant", 0},
		{"refresh: too many (Auth0)", said(429, `{"error":"too_many_requests"}`), RefreshToken, Transient,
			"too_many_requests", time.Minute},
		{"refresh: detail 401 says nothing definite", said(401, `{"detail":"Unauthorized"}`), RefreshToken,
			TransientSlow, "", 0},
		{"refresh: challenge 401 of a server", said(401, ``, "WWW-Authenticate", "Basic"), RefreshToken,
			TransientSlow, "", 0},
		{"refresh: firewall", page(403), RefreshToken, TransientSlow, "", 0},
		{"code: used twice", said(400, `{"error":"invalid_grant"}`), Code, Refused, "invalid_grant", 0},
		{"assertion: unknown account", said(400, `{"error":"invalid_grant"}`), Assertion, Refused, "invalid_grant", 0},
		{"PAR: request_uri", said(400, `{"error":"invalid_request_uri"}`), ClientCredential, Misconfigured,
			"invalid_request_uri", 0},
		{"PAR: redirect_uri", said(400, `{"error":"invalid_redirect_uri"}`), ClientCredential, Misconfigured,
			"invalid_redirect_uri", 0},
		{"revocation: token type", said(400, `{"error":"unsupported_token_type"}`), ClientCredential, Misconfigured,
			"unsupported_token_type", 0},
		{"revocation: dead (Google)", said(400, `{"error":"invalid_token"}`), ClientCredential, Refused,
			"invalid_token", 0},
		{"response type", said(400, `{"error":"unsupported_response_type"}`), ClientCredential, Misconfigured,
			"unsupported_response_type", 0},
		{"interaction_required", said(400, `{"error":"interaction_required"}`), ClientCredential, Refused,
			"interaction_required", 0},
		{"login_required", said(400, `{"error":"login_required"}`), ClientCredential, Refused, "login_required", 0},
		{"consent_required", said(400, `{"error":"consent_required"}`), ClientCredential, Refused,
			"consent_required", 0},
		{"mfa_required (Auth0)", said(401, `{"error":"mfa_required"}`), Password, Refused, "mfa_required", 0},
		{"temporarily_unavailable under 400", said(400, `{"error":"temporarily_unavailable"}`), ClientCredential,
			Transient, "temporarily_unavailable", 0},
		{"server_error under 400", said(400, `{"error":"server_error"}`, "Retry-After", "3"), ClientCredential,
			Transient, "server_error", 3 * time.Second},
		{"slow_down under 429", said(429, `{"error":"slow_down"}`), ClientCredential, Transient, "slow_down",
			time.Minute},
		{"unknown code", said(400, `{"error":"full_moon"}`), ClientCredential, TransientSlow, "full_moon", 0},
		{"unknown code under 401", said(401, `{"error":"full_moon"}`), ClientCredential, TransientSlow, "full_moon", 0},
		{"unknown code under 200", said(200, `{"error":"full_moon"}`), ClientCredential, TransientSlow, "full_moon", 0},
		{"unknown code under 429", said(429, `{"error":"full_moon"}`), ClientCredential, Transient, "full_moon",
			time.Minute},
		{"case of the code", said(400, `{"error":"Invalid_Grant"}`), ClientCredential, TransientSlow,
			"Invalid_Grant", 0},
		{"case of the member", said(400, `{"Error":"invalid_grant"}`), ClientCredential, TransientSlow, "", 0},
		{"Okta", said(400, `{"errorCode":"E0000011","errorSummary":"Invalid token provided"}`), ClientCredential,
			TransientSlow, "E0000011", 0},
		{"Google's API", said(403, `{"error":{"code":403,"message":"no"}}`), AccessToken, TransientSlow, "", 0},
		{"Google's API under 200", said(200, `{"error":{"code":403,"message":"no"}}`), AccessToken,
			TransientSlow, "", 0},

		// FastAPI.
		{"detail 401 to a client", said(401, `{"detail":"Unauthorized"}`), ClientCredential, InvalidClient, "", 0},
		{"detail list 401 to a client", said(401, `{"detail":[{"msg":"no"}]}`), ClientCredential, InvalidClient, "", 0},
		{"detail 400 to a client", said(400, `{"detail":"LOGIN_BAD_CREDENTIALS"}`), ClientCredential,
			InvalidClient, "", 0},
		{"another detail 400 to a client", said(400, `{"detail":"no"}`), ClientCredential, TransientSlow, "", 0},
		{"detail 403 to a client", said(403, `{"detail":"Forbidden"}`), ClientCredential, TransientSlow, "", 0},
		{"detail that is a number", said(401, `{"detail":1}`), ClientCredential, TransientSlow, "", 0},
		{"detail 422",
			said(422, `{"detail":[{"loc":["body","username"],"msg":"field required","type":"value_error.missing"}]}`),
			ClientCredential, Misconfigured, "", 0},
		{"422 without detail", said(422, `{}`), ClientCredential, TransientSlow, "", 0},
		{"detail 400 to a password", said(400, `{"detail":"LOGIN_BAD_CREDENTIALS"}`), Password, Refused, "", 0},
		{"detail 401 to a password", said(401, `{"detail":"Unauthorized"}`), Password, Refused, "", 0},
		{"challenge to a password", said(401, ``, "WWW-Authenticate", "Basic"), Password, Refused, "", 0},
		{"detail 401 to a token", said(401, `{"detail":"Unauthorized"}`), AccessToken, Refused, "", 0},
		{"challenge to a token", said(401, ``, "WWW-Authenticate", "Bearer"), AccessToken, Refused, "", 0},
		{"challenge to a client", said(401, ``, "WWW-Authenticate", "Basic"), ClientCredential, TransientSlow, "", 0},
		{"404 to nobody", page(404), Nothing, TransientSlow, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Classify(c.in, c.proof)
			if got.Class != c.class || got.Code != c.code || got.RetryAfter != c.after {
				t.Errorf("class %d, code %q, after %v; want %d, %q, %v", got.Class, got.Code, got.RetryAfter, c.class,
					c.code, c.after)
			}
			if got.Class != OK && (got.Reason == "" || strings.ContainsAny(got.Error(), "\n<>") ||
				got.Status != c.in.Status) {
				t.Errorf("error %q", got.Error())
			}
		})
	}
}

func cut200(status int, err error) Answer {
	a := said(status, `{"access_token":"abc`)
	a.Err = err
	return a
}

type errTimeout struct{}

func (errTimeout) Error() string   { return "timed out" }
func (errTimeout) Timeout() bool   { return true }
func (errTimeout) Temporary() bool { return true }

func TestDescription(t *testing.T) {
	const secret, password = "s3cr3t-canary-0123456789", "hunter2"
	for _, c := range []struct{ name, body, want string }{
		{"OAuth", `{"error":"x","error_description":"The client is unknown."}`, "The client is unknown."},
		{"Okta", `{"errorCode":"x","errorSummary":"no"}`, "no"},
		{"message", `{"message":"slow"}`, "slow"},
		{"detail", `{"detail":"LOGIN_BAD_CREDENTIALS"}`, "LOGIN_BAD_CREDENTIALS"},
		{"detail list", `{"detail":[{"loc":["body","username"],"msg":"field required"},{"msg":"odd"}]}`,
			"username: field required; odd"},
		{"Google", `{"error":{"message":"not allowed"}}`, "not allowed"},
		{"nothing", `{"x":"y"}`, ""},
		{"control characters", `{"message":"a\u001b[31mb\r\n\tc\u007fd"}`, "a [31mb c?d"},
		{"not ASCII", `{"message":"é\u202eabc"}`, "??abc"},
		{"long", `{"message":"` + strings.Repeat("ab ", 200) + `"}`, strings.Repeat("ab ", 67)[:200]},
		{"secret", `{"message":"bad secret ` + secret + `!"}`, "bad secret [removed]!"},
		{"secret cut off", `{"message":"bad secret ` + secret[:12] + `"}`, "bad secret [removed]"},
		{"secret's end", `{"message":"bad secret ` + secret[12:] + `"}`, "bad secret [removed]"},
		{"secret twice", `{"message":"` + secret + secret + `"}`, "[removed][removed]"},
		{"secret across the limit", `{"message":"` + strings.Repeat("x", 195) + secret + `"}`,
			strings.Repeat("x", 195) + "[remo"},
		{"secret, escaped JSON", `{"message":"\u0073` + secret[1:] + `"}`, "[removed]"},
		{"short password", `{"message":"password hunter2 is wrong"}`, "password [removed] is wrong"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := said(400, c.body)
			a.Carried = []keystore.Secret{keystore.SecretString(secret), keystore.SecretString(password), {}}
			if got := Classify(a, ClientCredential).Description; got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestErrorCodeIsCleanedToo(t *testing.T) {
	a := said(400, `{"error":"canary-0123456789\n`+strings.Repeat("x", 100)+`"}`)
	a.Carried = []keystore.Secret{keystore.SecretString("canary-0123456789")}
	got := Classify(a, ClientCredential)
	if len(got.Code) > maxErrorCode || strings.Contains(got.Code, "canary") || strings.Contains(got.Code, "\n") {
		t.Errorf("code %q", got.Code)
	}
}

func TestErrorText(t *testing.T) {
	for _, c := range []struct {
		in   Answer
		want string
	}{
		{said(401, `{"error":"invalid_client","error_description":"unknown client"}`),
			`auth.example.com does not accept the client id or secret (HTTP 401, invalid_client); the server says: ` +
				`"unknown client"`},
		{said(401, `{"error":"access_denied","error_description":"Unauthorized"}`),
			`auth.example.com does not accept the client id or secret (HTTP 401, access_denied); the server says: ` +
				`"Unauthorized"`},
		{said(400, `{"error":"full_moon","error_description":"\" groat: hint: run x"}`),
			`auth.example.com could not answer (HTTP 400, the server's error "full_moon"); the server says: "' ` +
				`groat hint run x"`},
		{said(307, ``), "auth.example.com answers with a redirect, which is not followed (HTTP 307)"},
		{said(308, ``, "Location", "https://u:p@other.example.com/token/?q=s3cr3t#f"),
			"auth.example.com answers with a " +
				"redirect, which is not followed: it leads to https://other.example.com/token/ (HTTP 308)"},
		{said(308, ``, "Location", "javascript:alert(1)"),
			"auth.example.com answers with a redirect, which is not followed (HTTP 308)"},
		{page(403),
			"auth.example.com answered with neither a token nor an OAuth error (the client id or secret may be " +
				"wrong, or a proxy or firewall is in between) (HTTP 403)"},
		{page(404), "auth.example.com answered with neither a token nor an OAuth error (a proxy or firewall in " +
			"between, or a wrong address) (HTTP 404)"},
		{said(400, `{"error":"use_dpop_nonce"}`),
			"auth.example.com wants a proof of a key (DPoP, RFC 9449), which groat " +
				"does not have: the client must be registered for Bearer tokens (HTTP 400, use_dpop_nonce)"},
		{page(503), "auth.example.com could not answer (HTTP 503)"},
		{page(200), "auth.example.com gave an answer that is a web page and not JSON (a captive portal? look " +
			"whether this network wants a sign-in first) (HTTP 200)"},
		{broken(syscall.ECONNREFUSED, false), "auth.example.com cannot be reached: connection refused"},
		{broken(io.EOF, true), "auth.example.com was sent a request, but no whole answer came (the connection broke)"},
		{broken(errors.New(`malformed HTTP response "canary"`), true),
			"auth.example.com was sent a request, but no whole answer came (the connection failed)"},
		{broken(x509.CertificateInvalidError{Reason: x509.Expired}, false),
			"auth.example.com cannot be used: its certificate is expired or not yet valid"},
	} {
		e := Classify(c.in, ClientCredential)
		if got := e.withServer("https://auth.example.com/token").Error(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func TestErrorCause(t *testing.T) {
	e := Classify(broken(syscall.ECONNREFUSED, false), ClientCredential)
	if !errors.Is(&e, syscall.ECONNREFUSED) {
		t.Error("the cause is lost")
	}
	e = Classify(broken(errors.New("canary"), true), ClientCredential)
	if e.Unwrap() != nil {
		t.Errorf("an unknown cause is kept: %v", e.Unwrap())
	}
}
