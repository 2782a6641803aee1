package broker_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
)

type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// dials is a case of a network that behaves so.
func dials(dial dialer) func(*testing.T, *place) {
	return func(_ *testing.T, p *place) { p.rig(dial, nil) }
}

func failing(err error) dialer {
	return func(context.Context, string, string) (net.Conn, error) { return nil, err }
}

// refusedDial is the error of a dial to a port without a listener.
func refusedDial(t *testing.T) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	_, err = net.Dial("tcp", l.Addr().String())
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("a dial to a port without a listener: %v", err)
	}
	return err
}

// unresolved is the error of a look-up that a name server answers with this code (RFC 1035 §4.1.1).
func unresolved(t *testing.T, rcode byte) error {
	t.Helper()
	r := net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe() // which is no packet connection, so that messages have a length before them
		go func() {
			defer there.Close()
			for length := make([]byte, 2); ; {
				if _, err := io.ReadFull(there, length); err != nil {
					return
				}
				question := make([]byte, int(length[0])<<8|int(length[1]))
				if _, err := io.ReadFull(there, question); err != nil {
					return
				}
				question[2], question[3] = question[2]|0x80, 0x80|rcode
				question[10], question[11] = 0, 0 // without the additional section
				question = question[:len(question)-11]
				there.Write(append([]byte{0, byte(len(question))}, question...))
			}
		}()
		return here, nil
	}}
	_, err := r.LookupIPAddr(t.Context(), host+".")
	if _, ok := errors.AsType[*net.DNSError](err); !ok {
		t.Fatalf("a look-up: %v", err)
	}
	return &net.OpError{Op: "dial", Net: "tcp", Err: err}
}

// blackhole is a network that swallows: a dial takes as long as one may.
func blackhole(ctx context.Context, _, _ string) (net.Conn, error) {
	select {
	case <-time.After(5 * time.Second):
		return nil, &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// tcp listens on a real socket, outside every bubble, and does this to each connection.
func tcp(t *testing.T, do func(c *net.TCPConn)) dialer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				do(c.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	return func(context.Context, string, string) (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) }
}

// reset ends a connection with an RST, after a part of an answer.
func reset(c *net.TCPConn, part string) {
	if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
		io.Copy(io.Discard, r.Body)
	}
	io.WriteString(c, part)
	c.SetLinger(0)
}

const good = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

func delays(t *testing.T) []answerCase {
	lost := func(name string) answerCase {
		return answerCase{
			name: name, class: grant.Ambiguous, action: grant.RetryOnceSoon, wait: once, says: "took too long",
		}
	}
	slowly, headers, silence := lost("C8 a byte a second"), lost("C9 a header that never ends"), lost("C10 silence")
	slowly.rig = func(_ *testing.T, p *place) {
		p.box.Script(p.box.TokenPath(), sandbox.Fault{Times: -1, Rate: 1, Body: strings.Repeat(" ", 100)})
	}
	headers.rig = dials(func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		go func() {
			defer there.Close()
			if r, err := http.ReadRequest(bufio.NewReader(there)); err == nil {
				io.Copy(io.Discard, r.Body)
			}
			for _, err := io.WriteString(there, good); err == nil; _, err = io.WriteString(there, "X-Filler: x\r\n") {
				time.Sleep(time.Second)
			}
		}()
		return here, nil
	})
	silence.rig = func(_ *testing.T, p *place) {
		p.box.Script(p.box.TokenPath(), sandbox.Fault{Times: -1, Cut: sandbox.Hang})
	}
	return []answerCase{slowly, headers, silence}
}

func networks(t *testing.T) []answerCase {
	unsent := func(name, says string, dial dialer) answerCase {
		return answerCase{
			name: name, rig: dials(dial), class: grant.Transient, action: grant.Retry, wait: soon, says: says,
		}
	}
	ca, other, unknown := newCA(t), newCA(t), newCA(t)
	roots := x509.NewCertPool()
	roots.AddCert(ca.certificate)
	roots.AddCert(other.certificate)
	day := 24 * time.Hour
	well := ca.server(t, host, -day, 100*day)
	untrusted := func(name, says string, by *authority, host string, from, to time.Duration) answerCase {
		config := by.server(t, host, from, to)
		return answerCase{
			name: name, tls: well, roots: roots, rig: func(_ *testing.T, p *place) { p.rig(nil, config) },
			class: grant.TransientSlow, action: grant.RetrySlowly, wait: slow, says: says,
		}
	}
	changed := untrusted("C42 a certificate of another authority", "", other, host, -day, 100*day)
	changed.life = lifetime
	plain := answerCase{name: "C46 HTTP/1.1 only", tls: well, roots: roots, life: lifetime,
		check: func(t *testing.T, p *place) {
			p.mu.Lock()
			defer p.mu.Unlock()
			for _, protocol := range p.spoke {
				if protocol == "h2" {
					t.Error("HTTP/2 was spoken")
				}
			}
		}}
	return []answerCase{
		unsent("C43 NXDOMAIN", "no such host", failing(unresolved(t, 3))),
		unsent("C43 SERVFAIL", "name service", failing(unresolved(t, 2))),
		unsent("C43 refused", "connection refused", failing(refusedDial(t))),
		unsent("C43 no route", "no route", failing(&net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH})),
		unsent("C43 a dial that takes too long", "took too long", blackhole),
		changed,
		untrusted("C44 an unknown authority", "authority that this machine does not trust", unknown, host, -day,
			100*day),
		untrusted("C44 another host's certificate", "another host", ca, "elsewhere.example.org", -day, 100*day),
		untrusted("C44 expired this morning", "has expired", ca, host, -30*day, -2*time.Hour),
		untrusted("C44 expired long ago", "check this machine's clock", ca, host, -30*day, -10*day),
		untrusted("C44 not valid yet", "check this machine's clock", ca, host, 10*day, 100*day),
		plain,
		{name: "C46 GOAWAY", fault: sandbox.Fault{
			Raw: "\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"},
			class: grant.Ambiguous, action: grant.RetryOnceSoon, wait: once},
		{name: "C47 no connection is used twice", life: lifetime, rig: func(*testing.T, *place) {},
			check: func(t *testing.T, p *place) {
				if n, dials := len(p.box.Log()), p.dials(); n != dials {
					t.Errorf("%d requests on %d connections", n, dials)
				}
			}},
	}
}

func framings(t *testing.T) []answerCase {
	lost := func(name string, do func(c *net.TCPConn)) answerCase {
		return answerCase{
			name: name, rig: dials(tcp(t, do)), class: grant.Ambiguous, action: grant.RetryOnceSoon, wait: once,
			says: "no whole answer",
		}
	}
	bad := func(name, raw string) answerCase {
		return answerCase{
			name: name, fault: sandbox.Fault{Raw: raw}, class: grant.Ambiguous, action: grant.RetryOnceSoon, wait: once,
			says: "no whole answer",
		}
	}
	body := `{"access_token":"abc","token_type":"Bearer","expires_in":900}`
	ca := newCA(t)
	roots := x509.NewCertPool()
	roots.AddCert(ca.certificate)
	broken := answerCase{
		name: "C45 reset before anything was sent", tls: ca.server(t, host, -time.Hour, 100*24*time.Hour), roots: roots,
		rig:   dials(tcp(t, func(c *net.TCPConn) { c.Read(make([]byte, 1)); c.SetLinger(0) })), // in the TLS handshake
		class: grant.Transient, action: grant.Retry, wait: soon, says: "the connection broke",
	}
	none := answerCase{
		class: grant.Malformed, action: grant.Retry, wait: soon, says: "no success and no error", machine: true,
	}
	of := func(name, raw string) answerCase { none.name, none.fault = name, sandbox.Fault{Raw: raw}; return none }
	return []answerCase{
		broken,
		lost("C45 reset while the request was read", func(c *net.TCPConn) { c.Read(make([]byte, 1)); c.SetLinger(0) }),
		lost("C45 reset after it", func(c *net.TCPConn) { reset(c, "") }),
		lost("C45 reset in the header", func(c *net.TCPConn) { reset(c, good[:20]) }),
		lost("C45 reset in the body", func(c *net.TCPConn) { reset(c, good+"Content-Length: 60\r\n\r\n"+body[:20]) }),
		{name: "C45 the server has acted, and the answer is lost", class: grant.Ambiguous, action: grant.RetryOnceSoon,
			wait: once, rig: func(_ *testing.T, p *place) {
				p.box.Script(p.box.TokenPath(), sandbox.Fault{Times: -1, Cut: sandbox.CutAfterHandling})
			}},
		{name: "C48 100 and 103 before the answer", life: lifetime,
			fault: sandbox.Fault{Raw: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" +
				good + "Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body}},
		of("C48 204", "HTTP/1.1 204 No Content\r\n\r\n"),
		of("C48 206", "HTTP/1.1 206 Partial Content\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"),
		bad("C49 a chunk that is none", good+"Transfer-Encoding: chunked\r\n\r\nzz\r\n"+body),
		bad("C49 two lengths", good+"Content-Length: 5\r\nContent-Length: 60\r\n\r\n"+body),
	}
}

// authority is a certificate authority.
type authority struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
}

func newCA(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	a.key, a.certificate = a.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "a CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:  x509.KeyUsageCertSign,
		NotBefore: bubbleTime.AddDate(-1, 0, 0), NotAfter: bubbleTime.AddDate(1, 0, 0),
	})
	return a
}

// bubbleTime is when every bubble begins.
var bubbleTime = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func (a *authority) issue(t *testing.T, template *x509.Certificate) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent, signer := a.certificate, a.key
	if parent == nil {
		parent, signer = template, key
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, certificate
}

// server is what a TLS server with a certificate of the authority shows, for a host and a time around the bubble's
// beginning.
func (a *authority) server(t *testing.T, host string, from, to time.Duration) *tls.Config {
	t.Helper()
	key, leaf := a.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, NotBefore: bubbleTime.Add(from),
		NotAfter: bubbleTime.Add(to),
	})
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}}, NextProtos: []string{
			"h2", "http/1.1",
		},
	}
}
