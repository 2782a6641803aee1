package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
)

// steps are what the demo shows, in order.
var steps = []struct {
	title string
	play  func(context.Context, *stage) error
}{
	{"groat keeps access tokens fresh. Here it does so against a server on this machine that behaves like SpatiaFi's.",
		begin},
	{"Sign in once. The password makes App Credentials; their secret goes to the keystore, the password is forgotten.",
		signIn},
	{"From now on every tool gets a token, at once.", get},
	{"The token opens the API.", callAPI},
	{fmt.Sprintf("It is renewed before it ends. (Tokens live %s here, not 15 minutes; the rules are the same.)", lifetime),
		watchRenewal},
	{"groatd says how things stand.", func(ctx context.Context, s *stage) error { return s.show(ctx, "", "status") }},
	{"Fifty processes want a token when groatd was restarted and holds none. The server takes a second to answer.",
		fifty},
	{"Sign out. SpatiaFi keeps every client for ever, and groat says so.", func(ctx context.Context, s *stage) error {
		return s.show(ctx, "", "logout", "work", "--yes")
	}},
	{"That was all; nothing of it is left on this machine.", func(context.Context, *stage) error { return nil }},
}

func begin(ctx context.Context, s *stage) error {
	if err := s.startDaemon(ctx); err != nil {
		return err
	}
	say("The server: %s. groatd is started; it would start by itself at the first command.", s.server.URL())
	say("   # No keychain is needed here: the secret is sealed in a file, under a key in another.")
	return s.show(ctx, "", "keystore", "use", "sealed", "--key-file")
}

func signIn(ctx context.Context, s *stage) error {
	say("   # The password comes from stdin here; a person is asked for it.")
	return s.show(ctx, password+"\n", "login", "work", "--provider", "spatiafi", "--username", username,
		"--secret-stdin", "--auth-server", s.server.URL(), "--api", s.server.URL())
}

func get(ctx context.Context, s *stage) error {
	say("   $ groat get work")
	began := time.Now()
	token, err := s.groat(ctx, "", "get", "work")
	if err != nil {
		return err
	}
	say("   %s   (%d characters, after %s)", short(token), len(token), time.Since(began).Round(100*time.Microsecond))
	return nil
}

// callAPI makes the request of the curl line that it shows, since the machine may have no curl.
func callAPI(ctx context.Context, s *stage) error {
	url := s.server.URL() + "/api/info?item_id=demo"
	say("   $ groat get work --output header | curl -H @- '%s'", url)
	header, err := s.groat(ctx, "", "get", "work", "--output", "header")
	if err != nil {
		return err
	}
	name, value, _ := strings.Cut(header, ": ")
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	request.Header.Set(name, value)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if err != nil {
		return err
	}
	say("   HTTP %d  %s", response.StatusCode, strings.TrimSpace(string(body)))
	if response.StatusCode != http.StatusOK {
		return errors.New("the API did not take the token")
	}
	return nil
}

// held is what "groat get --json" prints.
type held struct {
	AccessToken string `json:"access_token"`
	ExpiresIn   int    `json:"expires_in"`
}

func (s *stage) held(ctx context.Context) (held, error) {
	var h held
	out, err := s.groat(ctx, "", "get", "work", "--json")
	if err == nil {
		err = json.Unmarshal([]byte(out), &h)
	}
	return h, err
}

// watchRenewal looks once a second until the token is another one.
func watchRenewal(ctx context.Context, s *stage) error {
	first, err := s.held(ctx)
	if err != nil {
		return err
	}
	before := s.server.Count(sandbox.SpatiafiTokenPath)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for now := first; ; {
		if now.AccessToken != first.AccessToken {
			say("   %s   %2d s left   renewed, and nobody had to wait", short(now.AccessToken), now.ExpiresIn)
			break
		}
		say("   %s   %2d s left", short(now.AccessToken), now.ExpiresIn)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if now, err = s.held(ctx); err != nil {
			return err
		}
	}
	say("   Requests that this cost the server: %d.", s.server.Count(sandbox.SpatiafiTokenPath)-before)
	return nil
}

// fifty starts fifty processes at once that ask a daemon without a token for one.
func fifty(ctx context.Context, s *stage) error {
	if err := s.stopDaemon(); err != nil {
		return err
	}
	if err := s.startDaemon(ctx); err != nil {
		return err
	}
	s.server.SetLatency(time.Second)
	defer s.server.SetLatency(0)
	before := s.server.Count(sandbox.SpatiafiTokenPath)

	const n = 50
	say("   $ for i in $(seq %d); do groat get work & done; wait", n)
	var wg sync.WaitGroup
	gate := make(chan struct{})
	tokens, failures := make([]string, n), make([]error, n)
	for i := range n {
		wg.Go(func() {
			<-gate
			tokens[i], failures[i] = s.groat(ctx, "", "get", "work")
		})
	}
	began := time.Now()
	close(gate)
	wg.Wait()
	if err := errors.Join(failures...); err != nil {
		return err
	}
	different := map[string]bool{}
	for _, t := range tokens {
		different[t] = true
	}
	cost := s.server.Count(sandbox.SpatiafiTokenPath) - before
	took := time.Since(began).Round(10 * time.Millisecond)
	say("   %d processes, %d token, %s. Requests that this cost the server: %d.", n, len(different), took, cost)
	if cost != 1 || len(different) != 1 {
		return errors.New("it should have cost one request and brought one token")
	}
	return nil
}
