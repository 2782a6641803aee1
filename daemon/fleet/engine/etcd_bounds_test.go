package engine

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/keystore"
)

// transport is a network that a test answers for.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func response(text string) *http.Response {
	return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(text))}
}

// A Read ends, and its memory has a bound, whatever the node answers.
func TestAReadEnds(t *testing.T) {
	const enough = 1000 // pages
	longKey := func(i int) string { return fmt.Sprintf("/a%0*d", MaxKey-2, i) }
	for name, test := range map[string]struct {
		wait time.Duration // for each page
		keys func(page int) []string
		want string
		kind error
	}{
		"the same page again": {keys: func(int) []string { return []string{"/a"} }, want: errAnswer.Error(),
			kind: ErrUnavailable},
		"keys that were passed over": {keys: func(page int) []string {
			return []string{fmt.Sprintf("/a%d", page%2), fmt.Sprintf("/a%d", 2+page%2)}
		}, want: errAnswer.Error(), kind: ErrUnavailable},
		"keys without end": {keys: func(page int) (keys []string) {
			for i := range pages[0] {
				keys = append(keys, longKey(page*pages[0]+i))
			}
			return keys
		}, want: "more than 64 MiB"},
		"slow pages": {keys: func(page int) []string { return []string{longKey(page)} }, wait: time.Second,
			want: "deadline", kind: ErrUnavailable},
	} {
		synctest.Test(t, func(t *testing.T) {
			e, asked := open(t, Options{Endpoints: []string{"http://127.0.0.1:1"}}), 0
			e.transport = transport(func(r *http.Request) (*http.Response, error) {
				time.Sleep(test.wait)
				var found []string
				for _, key := range test.keys(asked) {
					text := base64.StdEncoding.EncodeToString([]byte(key))
					found = append(found, `{"key":"`+text+`","mod_revision":"5"}`)
				}
				asked++
				return response(fmt.Sprintf(`{`+goodHeader+`,"more":%v,"kvs":[%s]}`, asked < enough,
					strings.Join(found, ","))), nil
			})
			began := time.Now()
			_, _, err := e.Read(t.Context(), "/a")
			if err == nil || !strings.Contains(err.Error(), test.want) ||
				test.kind != nil && !errors.Is(err, test.kind) {
				t.Errorf("%s: after %d pages: %v", name, asked, err)
			}
			if took := time.Since(began); took > wholeTime+readTime {
				t.Errorf("%s: it took %v", name, took)
			}
		})
	}
}

// Who only drops a token does not wait for one who asks for another.
func TestDroppingATokenDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, Options{Endpoints: []string{"http://127.0.0.1:1"}, User: "groat",
			Password: keystore.SecretString("dummy")})
		e.transport = transport(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			e.Read(ctx, "/a")
		}()
		synctest.Wait() // the token is being asked for
		began := time.Now()
		e.forget(keystore.SecretString("old"))
		e.nobody(failures{})
		if took := time.Since(began); took > 0 {
			t.Errorf("it waited %v", took)
		}
		cancel()
		<-done
	})
}

// The password is in no buffer that this package made once it was sent, nor in the engine once that is closed.
func TestThePasswordIsWiped(t *testing.T) {
	const password = `correct "horse"`
	given := keystore.SecretString(password)
	e := open(t, Options{Endpoints: []string{"http://127.0.0.1:1"}, User: "groat", Password: given})
	var sent *http.Request
	var text, again []byte
	calls := 0
	e.transport = transport(func(r *http.Request) (*http.Response, error) {
		if calls++; r.URL.Path != "/v3/auth/authenticate" {
			return response(`{` + goodHeader + `}`), nil
		}
		sent, text = r, r.Body.(*wipedBody).text
		whole, err := io.ReadAll(r.Body)
		if err != nil || string(whole) != `{"name":"groat","password":"correct \"horse\""}` {
			t.Errorf("it sends %q, %v", whole, err)
		}
		second, err := r.GetBody()
		if err != nil {
			t.Error(err)
			return nil, err
		}
		again = second.(*wipedBody).text
		if whole, err := io.ReadAll(second); err != nil || !bytes.Contains(whole, []byte("horse")) {
			t.Errorf("it sends %q again, %v", whole, err)
		}
		return response(`{"token":"t"}`), errors.Join(second.Close(), r.Body.Close())
	})
	if _, _, err := e.Read(t.Context(), "/a"); err != nil {
		t.Fatal(err)
	}
	late, err := sent.GetBody()
	if err != nil {
		t.Fatal(err)
	}
	for name, left := range map[string][]byte{
		"the body": text, "the body that was sent again": again, "what bodies are made of": late.(*wipedBody).text,
	} {
		if len(left) == 0 || len(bytes.Trim(left, "\x00")) > 0 {
			t.Errorf("%s is left: %q", name, left)
		}
	}
	e.Close()
	if !e.password.IsZero() || given.Reveal() != password {
		t.Error("the engine still has the password, or has wiped the caller's")
	}
	before := calls
	if _, _, err := e.Read(t.Context(), "/a"); !errors.Is(err, errClosed) || calls != before {
		t.Errorf("a closed engine: %v, %d calls more", err, calls-before)
	}
}
