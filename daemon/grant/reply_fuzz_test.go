package grant

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/keystore"
)

// canned is a network with one answer in it.
type canned struct {
	status int
	header http.Header
	body   []byte
	calls  int
}

func (c *canned) RoundTrip(*http.Request) (*http.Response, error) {
	c.calls++
	return &http.Response{StatusCode: c.status, Header: c.header, Body: io.NopCloser(bytes.NewReader(c.body))}, nil
}

const (
	fuzzRefresh = "refresh-token-of-nobody-0123456789"
	fuzzSecret  = "client-secret-of-nobody-0123456789"
)

// FuzzTokenReply: whatever a token endpoint answers to a session's refresh token, what is taken from it is safe to
// print, to store and to send; what is refused is said in one clean line; and nothing but a definitive code costs the
// session.
func FuzzTokenReply(f *testing.F) {
	f.Add(200, "application/json", "",
		[]byte(`{"access_token":"abc","token_type":"bearer","expires_in":839,"refresh_token":"next"}`))
	f.Add(400, "application/json", "", []byte(`{"error":"invalid_grant","error_description":"gone"}`))
	f.Add(503, "text/html", "120", []byte("<html>"))
	server := Server{
		Issuer: "https://auth.example.org", TokenEndpoint: "https://auth.example.org/token",
		ClientAuth: ClientSecretPost,
	}
	item := server.NewItem("client", ByAuthorizationCode)
	item.ClientSecret, item.RefreshToken = keystore.SecretString(fuzzSecret), keystore.SecretString(fuzzRefresh)
	f.Fuzz(func(t *testing.T, status int, media, wish string, body []byte) {
		network := &canned{status: status, body: body, header: http.Header{"Content-Type": {media},
			"Retry-After": {wish}}}
		e := NewEndpoint(server, &http.Client{Transport: network}, func() clock.Instant {
			return clock.Instant{Wall: noon}
		})
		token, rotated, err := e.Refresh(t.Context(), item, Request{})
		if network.calls > 1 {
			t.Fatalf("sent %d times", network.calls)
		}
		if b := []byte(rotated.Reveal()); len(b) > maxToken || !printableASCII(b) {
			t.Errorf("it would store %q", b)
		}
		if err == nil {
			sound(t, status, token)
			return
		}
		failed, ok := errors.AsType[*Error](err)
		if !ok || !token.Access.IsZero() {
			t.Fatalf("%v beside a token %v", err, token)
		}
		clean1(t, failed)
		costs(t, failed)
	})
}

// sound holds a token that is handed out to what every output format relies on.
func sound(t *testing.T, status int, token Token) {
	t.Helper()
	if access := token.Access.Reveal(); !IsB64Token([]byte(access)) != token.Visible ||
		!IsVisibleToken([]byte(access)) || len(access) > maxToken {
		t.Errorf("it would print %q", access)
	}
	if token.Type != "Bearer" || token.Lifetime <= 0 || token.Lifetime > lifetimeMost || len(token.Scope) > maxScope ||
		!oneLine(token.Scope) {
		t.Errorf("it would hand out %+v", token)
	}
	if status != http.StatusOK && status != http.StatusCreated {
		t.Errorf("HTTP %d is no success", status)
	}
}

func oneLine(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// clean1 holds an error to one bounded line without a secret.
func clean1(t *testing.T, e *Error) {
	t.Helper()
	if text := e.Error(); !oneLine(text) || len(text) > 1<<10 || strings.Contains(text, fuzzRefresh) ||
		strings.Contains(text, fuzzSecret) {
		t.Errorf("it would say %q", text)
	}
	if len(e.Description) > maxDescription || len(e.Code) > maxErrorCode {
		t.Errorf("%d and %d bytes of what the server said", len(e.Code), len(e.Description))
	}
	if e.RetryAfter != 0 && (e.RetryAfter < retryLeast || e.RetryAfter > retryMost) {
		t.Errorf("it would wait %v", e.RetryAfter)
	}
}

// final are the codes that may end a session or a client, whatever the status (RFC 6749 §5.2 and §4.1.2.1, RFC 6750
// §3.1, RFC 8628 §3.5, OpenID Connect Core §3.1.2.6, Auth0's own); written down here once more and not taken from what
// is tested.
var final = []string{
	"invalid_grant", "invalid_client", "unauthorized_client", "access_denied", "expired_token", "invalid_token",
	"account_selection_required", "consent_required", "interaction_required", "login_required", "invalid_user_password",
	"mfa_required",
}

// costs makes sure that a person has to sign in again only where the server said so in the words of a standard.
func costs(t *testing.T, e *Error) {
	t.Helper()
	if ends(e.Class) && !slices.Contains(final, e.Code) {
		t.Errorf("this costs the session: %v", e)
	}
}

// ends reports whether a credential is parked for it.
func ends(c Class) bool { return c == Refused || c == InvalidClient }

// FuzzClassify: the table is total and its answer clean for every credential presented, and a web page never parks a
// credential.
func FuzzClassify(f *testing.F) {
	f.Add(403, "text/html", "", "", 0, []byte("<html>blocked</html>"))
	f.Add(401, "application/json", `Basic realm="x"`, "", 1, []byte(`{"detail":"LOGIN_BAD_CREDENTIALS"}`))
	f.Add(422, "application/problem+json", "", "60", 0, []byte(`{"detail":[{"loc":["body","grant_type"],"msg":"no"}]}`))
	f.Fuzz(func(t *testing.T, status int, media, challenge, wish string, proof int, body []byte) {
		a := Answer{
			Status: status, Body: body, Sent: true, At: noon,
			Carried: []keystore.Secret{keystore.SecretString(fuzzSecret)},
			Header:  http.Header{"Content-Type": {media}, "Www-Authenticate": {challenge}, "Retry-After": {wish}},
		}
		e := Classify(a, Presented(proof))
		if again := Classify(a, Presented(proof)); again != e {
			t.Fatalf("%+v, then %+v", e, again)
		}
		if e.Class < OK || e.Class > Pending {
			t.Fatalf("class %d", e.Class)
		}
		clean1(t, &e)
		if !strings.Contains(media, "json") && (e.Code != "" || e.Class == OK) {
			t.Errorf("a page was read: %+v", e)
		}
		// Where a session or a client speaks, only words end it; where a person's password does, the server's challenge
		// too.
		if !strings.Contains(media, "json") && (Presented(proof) == RefreshToken ||
			Presented(proof) == ClientCredential) && ends(e.Class) {
			t.Errorf("a page costs a credential: %+v", e)
		}
	})
}

// FuzzRetryAfter: a server's wish is nothing, or between a second and an hour, whichever clock is wrong.
func FuzzRetryAfter(f *testing.F) {
	for _, wish := range []string{"120", "", "-5", "Fri, 02 Jan 2026 12:01:30 GMT", "99999999999999999999", "soon"} {
		f.Add(429, wish, noon.Format(http.TimeFormat))
	}
	f.Fuzz(func(t *testing.T, status int, wish, date string) {
		a := Answer{Status: status, At: noon, Header: http.Header{"Retry-After": {wish}, "Date": {date}}}
		got, _ := retryAfter(a)
		if got != 0 && (got < time.Second || got > time.Hour) {
			t.Errorf("Retry-After %q at %q: %v", wish, date, got)
		}
		if strings.TrimSpace(wish) != "" && got == 0 {
			t.Errorf("Retry-After %q is ignored", wish)
		}
		// The differential: what Go's own parser reads as whole seconds within the bounds means exactly that.
		if n, err := time.ParseDuration(wish + "s"); err == nil && isDigits(wish) && n >= time.Second &&
			n <= time.Hour && got != n {
			t.Errorf("Retry-After %q: %v, want %v", wish, got, n)
		}
	})
}
