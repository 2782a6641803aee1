package keychain

import (
	"context"
	"errors"
	"os/exec"

	"github.com/zalando/go-keyring"

	"github.com/groat-dev/groat/keystore"
)

// The library runs /usr/bin/security, which needs no bus and does its own asking. None of this has run on a Mac.

func ensureBusAddress() error { return nil }

func checkUnlocked(operation) error { return nil }

func prompt(operation, context.Context) (<-chan struct{}, error) { return nil, nil }

func checkItemsUnlocked(operation) error { return nil }

// A service and an account are an item's identity there: none is twice.

func checkUnambiguous(operation, string) error { return nil }

func deleteOthers(operation, string, keystore.Secret) error { return nil }

func countItems(_ operation, user string) (int, error) {
	_, err := keyring.Get(service, user)
	if errors.Is(err, keyring.ErrNotFound) {
		return 0, nil
	}
	return 1, classify(err)
}

func countChange() {}

func readFirst(_ operation, user string) (keystore.Secret, error) {
	text, err := keyring.Get(service, user)
	return keystore.SecretString(text), err
}

func writeItem(_ operation, user string, value keystore.Secret) error {
	return keyring.Set(service, user, value.Reveal())
}

func deleteFirst(_ operation, user string) error { return keyring.Delete(service, user) }

// isLocked: security exits with the low byte of errSecInteractionNotAllowed (-25308) where it would have to ask.
func isLocked(err error) bool {
	exit, ok := errors.AsType[*exec.ExitError](err)
	return ok && exit.ExitCode() == 36
}
