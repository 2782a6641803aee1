package sandbox

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"
)

// authority is a certificate authority for tests, made when it is first needed.
type authority struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
}

func newAuthority() *authority {
	key, certificate := issueCertificate(nil, &x509.Certificate{
		Subject: pkix.Name{CommonName: "sandbox CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	})
	return &authority{key, certificate}
}

// issueCertificate makes a key and its certificate, by the authority or by itself. It lives around the real time: TLS
// has no other.
func issueCertificate(by *authority, template *x509.Certificate) (*ecdsa.PrivateKey, *x509.Certificate) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(fmt.Sprintf("sandbox: no key: %v", err))
	}
	template.SerialNumber, _ = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(48*time.Hour)
	parent, signer := template, key
	if by != nil {
		parent, signer = by.certificate, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		panic(fmt.Sprintf("sandbox: no certificate: %v", err))
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		panic(fmt.Sprintf("sandbox: no certificate: %v", err))
	}
	return key, certificate
}

// StartTLS is Start with https: the certificate is for 127.0.0.1, [::1] and localhost, from the authority that CA
// names. Any client certificate is accepted by TLS and judged where a client authenticates.
func (s *Server) StartTLS(addr string) error {
	key, certificate := issueCertificate(s.tls(), &x509.Certificate{
		Subject: pkix.Name{CommonName: "sandbox"}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		KeyUsage:    x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	l, err := listenLoopback(addr)
	if err != nil {
		return err
	}
	url := "https://" + l.Addr().String()
	s.serve(tls.NewListener(l, &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{certificate.Raw}, PrivateKey: key}},
		ClientAuth:   tls.RequestClientCert, // RFC 8705 §2.2: a self-signed one is for the application to judge
		MinVersion:   tls.VersionTLS12,
	}), url)
	return nil
}

// CA returns the certificate of the server's authority, PEM.
func (s *Server) CA() []byte { return pemCertificate(s.tls().certificate) }

// ClientCertificate makes a certificate for a client, with the subject "CN=name", and its key (PKCS #8), both PEM. The
// sandbox's authority issues it, or it is self-signed.
func (s *Server) ClientCertificate(name string, selfSigned bool) (certificate, key []byte) {
	by := s.tls()
	if selfSigned {
		by = nil
	}
	private, c := issueCertificate(by, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		panic(err) // it was made a moment ago
	}
	return pemCertificate(c), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func pemCertificate(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// Thumbprint returns the x5t#S256 of a PEM certificate (RFC 8705 §3.1).
func Thumbprint(certificate []byte) (string, error) {
	block, _ := pem.Decode(certificate)
	if block == nil || block.Type != "CERTIFICATE" {
		return "", errors.New("no certificate in PEM")
	}
	return thumbprint(block.Bytes), nil
}

func thumbprint(der []byte) string {
	sum := sha256.Sum256(der)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// authenticateTLS is RFC 8705 §2.1 and §2.2. That the client holds the key was proven by the handshake.
func (s *Server) authenticateTLS(r *request, c *client) *oauthError {
	refused := invalidClient("client authentication failed")
	if len(r.certificates) == 0 || !s.mayUse(c, c.Method) {
		return refused
	}
	leaf := r.certificates[0]
	if c.Method == SelfSignedTLSClient {
		if c.Thumbprint == "" || thumbprint(leaf.Raw) != c.Thumbprint {
			return refused
		}
		return nil
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.tls().certificate)
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil || c.TLSSubject == "" || leaf.Subject.String() != c.TLSSubject { // §2.1.2
		return refused
	}
	return nil
}
