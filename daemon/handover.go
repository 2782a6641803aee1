package daemon

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/groat-dev/groat/daemon/handover"
)

// KeepsFromHandover returns why something would be lost if the daemon ended now and another process got its access
// tokens and nothing else, or nil. What the keystore could not take before is tried to be stored first.
//
// What is not a loss: a sealed store that a person has unlocked is locked again, as after each start, and the tokens
// that are held are served meanwhile.
func (d *Daemon) KeepsFromHandover(ctx context.Context) *handover.Refusal {
	end := fmt.Sprintf("kill %d", os.Getpid())
	if d.logins.Running() > 0 {
		return &handover.Refusal{Message: "a sign-in is under way there", Hint: end}
	}
	if ephemeral := d.profiles.Ephemeral(); len(ephemeral) > 0 {
		return &handover.Refusal{Message: "it keeps profiles in memory only: " + strings.Join(ephemeral, ", "), Hint: end}
	}
	if d.Profiles() > 0 && d.Keystore.Status(ctx).Use == "memory" {
		return &handover.Refusal{Message: "it keeps credentials in memory only", Hint: end}
	}
	if d.stores.Kept.HasPending() {
		d.stores.Kept.RetryAll(ctx, false)
	}
	if d.stores.Kept.HasPending() {
		return &handover.Refusal{Message: "it holds a credential that the keystore could not take yet", Hint: end}
	}
	return nil
}

// Tokens returns the access tokens that the daemon held, for its successor. It returns none before [Daemon.Serve] has
// returned.
func (d *Daemon) Tokens() []handover.Token {
	profiles := d.profiles.Snapshot()
	var all []handover.Token
	for _, t := range d.broker.Tokens() {
		if p := profiles.Named(t.Profile); p != nil && !p.Ephemeral {
			all = append(all, handover.Token{Cached: t, Configuration: p.Fingerprint()})
		}
	}
	return all
}

// Adopt holds the access tokens that another daemon held, but for those of profiles that are configured otherwise by
// now, and returns how many it holds. It is called before [Daemon.Serve].
func (d *Daemon) Adopt(tokens []handover.Token) int {
	profiles := d.profiles.Snapshot()
	adopted := 0
	digests := map[string]string{} // :: profile → of its configuration
	for _, t := range tokens {
		p := profiles.Named(t.Profile)
		if p == nil {
			continue
		}
		if digests[p.Name] == "" {
			digests[p.Name] = p.Fingerprint()
		}
		if t.Configuration == "" || t.Configuration != digests[p.Name] {
			continue
		}
		if d.broker.Adopt(t.Cached) {
			adopted++
		}
	}
	return adopted
}
