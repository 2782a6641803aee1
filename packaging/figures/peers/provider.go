//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// provider is an authorization server that answers for every issuer, whatever its name, and does what an experiment
// wants. It looks at no credential.
type provider struct {
	listener net.Listener
	server   *http.Server

	mu    sync.Mutex
	count int                            // token requests
	life  int                            // of its tokens, in seconds
	slow  map[string]time.Duration       // :: account → how long an answer takes
	reply func(w http.ResponseWriter)    // instead of a token
	token func(serial int) (text string) // instead of the usual text
}

func (p *provider) start() (err error) {
	if p.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	p.server = &http.Server{Handler: http.HandlerFunc(p.serve), ReadHeaderTimeout: patience}
	go p.server.Serve(p.listener)
	return nil
}

func (p *provider) close() { p.server.Close() }

func (p *provider) set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

// requests counts the token requests so far.
func (p *provider) requests() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

func (p *provider) issuer(account string) string {
	return fmt.Sprintf("http://%s/%s/", p.listener.Addr(), account)
}

func (p *provider) serve(w http.ResponseWriter, r *http.Request) {
	account, what, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	w.Header().Set("Content-Type", "application/json")
	if what != "token" {
		iss := p.issuer(account)
		json.NewEncoder(w).Encode(map[string]any{
			"issuer": iss, "authorization_endpoint": iss + "auth", "token_endpoint": iss + "token",
			"response_types_supported": []string{"code"}, "scopes_supported": []string{"openid", "offline_access"},
			"grant_types_supported": []string{"refresh_token", "authorization_code"},
		})
		return
	}
	p.mu.Lock()
	p.count++
	wait, reply, life, text := p.slow[account], p.reply, p.life, fmt.Sprintf("token-%d", p.count)
	if p.token != nil {
		text = p.token(p.count)
	}
	p.mu.Unlock()
	select {
	case <-time.After(wait):
	case <-r.Context().Done():
		return
	}
	if reply != nil {
		reply(w)
		return
	}
	answer := map[string]any{"access_token": text, "token_type": "Bearer", "expires_in": life}
	if r.FormValue("grant_type") == "refresh_token" {
		answer["refresh_token"] = refreshToken
	}
	json.NewEncoder(w).Encode(answer)
}
