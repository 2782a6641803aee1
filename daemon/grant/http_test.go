package grant_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
)

// A redirect is an answer. Its target learns nothing, whatever kind of request it was.
func TestNoRedirectIsFollowed(t *testing.T) {
	target, arrived := handler(t, func(http.ResponseWriter, *http.Request) {})
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, to := range []string{target + "/x", "//" + strings.TrimPrefix(target, "http://"), "%zz://", ""} {
			server := redirecting(t, status, to)
			e := endpoint(server)
			token := issued(server, "dummy-token")
			basic := server
			basic.Apps = &grant.AppCredentials{FirstToken: grant.BasicGET, FirstTokenEndpoint: server.TokenEndpoint}
			for name, send := range map[string]func() error{
				"client credentials": func() error {
					_, err := e.ClientCredentials(t.Context(), itemOf(server), grant.Request{})
					return err
				},
				"password grant": func() error {
					_, err := e.FirstToken(t.Context(), alice, keystore.SecretString(alicePass))
					return err
				},
				"basic": func() error {
					_, err := endpoint(basic).FirstToken(t.Context(), alice, keystore.SecretString(alicePass))
					return err
				},
				"refresh": func() error {
					item := itemOf(server)
					item.RefreshToken = keystore.SecretString("dummy-token")
					_, _, err := e.Refresh(t.Context(), item, grant.Request{})
					return err
				},
				"revoke": func() error {
					item := itemOf(server)
					item.RefreshToken = keystore.SecretString("dummy-token")
					return e.Revoke(t.Context(), item)
				},
				"device": func() error {
					_, err := e.StartDevice(t.Context(), itemOf(server), grant.Request{})
					return err
				},
				"pushed": func() error {
					_, err := e.StartAuthCode(t.Context(), itemOf(server), grant.Request{}, redirectURI)
					return err
				},
				"key": func() error {
					_, err := e.KeyLogin(t.Context(), alice, keystore.SecretString(secret))
					return err
				},
				"create":   func() error { _, err := e.CreateClient(t.Context(), token); return err },
				"userinfo": func() error { _, err := e.Userinfo(t.Context(), token); return err },
				"discovery": func() error {
					_, err := grant.Discover(t.Context(), grant.NewHTTPClient(new(grant.Network)), server.Issuer, "")
					return err
				},
			} {
				err := send()
				if err == nil || strings.Contains(err.Error(), "dummy-token") || strings.Contains(err.Error(), secret) {
					t.Errorf("%d %s %s: %v", status, name, to, err)
				}
				if to != "%zz://" && !strings.Contains(fmt.Sprint(err), "redirect") {
					t.Errorf("%d %s %s: the error does not say what happened: %v", status, name, to, err)
				}
			}
		}
	}
	if n := arrived.Load(); n != 0 {
		t.Errorf("the target got %d requests", n)
	}
}

// redirecting returns a server of which every endpoint redirects.
func redirecting(t *testing.T, status int, to string) grant.Server {
	url, _ := handler(t, func(w http.ResponseWriter, r *http.Request) {
		if to != "" {
			w.Header().Set("Location", to)
		}
		w.WriteHeader(status)
	})
	s := serverOf(url, grant.ClientSecretPost)
	s.Userinfo, s.DeviceEndpoint, s.RevocationEndpoint, s.KeyLogin = url+"/me", url+"/device", url+"/revoke", url+"/key"
	s.AuthorizeEndpoint, s.PAREndpoint, s.RequirePAR = url+"/authorize", url+"/par", true
	s.Apps = &grant.AppCredentials{FirstToken: grant.PasswordGrant, FirstTokenEndpoint: url + "/first",
		ClientsEndpoint: url + "/clients/"}
	return s
}

// Faults of a whole answer: what class, and never a second request.
func TestFaults(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	const body = `{"access_token":"abc","expires_in":60}`
	for _, c := range []struct {
		name  string
		fault sandbox.Fault
		class grant.Class
		text  string
	}{
		{"C1 captive portal", sandbox.HTML(200), grant.Malformed, "not JSON"},
		{"C4 gzip bomb", sandbox.Fault{Gunzipped: 200 << 20}, grant.Malformed, "compressed"},
		{"C4 gzip under 503", sandbox.Fault{Status: 503, Gunzipped: 200 << 20}, grant.Transient, "could not"},
		{"C5 10 MB", sandbox.Fault{Body: `{"access_token":"` + strings.Repeat("a", 10<<20) + `"}`},
			grant.Malformed, "larger"},
		{"C5 endless", sandbox.Fault{Body: " ", Endless: true}, grant.Malformed, "larger"},
		{"C5 just too large", sandbox.Fault{Body: body + strings.Repeat(" ", 1<<20-len(body)+1)},
			grant.Malformed, "larger"},
		{"C6 11 MB of header", sandbox.Fault{HeaderBytes: 11 << 20, Body: body}, grant.Ambiguous, "too large a header"},
		{"C33 firewall", sandbox.HTML(403), grant.TransientSlow, "proxy or firewall"},
		{"C45 reset after the request", sandbox.Fault{Cut: sandbox.CutAfterBody}, grant.Ambiguous, "broke"},
		{"C45 reset after it was done", sandbox.Fault{Cut: sandbox.CutAfterHandling}, grant.Ambiguous, "broke"},
		{"C45 reset before the body was read", sandbox.Fault{Cut: sandbox.CutBeforeBody}, grant.Ambiguous,
			"no whole answer"},
		{"C45 end in the header", sandbox.Fault{Raw: "HTTP/1.1 200 OK\r\nContent-Ty"}, grant.Ambiguous,
			"no whole answer"},
		{"C45 end in the body", sandbox.Fault{Truncate: 20}, grant.Ambiguous, "broke"},
		{"C48 204", sandbox.Fault{Raw: "HTTP/1.1 204 No Content\r\n\r\n"}, grant.Malformed, "no success"},
		{"C48 206", sandbox.Fault{Raw: "HTTP/1.1 206 Partial Content\r\nContent-Type: " +
			"application/json\r\nContent-Length: 2\r\n\r\n{}"}, grant.Malformed, "no success"},
		{"C48 101", sandbox.Fault{Raw: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"},
			grant.Malformed, "no success"},
		{"C49 two lengths", sandbox.Fault{Raw: head + "Content-Length: 5\r\nContent-Length: 38\r\n\r\n" + body},
			grant.Ambiguous, "no whole answer"},
		{"C49 bad chunk", sandbox.Fault{Raw: head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n" + body}, grant.Ambiguous,
			"no whole answer"},
		{"C49 not HTTP", sandbox.Fault{Raw: "SSH-2.0-OpenSSH_9.2 canary\r\n"}, grant.Ambiguous, "no whole answer"},
		{"C49 nothing", sandbox.Fault{Raw: "\r\n"}, grant.Ambiguous, "no whole answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			box, server := provider(t, "spatiafi")
			box.Script(sandbox.SpatiafiTokenPath, c.fault)
			e := endpoint(server)
			_, err := e.ClientCredentials(t.Context(), itemOf(server), grant.Request{})
			if got := wantClass(t, err, c.class); !strings.Contains(got.Error(), c.text) ||
				strings.Contains(got.Error(), "canary") {
				t.Errorf("%v", got)
			}
			if n := box.Count(sandbox.SpatiafiTokenPath); n != 1 || e.Requests() != 1 {
				t.Errorf("%d requests, counted %d", n, e.Requests())
			}
			if _, err := e.ClientCredentials(t.Context(), itemOf(server), grant.Request{}); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// C48: 1xx answers are skipped.
func TestInformationalAnswers(t *testing.T) {
	box, server := provider(t, "spatiafi")
	const body = `{"access_token":"abc","expires_in":60}`
	box.Script(sandbox.SpatiafiTokenPath,
		sandbox.Fault{Raw: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" +
			"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + fmt.Sprint(len(body)) +
			"\r\n\r\n" + body})
	if token, err := endpoint(server).ClientCredentials(t.Context(), itemOf(server), grant.Request{}); err != nil ||
		token.Access.Reveal() != "abc" {
		t.Errorf("%v", err)
	}
}

// Exactly 1 MiB is read.
func TestLargestBody(t *testing.T) {
	box, server := provider(t, "spatiafi")
	const body = `{"access_token":"abc","expires_in":60}`
	box.Script(sandbox.SpatiafiTokenPath, sandbox.Fault{Body: body + strings.Repeat(" ", 1<<20-len(body))})
	if _, err := endpoint(server).ClientCredentials(t.Context(), itemOf(server), grant.Request{}); err != nil {
		t.Error(err)
	}
}

// C8, C9, C10: whatever a server does, the exchange ends in 15 s.
func TestSlowServers(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault sandbox.Fault
		took  time.Duration
	}{
		{"C8 a byte a second", sandbox.Fault{Body: `{"access_token":"abc","expires_in":60}`, Rate: 1},
			15 * time.Second},
		{"C9 headers that never end", sandbox.Fault{Delay: 20 * time.Second, Raw: "HTTP/1.1 200 OK\r\n"},
			10 * time.Second},
		{"C10 silence", sandbox.Fault{Cut: sandbox.Hang}, 10 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := inBubble(t)
				b.server.Script(sandbox.SpatiafiTokenPath, c.fault)
				start := time.Now()
				_, err := b.token(t)
				wantClass(t, err, grant.Ambiguous)
				if took := time.Since(start); took != c.took || !strings.Contains(err.Error(), "too long") {
					t.Errorf("%v after %v", err, took)
				}
			})
		})
	}
}

// A client without deadlines of its own gets ours.
func TestOwnDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string,
			string) (net.Conn, error) {
			time.Sleep(time.Minute) // net/http lets a dial go on when its request has gone
			return nil, net.ErrClosed
		}}}
		start := time.Now()
		server := serverOf("https://auth.example.com", grant.ClientSecretPost)
		e := grant.NewEndpoint(server, client, (&bubble{start: start}).now)
		_, err := e.ClientCredentials(t.Context(), itemOf(server), grant.Request{})
		wantClass(t, err, grant.Transient)
		if took := time.Since(start); took != 15*time.Second || e.Requests() != 0 {
			t.Errorf("%v, counted %d", took, e.Requests())
		}
		time.Sleep(time.Minute) // until the dial has ended, too
	})
}

// C43: no server listens, so nothing was sent.
func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	for address, text := range map[string]string{
		"http://" + l.Addr().String():  "refused",
		"https://host.example.invalid": "", // no such host, or no name service at all
	} {
		server := serverOf(address, grant.ClientSecretJWT)
		e := endpoint(server)
		_, err := e.ClientCredentials(t.Context(), itemOf(server), grant.Request{})
		if got := wantClass(t, err, grant.Transient); !strings.Contains(got.Error(), text) || e.Requests() != 0 ||
			got.Status != 0 {
			t.Errorf("%v, counted %d", got, e.Requests())
		}
	}
}

// C44, C46: certificates are verified, HTTP/2 is not spoken.
func TestTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":"abc","expires_in":%d}`, r.ProtoMajor)
	}))
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // it logs each handshake that we break off
	s.StartTLS()
	defer s.Close()
	server := serverOf(s.URL, grant.ClientSecretBasic)
	e := endpoint(server)
	_, err := e.ClientCredentials(t.Context(), itemOf(server), grant.Request{})
	if got := wantClass(t, err, grant.TransientSlow); !strings.Contains(got.Error(), "authority") || e.Requests() != 0 {
		t.Errorf("%v", got)
	}

	trusting := func() *http.Client {
		c := grant.NewHTTPClient(new(grant.Network))
		trusted := s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
		c.Transport.(*http.Transport).TLSClientConfig.RootCAs = trusted
		return c
	}
	token, err := grant.NewEndpoint(server, trusting(), (&bubble{}).now).
		ClientCredentials(t.Context(), itemOf(server), grant.Request{})
	if err != nil || token.Lifetime != time.Second {
		t.Errorf("HTTP/%v, %v", token.Lifetime, err)
	}

	client := trusting()
	later := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	client.Transport.(*http.Transport).TLSClientConfig.Time = func() time.Time { return later }
	_, err = grant.NewEndpoint(server, client, (&bubble{wrong: time.Until(later)}).now).
		ClientCredentials(t.Context(), itemOf(server), grant.Request{})
	if got := wantClass(t, err, grant.TransientSlow); !strings.Contains(got.Error(), "clock") {
		t.Errorf("%v", got)
	}

	client = trusting()
	client.Transport.(*http.Transport).TLSClientConfig.ServerName = "elsewhere.example"
	_, err = grant.NewEndpoint(server, client, (&bubble{}).now).
		ClientCredentials(t.Context(), itemOf(server), grant.Request{})
	if got := wantClass(t, err, grant.TransientSlow); !strings.Contains(got.Error(), "another host") {
		t.Errorf("%v", got)
	}
}

func TestServerWithoutTLS(t *testing.T) {
	address, requests := handler(t, func(http.ResponseWriter, *http.Request) {})
	server := serverOf(strings.Replace(address, "http:", "https:", 1), grant.ClientSecretPost)
	_, err := endpoint(server).ClientCredentials(t.Context(), itemOf(server), grant.Request{})
	if got := wantClass(t, err, grant.TransientSlow); !strings.Contains(got.Error(), "TLS") || requests.Load() != 0 {
		t.Errorf("%v", got)
	}
}

// A proxy that refuses is named as such; the credential does not reach it.
func TestProxyRefuses(t *testing.T) {
	address, requests := handler(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			t.Errorf("the proxy got %s", r.Method)
		}
		w.WriteHeader(http.StatusProxyAuthRequired)
	})
	client := grant.NewHTTPClient(new(grant.Network))
	client.Transport.(*http.Transport).Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(address) }
	server := serverOf("https://auth.example.com", grant.ClientSecretPost)
	_, err := grant.NewEndpoint(server, client, (&bubble{}).now).
		ClientCredentials(t.Context(), itemOf(server), grant.Request{})
	if got := wantClass(t, err, grant.TransientSlow); !strings.Contains(got.Error(), "proxy") || requests.Load() != 1 {
		t.Errorf("%v", got)
	}
}

// Connections are not kept: what an idle one loses would have to be sent again (C47).
func TestFreshConnections(t *testing.T) {
	seen := make(chan string, 3)
	address, _ := handler(t, func(w http.ResponseWriter, r *http.Request) {
		seen <- r.RemoteAddr
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token":"abc","expires_in":60}`)
	})
	server := serverOf(address, grant.ClientSecretPost)
	e := endpoint(server)
	ports := map[string]bool{}
	for range 3 {
		if _, err := e.ClientCredentials(t.Context(), itemOf(server), grant.Request{}); err != nil {
			t.Fatal(err)
		}
		ports[<-seen] = true
	}
	if len(ports) != 3 {
		t.Errorf("connections %v", ports)
	}
}
