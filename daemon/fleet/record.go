package fleet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol/strictjson"
)

// format is the "v" of everything that is sealed here.
const format = 1

var (
	// ErrNewer: a member with a later groat has written what this one does not know.
	ErrNewer = errors.New("a later groat has written to the fleet: upgrade groat on this machine")
	// errRecord: what a member sealed is not what groatd writes.
	errRecord = errors.New("a record of the fleet is damaged")
)

// The kinds of sealed values; see [keyring.Keyring.Seal].
const (
	kindRecord = "record"
	kindConfig = "config"
	kindToken  = "token"
)

// record is a profile's credential with all that the machines must agree on before one of them sends it.
type record struct {
	Version int    `json:"v"`
	Profile string `json:"profile"`
	// Generation counts the credentials of the profile: each answer of the server, each login and logout makes the
	// next.
	Generation int64 `json:"generation"`
	// Since is the generation of the login that this is the credential of: no token is older.
	Since int64 `json:"since"`
	// SignedOut: there is no credential any more.
	SignedOut bool `json:"signed_out,omitempty"`
	// Intent is whose request is under way, if any.
	Intent *intent `json:"intent,omitempty"`
	// Doubt is why the refresh token may be used up; see doubts.
	Doubt string `json:"doubt,omitempty"`
	// Block is why no machine sends, and for how long each waits from when it has seen this; see [broker.Block].
	Block json.RawMessage `json:"block,omitempty"`
	// Failures counts the requests of this generation that brought nothing.
	Failures int `json:"failures,omitempty"`
	// By is the id of the machine that made the generation, and At when, in Unix seconds of the engine's time.
	By string `json:"by"`
	At int64  `json:"at"`

	// item is the encoded credential: empty in the record of a profile that was signed out, and in one that is kept in
	// memory. It is the last member, "item".
	item []byte
}

type intent struct {
	Machine string `json:"machine"`
	Nonce   string `json:"nonce"`
}

// doubts are the texts of a record's Doubt.
var doubts = map[string]error{
	"unanswered":  keystore.ErrUnanswered,
	"rolled_back": keystore.ErrRolledBack,
}

const (
	unanswered = "unanswered"
	rolledBack = "rolled_back"
)

// recordMembers is record as JSON; the item is a member here and nowhere else, so that no other copy of it is made.
type recordMembers struct {
	record
	Item json.RawMessage `json:"item,omitempty"`
}

// encode returns the record as JSON, which the caller wipes.
func (r *record) encode() ([]byte, error) {
	head, err := json.Marshal(r)
	if err != nil || len(r.item) == 0 {
		return head, err
	}
	text := make([]byte, 0, len(head)+len(r.item)+len(`,"item":}`))
	text = append(text, head[:len(head)-1]...)
	text = append(text, `,"item":`...)
	return append(append(text, r.item...), '}'), nil
}

// decodeRecord reads what encode wrote. The caller wipes the record.
func decodeRecord(plain keystore.Secret) (record, error) {
	text := plain.AppendTo(nil)
	defer clear(text)
	var m recordMembers
	if err := decode(text, &m, &m.Version); err != nil {
		return record{}, err
	}
	r := m.record
	r.item = m.Item
	known := r.Doubt == "" || doubts[r.Doubt] != nil
	counted := r.Since >= 1 && r.Generation >= r.Since && r.Failures >= 0
	if r.Profile == "" || r.SignedOut != (len(r.item) == 0) || !counted || !known {
		r.wipe()
		return record{}, errRecord
	}
	return r, nil
}

// decode reads one JSON object of ours, of which version is a member.
func decode(text []byte, to any, version *int) error {
	if strictjson.Check(text) != nil {
		return errRecord
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if d.Decode(to) == nil && *version == format {
		return nil
	}
	var head struct {
		Version int `json:"v"`
	}
	if json.Unmarshal(text, &head) == nil && head.Version > format {
		return ErrNewer
	}
	return errRecord
}

// wipe forgets the credential.
func (r *record) wipe() {
	clear(r.item)
	r.item = nil
}

// setItem puts a credential in; nil is none.
func (r *record) setItem(item *keystore.Item) error {
	r.wipe()
	if item == nil {
		return nil
	}
	text, err := keystore.EncodeItem(*item)
	if err != nil {
		return err
	}
	defer text.Wipe()
	r.item = text.AppendTo(nil)
	return nil
}

// credential returns the record's credential, or [keystore.ErrNotFound].
func (r *record) credential() (keystore.Item, error) {
	if len(r.item) == 0 {
		return keystore.Item{}, keystore.ErrNotFound
	}
	text := keystore.NewSecret(bytes.Clone(r.item))
	defer text.Wipe()
	return keystore.DecodeItem(text)
}

// doubt is why the refresh token may be used up, or nil.
func (r *record) doubt() error {
	if r.Doubt == "" {
		return nil
	}
	return doubts[r.Doubt]
}

// block returns why no machine sends; the zero Block where nothing keeps them from it.
func (r *record) block() (b broker.Block) {
	if len(r.Block) > 0 && json.Unmarshal(r.Block, &b) != nil {
		return broker.Block{}
	}
	return b
}

// answered is the record after an answer of the server, with the credential that is good from then on.
func (r *record) answered(item keystore.Item, generation int64) (next record, err error) {
	next = *r
	next.item, next.Intent, next.Doubt, next.Block, next.Failures = nil, nil, "", nil, 0
	next.Generation = generation
	if err := next.setItem(&item); err != nil {
		return record{}, fmt.Errorf("the credential cannot be shared: %w", err)
	}
	return next, nil
}
