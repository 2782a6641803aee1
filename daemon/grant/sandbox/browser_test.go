package sandbox_test

import (
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/testing/parts"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// Chromium signs a person in by the forms, for a client on loopback and for a device, and refuses.
func TestBrowser(t *testing.T) {
	tier.Needs(t, "chromium", "node")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	back := make(chan url.Values, 4) // the client listens; a browser may also ask for an icon
	client := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/callback" {
			back <- r.URL.Query()
		}
	})}
	go client.Serve(l)
	defer client.Close()
	s := sandbox.New(sandbox.Options{
		Dialect: sandbox.Auth0, Users: []sandbox.User{{Name: "alice@example.com", Password: "dummy-pass"}},
		Clients: []sandbox.Client{{ID: "native", RedirectURIs: []string{"http://127.0.0.1/callback"}}},
	})
	defer s.Close()
	if err := s.Start(""); err != nil {
		t.Fatal(err)
	}
	cfg := oauth2.Config{
		ClientID: "native", RedirectURL: "http://" + l.Addr().String() + "/callback", Scopes: []string{"openid"},
		Endpoint: oauth2.Endpoint{AuthURL: s.URL() + s.AuthorizePath(), TokenURL: s.URL() + s.TokenPath(),
			DeviceAuthURL: s.URL() + s.DevicePath()},
	}
	browser, v := parts.StartBrowser(t), oauth2.GenerateVerifier()
	visit := parts.BrowserVisit{URL: cfg.AuthCodeURL("s", oauth2.S256ChallengeOption(v)), Login: "alice@example.com",
		Password: "dummy-pass"}
	browser.Visit(t, visit)
	if token, err := cfg.Exchange(t.Context(), came(t, back).Get("code"), oauth2.VerifierOption(v)); err != nil ||
		token.Extra("id_token") == nil {
		t.Errorf("code: %v", err)
	}
	visit.Deny = true
	browser.Visit(t, visit)
	if got := came(t, back); got.Get("error") != "access_denied" || got.Get("state") != "s" {
		t.Errorf("denied: %v", got)
	}
	device, err := cfg.DeviceAuth(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	visit.Deny, visit.URL = false, device.VerificationURIComplete
	if end := browser.Visit(t, visit); !strings.Contains(end.Text, "connected") || len(s.Devices()) != 0 {
		t.Errorf("device: %+v", end)
	}
}

func came(t *testing.T, back <-chan url.Values) url.Values {
	t.Helper()
	select {
	case q := <-back:
		return q
	case <-time.After(2 * time.Minute):
		t.Fatal("the browser did not come back to the client")
		return nil
	}
}
