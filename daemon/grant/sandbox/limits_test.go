package sandbox

import (
	"fmt"
	"net/url"
	"testing"
	"time"
)

// Strangers can make the server remember so much and no more; what has expired makes room.
func TestFull(t *testing.T) {
	now := t0
	s := newPersonServer(t, Options{Clock: func() time.Time { return now }})
	live := authorization{realm: s.realms[0], client: s.clients[native], asked: t0}
	s.sess.mu.Lock()
	for i := range maxOpen {
		k := fmt.Sprint(i)
		s.sess.open[k] = &live
		s.sess.codes[k] = &code{authorization: &live, expires: t0}
		s.sess.pushed[k] = &pushed{expires: t0.Add(codeFor)}
		s.sess.devices[k] = &device{expires: t0, over: true}
		s.sess.opaque[k] = &opaque{expires: t0.Add(time.Hour)}
	}
	s.sess.mu.Unlock()
	form := url.Values{"client_id": {native}}
	check := func(when string, full bool) {
		t.Helper()
		s.SetConsent(ConsentAllow)
		if q := authorize(t, s, nil); (q.Get("error") == "temporarily_unavailable") != full {
			t.Errorf("%s, code: %v", when, q)
		}
		s.SetConsent(ConsentForm)
		if r := send(t, "GET", s.URL()+"/authorize?"+asked(nil).Encode(), ""); (r.StatusCode == 302) != full {
			t.Errorf("%s, form: %s", when, r.Status)
		}
		for path, ok := range map[string]int{"/par": 201, "/device/code": 200} {
			r := postForm(t, s.URL()+path, with(asked(nil), form))
			if full {
				r.refused(t, when+path, 503, "temporarily_unavailable")
			} else if r.StatusCode != ok {
				t.Errorf("%s%s: %s %s", when, path, r.Status, r.body)
			}
		}
		if hidden := s.hideToken("", "x", t0.Unix()+9000, now); (s.sess.opaque[Digest(hidden)] == nil) != full {
			t.Errorf("%s, opaque", when)
		}
	}
	check("full", true)
	now = t0.Add(keptFor + time.Second)
	check("later", false)
}

func TestRefreshTokensMakeRoom(t *testing.T) {
	living, ended := &refreshToken{family: &family{}}, &refreshToken{family: &family{ended: true}}
	m := map[string]*refreshToken{"a": living, "b": living}
	if room(m, 2, t0) {
		t.Error("room for a third")
	}
	m["b"] = ended
	if !room(m, 2, t0) || len(m) != 1 {
		t.Errorf("no room: %v", m)
	}
}
