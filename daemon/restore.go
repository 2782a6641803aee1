package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/backup"
	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/jsonrpc"
	"github.com/groat-dev/groat/protocol/visible"
)

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
	var rows []protocol.RestoreItem
	for i := range b.Entries {
		e := &b.Entries[i]
		if len(p.Take) > 0 && !slices.Contains(p.Take, e.Profile) {
			continue
		}
		row, l := c.d.inspect(ctx, e)
		if len(p.Take) > 0 && row.Error == nil {
			if err := c.d.restore(l, e, slices.Contains(p.Replace, e.Profile)); err != nil {
				row.Error = c.d.wire(err, e.Profile)
			} else {
				row.Restored = true
			}
		}
		rows = append(rows, row)
	}
	// What can be restored at once comes first, for a line may not hold all.
	slices.SortStableFunc(rows, func(a, b protocol.RestoreItem) int { return cmp.Compare(rank(a), rank(b)) })
	for _, row := range rows {
		if !fits(row, &room) {
			r.More++
			continue
		}
		r.Profiles = append(r.Profiles, row)
	}
	return r, nil
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

// inspect says what a credential of a backup is and whether it can be used here, by the rules of a login: what it is sealed with is
// where this profile sends credentials to.
func (d *Daemon) inspect(ctx context.Context, e *backup.Entry) (row protocol.RestoreItem, l *login) {
	row.Profile, row.Issuer, row.ClientID, row.Server = e.Profile, e.Item.Issuer, e.Item.ClientID, host(e.Item.TokenEndpoint)
	refuse := func(err error) (protocol.RestoreItem, *login) {
		row.Error = d.wire(err, e.Profile)
		return row, nil
	}
	p, err := config.ParseProfile("the backup", e.Profile, e.Config)
	if err != nil {
		return refuse(err)
	}
	l = d.newLogin(protocol.LoginParams{Profile: e.Profile})
	l.ctx, l.cancel = ctx, func() {}
	was := d.profiles.Named(e.Profile)
	if was != nil && profile.Same(was.Profile, p) && !was.Ephemeral {
		l.profile = was
	} else if l.profile, err = d.profiles.Resolve(p); err != nil {
		return refuse(err)
	}
	l.endpoint, l.kind = l.profile.Endpoint, p.Kind()
	row.BackupItem = describeItem(l.profile, e.Item)
	if was != nil {
		row.Here = protocol.HereProfile
	}
	want := l.profile.Endpoint.Server().NewItem("", l.kind)
	if i := e.Item; i.Issuer != want.Issuer || i.TokenEndpoint != want.TokenEndpoint || i.ClientAuth != want.ClientAuth || i.Grant != want.Grant ||
		l.kind.Session() || !i.RefreshToken.IsZero() {
		return refuse(protocol.NewError(protocol.Config, fmt.Sprintf(
			"the credential is sealed for %s, and profile %q would send it to %s", where(i), e.Profile, where(want)), "groat login "+e.Profile))
	}
	if err := l.d.profiles.CheckSave(l.profile); err != nil {
		return refuse(err)
	}
	now, err := d.kept.Get(ctx, e.Profile)
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

// where is what an item is sealed for, in words.
func where(i keystore.Item) string {
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
func (d *Daemon) restore(l *login, e *backup.Entry, replace bool) error {
	over, err := d.begin(l)
	if err != nil {
		return err
	}
	defer over()
	if err := l.store().Probe(l.ctx); err != nil { // it may be what chooses the keystore
		return err
	}
	// Asked again, now that no login of the profile can change it.
	row, again := d.inspect(l.ctx, e)
	if row.Error != nil {
		return row.Error
	}
	l.profile, l.endpoint, l.kind = again.profile, again.endpoint, again.kind
	if row.Here == protocol.HereOther && !replace {
		return protocol.NewError(protocol.Config, fmt.Sprintf("profile %q is here already, with another credential or server, and was left as it is", e.Profile),
			"groat restore FILE --replace "+e.Profile)
	}
	ctx := context.WithoutCancel(l.ctx) // what is begun is finished
	defer l.quiet(ctx)()
	if now, err := l.store().Get(ctx, e.Profile); err != nil || !now.Equal(e.Item) {
		now.Wipe()
		d.refusals.Forget(ctx, e.Profile)
		if err := l.store().Set(ctx, e.Profile, e.Item); err != nil { // and not held: the backup has it
			return err
		}
	}
	if err := l.save(); err != nil {
		return err
	}
	if now := d.profiles.Named(e.Profile); now != nil {
		d.broker.Put(map[string]broker.Source{e.Profile: d.source(now)})
	}
	d.Log.Info("a credential was restored", zap.String("profile", e.Profile), zap.String("client_id", e.Item.ClientID))
	return nil
}
