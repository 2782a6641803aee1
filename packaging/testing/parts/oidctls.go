package parts

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// OIDCProviderTLS starts the server with https and an authority of its own. It has one more client, tls_client_auth,
// and takes authorization requests only if they are pushed (RFC 9126).
func OIDCProviderTLS(t testing.TB) *OIDC {
	t.Helper()
	dir := t.TempDir()
	authority := newAuthority(t, filepath.Join(dir, "ca.pem"))
	authority.issue(t, &x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, filepath.Join(dir, "server"))
	authority.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "tls_client_auth"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, filepath.Join(dir, "client"))
	roots := x509.NewCertPool()
	roots.AddCert(authority.certificate)
	o := &OIDC{
		CA: filepath.Join(dir, "ca.pem"), Certificate: filepath.Join(dir, "client.pem"),
		Key: filepath.Join(dir, "client.key"),
		client: &http.Client{Timeout: startTimeout,
			Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}},
	}
	t.Cleanup(o.client.CloseIdleConnections)
	return startOIDC(t, o, "TLS_DIR="+dir)
}

// authority signs certificates that are good for a day.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// newAuthority makes one and writes its certificate to a file.
func newAuthority(t testing.TB, file string) *authority {
	t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "an authority of a test"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	a := &authority{key: newKey(t)}
	a.certificate = a.sign(t, template, template, &a.key.PublicKey, file)
	return a
}

// issue writes a certificate to base.pem and its key to base.key.
func (a *authority) issue(t testing.TB, template *x509.Certificate, base string) {
	t.Helper()
	key := newKey(t)
	a.sign(t, template, a.certificate, &key.PublicKey, base+".pem")
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, base+".key", "PRIVATE KEY", der)
}

func (a *authority) sign(t testing.TB, template, parent *x509.Certificate, public *ecdsa.PublicKey,
	file string) *x509.Certificate {
	t.Helper()
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, a.key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, file, "CERTIFICATE", der)
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writePEM(t testing.TB, file, what string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: what, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}
