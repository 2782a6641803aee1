package daemon

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// overTLS puts the env's server behind a certificate of which the machine's clock decides whether it is valid. It must
// be called before anything is asked; the result ends it.
func (h *clockEnv) overTLS(t *testing.T) (end func()) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sandbox"}, DNSNames: []string{"auth.example"},
		NotBefore: h.truth().AddDate(0, -1, 0), NotAfter: h.truth().AddDate(0, 2, 0), IsCA: true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	h.tls = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, Time: func() time.Time { return h.now().Wall }}

	return h.from(t, h.server, &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, Time: h.truth,
	})
}

// The server's certificate seems to be not valid yet, or no longer, because this machine's clock is wrong. That is no
// reason to sign in or to give anything up; the error says what to look at, and when the clock is set there is a token.
func TestE14CertificatesAndAWrongClock(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for name, wrong := range map[string]time.Duration{
		"1970, not valid yet": -30 * year, "ten years on, expired": 10 * year,
	} {
		for _, lasts := range []time.Duration{time.Minute, time.Hour} {
			t.Run(name+", for "+lasts.String(), func(t *testing.T) {
				withClock(t, sandbox.Options{URL: "https://auth.example"}, func(t *testing.T, h *clockEnv) {
					defer h.overTLS(t)()
					h.signIn(t, h.ofDevice("p"))
					held := h.must(t, "p")
					requests := h.requests()
					h.set(wrong)
					if r := h.must(t, "p"); r.AccessToken != held.AccessToken {
						t.Error("a token that is held is not handed out")
					}
					h.suspend(time.Hour)
					for began := time.Now(); time.Since(began) < lasts; time.Sleep(7 * time.Second) {
						_, err := h.token(t, "p")
						e := wantError(t, err, protocol.Temporary)
						if !strings.Contains(e.Message, "check this machine's clock") || e.Data.RetryAfter < 1 {
							t.Fatalf("%q, retry after %d s", e.Message, e.Data.RetryAfter)
						}
					}
					if n := h.requests() - requests; n != 0 {
						t.Errorf("%d requests over a connection that could not be trusted", n)
					}
					h.set(0)
					// until that is noticed; then callers need not wait as they were told before
					time.Sleep(15 * time.Second)
					h.must(t, "p")
				})
			})
		}
	}
}

// A sign-in with a wrong clock says so too.
func TestE14ASignInWithAWrongClock(t *testing.T) {
	withClock(t, sandbox.Options{URL: "https://auth.example"}, func(t *testing.T, h *clockEnv) {
		defer h.overTLS(t)()
		h.set(time.Unix(0, 0).Sub(h.truth()))
		params := protocol.LoginParams{Profile: "p", Provider: "spatiafi", AuthServer: h.server.URL(), Username: person}
		_, err := h.visit(t).Login(t.Context(), params, typing(password))
		if e := wantError(t, err, protocol.Temporary); !strings.Contains(e.Message,
			"check this machine's clock, which says 1970-01-01") {
			t.Error(err)
		}
		h.set(0)
		if _, err := h.visit(t).Login(t.Context(), params, typing(password)); err != nil {
			t.Fatal(err)
		}
		h.must(t, "p")
	})
}
