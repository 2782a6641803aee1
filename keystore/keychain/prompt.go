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
	svc, err := connect(s)
	if err != nil {
		return nil, err
	}
	var shut []dbus.ObjectPath
	switch err := checkUnlocked(s); {
	case errors.Is(err, keystore.ErrLocked):
		shut = []dbus.ObjectPath{svc.GetLoginCollection().Path()}
	case err != nil:
		return nil, err
	default:
		if _, _, shut, err = search(s, ""); err != nil || len(shut) == 0 {
			return nil, err
		}
	}
	var dialog dbus.ObjectPath
	if err := svc.Object(serviceName, servicePath).Call(serviceCalls+"Unlock", 0, shut).Store(&shut,
		&dialog); err != nil {
		return nil, unavailable(err)
	}
	if dialog == "/" {
		return nil, nil
	}
	return showPrompt(open, svc, dialog)
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
