package grant

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"syscall"

	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/daemon/peer"
)

// Budget counts the file descriptors that receivers may hold. It is safe for concurrent use.
type Budget interface {
	// Take takes n descriptors, all or none. The error's text is for a person.
	Take(n int) error
	// Give gives n descriptors back.
	Give(n int)
}

// CheckRedirect returns an error unless [Listen] could bind a redirect URI.
func CheckRedirect(registered string) error {
	_, err := loopback(registered)
	return err
}

// Listen binds the redirect URI that a client was registered with: http on 127.0.0.1, [::1] or localhost, with its port
// or, without one, any free port (RFC 8252 §7.3). Empty means 127.0.0.1 and /callback. localhost is bound on 127.0.0.1
// and on ::1, since a browser tries either first; where the machine has only one of them, that one is enough. All
// descriptors that the receiver can hold are taken from budget until [Receiver.Close]; a nil budget sets no bound.
func Listen(registered string, budget Budget) (*Receiver, error) {
	if registered == "" {
		registered = "http://127.0.0.1" + callbackPath
	}
	u, err := loopback(registered)
	if err != nil {
		return nil, err
	}
	if budget == nil {
		budget = unbounded{}
	}
	addresses := []string{u.Hostname()}
	if strings.EqualFold(u.Hostname(), "localhost") {
		addresses = []string{"127.0.0.1", "::1"}
	}
	takes := len(addresses) * 2 // with one connection each that has just been accepted
	takes += callbackConns
	if err := budget.Take(takes); err != nil {
		return nil, err
	}
	listeners, port, err := bind(addresses, u.Port())
	if err != nil {
		budget.Give(takes)
		return nil, &listenError{registered, err}
	}
	u.Host = net.JoinHostPort(u.Hostname(), port)
	return newReceiver(listeners, u, func() { budget.Give(takes) }), nil
}

// loopback reads a redirect URI that [Listen] could bind.
func loopback(registered string) (*url.URL, error) {
	if err := origin.CheckURL(registered, "the redirect URI"); err != nil {
		return nil, err
	}
	u, err := url.Parse(registered)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "http" || !origin.IsLoopback(u.Hostname()) || u.RawQuery != "" || u.ForceQuery {
		return nil, errors.New("the redirect URI must be http on 127.0.0.1, [::1] or localhost, without a query")
	}
	return u, nil
}

type unbounded struct{}

func (unbounded) Take(int) error { return nil }
func (unbounded) Give(int)       {}

// portTries is how many free ports are tried where one must be free on two addresses.
const portTries = 16

// bind listens on all addresses with one port; an empty port means any that is free on all of them.
func bind(addresses []string, port string) (listeners []net.Listener, bound string, err error) {
	tries := 1
	if port == "" {
		tries = portTries
	}
	for range tries {
		if listeners, bound, err = bindOnce(addresses, port); err == nil || !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return listeners, bound, err
}

func bindOnce(addresses []string, port string) (listeners []net.Listener, bound string, err error) {
	bound = port
	if bound == "" {
		bound = "0"
	}
	var missing error
	for _, address := range addresses {
		l, err := net.Listen("tcp", net.JoinHostPort(address, bound))
		switch {
		case err == nil:
			listeners = append(listeners, l)
			_, bound, _ = net.SplitHostPort(l.Addr().String())
		case noSuchFamily(err) && len(addresses) > 1:
			missing = err
		default:
			for _, l := range listeners {
				l.Close()
			}
			return nil, "", &bindError{net.JoinHostPort(address, bound), len(addresses) > 1, err}
		}
	}
	if len(listeners) == 0 {
		return nil, "", missing
	}
	return listeners, bound, nil
}

// noSuchFamily reports whether the machine has no address of this family. Then no other program can listen there
// either.
func noSuchFamily(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) ||
		errors.Is(err, syscall.EPROTONOSUPPORT)
}

// bindError means that an address cannot be listened on.
type bindError struct {
	at   string
	half bool // of localhost
	err  error
}

func (e *bindError) Error() string {
	why := causeText(e.err)
	if at, err := netip.ParseAddrPort(e.at); err == nil && errors.Is(e.err, syscall.EADDRINUSE) {
		if uid, ok := peer.Listening(at); ok {
			who := fmt.Sprintf("a program of user %d", uid)
			if uid == os.Geteuid() {
				who = "another login or program of yours"
			}
			why += ", by " + who
		}
	}
	if !e.half {
		return why
	}
	return fmt.Sprintf("%s: %s (a browser goes to 127.0.0.1 or to [::1], so groat needs the port on both)", e.at, why)
}

func (e *bindError) Unwrap() error { return e.err }

type listenError struct {
	redirect string
	err      error
}

func (e *listenError) Error() string {
	why := causeText(e.err)
	if b, ok := errors.AsType[*bindError](e.err); ok {
		why = b.Error()
	}
	return "cannot wait for the browser at " + e.redirect + ": " + why
}
func (e *listenError) Unwrap() error { return e.err }
