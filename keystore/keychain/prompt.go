//go:build !darwin

package keychain

import (
	"context"
	"errors"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/groat-dev/groat/keystore"
)

const promptInterface = "org.freedesktop.Secret.Prompt"

// prompt makes the Secret Service ask for what is locked, and does not wait for the answer, as the library would
// without limit: the keychain could not be used as long as the dialog is not answered. dismissed is closed when the
// person closes it before open ends.
func prompt(s operation, open context.Context) (dismissed <-chan struct{}, err error) {
	locked := checkUnlocked(s)
	if locked != nil && !errors.Is(locked, keystore.ErrLocked) {
		return nil, locked
	}
	svc, _, shut, err := search(s, "")
	if err != nil {
		return nil, err
	}
	if locked != nil {
		shut = []dbus.ObjectPath{svc.GetLoginCollection().Path()}
	}
	if len(shut) == 0 {
		return nil, nil
	}
	dialog, err := unlock(svc.Conn, shut)
	if err != nil || dialog == none {
		return nil, err
	}
	return showPrompt(open, svc, dialog)
}

// none is the path that stands for no dialog (Secret Service API, Service.Unlock).
const none dbus.ObjectPath = "/"

// unlock unlocks what needs no person, and returns the dialog, not shown yet, that would unlock the rest.
func unlock(conn *dbus.Conn, shut []dbus.ObjectPath) (dialog dbus.ObjectPath, err error) {
	var unlocked []dbus.ObjectPath
	err = conn.Object(serviceName, servicePath).Call(serviceCalls+"Unlock", 0, shut).Store(&unlocked, &dialog)
	if err != nil {
		return none, unavailable(err)
	}
	return dialog, nil
}

// unaskedEach is the least time between two attempts to unlock a collection that needs a person.
const unaskedEach = 2 * time.Second

// unlockUnasked unlocks a collection that needs no person: one without a password is locked after each start of its
// keychain. Of any other it is ErrLocked, and no dialog is shown.
//
// It has a connection of its own: with that the keychain forgets the dialog. To dismiss one that was not shown ends the
// gnome-keyring of Debian 12.
func unlockUnasked(s operation, svc *session, collection dbus.ObjectPath) error {
	if time.Since(svc.needsPerson) < unaskedEach {
		return keystore.ErrLocked
	}
	conn, err := dialBus(s)
	if err != nil {
		return err
	}
	defer conn.Close()
	dialog, err := unlock(conn, []dbus.ObjectPath{collection})
	switch {
	case err != nil:
		return err
	case dialog != none:
		svc.needsPerson = time.Now()
		return keystore.ErrLocked
	}
	return nil
}

// showPrompt opens a dialog.
func showPrompt(open context.Context, svc *session, dialog dbus.ObjectPath) (dismissed <-chan struct{}, err error) {
	match := []dbus.MatchOption{dbus.WithMatchObjectPath(dialog), dbus.WithMatchInterface(promptInterface)}
	if err := svc.AddMatchSignal(match...); err != nil {
		return nil, unavailable(err)
	}
	signals, closed := make(chan *dbus.Signal, 8), make(chan struct{})
	svc.Signal(signals)
	go func() {
		defer func() {
			svc.RemoveSignal(signals)
			brief, cancel := context.WithTimeout(context.WithoutCancel(open), time.Second)
			defer cancel()
			svc.RemoveMatchSignalContext(brief, match...)
		}()
		if isDismissed(open, signals, dialog) {
			close(closed)
		}
	}()
	if err := svc.Object(serviceName, dialog).Call(promptInterface+".Prompt", 0, "").Err; err != nil {
		return nil, unavailable(err)
	}
	return closed, nil
}

// isDismissed waits for the end of a dialog.
func isDismissed(open context.Context, signals <-chan *dbus.Signal, dialog dbus.ObjectPath) bool {
	for {
		select {
		case signal, connected := <-signals:
			if !connected {
				return false
			}
			if signal.Path == dialog && signal.Name == promptInterface+".Completed" {
				return len(signal.Body) > 0 && signal.Body[0] == true
			}
		case <-open.Done():
			return false
		}
	}
}
