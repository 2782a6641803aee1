package login

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

func (h *harness) ofEarthdata(name string) protocol.LoginParams {
	return protocol.LoginParams{Profile: name, Provider: "earthdata", AuthServer: h.server.URL(), Username: person}
}

// The next sign-in asks for the password alone, of the person who has signed in before.
func TestASecondSignInForAUserToken(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		r, err := h.login(t.Context(), h.ofEarthdata("nasa"), typing(password))
		if err != nil || r.Outcome != protocol.SignedIn || r.ExpiresIn != int64(sandbox.EarthdataLifetime/time.Second) {
			t.Fatalf("%+v, %v", r, err)
		}
		if item := h.stored(t, "nasa"); item.Username != person || item.KeyEnds == "" {
			t.Errorf("%+v", item)
		}
		first, err := h.token(t, "nasa")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(sandbox.EarthdataLifetime - 2*24*time.Hour)
		r, err = h.login(t.Context(), protocol.LoginParams{Profile: "nasa"}, typing(password))
		if err != nil || r.ExpiresIn != int64(sandbox.EarthdataLifetime/time.Second) {
			t.Fatalf("%+v, %v", r, err)
		}
		if next, err := h.token(t, "nasa"); err != nil || next.Access.Equal(first.Access) {
			t.Errorf("%v", err)
		}
		_, err = h.login(t.Context(), protocol.LoginParams{Profile: "nasa"}, typing("wrong"))
		if err == nil || !strings.Contains(err.Error(), "user name or password") {
			t.Error(err)
		}
		h.works(t, "nasa") // with what it had
	})
}

// Where a person has two tokens that end soon, the later one is taken, and the page is named where one is deleted.
func TestTwoUserTokensThatEndSoon(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		h.server.AddUserToken(person, 24*time.Hour)
		h.server.AddUserToken(person, 5*24*time.Hour)
		var said []string
		r, err := h.login(t.Context(), h.ofEarthdata("nasa"), h.typing(t, password, &said))
		if err != nil || r.Untried || r.ExpiresIn != 5*24*3600 || !strings.Contains(strings.Join(said, " "),
			"delete one at https://urs.earthdata.nasa.gov") {
			t.Errorf("%+v, %v, %q", r, err, said)
		}
	})
}

// A token that a person brings is taken at its word: one that says when it ends is served until then.
func TestATokenOfOnesOwn(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		jwt := func(exp time.Time) string {
			claims := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"exp":%d}`, exp.Unix()))
			return "eyJhbGciOiJub25lIn0." + claims + ".c2ln"
		}
		p := h.ofEarthdata("nasa")
		p.Username, p.Grant = "", "api_key"
		_, err := h.login(t.Context(), p, typing(jwt(time.Now().Add(-time.Hour))))
		if err == nil || !strings.Contains(err.Error(), "the token ended at 1999-12-31T23:00:00Z") {
			t.Error(err)
		}
		r, err := h.login(t.Context(), p, typing(jwt(time.Now().Add(time.Hour))))
		if err != nil || r.ExpiresIn != 3600 || !r.Untried {
			t.Errorf("%+v, %v", r, err)
		}
		if token, err := h.token(t, "nasa"); err != nil || token.Static {
			t.Errorf("%+v, %v", token, err)
		}
		r, err = h.login(t.Context(), p, typing("EDL-Uabc"))
		if err != nil || r.ExpiresIn != int64(sandbox.EarthdataLifetime/time.Second) { // at most
			t.Errorf("%+v, %v", r, err)
		}
		r, err = h.login(t.Context(), protocol.LoginParams{Profile: "other", Provider: "planet-key"}, typing("EDL-Uabc"))
		if err != nil || r.ExpiresIn != 0 || !r.Untried {
			t.Errorf("%+v, %v", r, err)
		}
		if n := len(h.server.Log()); n != 0 {
			t.Errorf("%d requests", n)
		}
	})
}
