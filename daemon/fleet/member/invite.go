package member

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/groat-dev/groat/daemon/fleet/engine"
	"github.com/groat-dev/groat/daemon/fleet/keyring"
	"github.com/groat-dev/groat/keystore"
)

// CodeLife is how long a code is good for.
const CodeLife = 15 * time.Minute

var (
	// ErrUsed: a machine has joined, or is about to join, with this code.
	ErrUsed = errors.New("this code was used: each is good for one machine")
	// ErrExpired: the code's time is over, or it is of another engine's fleet.
	ErrExpired = errors.New("the fleet's engine knows no such code: it has expired, or the engine is another one")
	// ErrNobody: no machine of the fleet has answered.
	ErrNobody = errors.New("no machine of the fleet has answered")
)

// invitation is what stands in the engine for every member, sealed with the fleet's key.
type invitation struct {
	Secret []byte `json:"secret"`
	Ends   int64  `json:"ends"` // Unix seconds, by the engine's clock
	By     string `json:"by"`
}

// request is what a machine that joins says of itself.
type request struct {
	Machine subject `json:"machine"`
}

// answer is what it is told: where in the log it stands. The log names the digests of the keys.
type answer struct {
	Seen position `json:"seen"`
	ID   string   `json:"id"` // of the epoch's key
}

const (
	kindInvitation = "invitation"
	useRequest     = "request"
	useAnswer      = "answer"
)

func (c Code) key() string { return Prefix(c.Fleet) + "m/invite/" + c.id() }

// aead is the cipher for one use of the invitation's secret.
func (c Code) aead(use string) (cipher.AEAD, error) {
	key := c.derive(use)
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// seal encrypts v, so that it comes from one who knows the code, and only such a one can read it.
func (c Code) seal(use string, v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	aead, err := c.aead(use)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize())
	rand.Read(nonce)
	return aead.Seal(nonce, nonce, text, []byte(c.id())), nil
}

// open decrypts what seal has sealed.
func (c Code) open(use string, sealed []byte, v any) error {
	aead, err := c.aead(use)
	if err != nil {
		return err
	}
	if len(sealed) < aead.NonceSize() {
		return keyring.ErrDamaged
	}
	text, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], []byte(c.id()))
	if err != nil {
		return keyring.ErrDamaged
	}
	return json.Unmarshal(text, v)
}

// Invite makes an invitation for one machine. The code's endpoints and CA are the caller's to set.
func (m *Member) Invite(ctx context.Context) (Code, error) {
	if err := m.Sync(ctx); err != nil {
		return Code{}, err
	}
	c := Code{Fleet: m.keys.Fleet(), Secret: newSecret()}
	m.mu.Lock()
	now := m.wall(m.at)
	m.mu.Unlock()
	secret := c.Secret.AppendTo(nil)
	defer clear(secret)
	text, err := json.Marshal(invitation{Secret: secret, Ends: now.Add(CodeLife).Unix(), By: m.self.id()})
	if err != nil {
		return Code{}, err
	}
	defer clear(text)
	sealed, err := m.keys.Seal(c.key(), kindInvitation, text)
	if err != nil {
		return Code{}, err
	}
	swapped, _, err := m.Engine.Swap(ctx, []engine.Condition{m.Fence(), {Key: c.key()}},
		[]engine.Change{{Key: c.key(), Value: sealed}})
	if err == nil && !swapped {
		err = engine.ErrUnavailable // another epoch began in this very moment
	}
	return c, err
}

// wall is the time by the engine's clock, or by this machine's where the engine has not said it.
func (m *Member) wall(s engine.State) time.Time {
	if !s.Now.IsZero() {
		return s.Now
	}
	return m.Now().Wall
}

// Join makes this machine a member by a code. It waits for a machine of the fleet to answer, as long as ctx allows.
func Join(ctx context.Context, o Options, c Code, name string) (*Member, error) {
	self, err := newIdentity(name)
	if err != nil {
		return nil, err
	}
	at, err := c.ask(ctx, o.Engine, self)
	if err != nil {
		return nil, err
	}
	a, err := c.await(ctx, o.Engine, at)
	if errors.Is(err, ErrNobody) {
		a, err = c.withdraw(ctx, o.Engine)
	}
	if err != nil {
		return nil, err
	}
	m, err := c.enter(ctx, o, self, a)
	if err != nil {
		c.undo(ctx, o, self, a)
		return nil, err
	}
	return m, nil
}

// enter makes a member of what a member of the fleet has answered.
func (c Code) enter(ctx context.Context, o Options, self identity, a answer) (*Member, error) {
	keys, err := c.fetch(ctx, o.Engine, self, a)
	if err != nil {
		return nil, err
	}
	m := newMember(o, keys, self)
	m.pinned = a.Seen
	if err := m.Sync(ctx); err != nil {
		return nil, err
	}
	if err := m.checkKeys(); err != nil {
		return nil, err
	}
	return m, m.persist(ctx)
}

// undo takes a machine that was admitted out again, where it cannot be a member after all.
func (c Code) undo(ctx context.Context, o Options, self identity, a answer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawTime)
	defer cancel()
	keys, err := c.fetch(ctx, o.Engine, self, a)
	if err != nil {
		return // nothing can be written without the keys
	}
	defer keys.Wipe()
	o.Keep, o.StateDir, o.Changed, o.Healed = nil, "", nil, nil
	m := newMember(o, keys, self)
	m.pinned = a.Seen
	m.Leave(ctx)
}

// ask writes the request of a machine that wants to join.
func (c Code) ask(ctx context.Context, e engine.Engine, self identity) (engine.State, error) {
	entries, at, err := e.Read(ctx, c.key())
	if err != nil {
		return at, err
	}
	invited := engine.Entry{}
	for _, e := range entries {
		switch e.Key {
		case c.key():
			invited = e
		default:
			return at, ErrUsed
		}
	}
	if invited.Key == "" {
		return at, ErrExpired
	}
	sealed, err := c.seal(useRequest, request{Machine: *self.public()})
	if err != nil {
		return at, err
	}
	swapped, _, err := e.Swap(ctx,
		[]engine.Condition{{Key: invited.Key, Revision: invited.Revision}, {Key: c.key() + "/" + useRequest}},
		[]engine.Change{{Key: c.key() + "/" + useRequest, Value: sealed}})
	switch {
	case errors.Is(err, engine.ErrUnknown): // the answer shows it, or withdraw ends it
		err = nil
	case err == nil && !swapped:
		err = c.whyNot(ctx, e)
	}
	return at, err
}

// whyNot returns why a request could not be made: another machine was faster, or the invitation was deleted.
func (c Code) whyNot(ctx context.Context, e engine.Engine) error {
	entries, _, err := e.Read(ctx, c.key())
	switch {
	case err != nil:
		return err
	case len(entries) == 0:
		return ErrExpired
	}
	return ErrUsed
}

// await waits for the answer of a member.
func (c Code) await(ctx context.Context, e engine.Engine, at engine.State) (a answer, err error) {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	err = ErrNobody
	done := false
	for !done && ctx.Err() == nil {
		failed := e.Watch(watching, c.key(), at, func(entries []engine.Entry, s engine.State) {
			at = s
			for _, e := range entries {
				switch {
				case done:
				case e.Key == c.key()+"/"+useAnswer && e.Value != nil:
					err, done = c.open(useAnswer, e.Value, &a), true
					stop()
				case e.Key == c.key()+"/"+useRequest && e.Value == nil && err == ErrNobody:
					err = ErrExpired // unless the answer is in the same change
				}
			}
			if err == ErrExpired {
				done = true
				stop()
			}
		})
		switch {
		case done || ctx.Err() != nil:
		case errors.Is(failed, engine.ErrUnavailable):
			pause(ctx, retryTime)
		default:
			return a, failed
		}
	}
	return a, err
}

const (
	// withdrawTime bounds withdraw, and undo.
	withdrawTime = 5 * time.Second
	// withdrawTries is how often withdraw tries: its conditions fail where a member answers at the same moment.
	withdrawTries = 3
)

// withdraw deletes the request and the invitation, so that no member makes a machine of one that has gone, and returns
// [ErrNobody]; or the answer of a member that was faster.
func (c Code) withdraw(ctx context.Context, e engine.Engine) (a answer, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawTime)
	defer cancel()
	for range withdrawTries {
		entries, _, err := e.Read(ctx, c.key())
		if err != nil {
			return a, ErrNobody
		}
		invited, asked := engine.Condition{Key: c.key()}, engine.Condition{Key: c.key() + "/" + useRequest}
		for _, e := range entries {
			switch e.Key {
			case invited.Key:
				invited.Revision = e.Revision
			case asked.Key:
				asked.Revision = e.Revision
			case c.key() + "/" + useAnswer:
				return a, c.open(useAnswer, e.Value, &a)
			}
		}
		changes := []engine.Change{{Key: invited.Key}, {Key: asked.Key}}
		if swapped, _, err := e.Swap(ctx, []engine.Condition{invited, asked}, changes); err != nil || swapped {
			return a, ErrNobody
		}
	}
	return a, ErrNobody
}

// fetch returns the keys that are sealed to a machine that joins. They are not checked yet.
func (c Code) fetch(ctx context.Context, e engine.Engine, self identity, a answer) (*keyring.Keyring, error) {
	name := Prefix(c.Fleet) + "k/" + a.ID + "/" + self.id()
	entries, _, err := e.Read(ctx, name)
	if err != nil {
		return nil, err
	}
	if len(entries) != 1 {
		return nil, ErrWithheld
	}
	text, err := self.open(c.Fleet, a.ID, entries[0].Value)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWithheld, err)
	}
	defer text.Wipe()
	keys, err := keyring.Decode(text)
	if err == nil && keys.Fleet() != c.Fleet {
		err = keyring.ErrEncoding
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWithheld, err)
	}
	return keys, nil
}

// checkKeys makes sure that all keys are those that the log names.
func (m *Member) checkKeys() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for epoch := uint32(1); epoch <= m.log.epoch; epoch++ {
		key, err := m.keys.Key(epoch)
		if err != nil && epoch < m.log.epoch {
			continue
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrWithheld, err)
		}
		right := string(commitOf(m.keys.Fleet(), epoch, key)) == string(m.log.commits[epoch])
		key.Wipe()
		if !right {
			return fmt.Errorf("%w: what it shows is another key", ErrWithheld)
		}
	}
	return nil
}

// admit answers the request of a machine with a code, unless another member does, and deletes the invitation.
func (m *Member) admit(ctx context.Context, id string) error {
	release, err := m.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	err = m.append(ctx, func(now log) (entry, []engine.Condition, []engine.Change, error) {
		return m.admission(ctx, now, id)
	})
	if errors.Is(err, errNothing) {
		return nil
	}
	return err
}

var errNothing = errors.New("there is no request to answer")

// admission is the entry by which a machine joins, and what is written with it.
func (m *Member) admission(ctx context.Context, now log, id string) (
	entry, []engine.Condition, []engine.Change, error,
) {
	none := func(err error) (entry, []engine.Condition, []engine.Change, error) { return entry{}, nil, nil, err }
	c, invited, asked, at, err := m.invited(ctx, id)
	defer func() { c.Secret.Wipe() }()
	if err != nil {
		return none(err)
	}
	forget := []engine.Change{{Key: invited.Key}, {Key: asked.Key}}
	both := []engine.Condition{
		{Key: invited.Key, Revision: invited.Revision}, {Key: asked.Key, Revision: asked.Revision},
	}
	var r request
	err = c.open(useRequest, asked.Value, &r)
	s := r.Machine
	if err != nil || !s.whole() || now.names[s.ID] != "" || now.used[id] || m.over(id, c.ends, at) {
		if _, _, err := m.Engine.Swap(ctx, both, forget); err != nil {
			return none(err)
		}
		return none(errNothing)
	}
	s.Name = now.free(s.Name)
	e := entry{Kind: kindJoin, Subject: &s, Invitation: id}
	e.Index, e.Previous, e.By = now.index+1, now.hashes[now.index].bytes(), m.self.id()
	text, err := m.self.signEntry(m.keys.Fleet(), e)
	if err != nil {
		return none(err)
	}
	key := string(keyID(now.commits[now.epoch]))
	ring := m.keys.Encode()
	defer ring.Wipe()
	given, err := s.sealTo(m.keys.Fleet(), key, ring)
	if err != nil {
		return none(err)
	}
	said, err := c.seal(useAnswer, answer{Seen: position{e.Index, hashOf(text)}, ID: key})
	if err != nil {
		return none(err)
	}
	return e, both, append(forget, engine.Change{Key: m.key("k/" + key + "/" + s.ID), Value: given},
		engine.Change{Key: invited.Key + "/" + useAnswer, Value: said}), nil
}

// known is an invitation that was opened.
type known struct {
	Code
	ends time.Time
	by   string // the machine that invited
}

// invited reads an invitation and the request that was made with it. The error is errNothing where there is none.
func (m *Member) invited(ctx context.Context, id string) (c known, invited, asked engine.Entry, at engine.State,
	err error) {
	key := m.key("m/invite/" + id)
	entries, at, err := m.Engine.Read(ctx, key)
	if err != nil {
		return c, invited, asked, at, err
	}
	for _, e := range entries {
		switch e.Key {
		case key:
			invited = e
		case key + "/" + useRequest:
			asked = e
		}
	}
	if invited.Key == "" || asked.Key == "" {
		return c, invited, asked, at, errNothing
	}
	c, err = m.openInvitation(invited)
	if err != nil || c.id() != id {
		err = errNothing
	}
	return c, invited, asked, at, err
}

// openInvitation opens an invitation. One that was made before the newest epoch is good no more: a machine that was
// removed since has read it.
func (m *Member) openInvitation(e engine.Entry) (c known, err error) {
	text, epoch, err := m.keys.Open(e.Key, kindInvitation, e.Value)
	if err != nil {
		return c, err
	}
	defer text.Wipe()
	if epoch != m.keys.Epoch() {
		return c, errNothing
	}
	var i invitation
	plain := text.AppendTo(nil)
	defer clear(plain)
	if err := json.Unmarshal(plain, &i); err != nil {
		return c, err
	}
	return known{Code{Fleet: m.keys.Fleet(), Secret: keystore.NewSecret(i.Secret)}, time.Unix(i.Ends, 0), i.By}, nil
}

// over reports whether an invitation's time is over: by the engine's clock, or by how long this machine has seen it.
func (m *Member) over(id string, ends time.Time, at engine.State) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	since, known := m.seen[id]
	return m.wall(at).After(ends) || known && m.Now().Boot-since > CodeLife
}
