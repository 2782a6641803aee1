// Package handover passes what a groatd holds in memory to the groatd that takes its place: its access tokens and its
// lock.
//
// A groatd that a client started holds the lock of the state directory. When a service manager starts its own groatd
// for the same place, that one (the successor) connects to a private socket of the first (the holder) and asks for
// both. The holder answers no further client, finishes the requests that are under way, closes its keystore, and sends
// the open file of the lock and its tokens. The lock is never free in between, because both processes have the same
// open file for a moment.
//
// The invariants: each end serves its own user only; the successor speaks to no process but the one that the lock
// names; no refresh token, client secret, private key or passphrase is sent, and nothing is written to a disk; every
// wait has a deadline. The daemon decides when a holder may step down, and main owns the socket.
package handover

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/peer"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/keystore"
)

// version counts changes that an older groatd could not read.
const version = 1

// Deadlines.
const (
	// answerTime bounds each short message.
	answerTime = 3 * time.Second
	// DrainTime is how long a holder may take from its yes until it sends the lock. It finishes requests to providers
	// meanwhile.
	DrainTime = 25 * time.Second
	// transferTime bounds the sending of all tokens.
	transferTime = 10 * time.Second
)

// Bounds of what is read.
const (
	maxMessage = 64 << 10 // of JSON
	maxAccess  = 16 << 10 // of one access token
	maxTokens  = 1 << 19
	maxAll     = 256 << 20 // of all tokens with their records
	// longest bounds every duration of a token, so that no sum of two overflows.
	longest = 100 * 365 * 24 * time.Hour
)

// Token is one access token on its way to the successor.
type Token struct {
	broker.Cached
	// Configuration is the digest of the profile's configuration. A profile with another configuration does not take
	// the token.
	Configuration string
}

// Tokens returns the access tokens that b held, but for those of ephemeral profiles, of which nothing outlives the
// daemon. It returns none before b is closed.
func Tokens(b *broker.Broker, profiles *profile.Set) []Token {
	var all []Token
	for _, t := range b.Tokens() {
		if p := profiles.Named(t.Profile); p != nil && !p.Ephemeral {
			all = append(all, Token{Cached: t, Configuration: p.Fingerprint()})
		}
	}
	return all
}

// Adopt gives b the access tokens that another daemon held, but for those of profiles whose configuration is another
// one by now. It returns how many b has taken.
func Adopt(b *broker.Broker, profiles *profile.Set, tokens []Token) int {
	adopted := 0
	configurations := map[string]string{} // :: profile → digest of its configuration
	for _, t := range tokens {
		p := profiles.Named(t.Profile)
		if p == nil {
			continue
		}
		if configurations[p.Name] == "" {
			configurations[p.Name] = p.Fingerprint()
		}
		if t.Configuration == "" || t.Configuration != configurations[p.Name] {
			continue
		}
		if b.Adopt(t.Cached) {
			adopted++
		}
	}
	return adopted
}

// Refusal is why a holder refuses to hand over.
type Refusal struct {
	Message string `json:"message"`
	Hint    string `json:"hint"` // the next command
}

func (r *Refusal) Error() string { return r.Message }

// request is the successor's first message.
type request struct {
	Version int    `json:"version"`
	Place   string `json:"place"`
	// Ask is set where the successor only wants to know the answer.
	Ask bool `json:"ask,omitempty"`
}

// answer is the holder's answer to a request.
type answer struct {
	Refused *Refusal `json:"refused,omitempty"`
}

// record is a [Token] without the access token itself, which follows it, and the ID token, which follows that. Times
// are in nanoseconds relative to the moment of sending, since two processes need not have the same boot clock.
type record struct {
	Profile         string              `json:"profile"`
	Configuration   string              `json:"configuration"`
	Scope           string              `json:"scope,omitempty"`
	Audience        string              `json:"audience,omitempty"`
	Granted         string              `json:"granted,omitempty"`
	TypeAssumed     bool                `json:"type_assumed,omitempty"`
	LifetimeAssumed bool                `json:"lifetime_assumed,omitempty"`
	Last            bool                `json:"last,omitempty"`
	Kept            bool                `json:"kept,omitempty"`
	Age             time.Duration       `json:"age"`
	Lifetime        time.Duration       `json:"lifetime"`
	RenewIn         time.Duration       `json:"renew_in"`
	Unused          time.Duration       `json:"unused"`
	MaxMinTTL       time.Duration       `json:"max_min_ttl"`
	Sealed          *grant.Destinations `json:"sealed"`
	ID              *idRecord           `json:"id,omitempty"`
}

// idRecord is an ID token without the token itself.
type idRecord struct {
	Age      time.Duration `json:"age"`
	Lifetime time.Duration `json:"lifetime"`
	Subject  string        `json:"subject"`
	Verified bool          `json:"verified,omitempty"`
}

// ErrBroken means that the other end does not keep to this protocol.
var ErrBroken = errors.New("the other groatd does not speak this hand-over")

// authorize refuses a peer of another user, and, unless pid is 0, a peer that is not the process with that id.
func authorize(c *net.UnixConn, pid int) error {
	p, err := new(peer.Watch).Of(c)
	if err != nil {
		return err
	}
	defer p.Close()
	if err := p.Authorize(); err != nil {
		return err
	}
	if pid != 0 && p.PID != pid {
		return fmt.Errorf("%w: process %d has the socket of process %d", ErrBroken, p.PID, pid)
	}
	return nil
}

// Holder is the holder's end of one hand-over.
type Holder struct {
	c   *net.UnixConn
	ask bool
}

// Receive reads a successor's request from a connection, which stays the caller's. It refuses a process of another
// user, another version of the hand-over, and a place whose id is not place.
func Receive(c *net.UnixConn, place string) (*Holder, error) {
	if err := authorize(c, 0); err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(answerTime))
	var r request
	if err := readMessage(c, &r); err != nil {
		return nil, err
	}
	h := &Holder{c: c, ask: r.Ask}
	switch {
	case r.Version != version:
		return nil, h.Refuse(&Refusal{fmt.Sprintf("it hands over by version %d of the hand-over only", version),
			fmt.Sprintf("kill %d", os.Getpid())})
	case r.Place != place:
		return nil, h.Refuse(&Refusal{"it serves another place", "groat status"})
	}
	return h, nil
}

// OnlyAsks reports whether the successor only wants to know the answer.
func (h *Holder) OnlyAsks() bool { return h.ask }

// Refuse answers no. It returns the refusal.
func (h *Holder) Refuse(why *Refusal) error {
	h.c.SetDeadline(time.Now().Add(answerTime))
	if err := writeMessage(h.c, answer{Refused: why}); err != nil {
		return err
	}
	return why
}

// Accept answers yes. Unless the successor only asks, the holder now ends everything else that it does and calls
// [Holder.Give].
func (h *Holder) Accept() error {
	h.c.SetDeadline(time.Now().Add(answerTime))
	return writeMessage(h.c, answer{})
}

// Give sends the lock and the tokens, and returns when the successor has them. The lock's file stays the caller's, who
// closes it without unlocking it.
func (h *Holder) Give(lock *os.File, tokens []Token, now clock.Instant) error {
	h.c.SetDeadline(time.Now().Add(transferTime))
	if _, _, err := h.c.WriteMsgUnix([]byte{1}, unix.UnixRights(int(lock.Fd())), nil); err != nil {
		return err
	}
	w := bufio.NewWriter(h.c)
	left := maxAll - headerSize
	for _, t := range tokens {
		if err := writeToken(w, t, now, &left); err != nil {
			return err
		}
	}
	if err := writeBytes(w, nil); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := io.ReadFull(h.c, make([]byte, 1))
	return err
}

// writeToken writes a token, and takes its size from left. One that the successor would not read is left out: without
// it that one asks the server for another.
func writeToken(w io.Writer, t Token, now clock.Instant, left *int) error {
	var identity []byte
	r := record{
		Profile: t.Profile, Configuration: t.Configuration, Scope: t.Scope, Audience: t.Audience,
		Granted: t.Token.Scope, TypeAssumed: t.Token.TypeAssumed, LifetimeAssumed: t.Token.LifetimeAssumed,
		Last: t.Token.Last, Kept: t.Token.Kept,
		Age: now.Sub(t.Token.Sent), Lifetime: t.Token.Lifetime, RenewIn: t.Renew - now.Boot, Unused: now.Boot - t.Used,
		MaxMinTTL: t.MaxMinTTL, Sealed: t.Token.Destinations,
	}
	if i := t.Token.ID; i != nil {
		r.ID = &idRecord{Age: now.Sub(i.Sent), Lifetime: i.Lifetime, Subject: i.Subject, Verified: i.Verified()}
		identity = i.Text.AppendTo(nil)
		defer clear(identity)
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	access := t.Token.Access.AppendTo(nil)
	defer clear(access)
	size := len(text) + len(access) + len(identity) + 3*headerSize
	if len(text) > maxMessage || len(access) > maxAccess || size > *left {
		return nil
	}
	*left -= size
	if err := writeBytes(w, text); err != nil {
		return err
	}
	if err := writeBytes(w, access); err != nil || r.ID == nil {
		return err
	}
	return writeBytes(w, identity)
}

// Successor is the successor's end of one hand-over.
type Successor struct {
	PID   int // the holder's process id
	c     *net.UnixConn
	now   clock.Func
	asked clock.Instant
}

// Ask connects to the socket of the holder, the process with the id pid, and asks it to hand over the place with the id
// place; where only is set it wants to know the answer and no more. A holder that goes on answers with a [*Refusal].
func Ask(socket string, pid int, place string, only bool, now clock.Func) (*Successor, error) {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return nil, err
	}
	s := &Successor{PID: pid, c: c, now: now, asked: now()}
	if err := s.ask(pid, request{version, place, only}); err != nil {
		c.Close()
		return nil, err
	}
	return s, nil
}

func (s *Successor) ask(pid int, r request) error {
	if err := authorize(s.c, pid); err != nil {
		return err
	}
	s.c.SetDeadline(time.Now().Add(answerTime))
	if err := writeMessage(s.c, r); err != nil {
		return err
	}
	var a answer
	if err := readMessage(s.c, &a); err != nil {
		return err
	}
	if a.Refused != nil {
		return a.Refused
	}
	return nil
}

// Close ends the hand-over. A holder that has already sent the lock ends in any case.
func (s *Successor) Close() error { return s.c.Close() }

// Take waits for the lock and the tokens. If there is an error about the tokens, it returns none of them, and the lock
// all the same. The caller closes the lock's file.
func (s *Successor) Take() (lock *os.File, tokens []Token, err error) {
	s.c.SetDeadline(time.Now().Add(DrainTime))
	if lock, err = s.takeLock(); err != nil {
		return nil, nil, err
	}
	s.c.SetDeadline(time.Now().Add(transferTime))
	r := bufio.NewReader(io.LimitReader(s.c, maxAll))
	for len(tokens) <= maxTokens {
		t, err := s.readToken(r)
		if errors.Is(err, io.EOF) {
			s.c.Write([]byte{1}) // if this fails, the holder ends at its deadline
			return lock, tokens, nil
		}
		if err != nil {
			return lock, nil, err
		}
		tokens = append(tokens, t)
	}
	return lock, nil, ErrBroken
}

func (s *Successor) takeLock() (*os.File, error) {
	oob := make([]byte, unix.CmsgSpace(4))
	n, oobn, flags, _, err := s.c.ReadMsgUnix(make([]byte, 1), oob)
	fds, ok := descriptors(oob[:oobn])
	if err == nil && n == 1 && ok && len(fds) == 1 && flags&unix.MSG_CTRUNC == 0 {
		return os.NewFile(uintptr(fds[0]), "lock"), nil
	}
	for _, fd := range fds {
		unix.Close(fd)
	}
	switch {
	case err != nil:
		return nil, err
	case n == 0:
		return nil, io.ErrUnexpectedEOF
	}
	return nil, ErrBroken
}

// descriptors returns all descriptors that have come with a message; ok is false if that has anything else.
func descriptors(oob []byte) (fds []int, ok bool) {
	messages, err := unix.ParseSocketControlMessage(oob)
	ok = err == nil
	for _, m := range messages {
		more, err := unix.ParseUnixRights(&m)
		ok = ok && err == nil
		for _, fd := range more {
			unix.CloseOnExec(fd)
		}
		fds = append(fds, more...)
	}
	return fds, ok
}

// readToken returns io.EOF after the last token.
func (s *Successor) readToken(r io.Reader) (Token, error) {
	text, err := readBytes(r, maxMessage)
	if err != nil {
		return Token{}, err
	}
	if len(text) == 0 {
		return Token{}, io.EOF
	}
	access, err := readBytes(r, maxAccess)
	if err != nil {
		return Token{}, err
	}
	var e record
	if json.Unmarshal(text, &e) != nil || !grant.IsVisibleToken(access) {
		return Token{}, ErrBroken
	}
	durations := []time.Duration{e.Age, e.Lifetime, e.RenewIn, e.Unused, e.MaxMinTTL}
	if e.ID != nil {
		durations = append(durations, e.ID.Age, e.ID.Lifetime)
	}
	for _, d := range durations {
		if d > longest || d < -longest {
			return Token{}, ErrBroken
		}
	}
	identity, err := s.readIDToken(r, e)
	if err != nil {
		return Token{}, err
	}
	// The record was sent after this end asked. Counting from there, the token may be taken for older than it is, but
	// never for younger.
	now := s.now()
	return Token{Configuration: e.Configuration, Cached: broker.Cached{
		Profile: e.Profile, Scope: e.Scope, Audience: e.Audience,
		Renew: now.Boot + e.RenewIn, Used: now.Boot - max(e.Unused, 0), MaxMinTTL: max(e.MaxMinTTL, 0),
		Token: grant.Token{
			Access: keystore.NewSecret(access), Visible: !grant.IsB64Token(access), Type: "Bearer",
			TypeAssumed: e.TypeAssumed, Scope: e.Granted,
			Sent: s.instant(e.Age), Lifetime: e.Lifetime,
			LifetimeAssumed: e.LifetimeAssumed, Last: e.Last, Kept: e.Kept,
			Destinations: e.Sealed, ID: identity,
		},
	}}, nil
}

// readIDToken reads the ID token of a record, if it has one.
func (s *Successor) readIDToken(r io.Reader, e record) (*grant.IDToken, error) {
	if e.ID == nil {
		return nil, nil
	}
	text, err := readBytes(r, maxAccess)
	if err != nil {
		return nil, err
	}
	if !grant.IsB64Token(text) || e.Sealed == nil {
		return nil, ErrBroken
	}
	sent := s.instant(e.ID.Age)
	return grant.AdoptIDToken(keystore.NewSecret(text), sent, e.ID.Lifetime, e.ID.Subject, e.Sealed, e.ID.Verified), nil
}

// instant is when something was sent that was so old when the record was.
func (s *Successor) instant(age time.Duration) clock.Instant {
	now := s.now()
	sent := s.asked.Boot - max(age, 0)
	return clock.Instant{Wall: now.Wall.Add(sent - now.Boot), Boot: sent}
}

// A message or a token's secret is sent as its length, in four bytes, big-endian, and its bytes.

const headerSize = 4 // of the length

func writeMessage(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return writeBytes(w, text)
}

func writeBytes(w io.Writer, b []byte) error {
	if _, err := w.Write(binary.BigEndian.AppendUint32(nil, uint32(len(b)))); err != nil {
		return err
	}
	_, err := w.Write(b)
	return err
}

func readMessage(r io.Reader, v any) error {
	text, err := readBytes(r, maxMessage)
	if err != nil {
		return err
	}
	if json.Unmarshal(text, v) != nil {
		return ErrBroken
	}
	return nil
}

func readBytes(r io.Reader, most uint32) ([]byte, error) {
	var length [headerSize]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, noEOF(err)
	}
	n := binary.BigEndian.Uint32(length[:])
	if n > most {
		return nil, ErrBroken
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, noEOF(err)
}

// noEOF makes an [io.EOF] an [io.ErrUnexpectedEOF]: readToken returns io.EOF only after the last token.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
