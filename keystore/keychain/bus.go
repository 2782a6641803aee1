//go:build !darwin

package keychain

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
	ss "github.com/zalando/go-keyring/secret_service"
	"golang.org/x/sys/unix"

	"github.com/groat-dev/groat/keystore"
)

// session is a connection to a session bus of this user's own. The library's functions dial by themselves and do
// not check who answers, so none of them is used. Every secret crosses this connection.
type session struct {
	// SecretService is made without the library's constructor, which dials: its methods OpenSession, Unlock and
	// CreateCollection cannot be used. OpenSession is replaced below.
	*ss.SecretService

	needsPerson time.Time // when the collection was last found to need a person
}

// OpenSession opens a session that transfers secrets as they are.
func (s *session) OpenSession() (dbus.BusObject, error) {
	var disregard dbus.Variant
	var path dbus.ObjectPath
	call := s.Object(serviceName, servicePath).Call(serviceCalls+"OpenSession", 0, "plain", dbus.MakeVariant(""))
	if err := call.Store(&disregard, &path); err != nil {
		return nil, err
	}
	return s.Object(serviceName, path), nil
}

// dialBus connects to the first address of the list that answers, and sends nothing before it has made sure that a
// process of this user listens there. Any other owner ends it: the next address is no remedy for a bus that was put in
// the way.
func dialBus(s operation) (*dbus.Conn, error) {
	addresses, err := busAddresses(os.Getenv(busVariable))
	if err != nil {
		return nil, err
	}
	for _, a := range addresses {
		var conn *dbus.Conn
		if conn, err = a.dial(s); err == nil {
			return conn, nil
		}
		if errors.Is(err, keystore.ErrForeignBus) {
			return nil, err
		}
	}
	return nil, err
}

// busAddress is one address of a list (D-Bus Specification, "Server Addresses"): text as it stands there, and the
// socket's name for [net.Dial].
type busAddress struct{ text, socket string }

// busAddresses takes the list apart. All must be Unix sockets: secrets cross the bus in clear, not over a network, and
// unixexec:, launchd: and autolaunch: would start a program.
func busAddresses(list string) (addresses []busAddress, err error) {
	refuse := func(one, why string) ([]busAddress, error) {
		return nil, fmt.Errorf("%w: %s holds %q, %s", keystore.ErrUnavailable, busVariable, shorten(one), why)
	}
	for one := range strings.SplitSeq(list, ";") {
		if one == "" {
			continue
		}
		keys, ok := strings.CutPrefix(one, "unix:")
		if !ok {
			return refuse(one, "which is not a unix: address")
		}
		a := busAddress{text: shorten(one)}
		for pair := range strings.SplitSeq(keys, ",") {
			key, value, _ := strings.Cut(pair, "=")
			if key != "path" && key != "abstract" {
				continue
			}
			value, err := dbus.UnescapeBusAddressValue(value)
			if err != nil || value == "" || a.socket != "" || key == "path" && value[0] != '/' {
				return refuse(one, "which is not an address of one socket")
			}
			if key == "abstract" {
				value = "@" + value
			}
			a.socket = value
		}
		if a.socket == "" {
			return refuse(one, "which names neither a path nor an abstract socket")
		}
		addresses = append(addresses, a)
	}
	if len(addresses) == 0 {
		return nil, fmt.Errorf("%w: %s holds no address", keystore.ErrUnavailable, busVariable)
	}
	return addresses, nil
}

// shorten bounds what is repeated of an address.
func shorten(address string) string {
	if len(address) > 100 {
		return strings.ToValidUTF8(address[:100], "") + "…"
	}
	return address
}

// dial connects, finds out which user listens at the other end of this very connection, and authenticates only then.
func (a busAddress) dial(s operation) (*dbus.Conn, error) {
	var d net.Dialer
	ctx, cancel := context.WithTimeout(s.ctx, Limit) // also for a step that goes on after its caller has left
	defer cancel()
	raw, err := d.DialContext(ctx, "unix", a.socket)
	if err != nil {
		return nil, unavailable(err)
	}
	hangUp := func() { raw.Close() } // a bus that never answers: what follows has no deadline of its own
	s.interrupt.Store(&hangUp)
	socket := raw.(*net.UnixConn)
	uid, err := listener(socket)
	if err == nil && uid != os.Geteuid() {
		err = fmt.Errorf("%w: %q belongs to uid %d, not to uid %d; nothing was sent", keystore.ErrForeignBus, a.text,
			uid, os.Geteuid())
	}
	if err != nil {
		raw.Close()
		return nil, err
	}
	conn, err := dbus.ConnectUnix(socket)
	if err != nil {
		raw.Close()
		return nil, unavailable(err)
	}
	return conn, nil
}

// listener returns the uid of the process that listened on a socket's other end, as it was then (unix(7), SO_PEERCRED).
//
// Root's is refused as any other user's: root's bus is the system's, on which another uid may be the Secret Service;
// and a user's own bus is listened on by its own service manager or dbus-daemon.
func listener(socket *net.UnixConn) (uid int, err error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return -1, unavailable(err)
	}
	var cred *unix.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) {
		cred,
			failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err = errors.Join(err, failed); err != nil {
		return -1, unavailable(err)
	}
	return int(cred.Uid), nil
}
