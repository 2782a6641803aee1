package broker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// blockJSON is a [Block] as it is written to a file: an error cannot be. Of a server's answer it has what may be shown:
// cut, in ASCII, and without what was sent. The names of the members are those that every groatd has written.
type blockJSON struct {
	Whole    bool   `json:"whole,omitempty"`
	Scope    string `json:"scope,omitempty"`
	Audience string `json:"audience,omitempty"`

	Class       string `json:"class"`
	Where       string `json:"where"`
	Reason      string `json:"reason"`
	Code        string `json:"code,omitempty"`
	Description string `json:"description,omitempty"`
	Status      int    `json:"status,omitempty"`
	// Because is why the refusal came where the server's words do not say it; see [explanations].
	Because string `json:"because,omitempty"`

	Disabled bool  `json:"parked,omitempty"`
	Wait     int64 `json:"wait,omitempty"`  // seconds
	Until    int64 `json:"until,omitempty"` // Unix seconds
	Failures int   `json:"failures,omitempty"`
	Probes   int   `json:"probes,omitempty"`
}

// explanations are the explanations of a lost session that a server does not give. A later one says more and wins.
var explanations = []struct {
	name string
	err  error // in the chain of the Block's
}{
	{"rotation_lost", ErrRotationLost},
	{"unanswered", keystore.ErrUnanswered},
	{"interrupted", ErrInterrupted},
	{"newest_damaged", keystore.ErrNewestDamaged},
	{"rolled_back", keystore.ErrRolledBack},
}

// becauseClock stands for [grant.ErrClock].
const becauseClock = "clock"

// blockingClasses are the classes of a Block's error.
var blockingClasses = []grant.Class{
	grant.Transient, grant.TransientSlow, grant.Malformed, grant.Ambiguous,
	grant.InvalidClient, grant.Refused, grant.Misconfigured, grant.Pending,
}

var (
	_ json.Marshaler   = Block{}
	_ json.Unmarshaler = (*Block)(nil)
)

// MarshalJSON implements [json.Marshaler]. It fails for a Block that no server caused, and for one that could not be
// read again.
func (b Block) MarshalJSON() ([]byte, error) {
	j := blockJSON{Whole: b.Whole, Scope: b.Scope, Audience: b.Audience, Disabled: b.Disabled, Failures: b.Failures,
		Probes: b.Probes}
	if e, ok := errors.AsType[*grant.Error](b.Err); ok {
		j.Class, j.Where, j.Reason = e.Class.String(), e.Where, e.Reason
		j.Code, j.Description, j.Status = e.Code, e.Description, e.Status
	}
	for _, x := range explanations {
		if errors.Is(b.Err, ErrRotationLost) && errors.Is(b.Err, x.err) {
			j.Because = x.name
		}
	}
	if errors.Is(b.Err, grant.ErrClock) {
		j.Because = becauseClock
	}
	if !b.final() {
		j.Wait, j.Until = int64((b.Wait+time.Second-1)/time.Second), b.Until.Wall.Unix()
	}
	if err := j.check(); err != nil {
		return nil, err
	}
	return json.Marshal(j)
}

// UnmarshalJSON implements [json.Unmarshaler]. It fails for what MarshalJSON does not write.
func (b *Block) UnmarshalJSON(text []byte) error {
	var j blockJSON
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&j); err != nil {
		return err
	}
	if err := j.check(); err != nil {
		return err
	}
	*b = Block{
		Whole: j.Whole, Scope: j.Scope, Audience: j.Audience, Err: j.err(), Disabled: j.Disabled, Failures: j.Failures,
		Probes: j.Probes,
		Wait:   time.Duration(j.Wait) * time.Second, Until: clock.Instant{Wall: time.Unix(j.Until, 0)},
	}
	return nil
}

const (
	// maxBlockText bounds each text, in bytes; what groatd writes is shorter.
	maxBlockText = 4 << 10
	// maxBlockWait bounds Wait; what groatd writes is shorter.
	maxBlockWait = reviewMost + time.Hour
)

// check refuses what MarshalJSON does not write.
func (j *blockJSON) check() error {
	for _, text := range []string{j.Scope, j.Audience, j.Where, j.Reason, j.Code, j.Description} {
		if len(text) > maxBlockText || strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c > '~' }) {
			return errors.New("a text in it cannot be shown")
		}
	}
	_, known := j.class()
	explained := j.Because == "" || j.Because == becauseClock || j.explanation() != nil
	if !known || !explained || j.Reason == "" || j.Wait < 0 || j.Wait > int64(maxBlockWait/time.Second) ||
		j.Failures < 0 || j.Probes < 0 || j.Status < 0 || j.Status > 999 {
		return errors.New("a refusal in it is none")
	}
	return nil
}

func (j *blockJSON) class() (grant.Class, bool) {
	i := slices.IndexFunc(blockingClasses, func(c grant.Class) bool { return c.String() == j.Class })
	if i < 0 {
		return grant.OK, false
	}
	return blockingClasses[i], true
}

// explanation is the error that Because names, or nil.
func (j *blockJSON) explanation() error {
	for _, x := range explanations {
		if x.name == j.Because {
			return x.err
		}
	}
	return nil
}

// err is the Block's error, as callers got it.
func (j *blockJSON) err() error {
	class, _ := j.class()
	e := &grant.Error{
		Class: class, Where: j.Where, Reason: j.Reason, Code: j.Code, Description: j.Description, Status: j.Status,
	}
	if j.Because == becauseClock {
		e.Err = grant.ErrClock
	}
	if why := j.explanation(); why != nil {
		return fmt.Errorf("%w: %w: %w", ErrRotationLost, why, e)
	}
	return e
}
