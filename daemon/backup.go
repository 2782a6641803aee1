package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/groat-dev/groat/daemon/backup"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/jsonrpc"
	"github.com/groat-dev/groat/protocol/visible"
	"go.uber.org/zap"
)

// makeBackup answers "backup": it writes a file with every credential that does not rotate.
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
	if err := c.d.profiles.Snapshot().Err(); err != nil {
		return nil, err
	}
	keep := c.d.Config.Paths() // where it would be read as a profile
	if c.d.StateDir != "" {
		keep = append(keep, c.d.StateDir)
	}
	ctx, cancel := context.WithTimeout(c.ctx, moveTime)
	defer cancel()
	b, items, err := c.d.logins.Permanent(ctx)
	if err != nil {
		return nil, err
	}
	defer b.Wipe()
	if len(b.Entries) == 0 {
		return nil, protocol.NewError(protocol.Config, "no profile has a permanent credential, so there is nothing to back up", "groat list")
	}
	if _, err := backup.Check(p.Path, p.Force, keep...); err != nil { // before it takes time
		return nil, wireFile("backup", p.Path, err)
	}
	var data []byte
	err = c.unlocking(passphrase, func(context.Context) error { // one at a time: it takes memory
		data, err = b.Seal(passphrase)
		return err
	})
	if err != nil {
		return nil, c.d.wire(err, "")
	}
	if err := backup.Write(p.Path, data, p.Force, keep...); err != nil {
		return nil, wireFile("backup", p.Path, err)
	}
	c.d.Log.Info("a backup was written", zap.Int("profiles", len(b.Entries)), zap.Int("left_out", len(b.LeftOut)))
	r := protocol.BackupResult{Path: p.Path, Warning: keystore.Weakness(passphrase)}
	room := pageBytes - len(p.Path)*6
	r.LeftOut = leftOut(b.LeftOut, &room)
	for _, item := range items {
		if !fits(item, &room) {
			r.More++
			continue
		}
		r.Profiles = append(r.Profiles, item)
	}
	return r, nil
}

// passphraseFor returns the passphrase of a request about a backup, which needs it and a path. The caller wipes it.
func passphraseFor(path string, params []byte) (keystore.Secret, error) {
	passphrase, err := secretParam(params, "passphrase")
	if err == nil && (path == "" || passphrase.IsZero()) {
		passphrase.Wipe()
		err = protocol.InvalidParams("path and passphrase are needed")
	}
	return passphrase, err
}

// restoreBackup answers "restore". Looking and taking are two requests that read the file twice: between them nothing of it is kept.
func restoreBackup(c *conn, params []byte) (any, error) {
	var p protocol.RestoreParams
	if err := jsonrpc.DecodeParams(params, &p); err != nil {
		return nil, err
	}
	passphrase, err := passphraseFor(p.Path, params)
	if err != nil {
		return nil, err
	}
	defer passphrase.Wipe()
	for _, name := range p.Replace {
		if !slices.Contains(p.Take, name) {
			return nil, protocol.InvalidParams("replace names %q, which take does not", name)
		}
	}
	if _, err := os.Lstat(p.Path); err != nil { // before a passphrase is tried
		return nil, wireFile("restore", p.Path, err)
	}
	var b *backup.Backup
	var unread error
	err = c.unlocking(passphrase, func(context.Context) error { // one at a time: it takes memory
		var data []byte
		if data, unread = backup.Read(p.Path); unread != nil {
			return unread
		}
		b, err = backup.Open(data, passphrase)
		return err
	})
	if unread != nil {
		return nil, wireFile("restore", p.Path, unread)
	}
	if err != nil {
		return nil, c.d.wireBackup(p.Path, err)
	}
	defer b.Wipe()
	for _, name := range p.Take {
		if !slices.ContainsFunc(b.Entries, func(e backup.Entry) bool { return e.Profile == name }) {
			return nil, protocol.InvalidParams("the backup has no profile %q", name)
		}
	}
	ctx, cancel := context.WithTimeout(c.ctx, moveTime)
	defer cancel()
	r := protocol.RestoreResult{Created: b.Created}
	room := pageBytes
	r.LeftOut = leftOut(b.LeftOut, &room)
	// What can be restored at once comes first, for a line may not hold all.
	for _, row := range c.d.logins.Restore(ctx, b, p.Take, p.Replace) {
		if !fits(row, &room) {
			r.More++
			continue
		}
		r.Profiles = append(r.Profiles, row)
	}
	return r, nil
}

// leftOut is the list for people, as much of it as there is room for.
func leftOut(all []backup.LeftOut, room *int) (list []protocol.BackupLeftOut) {
	for _, l := range all {
		if row := protocol.BackupLeftOut(l); fits(row, room) {
			list = append(list, row)
		}
	}
	return list
}

// fits takes what v needs of the room in a line, if there is as much.
func fits(v any, room *int) bool {
	b, err := json.Marshal(v)
	if err != nil || len(b)+1 > *room {
		return false
	}
	*room -= len(b) + 1
	return true
}

// wireFile is what leaves of an error of a backup's file; command is "backup" or "restore".
func wireFile(command, path string, err error) *protocol.Error {
	hint := "groat " + command + " FILE"
	switch {
	case errors.Is(err, backup.ErrExists):
		return protocol.NewError(protocol.Config, err.Error()+", and nothing was written", fmt.Sprintf("groat backup %s --force", visible.Word(path)))
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		hint = "ls -ld " + visible.Word(path)
	}
	return protocol.NewError(protocol.Config, err.Error(), hint)
}

// wireBackup is what leaves of an error of opening a backup.
func (d *Daemon) wireBackup(path string, err error) *protocol.Error {
	switch {
	case errors.Is(err, keystore.ErrLocked):
		return protocol.NewError(protocol.Locked, visible.Name(path)+": the passphrase does not fit this backup", "groat restore "+visible.Word(path))
	case errors.Is(err, keystore.ErrCorrupt):
		return protocol.NewError(protocol.Config, fmt.Sprintf("%s is no backup of groat's, or is damaged, and nothing was restored: %s", visible.Name(path),
			strings.TrimPrefix(err.Error(), keystore.ErrCorrupt.Error()+": ")),
			"groat restore ANOTHER-COPY")
	}
	return d.wire(err, "")
}
