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

// The calls to the Secret Service. They have no deadline of their own: a call that is not answered stays out after its
// caller has left.

const (
	serviceName  = "org.freedesktop.secrets"
	servicePath  = dbus.ObjectPath("/org/freedesktop/secrets")
	serviceCalls = "org.freedesktop.Secret.Service."
	aliasPath    = "/org/freedesktop/secrets/aliases/"

	// changesEach is how many changes are made on one connection: for each prompt object, also one without a dialog,
	// the library leaves a listener behind, and a goroutine for each later one.
	changesEach = 16
)

// changes counts the changes on the connection current. Only the holder of the gate uses them.
var (
	changes int
	current *session
)

// connect returns the connection to the bus, a new one where there is none that works. Closing it makes
// an unanswered call return.
func connect(s operation) (*session, error) {
	if current != nil && (changes >= changesEach || !current.Connected()) {
		current.Conn.Close()
		current = nil
	}
	if current == nil {
		conn, err := dialBus(s)
		if err != nil {
			return nil, err
		}
		current, changes = &session{SecretService: &ss.SecretService{Conn: conn}}, 0
	}
	svc := current
	hangUp := func() { svc.Conn.Close() }
	s.interrupt.Store(&hangUp)
	return svc, nil
}

// countChange follows every change.
func countChange() { changes++ }

// checkUnlocked makes sure that the collection that the library would use is unlocked, without asking a person.
func checkUnlocked(s operation) error {
	svc, err := connect(s)
	if err != nil {
		return err
	}
	collection := svc.GetLoginCollection()
	locked, err := collection.GetProperty("org.freedesktop.Secret.Collection.Locked")
	if err != nil {
		return unavailable(err)
	}
	if locked.Value() == true {
		return unlockUnasked(s, svc, collection.Path())
	}
	return nil
}

// search returns the items of groat's that the library could find; user "" means every one.
func search(s operation, user string) (svc *session, open, shut []dbus.ObjectPath, err error) {
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

// checkItemsUnlocked is ErrLocked where items are locked by themselves: some keychains want to be asked before a
// program reads them.
func checkItemsUnlocked(s operation) error {
	_, _, shut, err := search(s, "")
	if err == nil && len(shut) > 0 {
		err = errItemsLocked
	}
	return err
}

var errItemsLocked = fmt.Errorf("%w: it asks before it lets groat read its own items", keystore.ErrLocked)

// countItems returns how many items a name has.
func countItems(s operation, user string) (int, error) {
	_, open, shut, err := search(s, user)
	if err == nil && len(shut) > 0 {
		err = errItemsLocked
	}
	return len(open), err
}

// checkUnambiguous makes sure that what the library reads is what there is: of several items, which other programs can
// make, all must say the same.
func checkUnambiguous(s operation, user string) error {
	svc, open, shut, err := search(s, user)
	switch {
	case err != nil:
		return err
	case len(shut) > 0:
		return errItemsLocked
	case len(open) < 2:
		return nil
	}
	values, err := readValues(s, svc, open)
	if err != nil {
		return err
	}
	defer wipe(values)
	if slices.ContainsFunc(values, func(v keystore.Secret) bool { return !v.Equal(values[0]) }) {
		return fmt.Errorf("%w: the keychain has %d items for it, which differ", keystore.ErrCorrupt, len(open))
	}
	return nil
}

// deleteOthers deletes what a name has beside the value that was written, if that is there.
func deleteOthers(s operation, user string, value keystore.Secret) error {
	svc, open, _, err := search(s, user)
	if err != nil || len(open) < 2 {
		return err
	}
	values, err := readValues(s, svc, open)
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
		if err := s.checkContext(); err != nil {
			return err
		}
		if err := s.runChange(func() error { return svc.Delete(open[i]) }); err != nil {
			return err
		}
	}
	return nil
}

// readFirst returns the value of a name's first item, which the caller wipes.
func readFirst(s operation, user string) (keystore.Secret, error) {
	svc, open, _, err := search(s, user)
	if err != nil {
		return keystore.Secret{}, err
	}
	if len(open) == 0 {
		return keystore.Secret{}, keystore.ErrNotFound
	}
	values, err := readValues(s, svc, open[:1])
	if err != nil {
		return keystore.Secret{}, err
	}
	return values[0], nil
}

// writeItem makes a name's item, or replaces the value of the one that has these attributes.
func writeItem(s operation, user string, value keystore.Secret) error {
	svc, err := connect(s)
	if err != nil {
		return err
	}
	session, err := svc.OpenSession()
	if err != nil {
		return err
	}
	defer svc.Close(session)
	label := fmt.Sprintf("Password for '%s' on '%s'", user, service)
	attributes := map[string]string{"username": user, "service": service}
	return svc.CreateItem(svc.GetLoginCollection(), label, attributes, ss.NewSecret(session.Path(), value.Reveal()))
}

// deleteFirst deletes a name's first item.
func deleteFirst(s operation, user string) error {
	svc, open, _, err := search(s, user)
	if err != nil {
		return err
	}
	if len(open) == 0 {
		return keystore.ErrNotFound
	}
	return svc.Delete(open[0])
}

// readValues returns the values of items, which the caller wipes.
func readValues(s operation, svc *session, items []dbus.ObjectPath) (values []keystore.Secret, err error) {
	session, err := svc.OpenSession()
	if err != nil {
		return nil, classify(err)
	}
	defer svc.Close(session)
	for _, item := range items {
		if err = s.checkContext(); err != nil {
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
