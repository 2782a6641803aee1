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
	// life is the lifetime of the tokens here, in seconds. A token that is enough seconds good is a fresh one: after
	// the time aged it is not good for so long any more.
	life   = 20
	enough = 17
	aged   = 4 * time.Second
	// beyond is longer than any token lives, in seconds.
	beyond = 2000
)

// age waits until the tokens that the program holds are good for less than enough.
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

// unavailable answers as a server in an outage: HTTP 503 with an error code of RFC 6749.
func unavailable(w http.ResponseWriter) {
	w.WriteHeader(http.StatusServiceUnavailable)
	io.WriteString(w, `{"error":"temporarily_unavailable"}`)
}

// nothing answers a success without a token.
func nothing(w http.ResponseWriter) { io.WriteString(w, `{"token_type":"Bearer"}`) }

func page(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html")
	io.WriteString(w, "<html>Sign in to the airport</html>")
}

// failedRenewal asks for a longer life than the token at hand has, so that the provider is asked, which fails. Then
// it asks for the life that the token has.
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

// renewal changes the provider, and asks q, which wants a longer life than the token at hand has. A refusal is no
// error; a provider that was not asked is.
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

// greedy asks 120 times for a longer life than any token has.
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

// together lets a hundred clients ask at once for a token, when the one at hand is too old for them.
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

// lineFeed looks whether a token with a line feed in it, which breaks every line-based format, is handed out.
func lineFeed(ctx context.Context, r *running) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	passed := false
	q := r.ask("a", enough)
	whole := q.Whole
	q.Whole = func(answer []byte) (bool, error) {
		for _, text := range []string{`token\nhost=evil`, "token\nhost=evil"} {
			passed = passed || bytes.Contains(answer, []byte(text))
		}
		if passed {
			return true, nil
		}
		return whole(answer)
	}
	evil := func(int) string { return "token\nhost=evil.example.com" }
	if err := renewal(ctx, r, q, func() { r.token = evil }); err != nil {
		return "", err
	}
	if passed {
		return "**is handed it**", nil
	}
	return "is not handed it", nil
}
