package sandbox

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// inBubble returns a server and a client that live in a synctest bubble's time.
func inBubble(t *testing.T, o Options) (*Server, *http.Client) {
	o.Users = []User{{Name: alice, Password: alicePass}}
	s := New(o)
	tr := &http.Transport{DialContext: s.StartPipe()}
	t.Cleanup(func() { tr.CloseIdleConnections(); s.Close() })
	return s, &http.Client{Transport: tr}
}

func signIn(ctx context.Context, c *http.Client, s *Server) (*http.Response, string, error) {
	req, _ := http.NewRequestWithContext(ctx, "GET", s.URL()+SpatiafiBasicPath, nil)
	req.SetBasicAuth(alice, alicePass)
	resp, err := c.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

// A day at the real numbers: a token every 15 minutes, each accepted until its last second, without real waiting.
func TestDayInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := inBubble(t, Options{Latency: 300 * time.Millisecond})
		for range 96 {
			start := time.Now()
			resp, body, err := signIn(t.Context(), c, s)
			if err != nil || resp.StatusCode != 200 {
				t.Fatal(resp, err)
			}
			if took := time.Since(start); took != 300*time.Millisecond {
				t.Fatalf("latency %v", took)
			}
			token := reply{resp, body}.member(t, "access_token").(string)
			api := func() int {
				req, _ := http.NewRequestWithContext(t.Context(), "GET", s.URL()+apiPath, nil)
				req.Header.Set("Authorization", "Bearer "+token)
				resp, err := c.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				return resp.StatusCode
			}
			time.Sleep(time.Until(start.Truncate(time.Second).Add(899 * time.Second)))
			if got := api(); got != 200 {
				t.Fatalf("a second before exp: %d", got)
			}
			time.Sleep(time.Second)
			if got := api(); got != 401 {
				t.Fatalf("at exp: %d", got)
			}
		}
		if n := s.Count(SpatiafiBasicPath); n != 96 {
			t.Errorf("%d requests", n)
		}
	})
}

// Faults that take time take the bubble's time; nothing is left behind when their client goes.
func TestSlowFaultsInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := inBubble(t, Options{})
		start := time.Now()
		s.Script(SpatiafiBasicPath, Fault{Delay: 10 * time.Minute}, Fault{Body: strings.Repeat("x", 120), Rate: 1},
			Fault{Cut: Hang})
		if resp, _, err := signIn(t.Context(), c, s); err != nil || resp.StatusCode != 200 ||
			time.Since(start) != 10*time.Minute {
			t.Errorf("delay: %v %v after %v", resp, err, time.Since(start))
		}
		start = time.Now()
		if _, body, err := signIn(t.Context(), c, s); err != nil || len(body) != 120 ||
			time.Since(start) != 2*time.Minute {
			t.Errorf("slow: %d bytes, %v after %v", len(body), err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if _, _, err := signIn(ctx, c, s); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("hang: %v", err)
		}
	})
}

func TestWaitTellsWhatCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := inBubble(t, Options{})
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * time.Second)
				if _, _, err := signIn(t.Context(), c, s); err != nil {
					t.Error(err)
				}
			})
		}
		start := time.Now()
		if err := s.WaitFor(t.Context(), SpatiafiBasicPath, 20); err != nil || time.Since(start) != 19*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		wg.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := s.WaitFor(ctx, SpatiafiBasicPath, 51)
		if !errors.Is(err, context.DeadlineExceeded) ||
			!strings.Contains(err.Error(), "GET "+SpatiafiBasicPath+" 200") {
			t.Errorf("wait: %v", err)
		}
		s.Close()
		if err := s.WaitFor(t.Context(), SpatiafiBasicPath, 51); err == nil {
			t.Error("waits for a closed server")
		}
	})
}
