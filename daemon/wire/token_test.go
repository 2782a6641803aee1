package wire_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/daemon/wire"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

func TestATokenRequestIsParsed(t *testing.T) {
	for params, want := range map[string]wire.TokenRequest{
		`{}`:                 {Query: broker.Query{MinTTL: broker.Unset}, Wait: protocol.DefaultWait},
		`{"profile":"work"}`: {Query: broker.Query{Profile: "work", MinTTL: broker.Unset}, Wait: protocol.DefaultWait},
		`{"target":"https://api.example.org/v1?q"}`: {
			Query: broker.Query{MinTTL: broker.Unset}, Wait: protocol.DefaultWait,
			Target: origin.Target{Origin: "https://api.example.org:443", Path: "/v1"},
		},
		`{"profile":"work","target":"https://h","username":"alice@example.org"}`: {
			Query: broker.Query{Profile: "work", MinTTL: broker.Unset}, Wait: protocol.DefaultWait,
			Target: origin.Target{Origin: "https://h:443"}, Username: "alice@example.org",
		},
		`{"profile":"work","scope":"a b","audience":"c","min_ttl":0,"wait":3}`: {
			Query: broker.Query{Profile: "work", Scope: "a b", Audience: "c"}, Wait: 3 * time.Second,
		},
	} {
		if got, err := wire.ParseToken([]byte(params)); err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", params, got, err, want)
		}
	}
}

func TestATokenRequestOutOfItsBoundsIsInvalidParams(t *testing.T) {
	for params, says := range map[string]string{
		`{"min_ttl":-1}`:         "min_ttl must be from 0",
		`{"min_ttl":1000000000}`: "min_ttl must be from 0",
		`{"wait":-1}`:            "wait must be from 0",
		`{"wait":1000000000}`:    "wait must be from 0",
		`{"scope":"a\\b"}`:       "scope must be",
		`{"scope":"é"}`:          "scope must be",
		`{"scope":"` + strings.Repeat("s", 2<<10+1) + `"}`: "scope must be",
		`{"audience":"a b"}`: "audience must be",
		`{"audience":"` + strings.Repeat("s", 1<<10+1) + `"}`:                   "audience must be",
		`{"target":"https://h/` + strings.Repeat("s", 4<<10) + `"}`:             "target must be a URL",
		`{"target":"ftp://example.org/"}`:                                       "target: ",
		`{"username":"alice"}`:                                                  "username goes with a target",
		`{"target":"https://h/","username":"` + strings.Repeat("n", 513) + `"}`: "username must be",
		`{"profile":"../work","target":"https://h/"}`:                           "a profile's name",
		`{"profile":"../work"}`:                                                 "a profile's name",
		`{"profile":"` + strings.Repeat("n", 65) + `"}`:                         "a profile's name",
	} {
		_, err := wire.ParseToken([]byte(params))
		if e, ok := errors.AsType[*protocol.Error](err); !ok || e.Code != protocol.CodeInvalidParams ||
			!strings.Contains(e.Message, says) {
			t.Errorf("%.80s: %v, want invalid params: %s", params, err, says)
		}
	}
}

func TestARejectRequestIsParsed(t *testing.T) {
	r, err := wire.ParseReject([]byte(`{"profile":"work","access_token":"dummy-token"}`))
	if err != nil || r.Profile != "work" || string(r.Refused.Reveal()) != "dummy-token" {
		t.Errorf("%+v, %v", r, err)
	}
	for _, params := range []string{
		`{"profile":"work"}`, `{"access_token":""}`, `{"access_token":"a b"}`, `{"access_token":"a","wait":-1}`,
		`{"access_token":1}`,
	} {
		_, err := wire.ParseReject([]byte(params))
		if e, ok := errors.AsType[*protocol.Error](err); !ok || e.Code != protocol.CodeInvalidParams {
			t.Errorf("%s: %v, want invalid params", params, err)
		}
	}
}

func TestTheReplyThatHandsOutAToken(t *testing.T) {
	now := clock.Instant{Wall: time.Unix(1000, 0), Boot: time.Hour}
	token := grant.Token{Access: keystore.SecretString("dummy"), Type: "Bearer", Scope: "a b", Sent: now,
		Lifetime: time.Minute}
	session := token
	session.SessionIdleEnds, session.SessionEnds = 4600, 90000
	ending := session
	ending.SessionWarning = true
	odd := token
	odd.Access, odd.Visible = keystore.SecretString("00D!AQ|x:y"), true
	static := grant.Token{Access: keystore.SecretString(`k"ey`), Static: true}
	for _, c := range []struct {
		name  string
		token grant.Token
		api   string
		other bool
		after time.Duration
		want  string
	}{
		{"one whose user name is nobody's", token, "https://h.example:443/a", true, 0, `{"jsonrpc":"2.0","id":7,` +
			`"result":{"access_token":"dummy","token_type":"Bearer","expires_at":1060,"expires_in":60,"scope":"a b",` +
			`"profile":"work","api":"https://h.example/a","username_unknown":true,` +
			`"header":"Authorization: Bearer dummy"}}` + "\n"},
		{"one for an API", token, "https://h.example:443/a", false, 0, `{"jsonrpc":"2.0","id":7,"result":{` +
			`"access_token":"dummy","token_type":"Bearer","expires_at":1060,"expires_in":60,"scope":"a b",` +
			`"profile":"work","api":"https://h.example/a","header":"Authorization: Bearer dummy"}}` + "\n"},
		{"a bearer token", token, "", false, 0, `{"jsonrpc":"2.0","id":7,"result":{"access_token":"dummy","token_type":"Bearer",` +
			`"expires_at":1060,"expires_in":60,"scope":"a b","profile":"work",` +
			`"header":"Authorization: Bearer dummy"}}` + "\n"},
		{"one of a session", session, "", false, 0, `{"jsonrpc":"2.0","id":7,"result":{"access_token":"dummy",` +
			`"token_type":"Bearer","expires_at":1060,"expires_in":60,"scope":"a b","session_idle_ends_at":4600,` +
			`"session_ends_at":90000,"profile":"work","header":"Authorization: Bearer dummy"}}` + "\n"},
		{"one of a session that a person is to be warned of", ending, "", false, 0, `{"jsonrpc":"2.0","id":7,"result":` +
			`{"access_token":"dummy","token_type":"Bearer","expires_at":1060,"expires_in":60,"scope":"a b",` +
			`"session_idle_ends_at":4600,"session_ends_at":90000,"session_warning":true,"profile":"work",` +
			`"header":"Authorization: Bearer dummy"}}` + "\n"},
		{"one with other characters", odd, "", false, 0, `{"jsonrpc":"2.0","id":7,"result":{"access_token":"00D!AQ|x:y",` +
			`"token_type":"Bearer","expires_at":1060,"expires_in":60,"token_chars":"visible","scope":"a b",` +
			`"profile":"work","header":"Authorization: Bearer 00D!AQ|x:y"}}` + "\n"},
		{"an expired one", token, "", false, time.Minute, `{"jsonrpc":"2.0","id":7,"error":{"code":-32002,` +
			`"message":"the token expired before it could be handed out",` +
			`"data":{"kind":"temporary","hint":"groat status work","retry_after":1}}}` + "\n"},
		{"an API key", static, "", false, time.Minute, `{"jsonrpc":"2.0","id":7,"result":{` +
			`"access_token":"k\"ey","token_type":"",` +
			`"static":true,"profile":"work","header":"Authorization: Bearer k\"ey"}}` + "\n"},
	} {
		later := clock.Instant{Wall: now.Wall.Add(c.after), Boot: now.Boot + c.after}
		asked := wire.Asked{API: c.api, UnknownUser: c.other}
		if got := string(wire.AppendToken(nil, []byte("7"), c.token, "work", asked, later)); got != c.want {
			t.Errorf("%s: %s want %s", c.name, got, c.want)
		}
	}
}
