package daemon

import (
	"context"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/jsonrpc"
)

// makeBackup answers "backup".
func makeBackup(c *conn, params []byte) (any, error) {
	var p protocol.BackupParams
	if err := jsonrpc.DecodeParams(params, &p); err != nil {
		return nil, err
	}
	passphrase, err := passphraseFor(p.Path, params)
	if err != nil {
		return nil, err
	}
	defer passphrase.Wipe()
	keep := c.d.Config.Paths() // where it would be read as a profile
	if c.d.StateDir != "" {
		keep = append(keep, c.d.StateDir)
	}
	ctx, cancel := context.WithTimeout(c.ctx, moveTime)
	defer cancel()
	return c.d.logins.Backup(ctx, p, passphrase, keep, c.oneGuess(passphrase))
}

// restoreBackup answers "restore".
func restoreBackup(c *conn, params []byte) (any, error) {
	var p protocol.RestoreParams
	if err := jsonrpc.DecodeParams(params, &p); err != nil {
		return nil, err
	}
	passphrase, err := secretParam(params, "passphrase")
	if err != nil {
		return nil, err
	}
	defer passphrase.Wipe()
	if p.Path == "" {
		return nil, protocol.InvalidParams("a path is needed")
	}
	ctx, cancel := context.WithTimeout(c.ctx, moveTime)
	defer cancel()
	return c.d.logins.RestoreFile(ctx, p, passphrase, c.oneGuess(passphrase))
}

// oneGuess returns a function that calls another one as one attempt with the passphrase; see [conn.unlocking]. One
// attempt at a time also bounds the memory, of which deriving a key takes much.
func (c *conn) oneGuess(passphrase keystore.Secret) func(func() error) error {
	return func(f func() error) error {
		return c.unlocking(passphrase, func(context.Context) error { return f() })
	}
}

// passphraseFor returns the passphrase of a request for a backup, which needs it and a path. The caller wipes it.
func passphraseFor(path string, params []byte) (keystore.Secret, error) {
	passphrase, err := secretParam(params, "passphrase")
	if err == nil && (path == "" || passphrase.IsZero()) {
		passphrase.Wipe()
		err = protocol.InvalidParams("path and passphrase are needed")
	}
	return passphrase, err
}
