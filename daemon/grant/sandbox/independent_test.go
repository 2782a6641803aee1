package sandbox

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/groat-dev/groat/packaging/testing/tier"
)

// libraryConfig is what golang.org/x/oauth2, an independent implementation, needs to know of the server at the root.
func libraryConfig(s *Server) (*oauth2.Config, func(context.Context) context.Context) {
	cfg := &oauth2.Config{
		ClientID: native, RedirectURL: portedBack, Scopes: []string{"openid", "offline_access"},
		Endpoint: oauth2.Endpoint{
			AuthURL: s.URL() + s.AuthorizePath(), TokenURL: s.URL() + s.TokenPath(),
			DeviceAuthURL: s.URL() + s.DevicePath(),
			AuthStyle:     oauth2.AuthStyleInParams,
		},
	}
	return cfg, func(ctx context.Context) context.Context { return context.WithValue(ctx, oauth2.HTTPClient, direct) }
}

func TestLibrarySignsIn(t *testing.T) {
	for _, dialect := range []string{Generic, Auth0} {
		s := newPersonServer(t, Options{Dialect: dialect, Refresh: Refresh{Rotate: true}})
		cfg, in := libraryConfig(s)
		ctx := in(t.Context())
		v := oauth2.GenerateVerifier()
		where := cfg.AuthCodeURL("state-1", oauth2.S256ChallengeOption(v),
			oauth2.SetAuthURLParam("audience", planetAPIName))
		back, _ := url.Parse(send(t, "GET", where, "").Header.Get("Location"))
		if back.Query().Get("state") != "state-1" {
			t.Fatalf("%q: %s", dialect, back)
		}
		first, err := cfg.Exchange(ctx, back.Query().Get("code"), oauth2.VerifierOption(v))
		if err != nil {
			t.Fatal(err)
		}
		old := first.RefreshToken
		first.Expiry = time.Now().Add(-time.Hour)
		next, err := cfg.TokenSource(ctx, first).Token()
		if err != nil || next.RefreshToken == old || next.AccessToken == "" || next.Extra("id_token") == nil {
			t.Fatalf("%q: %v", dialect, err)
		}
		if n := s.RefreshUses()[Digest(old)]; n != 1 {
			t.Errorf("%q: %d uses", dialect, n)
		}
		resp, err := cfg.Client(ctx, next).Get(s.URL() + s.UserinfoPath())
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%q: %v %v", dialect, resp, err)
		}
		resp.Body.Close()
		if _, err := cfg.Exchange(ctx, back.Query().Get("code"), oauth2.VerifierOption(v)); err == nil {
			t.Errorf("%q: a code works twice", dialect)
		}
	}
}

// The library polls by its own clock; the person takes a second or two.
func TestLibraryConnectsDevice(t *testing.T) {
	tier.Long(t, "the library polls each second")
	for _, dialect := range []string{Generic, Auth0} {
		s := newPersonServer(t, Options{Dialect: dialect, Device: Device{Interval: time.Second}})
		s.SetConsent(ConsentForm)
		cfg, in := libraryConfig(s)
		ctx, cancel := context.WithTimeout(in(t.Context()), time.Minute)
		defer cancel()
		device, err := cfg.DeviceAuth(ctx)
		if err != nil || device.Interval != 1 || device.VerificationURIComplete == "" {
			t.Fatalf("%q: %+v %v", dialect, device, err)
		}
		approved := make(chan error, 1)
		go func() {
			err := s.WaitFor(ctx, s.TokenPath(), 1) // it has polled once in vain
			if err == nil {
				err = s.ApproveDevice(device.UserCode)
			}
			approved <- err
		}()
		token, err := cfg.DeviceAccessToken(ctx, device)
		if err != nil || token.RefreshToken == "" {
			t.Errorf("%q: %v", dialect, err)
		}
		if err := <-approved; err != nil {
			t.Error(err)
		}
	}
}

// authlib as a person's client, public and with every kind of key.
func TestAuthlibPerson(t *testing.T) {
	py := python(t)
	k := newTestKeys(t)
	for _, tt := range []struct {
		alg string
		key any
	}{{"", nil}, {"RS256", k.rsa}, {"PS256", k.rsa}, {"ES256", k.ec}, {"EdDSA", k.ed}} {
		t.Run("none "+tt.alg, func(t *testing.T) {
			s := newPersonServer(t, Options{Refresh: Refresh{Rotate: true}, IssuerPath: "/tenant", Clients: []Client{
				{ID: "RS256", Key: &k.rsa.PublicKey, RedirectURIs: []string{callback}},
				{ID: "PS256", Key: &k.rsa.PublicKey, RedirectURIs: []string{callback}},
				{ID: "ES256", Key: &k.ec.PublicKey, RedirectURIs: []string{callback}},
				{ID: "EdDSA", Key: k.ed.Public(), RedirectURIs: []string{callback}},
			}})
			given := map[string]string{"issuer": s.Issuer(), "metadata": s.Issuer() + oidcMeta,
				"redirect_uri": portedBack, "client_id": native}
			if tt.key != nil {
				der, err := x509.MarshalPKCS8PrivateKey(tt.key)
				if err != nil {
					t.Fatal(err)
				}
				given["client_id"], given["alg"] = tt.alg, tt.alg
				given["private_key"] = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
			}
			in, _ := json.Marshal(given)
			if out := command(t, string(in), py, "testdata/authlib_person.py"); out != "done\n" {
				t.Errorf("%s", out)
			}
			for _, e := range s.Log() {
				want := None
				if tt.key != nil {
					want = PrivateKeyJWT
				}
				if e.Path == s.TokenPath() && e.Auth != want {
					t.Errorf("%+v", e)
				}
			}
		})
	}
}

// curl and a shell against the process, with the person's forms.
func TestProcessPerson(t *testing.T) {
	tool(t, "curl")
	base, end := startProcess(t, "-dialect", "auth0", "-public", "native="+callback, "-set", "rotate=true", "-set",
		"device_interval=1ms")
	if out := command(t, "", "testdata/person.sh", base, alice, alicePass); out != "done\n" {
		t.Errorf("person: %q", out)
	}
	if err := end(); err != nil {
		t.Errorf("end: %v", err)
	}
}
