//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/groat-dev/groat/packaging/attack"
)

const (
	// slowly is how long a slow provider takes.
	slowly = 6 * time.Second
	// life is that of the tokens here, in seconds; who wants enough of it gets that of a fresh one, and of one that has aged not.
	life   = 20
	enough = 17
	aged   = 4 * time.Second
	// beyond is more than any token has.
	beyond = 2000
)

// age lets the tokens that the program holds become so old that they are not good for enough any more.
func age(ctx context.Context) error {
	select {
	case <-time.After(aged):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// slowProvider asks for a token that is at hand while another account's provider takes its time.
func slowProvider(ctx context.Context, r *running) (string, error) {
	r.provider.set(func() { r.slow = map[string]time.Duration{"b": slowly} })
	ctx, cancel := context.WithTimeout(ctx, 3*slowly)
	defer cancel()
	if err := age(ctx); err != nil {
		return "", err
	}
	before := r.provider.requests()
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		r.ask("b", enough).Ask(ctx, r.dial)
	}()
	if err := r.await(ctx, before+1); err != nil {
		return "", fmt.Errorf("the provider was not asked: %w", err)
	}
	took, err := r.ask("a", 0).Ask(ctx, r.dial)
	if err != nil {
		return "**not in " + short(slowly) + "**", nil
	}
	cancel()
	<-asked
	return short(took), nil
}

// await waits until the provider has had n token requests.
func (p *provider) await(ctx context.Context, n int) error {
	for p.requests() < n {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

// unavailable is what RFC 6749 has for it, under the status that proxies have.
func unavailable(w http.ResponseWriter) {
	w.WriteHeader(http.StatusServiceUnavailable)
	io.WriteString(w, `{"error":"temporarily_unavailable"}`)
}

// nothing is a success without a token.
func nothing(w http.ResponseWriter) { io.WriteString(w, `{"token_type":"Bearer"}`) }

func page(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html")
	io.WriteString(w, "<html>Sign in to the airport</html>")
}

// failedRenewal wants more than the token at hand still has, so that the provider is asked, which fails; then it wants what
// that token has.
func failedRenewal(ctx context.Context, r *running, reply func(http.ResponseWriter)) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := renewal(ctx, r, r.ask("a", enough), func() { r.reply = reply }); err != nil {
		return "", err
	}
	switch _, err := r.ask("a", 0).Ask(ctx, r.dial); {
	case errors.Is(err, errRefused):
		return "**gets an error**; the token is lost", nil
	case err != nil:
		return "", err
	}
	return "gets the token", nil
}

// renewal makes the provider what change says, and asks for more than the token at hand still has. Whether that is granted is
// nothing to it; that the provider was asked is.
func renewal(ctx context.Context, r *running, q attack.Question, change func()) error {
	if err := age(ctx); err != nil {
		return err
	}
	r.provider.set(change)
	before := r.provider.requests()
	if _, err := q.Ask(ctx, r.dial); err != nil && !errors.Is(err, errRefused) {
		return err
	}
	if r.provider.requests() == before {
		return errors.New("the provider was not asked")
	}
	return nil
}

// greedy wants, again and again, what no token can give.
func greedy(ctx context.Context, r *running) (string, error) {
	before := r.provider.requests()
	ctx, cancel := context.WithTimeout(ctx, 3*patience)
	defer cancel()
	for range 120 {
		if _, err := r.ask("a", beyond).Ask(ctx, r.dial); err != nil && !errors.Is(err, errRefused) {
			return "", err
		}
	}
	return fmt.Sprint(r.provider.requests() - before), nil
}

// together makes a hundred clients want a token in the same moment, when the one at hand has ended.
func together(ctx context.Context, r *running) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	if err := age(ctx); err != nil {
		return "", err
	}
	before := r.provider.requests()
	var answered atomic.Int32
	var wait sync.WaitGroup
	for range 100 {
		wait.Go(func() {
			if _, err := r.ask("a", enough).Ask(ctx, r.dial); err == nil {
				answered.Add(1)
			}
		})
	}
	wait.Wait()
	requests := r.provider.requests() - before
	if n := answered.Load(); n < 100 {
		return fmt.Sprintf("%d; %d of the clients are answered", requests, n), nil
	}
	return fmt.Sprint(requests), nil
}

// lineFeed looks whether what would break every line-based format is passed on.
func lineFeed(ctx context.Context, r *running) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	passed := false
	q := r.ask("a", enough)
	whole := q.Whole
	q.Whole = func(answer []byte) (bool, error) {
		if passed = passed || bytes.Contains(answer, []byte(`token\nhost=evil`)) || bytes.Contains(answer, []byte("token\nhost=evil")); passed {
			return true, nil
		}
		return whole(answer)
	}
	if err := renewal(ctx, r, q, func() { r.token = func(int) string { return "token\nhost=evil.example.com" } }); err != nil {
		return "", err
	}
	if passed {
		return "**is handed it**", nil
	}
	return "is not handed it", nil
}
