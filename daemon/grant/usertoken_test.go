package grant_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
)

const day = 24 * time.Hour

// earthdata is a sandbox with Earthdata Login's dialect, where the person has tokens that end after some times.
func earthdata(t *testing.T, left ...time.Duration) (*sandbox.Server, *grant.Endpoint, []string) {
	t.Helper()
	box := startBox(t, people(""))
	var tokens []string
	for _, d := range left {
		tokens = append(tokens, box.AddUserToken(alice, d))
	}
	return box, endpoint(presetFor(t, "earthdata", box.URL(), "")), tokens
}

func TestAUserTokenIsFoundOrMade(t *testing.T) {
	const made = -1
	for name, c := range map[string]struct {
		left []time.Duration // of the tokens that the person has
		want int             // which of them is used
		soon bool
		asks string
	}{
		"none":                      {nil, made, false, "find"},
		"one":                       {[]time.Duration{30 * day}, 0, false, "find"},
		"one that ends soon":        {[]time.Duration{3 * day}, made, false, "find create"},
		"two, the first ends soon":  {[]time.Duration{3 * day, 40 * day}, 1, false, "find create list"},
		"two that end soon":         {[]time.Duration{3 * day, 5 * day}, 1, true, "find create list"},
		"two, the second ends soon": {[]time.Duration{3 * day, 2 * day}, 0, true, "find create list"},
	} {
		t.Run(name, func(t *testing.T) {
			box, e, tokens := earthdata(t, c.left...)
			item, soon, err := e.UserToken(t.Context(), alice, keystore.SecretString(alicePass))
			if err != nil || soon != c.soon || item.Grant != "api_key" {
				t.Fatalf("%+v, soon %t, %v", item, soon, err)
			}
			left := sandbox.EarthdataLifetime
			if c.want != made {
				left = c.left[c.want]
				if item.APIKey.Reveal() != tokens[c.want] {
					t.Error("it is another token")
				}
			}
			token, _, err := e.Renew(t.Context(), item, grant.Request{})
			if err != nil || token.Static || !token.Last || token.Type != "Bearer" ||
				(token.Lifetime-left).Abs() > 2*time.Second || token.SessionLeft != token.Lifetime {
				t.Errorf("%+v, %v", token, err)
			}
			if name, value := token.Header(); name != "Authorization" || value != "Bearer "+item.APIKey.Reveal() {
				t.Errorf("%s: %.12s…", name, value)
			}
			var asks []string
			for _, entry := range box.Log() {
				asks = append(asks, map[string]string{sandbox.EarthdataFindPath: "find",
					sandbox.EarthdataCreatePath: "create", sandbox.EarthdataListPath: "list"}[entry.Path])
			}
			if got := strings.Join(asks, " "); got != c.asks {
				t.Errorf("asked %q, want %q", got, c.asks)
			}
			stored, err := keystore.EncodeItem(item)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := keystore.DecodeItem(stored); err != nil || !again.Equal(item) {
				t.Errorf("stored it is %+v, %v", again, err)
			}
		})
	}
}

func TestAUserTokenIsRefused(t *testing.T) {
	text := http.Header{"Content-Type": {"text/plain"}}
	for name, c := range map[string]struct {
		fault sandbox.Fault
		class grant.Class
		says  string
	}{
		"401 page":         {sandbox.HTML(401), grant.TransientSlow, ""},
		"401 with text":    {sandbox.Fault{Status: 401, Body: "no", Header: text}, grant.Refused, "password"},
		"503":              {sandbox.Busy(503, ""), grant.Transient, ""},
		"200 page":         {sandbox.HTML(200), grant.Malformed, ""},
		"redirect":         {sandbox.Redirect("https://elsewhere.example/"), grant.Misconfigured, "redirect"},
		"lost":             {sandbox.Fault{Cut: sandbox.CutAfterHandling}, grant.Ambiguous, ""},
		"no token":         {sandbox.Fault{Set: map[string]any{"access_token": nil}}, grant.Malformed, "no access token"},
		"no bearer token":  {sandbox.Fault{Set: map[string]any{"access_token": "a!b"}}, grant.Malformed, "cannot be kept"},
		"too long":         {sandbox.Fault{Set: map[string]any{"access_token": strings.Repeat("a", 4097)}}, grant.Malformed, "kept"},
		"no end":           {sandbox.Fault{Set: map[string]any{"access_token": "EDL-x", "expiration_date": nil}}, grant.Malformed, "ends"},
		"no day":           {sandbox.Fault{Set: map[string]any{"access_token": "EDL-x", "expiration_date": "31/12/2099"}}, grant.Malformed, "ends"},
		"a JWT that ended": {sandbox.Fault{Set: map[string]any{"access_token": jwtOf(`{"exp":1}`)}}, grant.Misconfigured, "after today"},
	} {
		t.Run(name, func(t *testing.T) {
			box, e, _ := earthdata(t)
			box.Script(sandbox.EarthdataFindPath, c.fault)
			box.Script(sandbox.EarthdataCreatePath, sandbox.Busy(503, ""))
			box.Script(sandbox.EarthdataListPath, sandbox.Busy(503, ""))
			_, _, err := e.UserToken(t.Context(), alice, keystore.SecretString(alicePass))
			if got := wantClass(t, err, c.class); !strings.Contains(got.Error(), c.says) ||
				strings.Contains(got.Error(), alicePass) {
				t.Errorf("%v", got)
			}
		})
	}
	_, e, _ := earthdata(t)
	_, _, err := e.UserToken(t.Context(), alice, keystore.SecretString("hunter2-canary"))
	if got := wantClass(t, err, grant.Refused); !strings.Contains(got.Error(), "user name or password") ||
		!strings.Contains(got.Error(), "Invalid user credentials") || strings.Contains(got.Error(), "hunter2") {
		t.Errorf("%v", got)
	}
	_, _, err = e.UserToken(t.Context(), "a:b", keystore.SecretString(alicePass))
	wantClass(t, err, grant.Misconfigured)
	_, _, err = endpoint(presetFor(t, "planet-legacy", "", "")).UserToken(t.Context(), alice, keystore.Secret{})
	if !errors.Is(err, grant.ErrNotOffered) {
		t.Error(err)
	}
}

// A token that is no JWT ends when the day that the server names begins.
func TestADayIsAnEnd(t *testing.T) {
	box, e, _ := earthdata(t)
	ends := time.Now().UTC().Add(20 * day)
	box.Script(sandbox.EarthdataFindPath, sandbox.Fault{Set: map[string]any{
		"access_token": "EDL-U0123456789", "expiration_date": ends.Format("1/2/2006"),
	}})
	item, soon, err := e.UserToken(t.Context(), alice, keystore.SecretString(alicePass))
	if want := ends.Truncate(day).Format(time.RFC3339); err != nil || soon || item.KeyEnds != want {
		t.Errorf("%q, %t, %v, want %q", item.KeyEnds, soon, err, want)
	}
}

func TestAKeyThatHasEnded(t *testing.T) {
	_, e, _ := earthdata(t)
	item := e.Server().NewItem("", grant.ByAPIKey)
	item.APIKey, item.KeyEnds = keystore.SecretString("EDL-x"), "2020-01-01T00:00:00Z"
	_, _, err := e.Renew(t.Context(), item, grant.Request{})
	if ended, ok := errors.AsType[*grant.KeyEndedError](err); !ok || !strings.Contains(ended.Error(), "2020-01-01") {
		t.Error(err)
	}
}

func TestKeyEnd(t *testing.T) {
	for in, want := range map[string]int64{
		jwtOf(`{"exp":4102444800}`): 4102444800, jwtOf(`{"exp":4102444800.9}`): 4102444800,
		jwtOf(`{}`): 0, jwtOf(`{"exp":"4102444800"}`): 0, jwtOf(`{"exp":1e300}`): 0, jwtOf(`{"exp":-1}`): 0,
		"PLAK0123": 0, jwtOf(`{"exp":4102444800}`) + "!": 0,
	} {
		got := grant.KeyEnd(keystore.SecretString(in))
		if want == 0 && !got.IsZero() || want != 0 && got.Unix() != want {
			t.Errorf("%s: %s", in, got)
		}
	}
}
