package login

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/backup"
	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

// RestoreFile reads a backup and, where p.Take names profiles, makes them of what it holds. Looking and taking are two
// requests that read the file twice: between them nothing of it is kept. Without a passphrase it says only whether the
// file could be a backup, which is then locked. guess is as for [Logins.Backup].
func (s *Logins) RestoreFile(ctx context.Context, p protocol.RestoreParams, passphrase keystore.Secret,
	guess func(func() error) error) (
	protocol.RestoreResult, error,
) {
	var r protocol.RestoreResult
	for _, name := range p.Replace {
		if !slices.Contains(p.Take, name) {
			return r, protocol.InvalidParams("replace names %q, which take does not", name)
		}
	}
	if _, err := os.Lstat(p.Path); err != nil { // before a passphrase is tried
		return r, backupFileError("restore", p.Path, err)
	}
	var b *backup.Backup
	var unread error
	err := guess(func() (err error) {
		var data []byte
		if data, unread = backup.Read(p.Path); unread != nil {
			return unread
		}
		b, err = backup.Open(data, passphrase)
		return err
	})
	if unread != nil {
		return r, backupFileError("restore", p.Path, unread)
	}
	if err != nil {
		return r, openBackupError(p.Path, err, passphrase.IsZero())
	}
	defer b.Wipe()
	for _, name := range p.Take {
		if !slices.ContainsFunc(b.Entries, func(e backup.Entry) bool { return e.Profile == name }) {
			return r, protocol.InvalidParams("the backup has no profile %q", name)
		}
	}
	r.Created = b.Created
	room := resultBytes
	r.LeftOut = leftOut(b.LeftOut, &room)
	for _, row := range s.restoreAll(ctx, b, p.Take, p.Replace) {
		if !fits(row, &room) {
			r.More++
			continue
		}
		r.Profiles = append(r.Profiles, row)
	}
	return r, nil
}

// restoreAll makes profiles of what a backup holds: of the profiles that take names, or of none where it is empty. Of
// what is here already with another credential or server, only that of the profiles that replace names is replaced.
// There is one row for each profile that take names, or for each of the backup; what can be restored at once comes
// first, for a line may not hold all.
func (s *Logins) restoreAll(ctx context.Context, b *backup.Backup, take, replace []string) []protocol.RestoreItem {
	var rows []protocol.RestoreItem
	for i := range b.Entries {
		e := &b.Entries[i]
		if len(take) > 0 && !slices.Contains(take, e.Profile) {
			continue
		}
		row, l := s.inspect(ctx, e)
		if len(take) > 0 && row.Error == nil {
			if err := s.restore(l, e, slices.Contains(replace, e.Profile)); err != nil {
				row.Error = s.Wire(err, e.Profile)
			} else {
				row.Restored = true
			}
		}
		rows = append(rows, row)
	}
	slices.SortStableFunc(rows, func(a, b protocol.RestoreItem) int { return cmp.Compare(rank(a), rank(b)) })
	return rows
}

// rank orders what was found: what replaces nothing, what would, what cannot be used.
func rank(i protocol.RestoreItem) int {
	switch {
	case i.Error != nil:
		return 2
	case i.Here == protocol.HereSame || i.Here == protocol.HereOther:
		return 1
	}
	return 0
}

// inspect says what a credential of a backup is and whether it can be used here, by the rules of a login: what it is
// sealed with is where this profile sends credentials to.
func (s *Logins) inspect(ctx context.Context, e *backup.Entry) (row protocol.RestoreItem, l *Login) {
	row.Profile, row.Issuer, row.ClientID, row.Server = e.Profile, e.Item.Issuer, e.Item.ClientID, host(
		e.Item.TokenEndpoint)
	refuse := func(err error) (protocol.RestoreItem, *Login) {
		row.Error = s.Wire(err, e.Profile)
		return row, nil
	}
	p, err := config.ParseProfile("the backup", e.Profile, e.Config)
	if err != nil {
		return refuse(err)
	}
	l = s.newLogin(protocol.LoginParams{Profile: e.Profile})
	l.ctx, l.cancel = ctx, func() {}
	was := s.Profiles.Named(e.Profile)
	if p.Fleet || was != nil && was.Fleet {
		return refuse(protocol.NewError(protocol.Config, fmt.Sprintf(
			"profile %q is a fleet's, and is not replaced by one of a backup", e.Profile), "groat fleet status"))
	}
	if was != nil && profile.Same(was.Profile, p) && !was.Ephemeral {
		l.profile = was
	} else if l.profile, err = s.Profiles.Resolve(p); err != nil {
		return refuse(err)
	}
	l.endpoint, l.kind = l.profile.Endpoint, p.Kind()
	row.BackupItem = describeItem(l.profile, e.Item)
	if was != nil {
		row.Here = protocol.HereProfile
	}
	want := l.profile.Endpoint.Server().NewItem("", l.kind)
	if i := e.Item; i.Issuer != want.Issuer || i.TokenEndpoint != want.TokenEndpoint ||
		i.ClientAuth != want.ClientAuth || i.Grant != want.Grant ||
		l.kind.Session() || !i.RefreshToken.IsZero() {
		return refuse(protocol.NewError(protocol.Config, fmt.Sprintf(
			"the credential is sealed for %s, and profile %q would send it to %s", describeSeal(
				i), e.Profile, describeSeal(want)), "groat login "+e.Profile))
	}
	if err := l.logins.Profiles.CheckSave(l.profile); err != nil {
		return refuse(err)
	}
	now, err := s.Stores.Kept.Get(ctx, e.Profile)
	defer func() { now.Wipe() }()
	switch {
	case err == nil && now.Equal(e.Item) && was == l.profile:
		row.Here = protocol.HereSame
	case err == nil && !now.Equal(e.Item):
		row.Here = protocol.HereOther
	case err == nil, errors.Is(err, keystore.ErrNotFound), errors.Is(err, keystore.ErrUndecided):
	case keystore.Absent(err): // it is there, and damaged
		row.Here = protocol.HereOther
	default:
		return refuse(err)
	}
	if was != nil && was != l.profile {
		row.Here = protocol.HereOther
	}
	return row, l
}

// describeSeal is what an item is sealed for, in words.
func describeSeal(i keystore.Item) string {
	at := i.TokenEndpoint
	if at == "" {
		at = i.Issuer
	}
	way := i.ClientAuth
	if i.Grant != "" {
		way += ", " + i.Grant
	}
	return fmt.Sprintf("%s (%s)", at, way)
}

// restore makes a profile of what a backup holds. It is stored and read back before the profile is written.
func (s *Logins) restore(l *Login, e *backup.Entry, replace bool) error {
	over, err := s.startAlone(l)
	if err != nil {
		return err
	}
	defer over()
	if err := l.store().Probe(l.ctx); err != nil { // it may be what chooses the keystore
		return err
	}
	// Asked again, now that no login of the profile can change it.
	row, again := s.inspect(l.ctx, e)
	if row.Error != nil {
		return row.Error
	}
	l.profile, l.endpoint, l.kind = again.profile, again.endpoint, again.kind
	if row.Here == protocol.HereOther && !replace {
		return protocol.NewError(protocol.Config,
			fmt.Sprintf("profile %q is here already, with another credential or server, and was left as it is",
				e.Profile),
			"groat restore FILE --replace "+visible.Word(e.Profile))
	}
	ctx := context.WithoutCancel(l.ctx) // what is begun is finished
	defer l.pauseRenewals(ctx)()
	if now, err := l.store().Get(ctx, e.Profile); err != nil || !now.Equal(e.Item) {
		now.Wipe()
		s.Refusals.Forget(ctx, e.Profile)
		if err := l.store().Set(ctx, e.Profile, e.Item); err != nil { // and not held: the backup has it
			return err
		}
	}
	if err := l.save(); err != nil {
		return err
	}
	if now := s.Profiles.Named(e.Profile); now != nil {
		s.Broker.Put(map[string]broker.Source{e.Profile: s.Stores.Source(now)})
	}
	s.Log.Info("a credential was restored", zap.String("profile", e.Profile), zap.String("client_id", e.Item.ClientID))
	return nil
}

// openBackupError is what leaves of an error of opening a backup, without a passphrase or with one.
func openBackupError(path string, err error, without bool) error {
	switch {
	case errors.Is(err, keystore.ErrLocked):
		why := "the passphrase does not fit the backup "
		if without {
			why = "a passphrase is needed for the backup "
		}
		return protocol.NewError(protocol.Locked, why+visible.Name(path), "groat restore "+visible.Word(path))
	case errors.Is(err, keystore.ErrCorrupt):
		return protocol.NewError(protocol.Config,
			fmt.Sprintf("%s is no backup of groat's, or is damaged, and nothing was restored: %s", visible.Name(path),
				strings.TrimPrefix(err.Error(), keystore.ErrCorrupt.Error()+": ")),
			"ls -lt "+visible.Word(filepath.Dir(path)))
	}
	return err
}
