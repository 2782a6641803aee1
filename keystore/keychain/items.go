//go:build !darwin

package keychain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"
	ss "github.com/zalando/go-keyring/secret_service"

	"github.com/groat-dev/groat/keystore"
)

// What the library does not ask of the Secret Service, on the library's own connection and, as it does, without a deadline:
// what is asked and not answered is out, whoever waits for it.

const (
	serviceName  = "org.freedesktop.secrets"
	servicePath  = dbus.ObjectPath("/org/freedesktop/secrets")
	serviceCalls = "org.freedesktop.Secret.Service."
	aliasPath    = "/org/freedesktop/secrets/aliases/"

	// changesEach is how many changes are made on one connection: of each prompt object, also one that asks nobody, the
	// library leaves a listener behind, and a goroutine for each later one.
	changesEach = 16
)

// changes counts those on the present connection. It belongs to whoever has the gate.
var changes int

// connect returns the library's connection. Closing it is what makes a call return that nobody answers; the library makes
// another one then.
func connect(s step) (*ss.SecretService, error) {
	svc, err := ss.NewSecretService()
	if err == nil && changes >= changesEach {
		changes = 0
		svc.Conn.Close()
		svc, err = ss.NewSecretService()
	}
	if err != nil {
		return nil, unavailable(err)
	}
	hangUp := func() { svc.Conn.Close() }
	s.line.Store(&hangUp)
	return svc, nil
}

// changed follows every change.
func changed() { changes++ }

// ready asks whether the collection that the library would use is unlocked.
func ready(s step) error {
	svc, err := connect(s)
	if err != nil {
		return err
	}
	locked, err := svc.GetLoginCollection().GetProperty("org.freedesktop.Secret.Collection.Locked")
	if err != nil {
		return unavailable(err)
	}
	if locked.Value() == true {
		return keystore.ErrLocked
	}
	return nil
}

// search returns the items of groat's that the library could find; user "" means every one.
func search(s step, user string) (svc *ss.SecretService, open, shut []dbus.ObjectPath, err error) {
	if svc, err = connect(s); err != nil {
		return nil, nil, nil, err
	}
	collection, root := svc.GetLoginCollection().Path(), svc.Object(serviceName, servicePath)
	if alias, ok := strings.CutPrefix(string(collection), aliasPath); ok {
		if err := root.Call(serviceCalls+"ReadAlias", 0, alias).Store(&collection); err != nil {
			return nil, nil, nil, unavailable(err)
		}
	}
	attributes := map[string]string{"service": service}
	if user != "" {
		attributes["username"] = user
	}
	if err := root.Call(serviceCalls+"SearchItems", 0, attributes).Store(&open, &shut); err != nil {
		return nil, nil, nil, unavailable(err)
	}
	elsewhere := func(item dbus.ObjectPath) bool { return !strings.HasPrefix(string(item), string(collection)+"/") }
	return svc, slices.DeleteFunc(open, elsewhere), slices.DeleteFunc(shut, elsewhere), nil
}

// locked is ErrLocked where items are locked by themselves: some keychains want to be asked before a program reads them.
func locked(s step) error {
	_, _, shut, err := search(s, "")
	if err == nil && len(shut) > 0 {
		err = errShut
	}
	return err
}

var errShut = fmt.Errorf("%w: it asks before it lets groat read its own items", keystore.ErrLocked)

// count returns how many items a name has.
func count(s step, user string) (int, error) {
	_, open, shut, err := search(s, user)
	if err == nil && len(shut) > 0 {
		err = errShut
	}
	return len(open), err
}

// single makes sure that what the library reads is what there is: of several items, which other programs can make, all must
// say the same.
func single(s step, user string) error {
	svc, open, shut, err := search(s, user)
	switch {
	case err != nil:
		return err
	case len(shut) > 0:
		return errShut
	case len(open) < 2:
		return nil
	}
	values, err := read(s, svc, open)
	if err != nil {
		return err
	}
	defer wipe(values)
	if slices.ContainsFunc(values, func(v keystore.Secret) bool { return !v.Equal(values[0]) }) {
		return fmt.Errorf("%w: the keychain has %d items for it, which differ", keystore.ErrCorrupt, len(open))
	}
	return nil
}

// prune deletes what a name has beside the value that was written, if that is there.
func prune(s step, user string, value keystore.Secret) error {
	svc, open, _, err := search(s, user)
	if err != nil || len(open) < 2 {
		return err
	}
	values, err := read(s, svc, open)
	if err != nil {
		return err
	}
	defer wipe(values)
	if !slices.ContainsFunc(values, value.Equal) {
		return nil // reading it back will tell
	}
	for i, v := range values {
		if v.Equal(value) {
			continue
		}
		if err := s.next(); err != nil {
			return err
		}
		if err := s.change(func() error { return svc.Delete(open[i]) }); err != nil {
			return err
		}
	}
	return nil
}

// read returns the values of items, which the caller wipes.
func read(s step, svc *ss.SecretService, items []dbus.ObjectPath) (values []keystore.Secret, err error) {
	session, err := svc.OpenSession()
	if err != nil {
		return nil, classify(err)
	}
	defer svc.Close(session)
	for _, item := range items {
		if err = s.next(); err != nil {
			break
		}
		var found *ss.Secret
		if found, err = svc.GetSecret(item, session.Path()); err != nil {
			err = classify(err)
			break
		}
		values = append(values, keystore.NewSecret(found.Value))
	}
	if err != nil {
		wipe(values)
	}
	return values, err
}

func wipe(values []keystore.Secret) {
	for _, v := range values {
		v.Wipe()
	}
}
