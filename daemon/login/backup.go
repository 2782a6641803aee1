package login

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/backup"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/preset"
	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

// resultBytes is how much of a line the rows of a backup's or a restore's result fill; the rest is for what stands
// around them.
const resultBytes = protocol.MaxLine - 8<<10

// Backup writes a file with every credential that does not rotate, sealed with a passphrase, and describes what is in
// it. The file may stand in none of the directories of keep. guess calls its argument when it is the turn of this
// passphrase, which stays the caller's.
func (s *Logins) Backup(ctx context.Context, p protocol.BackupParams, passphrase keystore.Secret, keep []string,
	guess func(func() error) error,
) (protocol.BackupResult, error) {
	r := protocol.BackupResult{Path: p.Path, Warning: keystore.Weakness(passphrase)}
	if err := s.Profiles.Usable().Err(); err != nil {
		return r, err
	}
	b, items, err := s.collectPermanent(ctx)
	if err != nil {
		return r, err
	}
	defer b.Wipe()
	r.Incomplete = s.incomplete(ctx)
	if len(b.Entries) == 0 {
		if r.Incomplete != nil {
			return r, r.Incomplete
		}
		if slices.ContainsFunc(b.LeftOut, func(l backup.LeftOut) bool { return l.Reason == leftToFleet }) {
			return r, protocol.NewError(protocol.Config, "this machine alone has no permanent credential, so there is "+
				"nothing to back up: what is the fleet's, a machine that joins has", "groat fleet invite")
		}
		return r, protocol.NewError(protocol.Config,
			"no profile has a permanent credential, so there is nothing to back up", "groat list")
	}
	if _, err := backup.Check(p.Path, p.Force, keep...); err != nil { // before it takes time
		return r, backupFileError("backup", p.Path, err)
	}
	var data []byte
	err = guess(func() error {
		data, err = b.Seal(passphrase)
		return err
	})
	if err != nil {
		return r, err
	}
	if err := backup.Write(p.Path, data, p.Force, keep...); err != nil {
		return r, backupFileError("backup", p.Path, err)
	}
	s.Log.Info("a backup was written", zap.Int("profiles", len(b.Entries)), zap.Int("left_out", len(b.LeftOut)))
	room := resultBytes - len(p.Path)*6
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

// leftToFleet is why a backup leaves a profile out.
const leftToFleet = "it is the fleet's, whose machines have it"

// collectPermanent collects what a backup carries, every credential that does not rotate, and describes each for
// people. A session is of no use on two machines: the first to renew it ends it for the other. The caller wipes the
// backup.
func (s *Logins) collectPermanent(ctx context.Context) (*backup.Backup, []protocol.BackupItem, error) {
	b := &backup.Backup{Created: s.Now().Wall.Unix()}
	var items []protocol.BackupItem
	for p := range s.Profiles.Snapshot().All() {
		name := p.Name
		var username, client string
		leave := func(reason string) {
			b.LeftOut = append(b.LeftOut, backup.LeftOut{Profile: name, Reason: reason,
				Hint: Command(onAnother(p, username, client))})
		}
		if p.Ephemeral {
			leave("it ends with groatd")
			continue
		}
		if p.Fleet {
			b.LeftOut = append(b.LeftOut, backup.LeftOut{Profile: name,
				Reason: leftToFleet, Hint: "groat fleet invite"})
			continue
		}
		item, err := s.Stores.Kept.Get(ctx, name)
		if err == nil {
			username, client = item.Username, item.ClientID
		}
		switch {
		case errors.Is(err, keystore.ErrNotFound):
			leave("it is not signed in")
		case errors.Is(err, keystore.ErrNewer):
			leave("a later groat has written its credential")
		case errors.Is(err, keystore.ErrCorrupt):
			leave("its credential is damaged")
		case err != nil:
			b.Wipe()
			return nil, nil, s.Wire(err, name)
		case p.Kind().Session() || !item.RefreshToken.IsZero():
			item.Wipe()
			leave("its session is this machine's: it is renewed by being used")
		default:
			text, err := p.Profile.Text()
			if err != nil {
				item.Wipe()
				b.Wipe()
				return nil, nil, s.Wire(err, name)
			}
			b.Entries = append(b.Entries, backup.Entry{Profile: name, Config: text, Item: item})
			items = append(items, describeItem(p, item))
		}
	}
	set := s.Profiles.Snapshot()
	for _, name := range set.AllBroken() {
		if set.Named(name) == nil {
			b.LeftOut = append(b.LeftOut, backup.LeftOut{Profile: name, Reason: "its configuration could not be used"})
		}
	}
	return b, items, nil
}

// incomplete is why a backup lacks a credential that it should carry, or nil: of a profile whose configuration cannot
// be used it is not known what a restore would make of it. Another credential than a permanent one is missed by none.
func (s *Logins) incomplete(ctx context.Context) *protocol.Error {
	set := s.Profiles.Snapshot()
	for _, name := range set.AllBroken() {
		if set.Named(name) != nil { // it is used, and carried, as it was
			continue
		}
		item, err := s.Stores.Kept.Get(ctx, name)
		session := err == nil && (!item.RefreshToken.IsZero() || grant.Kind(item.Grant).Session())
		item.Wipe()
		if session || errors.Is(err, keystore.ErrNotFound) {
			continue
		}
		e := set.Broken(name)
		return protocol.NewError(protocol.Config, fmt.Sprintf("profile %q is not in the backup: %s", name, e), e.Hint)
	}
	return nil
}

// describeItem describes a credential for people: whose it is, and every host that it, and its tokens, are sent to.
func describeItem(p *profile.Profile, item keystore.Item) protocol.BackupItem {
	var hosts, apis []string
	for _, o := range slices.Concat([]string{item.TokenEndpoint}, item.Origins, item.TokenOrigins, item.PageOrigins) {
		if o != "" {
			hosts = union(hosts, hostForPeople(o))
		}
	}
	for _, o := range slices.Concat(p.APIs, item.APIs) { // an API key is sent to the APIs that it is for
		if item.TokenEndpoint == "" {
			hosts = union(hosts, hostForPeople(o))
		}
	}
	if len(hosts) == 0 {
		hosts = []string{hostForPeople(item.Issuer)}
	}
	for _, o := range item.APIs {
		apis = append(apis, origin.WithoutPort(o))
	}
	return protocol.BackupItem{
		Profile: p.Name, Provider: p.Provider, Issuer: item.Issuer, Grant: string(p.Kind()), ClientID: item.ClientID,
		Server: strings.Join(hosts, " "), APIs: apis,
	}
}

// onAnother asks for a profile's sign-in on a machine where there is no such profile.
func onAnother(p *profile.Profile, username, client string) protocol.LoginParams {
	q := protocol.LoginParams{Profile: p.Name, Provider: p.Provider, AuthServer: p.AuthServer, Backend: p.Backend,
		Grant: p.Grant, Scope: p.Scope, Audience: p.Audience, Username: username, Redirect: p.Redirect}
	known, ok := preset.Lookup(p.Provider)
	switch {
	case ok:
		if client == known.For(string(p.Kind())).ClientID {
			client = ""
		}
	case p.Backend != "":
		q.Scope = ""
	case p.Discovered || p.Kind().Interactive() && !byHand(p.Profile):
		q.Issuer = p.Issuer
	default:
		q.TokenURL, q.ClientAuth = p.TokenEndpoint, p.ClientAuth
		q.AuthorizationEndpoint, q.DeviceEndpoint = p.AuthorizationEndpoint, p.DeviceEndpoint
	}
	if !p.Kind().StaticKey() && p.Kind() != grant.ByAppCredentials {
		q.ClientID = client
	}
	return q
}

// hostForPeople returns the host of an address, without the port that its scheme has anyway.
func hostForPeople(address string) string { return host(cmp.Or(origin.Of(address), address)) }

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

// backupFileError is what leaves of an error of a backup's file; command is "backup" or "restore".
func backupFileError(command, path string, err error) *protocol.Error {
	hint := "groat " + command + " FILE"
	switch {
	case errors.Is(err, backup.ErrExists):
		return protocol.NewError(protocol.Config, err.Error()+", and nothing was written",
			fmt.Sprintf("groat backup %s --force", visible.Word(path)))
	case errors.Is(err, fs.ErrNotExist) && command == "restore":
		return protocol.NewError(protocol.Config, visible.Name(path)+" does not exist",
			"ls -lt "+visible.Word(filepath.Dir(path)))
	case errors.Is(err, fs.ErrNotExist):
		hint = "ls -ld " + visible.Word(filepath.Dir(path))
	case errors.Is(err, fs.ErrPermission):
		hint = "ls -ld " + visible.Word(path)
	}
	said := err.Error()
	if p, ok := errors.AsType[*fs.PathError](err); ok && command == "restore" {
		said = visible.Name(path) + " cannot be opened: " + p.Err.Error()
	}
	return protocol.NewError(protocol.Config, said, hint)
}
