package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// echoServer is a server that sends back what it was sent, in whatever place an error could be taken from. Which of its
// [reflections] a request gets is in the name of the client or person: "echo-07". The steps that a sign-in has before
// the one that is sent back go well for "late-07" (one step) and "last-07" (two).
type echoServer struct {
	*httptest.Server
	watch  *canaries
	tokens *canaries // access tokens that it gave

	mu    sync.Mutex
	asked map[string]int // :: path and reflection → requests
}

func newEchoServer(t *testing.T, watch, tokens *canaries) *echoServer {
	m := &echoServer{watch: watch, tokens: tokens, asked: map[string]int{}}
	m.Server = httptest.NewServer(m)
	t.Cleanup(m.Close)
	return m
}

// reflection is one way to send back: all that came, and the one value that matters most.
type reflection struct {
	name string
	send func(w http.ResponseWriter, all, one string)
}

// reflections are errors, pages, redirects, tokens that are none, and answers that break off.
var reflections = []reflection{
	{"an OAuth error's description", sendJSON(401, func(_, one string) any {
		return map[string]string{"error": "invalid_client", "error_description": one,
			"error_uri": "https://e.example/" + one}
	})},
	{"an OAuth error's description, all of it", sendJSON(400, func(all, _ string) any {
		return map[string]string{"error": "invalid_grant", "error_description": all}
	})},
	{"an OAuth error's code", sendJSON(400, func(_, one string) any { return map[string]string{"error": one} })},
	{"a detail", sendJSON(400, func(all, _ string) any { return map[string]string{"detail": all} })},
	{"a list of details", sendJSON(422, func(all, one string) any {
		return map[string]any{"detail": []any{map[string]any{"msg": one, "input": all, "loc": []string{one}}}}
	})},
	{"a message", sendJSON(403,
		func(_, one string) any { return map[string]string{"message": one, "errorCode": one} })},
	{"a page, 500", sendText(500, "text/html", "<html><h1>%s</h1></html>")},
	{"a page, 200", sendText(200, "text/html", "<html><h1>%s</h1></html>")},
	{"text, 502", sendText(502, "text/plain", "%s")},
	{"headers, 503", sendHeaders(503)},
	{"headers, 429", sendHeaders(429)},
	{"headers, 401", sendHeaders(401)},
	{"a redirect, 302", sendHeaders(302)},
	{"a redirect, 307", sendHeaders(307)},
	{"a redirect, 308", sendHeaders(308)},
	{"a token that is none", sendJSON(200, func(all, _ string) any {
		return map[string]any{"access_token": "\n" + all, "token_type": "bearer", "client_id": all,
			"client_secret": "\n" + all, "device_code": 1}
	})},
	{"a token's type", sendJSON(200, func(_, one string) any {
		return map[string]any{"access_token": "nothing", "token_type": one, "expires_in": one, "token": one, "sub": 1}
	})},
	{"members", sendText(200, "application/json", `{"%s":1,"a":1,"a":2}`)},
	{"a broken JSON text", sendText(400, "application/json", `{"error":"%s`)},
	{"another encoding", func(w http.ResponseWriter, all, one string) {
		w.Header().Set("Content-Encoding", one[:min(20, len(one))])
		sendText(200, "application/json", "%s")(w, all, one)
	}},
	{"a length that is not reached", func(w http.ResponseWriter, all, one string) {
		sendRaw("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999\r\n\r\n{\"error\":\"%s")(w,
			all, one)
	}},
	{"a status line", sendRaw("HTTP/1.1 %s\r\n\r\n")},
	{"a header that is none", sendRaw("HTTP/1.1 200 OK\r\n%s\r\n\r\n")},
	{"a length that is none", sendRaw("HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n")},
	{"an encoding that is none", sendRaw("HTTP/1.1 200 OK\r\nTransfer-Encoding: %s\r\n\r\n")},
	{"no HTTP", sendRaw("%s\r\n\r\n")},
}

func sendJSON(status int, v func(all, one string) any) func(http.ResponseWriter, string, string) {
	return func(w http.ResponseWriter, all, one string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(v(all, one))
	}
}

func sendText(status int, media, format string) func(http.ResponseWriter, string, string) {
	return func(w http.ResponseWriter, all, _ string) {
		w.Header().Set("Content-Type", media)
		w.WriteHeader(status)
		fmt.Fprintf(w, format, all)
	}
}

func sendHeaders(status int) func(http.ResponseWriter, string, string) {
	return func(w http.ResponseWriter, all, one string) {
		w.Header().Set("Location", "/elsewhere?"+url.QueryEscape(all))
		for _, name := range []string{"Retry-After", "WWW-Authenticate", "Date", "Set-Cookie", "Content-Type",
			"X-Ratelimit-Reset"} {
			w.Header().Set(name, one)
		}
		sendText(status, one, "%s")(w, all, one)
	}
}

// sendRaw writes an answer by hand, in which a line is one line.
func sendRaw(format string) func(http.ResponseWriter, string, string) {
	return func(w http.ResponseWriter, all, _ string) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		fmt.Fprintf(c, format, strings.NewReplacer("\r", " ", "\n", " ").Replace(all))
	}
}

var marks = regexp.MustCompile(`\b(echo|late|last)-(\d\d)\b`)

func (m *echoServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	sent := sentIn(r, body)
	form, _ := url.ParseQuery(string(body))
	for _, name := range secretParameters {
		if v := form.Get(name); len(v) >= 2*shortest {
			m.watch.add("a "+name+" that was sent", v)
		}
	}
	if strings.HasPrefix(r.URL.Path, "/.well-known/") {
		m.describe(w)
		return
	}
	all := strings.Join(sent, " ")
	mark := marks.FindStringSubmatch(all)
	if mark == nil || r.URL.Path == "/elsewhere" {
		m.count("unmarked: " + r.URL.Path)
		http.NotFound(w, r)
		return
	}
	n, _ := strconv.Atoi(mark[2])
	if m.goesWell(w, r.URL.Path, mark[1], mark[0], form.Get("grant_type")) {
		return
	}
	m.count(r.URL.Path + " " + mark[0])
	one := slices.MaxFunc(sent, func(a, b string) int { return m.worth(a) - m.worth(b) })
	reflections[n].send(w, all, one)
}

// worth orders what was sent by how much it matters that it does not come back.
func (m *echoServer) worth(s string) int {
	if m.watch.find(s) != "" {
		return 1<<20 - len(s) // the secret itself, not what is around it
	}
	return len(s)
}

// goesWell answers a step that is not the one to be sent back.
func (m *echoServer) goesWell(w http.ResponseWriter, path, stage, mark, grant string) bool {
	token := m.secret(m.tokens, "an access token", mark)
	answer := map[string]any{"access_token": token, "token_type": "bearer", "expires_in": 900}
	switch {
	case stage == "echo":
		return false
	case path == "/device":
		answer = map[string]any{
			"device_code": m.secret(m.watch, "a device code", mark), "user_code": "BCDF-GHJK",
			"verification_uri": m.URL + "/activate",
			// what tells it to wait is sent back until the code is no good any more
			"expires_in": 3, "interval": 1,
		}
	case grant == "authorization_code":
		answer["refresh_token"] = m.secret(m.watch, "a refresh token", mark)
	case strings.HasSuffix(path, "/basic"), grant == "password":
	case stage == "last" && strings.HasPrefix(path, "/api/v1/clients"):
		answer = map[string]any{"client_id": mark, "client_secret": m.secret(m.watch, "a created client's secret",
			mark)}
	default:
		return false
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(answer)
	return true
}

// secret makes one that says which reflection it wants, and has somebody watch for it.
func (m *echoServer) secret(watch *canaries, what, mark string) string {
	s := mark + "." + random()
	watch.add(what, s)
	return s
}

func (m *echoServer) describe(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{
		"issuer": m.URL, "token_endpoint": m.URL + "/token", "device_authorization_endpoint": m.URL + "/device",
		"authorization_endpoint": m.URL + "/authorize", "userinfo_endpoint": m.URL + "/userinfo",
		"revocation_endpoint": m.URL + "/revoke",
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post",
			"client_secret_jwt", "private_key_jwt", "none"},
		"grant_types_supported": []string{
			"authorization_code", "client_credentials", "urn:ietf:params:oauth:grant-type:device_code",
			"urn:ietf:params:oauth:grant-type:jwt-bearer", "urn:ietf:params:oauth:grant-type:token-exchange",
		},
		"code_challenge_methods_supported": []string{"S256"},
	})
}

func (m *echoServer) count(what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked[what]++
}

// requests returns how often a reflection was sent for a path.
func (m *echoServer) requests(path, mark string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked[path+" "+mark]
}

// secretParameters are the parameters of a request that are secrets.
var secretParameters = []string{
	"client_secret", "refresh_token", "password", "code", "code_verifier", "device_code", "client_assertion",
	"assertion",
}

// sentIn returns what a request carries: as it came, and every value decoded.
func sentIn(r *http.Request, body []byte) []string {
	sent := []string{string(body), r.URL.RawQuery, r.Header.Get("Authorization")}
	if user, password, ok := r.BasicAuth(); ok {
		plain, err := url.QueryUnescape(password)
		if err != nil {
			plain = password
		}
		sent = append(sent, user, password, plain)
	}
	form, _ := url.ParseQuery(string(body))
	for _, v := range form {
		sent = append(sent, v...)
	}
	var members map[string]any
	json.Unmarshal(body, &members)
	for _, v := range members {
		sent = append(sent, fmt.Sprint(v))
	}
	for _, v := range sent {
		if parts := strings.Split(v, "."); len(parts) == 3 && strings.HasPrefix(v, "eyJ") {
			claims, _ := base64.RawURLEncoding.DecodeString(parts[1])
			sent = append(sent, string(claims))
		}
	}
	return slices.DeleteFunc(sent, func(s string) bool { return s == "" })
}
