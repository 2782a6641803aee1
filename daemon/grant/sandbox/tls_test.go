package sandbox

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestTLSClientAuth(t *testing.T) {
	s := newPersonServerTLS(t)
	other := New(Options{})
	defer other.Close()
	pair := func(by *Server, name string, self bool) (tls.Certificate, string) {
		t.Helper()
		certificate, key := by.ClientCertificate(name, self)
		p, err := tls.X509KeyPair(certificate, key)
		if err != nil {
			t.Fatal(err)
		}
		print, err := Thumbprint(certificate)
		if err != nil {
			t.Fatal(err)
		}
		return p, print
	}
	good, _ := pair(s, "machine", false)
	wrongName, _ := pair(s, "another", false)
	wrongCA, _ := pair(other, "machine", false)
	self, print := pair(s, "own", true)
	self2, _ := pair(s, "own", true)
	selfNamed, _ := pair(s, "machine", true)
	s.AddClient(Client{ID: "pki", Method: TLSClientAuth, TLSSubject: "CN=machine"})
	s.AddClient(Client{ID: "self", Method: SelfSignedTLSClient, Thumbprint: print})
	for _, tt := range []struct {
		name, id string
		with     []tls.Certificate
		want     int
	}{
		{"good", "pki", []tls.Certificate{good}, 200},
		{"another subject", "pki", []tls.Certificate{wrongName}, 401},
		{"another authority", "pki", []tls.Certificate{wrongCA}, 401},
		{"self-signed for the other method", "pki", []tls.Certificate{selfNamed}, 401},
		{"none", "pki", nil, 401},
		{"self-signed", "self", []tls.Certificate{self}, 200},
		{"another self-signed of the same name", "self", []tls.Certificate{self2}, 401},
		{"the authority's for the other method", "self", []tls.Certificate{good}, 401},
		{"unknown client", "x", []tls.Certificate{good}, 401},
	} {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(s.CA())
		c := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
			DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: tt.with}}}
		resp, err := c.PostForm(s.URL()+"/token", url.Values{"grant_type": {"client_credentials"},
			"client_id": {tt.id}})
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != tt.want || tt.want == 401 && !strings.Contains(string(body), "invalid_client") {
			t.Errorf("%s: %s %s", tt.name, resp.Status, body)
		}
	}
	if log := s.Log(); log[0].Auth != TLSClientAuth || log[0].ClientID != "pki" {
		t.Errorf("log: %+v", log[0])
	}
	if _, err := http.Get(s.URL()); err == nil {
		t.Error("a client that does not know the authority trusts it")
	}
	_, key := s.ClientCertificate("x", false)
	for _, bad := range [][]byte{[]byte("x"), key} {
		if _, err := Thumbprint(bad); err == nil {
			t.Errorf("the thumbprint of no certificate: %.20s", bad)
		}
	}
	basicOnly := New(Options{ClientAuth: []string{ClientSecretBasic}})
	defer basicOnly.Close()
	c := &client{Client: Client{Method: SelfSignedTLSClient, Thumbprint: print}}
	leaf, _ := x509.ParseCertificate(self.Certificate[0])
	r := &request{certificates: []*x509.Certificate{leaf}}
	if s.authenticateTLS(r, c) != nil || basicOnly.authenticateTLS(r, c) == nil {
		t.Error("a method that the server does not accept")
	}
	if err := other.StartTLS("0.0.0.0:0"); err == nil {
		t.Error("listens everywhere")
	}
}

func newPersonServerTLS(t *testing.T) *Server {
	t.Helper()
	s := New(Options{Users: []User{{Name: alice, Password: alicePass}}})
	t.Cleanup(s.Close)
	if err := s.StartTLS(""); err != nil || !strings.HasPrefix(s.URL(), "https://127.0.0.1:") {
		t.Fatal(s.URL(), err)
	}
	return s
}
