package grant_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
)

// device starts a sign-in at EarthScope's dialect in a bubble; the person has not decided yet.
func device(t *testing.T, change func(*sandbox.Options)) (*bubble, func(context.Context) (grant.Session, error)) {
	b := presetInBubble(t, "earthscope", grant.ByDeviceCode, func(o *sandbox.Options) {
		o.Consent = sandbox.ConsentForm
		if change != nil {
			change(o)
		}
	})
	server := b.endpoint.Server()
	item := server.NewItem(server.ClientID, grant.ByDeviceCode)
	d, err := b.endpoint.StartDevice(t.Context(), item, grant.Request{})
	if err != nil {
		t.Fatal(err)
	}
	return b, func(ctx context.Context) (grant.Session, error) { return b.endpoint.AwaitDevice(ctx, item, d) }
}

const auth0Token = "/oauth/token"

// polls returns the moments of the polls, from the bubble's start.
func (b *bubble) polls() (at []time.Duration) {
	for _, l := range b.server.Log() {
		if l.Path == auth0Token {
			at = append(at, l.Time.Sub(b.start).Round(time.Second))
		}
	}
	return at
}

// A person who takes ten minutes; the server is slow, so the interval must be counted from its answers.
func TestDevicePerson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, await := device(t, func(o *sandbox.Options) { o.Latency = 3 * time.Second })
		go func() {
			time.Sleep(10 * time.Minute)
			b.server.ApproveDevice(b.server.Devices()[0])
		}()
		s, err := await(t.Context())
		if err != nil || s.Refresh.IsZero() || b.age(s.Token.Sent) > 4*time.Second {
			t.Fatalf("%+v, %v", s, err)
		}
		polls := b.polls()
		if len(polls) < 70 || len(polls) > 77 { // 8 s each
			t.Errorf("%d polls", len(polls))
		}
		for _, l := range b.server.Log() {
			if l.Status == 429 {
				t.Fatal("the server had to slow us down")
			}
		}
	})
}

func TestDeviceOutcomes(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*sandbox.Options)
		during func(b *bubble)
		class  grant.Class
		code   string
		text   string
		took   time.Duration
		most   int // polls
	}{
		{name: "declined", during: func(b *bubble) { b.server.DenyDevice(b.server.Devices()[0]) },
			class: grant.Refused, code: "access_denied", text: "was declined", took: 10 * time.Second, most: 2},
		{name: "nobody came", class: grant.Refused, code: "expired_token", text: "expired before anybody signed in",
			took: 900 * time.Second, most: 180},
		{name: "a short code", change: func(o *sandbox.Options) { o.Device.Lifetime = 12 * time.Second },
			class: grant.Refused, code: "expired_token", text: "expired", took: 12 * time.Second, most: 2},
		{name: "user is blocked", during: func(b *bubble) {
			b.server.ApproveDevice(b.server.Devices()[0])
			b.server.BlockUser(alice, true)
		}, class: grant.Refused, code: "invalid_grant", text: "user is blocked", took: 10 * time.Second, most: 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, await := device(t, c.change)
				if c.during != nil {
					go func() {
						time.Sleep(7 * time.Second)
						c.during(b)
					}()
				}
				_, err := await(t.Context())
				e := wantClass(t, err, c.class)
				if e.Code != c.code || !strings.Contains(e.Error(), c.text) {
					t.Errorf("%v", e)
				}
				if took := time.Since(b.start).Round(time.Second); took != c.took || len(b.polls()) > c.most {
					t.Errorf("took %v, %d polls", took, len(b.polls()))
				}
			})
		})
	}
}

// What a server answers to polls, and when the next one comes. The person has approved by the last.
func TestDevicePolling(t *testing.T) {
	pending := sandbox.Refuse(400, "authorization_pending")
	const page = "<html>"
	sec := func(n ...int) (all []time.Duration) {
		for _, s := range n {
			all = append(all, time.Duration(s)*time.Second)
		}
		return all
	}
	for _, c := range []struct {
		name   string
		faults []sandbox.Fault
		polls  []time.Duration
	}{
		{"at once", nil, sec(5)},
		{"pending under 400", []sandbox.Fault{pending, pending}, sec(5, 10, 15)},
		{"pending under 403", []sandbox.Fault{sandbox.Refuse(403, "authorization_pending")}, sec(5, 10)},
		{"slow_down under 400", []sandbox.Fault{sandbox.Refuse(400, "slow_down"), pending}, sec(5, 15, 25)},
		{"slow_down under 429", []sandbox.Fault{sandbox.Refuse(429, "slow_down"), pending}, sec(5, 15, 25)},
		{"slow_down twice", []sandbox.Fault{sandbox.Refuse(429, "slow_down"), sandbox.Refuse(400, "slow_down")},
			sec(5, 15, 30)},
		{"429 without a code", []sandbox.Fault{{Status: 429, Body: `{}`}, pending}, sec(5, 15, 25)},
		{"429 page", []sandbox.Fault{{Status: 429, Body: page, Header: http.Header{"Content-Type": {"text/html"}}}},
			sec(5, 15)},
		{"429 too many requests", []sandbox.Fault{sandbox.Refuse(429, "too_many_requests")}, sec(5, 15)},
		{"429 with a wish", []sandbox.Fault{sandbox.Busy(429, "40"), pending}, sec(5, 45, 55)},
		{"429 with a shorter wish", []sandbox.Fault{sandbox.Busy(429, "1"), pending}, sec(5, 15, 25)},
		{"503", []sandbox.Fault{{Status: 503, Body: `{}`}, pending}, sec(5, 15, 20)},
		{"503 with a wish", []sandbox.Fault{sandbox.Busy(503, "30"), pending}, sec(5, 35, 40)},
		{"503 three times", []sandbox.Fault{{Status: 503, Body: `{}`, Times: 3}}, sec(5, 15, 35, 75)},
		{"connection cut", []sandbox.Fault{{Cut: sandbox.CutAfterBody}}, sec(5, 15)},
		{"captive portal", []sandbox.Fault{sandbox.HTML(200), sandbox.HTML(403)}, sec(5, 15, 35)},
		{"pending under 200", []sandbox.Fault{{Status: 200, Body: `{"error":"authorization_pending"}`}}, sec(5, 10)},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, await := device(t, nil)
				b.server.ApproveDevice(b.server.Devices()[0])
				b.server.Script(auth0Token, c.faults...)
				if _, err := await(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := fmt.Sprint(b.polls()); got != fmt.Sprint(c.polls) {
					t.Errorf("polls at %v, want %v", got, c.polls)
				}
			})
		})
	}
}

// An answer after which another poll is of no use.
func TestDeviceFinal(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault sandbox.Fault
		class grant.Class
	}{
		{"client unknown", sandbox.Refuse(401, "invalid_client"), grant.InvalidClient},
		{"client unknown under 429", sandbox.Refuse(429, "invalid_client"), grant.InvalidClient},
		{"grant not allowed", sandbox.Refuse(400, "unauthorized_client"), grant.Misconfigured},
		{"unknown code", sandbox.Refuse(400, "full_moon"), grant.TransientSlow},
		{"not found", sandbox.HTML(404), grant.TransientSlow},
		{"redirect", sandbox.Redirect("https://elsewhere.example/"), grant.Misconfigured},
		{"a token that cannot be used", sandbox.Fault{Set: map[string]any{"access_token": "a b"}}, grant.Malformed},
		{"a refresh token that cannot be used", sandbox.Fault{Set: map[string]any{"refresh_token": "a\nb"}},
			grant.Malformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, await := device(t, nil)
				b.server.ApproveDevice(b.server.Devices()[0])
				b.server.Script(auth0Token, c.fault)
				_, err := await(t.Context())
				wantClass(t, err, c.class)
				if n := len(b.polls()); n != 1 {
					t.Errorf("%d polls", n)
				}
			})
		})
	}
}

// The answer with the token is lost: the next poll is told that the code is used up, and the person is told why.
func TestDeviceTokenLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, await := device(t, nil)
		b.server.ApproveDevice(b.server.Devices()[0])
		b.server.Script(auth0Token, sandbox.Fault{Cut: sandbox.CutAfterHandling})
		_, err := await(t.Context())
		if e := wantClass(t, err, grant.Refused); !strings.Contains(e.Error(), "lost on the way") {
			t.Errorf("%v", e)
		}
	})
}

// The network may be gone until the code expires, and no longer. Few requests are made meanwhile.
func TestDeviceNetworkGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, await := device(t, nil)
		b.server.Script(auth0Token, sandbox.Fault{Cut: sandbox.CutBeforeBody, Times: -1})
		_, err := await(t.Context())
		if e := wantClass(t, err, grant.Refused); e.Code != "expired_token" || time.Since(b.start) != 900*time.Second {
			t.Errorf("%v after %v", e, time.Since(b.start))
		}
		if n := len(b.polls()); n > 20 {
			t.Errorf("%d polls", n)
		}
	})
}

// Ctrl-C, also in the middle of a poll.
func TestDeviceGivenUp(t *testing.T) {
	for _, after := range []time.Duration{time.Second, 6 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			b, await := device(t, func(o *sandbox.Options) { o.Latency = 4 * time.Second })
			ctx, cancel := context.WithTimeout(t.Context(), after)
			defer cancel()
			begin := time.Now()
			_, err := await(ctx)
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != after {
				t.Errorf("%v after %v", err, time.Since(begin))
			}
			if n := len(b.polls()); n > 1 {
				t.Errorf("%d polls", n)
			}
		})
	}
}

func TestStartDevice(t *testing.T) {
	const good = `"device_code":"dummy-code","user_code":"ABCD-EFGH",` +
		`"verification_uri":"https://auth.example.com/activate"`
	for _, c := range []struct {
		name, body, flaw string
		check            func(d *grant.DeviceLogin) bool
	}{
		{"the least there can be", `{` + good + `,"expires_in":60}`, "", func(d *grant.DeviceLogin) bool {
			return d.Lifetime == time.Minute && d.VerificationURIComplete == "" && d.UserCode == "ABCD-EFGH"
		}},
		{"members that nobody knows", `{` + good + `,"expires_in":60,"x":1,"message":"hi"}`, "", nil},
		{"no lifetime", `{` + good + `}`, "", func(d *grant.DeviceLogin) bool { return d.Lifetime == 5*time.Minute }},
		{"a year", `{` + good + `,"expires_in":31536000}`, "", func(d *grant.DeviceLogin) bool {
			return d.Lifetime == 30*time.Minute
		}},
		{"Google's name for it",
			`{"device_code":"c","user_code":"U","verification_url":"https://www.example.com/device","expires_in":60}`,
			"", nil},
		{"loopback", `{"device_code":"c","user_code":"U","verification_uri":"http://127.0.0.1:8080/device",` +
			`"expires_in":60}`, "", nil},
		{"complete", `{` + good + `,"expires_in":60,` +
			`"verification_uri_complete":"https://auth.example.com/activate?user_code=ABCD-EFGH"}`, "",
			func(d *grant.DeviceLogin) bool { return strings.HasSuffix(d.VerificationURIComplete, "ABCD-EFGH") }},
		{"complete, but elsewhere",
			`{` + good + `,"expires_in":60,"verification_uri_complete":"https://evil.example/activate"}`, "",
			func(d *grant.DeviceLogin) bool { return d.VerificationURIComplete == "" }},
		{"complete, but a script", `{` + good + `,"expires_in":60,"verification_uri_complete":"javascript:alert(1)"}`,
			"",
			func(d *grant.DeviceLogin) bool { return d.VerificationURIComplete == "" }},

		{"a page with a fragment",
			`{"device_code":"c","user_code":"U","verification_uri":"https://auth.example.com/#/device"}`,
			"", nil},
		{"two fragments", `{"device_code":"c","user_code":"U","verification_uri":"https://auth.example.com/#a#b"}`,
			"fragment", nil},
		{"a fragment of another script",
			`{"device_code":"c","user_code":"U","verification_uri":"https://auth.example.com/#\u0430"}`, "ASCII", nil},
		{"no device code", `{"user_code":"U","verification_uri":"https://auth.example.com/"}`, "no device code", nil},
		{"empty device code", `{"device_code":"","user_code":"U","verification_uri":"https://auth.example.com/"}`,
			"no device code", nil},
		{"device code with a newline",
			`{"device_code":"a\nb","user_code":"U","verification_uri":"https://auth.example.com/"}`,
			"no device code", nil},
		{"no user code", `{"device_code":"c","verification_uri":"https://auth.example.com/"}`, "could type", nil},
		{"user code that steers a terminal",
			`{"device_code":"c","user_code":"\u001b[2J","verification_uri":"https://auth.example.com/"}`,
			"could type", nil},
		{"user code without end", `{"device_code":"c","user_code":"` + strings.Repeat("A", 65) +
			`","verification_uri":"https://auth.example.com/"}`, "could type", nil},
		{"blank user code", `{"device_code":"c","user_code":"  ","verification_uri":"https://auth.example.com/"}`,
			"could type", nil},
		{"no page", `{"device_code":"c","user_code":"U"}`, "cannot be shown", nil},
		{"page in the clear", `{"device_code":"c","user_code":"U","verification_uri":"http://auth.example.com/"}`,
			"https://", nil},
		{"page that is a file", `{"device_code":"c","user_code":"U","verification_uri":"file:///etc/passwd"}`,
			"cannot be shown", nil},
		{"page that is an option", `{"device_code":"c","user_code":"U","verification_uri":"--help"}`,
			"cannot be shown", nil},
		{"page with a password",
			`{"device_code":"c","user_code":"U","verification_uri":"https://auth.example.com@evil.example/"}`,
			"password", nil},
		{"expired at once", `{` + good + `,"expires_in":0}`, "expired", nil},
		{"a list", `[]`, "not a JSON object", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			url, _ := handler(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprint(w, c.body)
			})
			server := serverOf(url, grant.None)
			server.DeviceEndpoint = url + "/device"
			d, err := endpoint(server).StartDevice(t.Context(), server.NewItem(publicID, grant.ByDeviceCode),
				grant.Request{})
			if c.flaw != "" {
				if e := wantClass(t, err, grant.Malformed); !strings.Contains(e.Error(), c.flaw) {
					t.Errorf("%v", e)
				}
				return
			}
			if err != nil || c.check != nil && !c.check(d) {
				t.Errorf("%+v, %v", d, err)
			}
		})
	}
}

// The interval is at least what the server says: a fraction is rounded up, nonsense is five seconds.
func TestDeviceInterval(t *testing.T) {
	for _, c := range []struct {
		interval string // "" leaves it out
		want     time.Duration
	}{{"", 5 * time.Second}, {"7", 7 * time.Second}, {"2.5", 3 * time.Second}, {`"10"`, 10 * time.Second}, {"0",
		time.Second}, {"-3", 5 * time.Second}, {"null", 5 * time.Second}, {`"soon"`, 5 * time.Second},
		{"1e99", 900 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			b := presetInBubble(t, "earthscope", grant.ByDeviceCode, nil)
			set := map[string]any{"interval": nil}
			if c.interval != "" {
				set["interval"] = json.RawMessage(c.interval)
			}
			b.server.Script("/oauth/device/code", sandbox.Fault{Set: set})
			server := b.endpoint.Server()
			item := server.NewItem(server.ClientID, grant.ByDeviceCode)
			d, err := b.endpoint.StartDevice(t.Context(), item, grant.Request{})
			if err != nil {
				t.Fatal(err)
			}
			b.endpoint.AwaitDevice(t.Context(), item, d)
			if took := time.Since(b.start); took != c.want {
				t.Errorf("%q: first poll after %v, want %v", c.interval, took, c.want)
			}
		})
	}
}

// Without a client id nothing is sent.
func TestNoClientID(t *testing.T) {
	url, requests := handler(t, func(http.ResponseWriter, *http.Request) {})
	server := serverOf(url, grant.None)
	server.DeviceEndpoint = url + "/device"
	_, err := endpoint(server).StartDevice(t.Context(), server.NewItem("", grant.ByDeviceCode), grant.Request{})
	if e := wantClass(t, err, grant.Misconfigured); !strings.Contains(e.Error(), "no client id") ||
		requests.Load() != 0 {
		t.Errorf("%v, %d requests", e, requests.Load())
	}
}

func TestDeviceIsNotOffered(t *testing.T) {
	server := serverOf("https://auth.example.com", grant.None)
	if _, err := endpoint(server).StartDevice(t.Context(), server.NewItem("c", grant.ByDeviceCode),
		grant.Request{}); !errors.Is(err, grant.ErrNotOffered) {
		t.Error(err)
	}
}

// An edited configuration cannot carry a secret to another host by way of the other endpoints.
func TestOtherEndpointsAreBoundToo(t *testing.T) {
	url, requests := handler(t, func(http.ResponseWriter, *http.Request) {})
	for _, method := range []grant.Method{grant.ClientSecretBasic, grant.ClientSecretPost} {
		server := serverOf("https://auth.example.com", method)
		server.DeviceEndpoint, server.RevocationEndpoint = url+"/device", url+"/revoke"
		server.AuthorizeEndpoint, server.PAREndpoint, server.RequirePAR = url+"/authorize", url+"/par", true
		e, item := endpoint(server), itemOf(server)
		item.RefreshToken = item.ClientSecret
		_, err1 := e.StartDevice(t.Context(), item, grant.Request{})
		_, err2 := e.StartAuthCode(t.Context(), item, grant.Request{}, "http://127.0.0.1:1/callback")
		for _, err := range []error{err1, err2, e.Revoke(t.Context(), item)} {
			if !errors.Is(err, grant.ErrEndpointChanged) {
				t.Errorf("%s: %v", method, err)
			}
		}
	}
	if requests.Load() != 0 {
		t.Errorf("%d requests arrived", requests.Load())
	}
}
