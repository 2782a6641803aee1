package daemon

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/grant/preset"
	"github.com/groat-dev/groat/daemon/login"
	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/jsonrpc"
)

// profileKeys answers "profile".
func profileKeys(c *conn, params []byte) (any, error) {
	var pp protocol.ProfileParams
	if err := jsonrpc.DecodeParams(params, &pp); err != nil {
		return nil, err
	}
	if pp.Key == "" && pp.Value != nil {
		return nil, protocol.InvalidParams("a value needs the key that it is for")
	}
	if pp.Profile == "" {
		if pp.Key != "" {
			return nil, protocol.InvalidParams("name the profile whose key it is")
		}
		var r protocol.ProfileResult
		for _, k := range config.Keys() {
			r.Keys = append(r.Keys, protocol.ProfileKey{Key: k.Name, About: k.About, Login: k.Login})
		}
		return r, nil
	}
	p, err := c.d.find(pp.Profile)
	if err == nil && !p.Ephemeral {
		set, _ := c.d.profiles.Looked()
		if broken := set.Broken(p.Name); broken != nil { // p is what the file said before
			err = broken
		}
	}
	if err == nil && pp.Value != nil {
		if why := login.Unused(p, pp.Key); why != "" {
			e := protocol.InvalidParams("%s cannot be used for profile %s: %s", pp.Key, p.Name, why)
			e.Data = &protocol.ErrorData{Hint: "groat profile show " + p.Name}
			return nil, e
		}
	}
	if err == nil && pp.Key != "" && p.Fleet {
		err = c.d.shareEdit(c.open, p, pp)
	}
	if err == nil && pp.Key != "" {
		p, err = c.d.profiles.Edit(p.Name, func(p *config.Profile) error { return changeKey(p, pp) })
	}
	if err != nil {
		return nil, c.d.wire(err, pp.Profile)
	}
	return keysOf(p), nil
}

// shareEdit gives all machines of the fleet a profile as it is after a change. What cannot be changed is left to the
// change itself to say.
func (d *Daemon) shareEdit(ctx context.Context, p *profile.Profile, pp protocol.ProfileParams) error {
	edited := p.Profile
	edited.Resources = slices.Clone(edited.Resources)
	if err := changeKey(&edited, pp); err != nil {
		return err
	}
	now, err := d.profiles.Resolve(edited)
	if err != nil {
		return nil
	}
	return d.fleet.Share(ctx, now)
}

// changeKey changes one key of a profile, unless a sign-in decides it.
func changeKey(p *config.Profile, pp protocol.ProfileParams) error {
	for _, k := range config.Keys() {
		if k.Name != pp.Key || k.Login == "" || k.Name == "resources" && narrows(*p, pp.Value) {
			continue
		}
		e := protocol.InvalidParams("%s is decided by the sign-in, since the profile's credential belongs to it",
			k.Name)
		e.Data = &protocol.ErrorData{Hint: "groat login " + p.Name + " " + k.Login}
		return e
	}
	var err error
	if pp.Value == nil {
		err = p.Unset(pp.Key)
	} else {
		err = p.Set(pp.Key, *pp.Value)
	}
	if err != nil {
		e := protocol.InvalidParams("%s", err)
		e.Data = &protocol.ErrorData{Hint: "groat profile show"}
		return e
	}
	return nil
}

// narrows reports whether resources, as a person types them, are no more than a profile has now. Nil is the preset's
// own: whether its credential may be sent there says the credential's seal.
func narrows(p config.Profile, value *string) bool {
	now := p.Resources
	provider, _ := preset.Lookup(p.Provider)
	if now == nil {
		now = provider.At(p.AuthServer).Resources
	}
	return value == nil || !slices.ContainsFunc(strings.Fields(*value), func(raw string) bool {
		wanted, err := origin.Resource(raw)
		return err != nil || !slices.ContainsFunc(now, func(has string) bool {
			r, err := origin.Resource(has)
			return err == nil && origin.Covers(r, wanted)
		})
	})
}

// keysOf returns the keys that a profile says.
func keysOf(p *profile.Profile) protocol.ProfileResult {
	r := protocol.ProfileResult{Profile: p.Name, Keys: []protocol.ProfileKey{}}
	if !p.Ephemeral {
		r.From = fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	for _, k := range config.Keys() {
		if value, set := p.Get(k.Name); set {
			r.Keys = append(r.Keys, protocol.ProfileKey{Key: k.Name, Value: value, About: k.About, Login: k.Login})
		}
	}
	return r
}
