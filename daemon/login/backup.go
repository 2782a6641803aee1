package login

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/groat-dev/groat/daemon/backup"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// Permanent collects what a backup carries, every credential that does not rotate, and describes each for people. A session is of no
// use on two machines: the first to renew it ends it for the other. The caller wipes the backup.
func (s *Logins) Permanent(ctx context.Context) (*backup.Backup, []protocol.BackupItem, error) {
	b := &backup.Backup{Created: s.Now().Wall.Unix()}
	var items []protocol.BackupItem
	for p := range s.Profiles.Snapshot().All() {
		name := p.Name
		leave := func(reason string) {
			b.LeftOut = append(b.LeftOut, backup.LeftOut{Profile: name, Reason: reason, Hint: "groat login " + name})
		}
		if p.Ephemeral {
			leave("it ends with groatd")
			continue
		}
		item, err := s.Stores.Kept.Get(ctx, name)
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
	return b, items, nil
}

// describeItem says whose credential it is, and every host that it is sent to.
func describeItem(p *profile.Profile, item keystore.Item) protocol.BackupItem {
	var hosts []string
	for _, o := range slices.Concat([]string{item.TokenEndpoint}, item.Origins, item.TokenOrigins, item.PageOrigins) {
		if o != "" {
			hosts = union(hosts, host(o))
		}
	}
	for _, o := range slices.Concat(p.Origins, item.APIs) { // an API key is sent to what it is a key of
		if item.TokenEndpoint == "" {
			hosts = union(hosts, host(o))
		}
	}
	if len(hosts) == 0 {
		hosts = []string{host(item.Issuer)}
	}
	return protocol.BackupItem{
		Profile: p.Name, Provider: p.Provider, Issuer: item.Issuer, Grant: string(p.Kind()), ClientID: item.ClientID,
		Server: strings.Join(hosts, " "), APIs: item.APIs,
	}
}
