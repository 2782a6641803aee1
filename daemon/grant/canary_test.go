package grant_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// What must never be seen in an error, a log or a formatted value, in the forms in which a server might send it back.
const (
	canary         = "canary-4f9a1c77+e2/b0"
	canaryPassword = "canary-passw0rd-é-93b1"
	canaryToken    = "canary.access-token~77aa31"
	canaryRefresh  = "canary-refresh/1//token+5d0c"
	canaryCode     = "canary-c0de/4-0AbCdEf93"
)

// echo answers with everything that it was sent, in every place that an error might be taken from.
func echo(status int, contentType string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		form, _ := url.ParseQuery(string(body))
		said := string(body) + " " + r.Header.Get("Authorization")
		for _, v := range form {
			said += " " + strings.Join(v, " ")
		}
		if user, password, ok := r.BasicAuth(); ok {
			said += " " + user + " " + password
		}
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Location", "https://elsewhere.example/?"+url.QueryEscape(said))
		w.Header().Set("Retry-After", said)
		w.Header().Set("WWW-Authenticate", said)
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(map[string]any{
			"error_description": said, "message": said, "detail": said, "sub": said,
			"name":       "Alice " + said[max(0, len(said)-30):],
			"token_type": said, "client_id": said, "issuer": said, said[:min(40, len(said))]: said,
		})
	}
}

func TestNothingOfARequestIsInAnError(t *testing.T) {
	for _, status := range []int{200, 201, 204, 301, 307, 400, 401, 403, 404, 422, 429, 500, 503} {
		for _, contentType := range []string{"application/json", "text/html"} {
			address, requests := handler(t, echo(status, contentType))
			tryEverything(t, fmt.Sprint(status, " ", contentType), address)
			if requests.Load() == 0 {
				t.Errorf("%d: nothing was sent", status)
			}
		}
	}
}

// net/http quotes a malformed answer in its error.
func TestNothingOfABrokenAnswerIsInAnError(t *testing.T) {
	for name, format := range map[string]string{
		"no HTTP": "%s\r\n\r\n", "status": "HTTP/1.1 %s\r\n\r\n", "header": "HTTP/1.1 200 OK\r\n%s\r\n\r\n",
		"length":     "HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n",
		"location":   "HTTP/1.1 302 Found\r\nLocation: %%zz%s\r\n\r\n",
		"encoding":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: %s\r\n\r\n",
		"media type": "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: 2\r\n\r\n{}",
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				c.Read(make([]byte, 4096))
				fmt.Fprintf(c, format, canary+canaryPassword+canaryToken)
				c.Close()
			}
		}()
		tryEverything(t, name, "http://"+l.Addr().String())
	}
}

// tryEverything sends every kind of request to a server and looks for canaries in what comes of it.
func tryEverything(t *testing.T, name, address string) {
	t.Helper()
	server := serverOf(address, "")
	server.Userinfo = address + "/me"
	item := itemOf(server)
	item.ClientAuth, item.ClientSecret = "", keystore.SecretString(canary)
	var results []any
	for _, method := range methods {
		server.ClientAuth = method
		got, err := endpoint(server).ClientCredentials(t.Context(), item, grant.Request{})
		results = append(results, got, err)
	}
	for _, first := range []grant.FirstTokenMethod{grant.BasicGET, grant.PasswordGrant} {
		server.Apps = &grant.AppCredentials{FirstToken: first, FirstTokenEndpoint: address + "/first",
			ClientsEndpoint: address + "/clients/"}
		got, err := endpoint(server).FirstToken(t.Context(), alice, keystore.SecretString(canaryPassword))
		results = append(results, got, err)
	}
	token := issued(server, canaryToken)
	got, err := endpoint(server).CreateClient(t.Context(), token)
	results = append(results, got, err)
	claims, err := endpoint(server).Userinfo(t.Context(), token)
	results = append(results, claims, err)
	results = append(results, trySessions(t, server, item)...)

	for _, r := range results {
		err, _ := r.(error)
		for ; err != nil; err = errors.Unwrap(err) {
			lookForCanaries(t, name, fmt.Sprintf("%v %+v %#v %q", err, err, err, err))
		}
		lookForCanaries(t, name, fmt.Sprintf("%v %+v %#v", r, r, r))
	}
}

// trySessions sends every request of a session.
func trySessions(t *testing.T, server grant.Server, item keystore.Item) (results []any) {
	server.DeviceEndpoint, server.RevocationEndpoint, server.KeyLogin = server.Issuer+"/device",
		server.Issuer+"/revoke", server.Issuer+"/key"
	server.AuthorizeEndpoint, server.PAREndpoint, server.RequirePAR = server.Issuer+
		"/authorize", server.Issuer+"/par", true
	server.Grants = []grant.Kind{grant.ByPassword}
	item.RefreshToken = keystore.SecretString(canaryRefresh)
	secret := keystore.SecretString
	for _, method := range append(methods, grant.None) {
		for _, server.RevokeJSON = range []bool{false, true} {
			server.ClientAuth = method
			e := endpoint(server)
			refreshed, rotated, err := e.Refresh(t.Context(), item, grant.Request{})
			results = append(results, refreshed, rotated, err, e.Revoke(t.Context(), item))
			d, err := e.StartDevice(t.Context(), item, grant.Request{})
			results = append(results, d, err)
			_, err = e.StartAuthCode(t.Context(), item, grant.Request{}, redirectURI)
			results = append(results, err)
			s, err := e.Password(t.Context(), item, alice, secret(canaryPassword), keystore.Secret{}, grant.Request{})
			results = append(results, s, err)
			s, err = e.TokenExchange(t.Context(), item,
				grant.Presentation{Subject: secret(canaryToken), Actor: secret(canaryRefresh)}, grant.Request{})
			results = append(results, s, err)
		}
	}
	key, err := endpoint(server).KeyLogin(t.Context(), alice, secret(canaryPassword))
	results = append(results, key, err)
	server.PAREndpoint, server.RequirePAR = "", false
	a, err := endpoint(server).StartAuthCode(t.Context(), item, grant.Request{}, redirectURI)
	if err != nil {
		t.Fatal(err)
	}
	s, err := endpoint(server).Exchange(t.Context(), item, a, secret(canaryCode))
	results = append(results, s, err)
	_, err = a.ParseRedirect(redirectURI + "?state=x&code=" + canaryCode + "&error_description=" + canaryCode)
	return append(results, err)
}

func lookForCanaries(t *testing.T, name, text string) {
	t.Helper()
	for _, c := range []string{canary, canaryPassword, canaryToken, canaryRefresh, canaryCode} {
		pair := base64.StdEncoding.EncodeToString([]byte(clientID + ":" + c))
		for _, form := range []string{c[:12], c[len(c)-10:], url.QueryEscape(c), pair, pair[len(pair)-20:],
			base64.StdEncoding.EncodeToString([]byte(c))} {
			if strings.Contains(text, form) {
				t.Errorf("%s: %q is in %s", name, form, text)
			}
		}
	}
	if strings.Contains(text, "eyJ0eXAiOiJKV1Qi") {
		t.Errorf("%s: an assertion is in %s", name, text)
	}
}
