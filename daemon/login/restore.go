package login

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/backup"
	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// Restore makes profiles of what a backup holds: of the profiles that take names, or of none where it is empty. Of what is here
// already with another credential or server, only that of the profiles that replace names is replaced. There is one row for each
// profile that take names, or for each of the backup; what can be restored at once comes first.
func (s *Logins) Restore(ctx context.Context, b *backup.Backup, take, replace []string) []protocol.RestoreItem {
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

// inspect says what a credential of a backup is and whether it can be used here, by the rules of a login: what it is sealed with is
// where this profile sends credentials to.
func (s *Logins) inspect(ctx context.Context, e *backup.Entry) (row protocol.RestoreItem, l *Login) {
	row.Profile, row.Issuer, row.ClientID, row.Server = e.Profile, e.Item.Issuer, e.Item.ClientID, host(e.Item.TokenEndpoint)
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
	if i := e.Item; i.Issuer != want.Issuer || i.TokenEndpoint != want.TokenEndpoint || i.ClientAuth != want.ClientAuth || i.Grant != want.Grant ||
		l.kind.Session() || !i.RefreshToken.IsZero() {
		return refuse(protocol.NewError(protocol.Config, fmt.Sprintf(
			"the credential is sealed for %s, and profile %q would send it to %s", where(i), e.Profile, where(want)), "groat login "+e.Profile))
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
func (s *Logins) restore(l *Login, e *backup.Entry, replace bool) error {
	over, err := s.begin(l)
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
		return protocol.NewError(protocol.Config, fmt.Sprintf("profile %q is here already, with another credential or server, and was left as it is", e.Profile),
			"groat restore FILE --replace "+e.Profile)
	}
	ctx := context.WithoutCancel(l.ctx) // what is begun is finished
	defer l.quiet(ctx)()
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
