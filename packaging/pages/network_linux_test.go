package pages

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// certificates is the file in which the programs of a Debian system find the authorities that they trust.
const certificates = "/etc/ssl/certs/ca-certificates.crt"

// network is a mount and network namespace in which names of the Internet lead to handlers of this test, over TLS
// with certificates that the programs there trust. Nothing in it reaches the real network.
type network struct {
	t    *testing.T
	jobs chan func() // run by the one thread that is inside
}

// newNetwork serves each host at port 443 until the test is over. It needs root.
func newNetwork(t *testing.T, hosts map[string]http.Handler) *network {
	t.Helper()
	n := &network{t: t, jobs: make(chan func())}
	inside := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWNET)
		inside <- errors.Join(err, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
		for job := range n.jobs {
			job()
		}
	}()
	if err := <-inside; err != nil {
		t.Fatalf("namespaces of one's own need root: %v", err)
	}
	t.Cleanup(func() { close(n.jobs) })

	var names []string
	for host := range hosts {
		names = append(names, host)
	}
	authority, certificate := issue(t, names)
	n.replace("/etc/hosts", "127.0.0.1 localhost "+strings.Join(names, " ")+"\n")
	n.replace(certificates, string(authority))
	var listener net.Listener
	var err error
	n.do(func() {
		if err = loopbackUp(); err == nil {
			listener, err = net.Listen("tcp", "127.0.0.1:443")
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if h := hosts[r.Host]; h != nil {
				h.ServeHTTP(w, r)
				return
			}
			http.Error(w, "there is no "+r.Host, http.StatusMisdirectedRequest)
		}),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}},
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	served := make(chan struct{})
	go func() {
		server.ServeTLS(listener, "", "")
		close(served)
	}()
	t.Cleanup(func() {
		server.Close()
		<-served
	})
	return n
}

// do runs f on the thread that is inside, and returns when it has.
func (n *network) do(f func()) {
	done := make(chan struct{})
	n.jobs <- func() {
		f()
		close(done)
	}
	<-done
}

// start starts a command inside.
func (n *network) start(cmd *exec.Cmd) (err error) {
	n.do(func() { err = cmd.Start() })
	return err
}

// replace puts a file with the text in the place of another, for the programs inside.
func (n *network) replace(name, text string) {
	n.t.Helper()
	file := filepath.Join(n.t.TempDir(), filepath.Base(name))
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		n.t.Fatal(err)
	}
	var err error
	n.do(func() { err = unix.Mount(file, name, "", unix.MS_BIND, "") })
	if err != nil {
		n.t.Fatalf("%s: %v", name, err)
	}
}

// loopbackUp makes 127.0.0.1 work in a new network namespace.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

// issue makes an authority, returned as PEM, and its certificate for the hosts.
func issue(t *testing.T, hosts []string) ([]byte, tls.Certificate) {
	t.Helper()
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	sign := func(template, parent *x509.Certificate, public *ecdsa.PublicKey, by *ecdsa.PrivateKey) []byte {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, template, parent, public, by)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: fmt.Sprintf("authority of %s", t.Name())},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	authorityKey, leafKey := key(), key()
	root := sign(authority, authority, &authorityKey.PublicKey, authorityKey)
	leaf := sign(&x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "servers"}, DNSNames: hosts,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, authority, &leafKey.PublicKey, authorityKey)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root}),
		tls.Certificate{Certificate: [][]byte{leaf}, PrivateKey: leafKey}
}
