// Package handover passes what a groatd holds in memory to the groatd that takes its place: its access tokens and its
// lock, and at a restart its clients' socket.
//
// A groatd that a client started holds the lock of the state directory. When a service manager starts its own groatd
// for the same place, that one (the successor) connects to a private socket of the first (the holder) and asks for
// both. The holder answers no further client, finishes the requests that are under way, closes its keystore, and sends
// the open file of the lock and its tokens. The lock is never free in between, because both processes have the same
// open file for a moment.
//
// The invariants: each end serves its own user only; the holder's socket is where no container reaches it that was
// given the clients' one; the successor speaks to no process but the one that the lock
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
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/peer"
	"github.com/groat-dev/groat/daemon/profile"
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
	// Restart is set where the successor is to be what the holder is: it takes the clients' socket too.
	Restart bool `json:"restart,omitempty"`
}

// answer is the holder's answer to a request.
type answer struct {
	Refused *Refusal `json:"refused,omitempty"`
	// Bound is the file of the clients' socket, where that is to be given.
	Bound *File `json:"bound,omitempty"`
}

// File tells one file from another (stat(2)).
type File struct {
	Device uint64 `json:"device"`
	Inode  uint64 `json:"inode"`
}

// FileOf returns which file an info is about.
func FileOf(info fs.FileInfo) File {
	st := info.Sys().(*syscall.Stat_t)
	return File{uint64(st.Dev), st.Ino}
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
	c            *net.UnixConn
	ask, restart bool
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
	h := &Holder{c: c, ask: r.Ask, restart: r.Restart}
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

// Restarts reports whether the successor is to be what the holder is, and takes the clients' socket too.
func (h *Holder) Restarts() bool { return h.restart }

// Refuse answers no. It returns the refusal.
func (h *Holder) Refuse(why *Refusal) error {
	h.c.SetDeadline(time.Now().Add(answerTime))
	if err := writeMessage(h.c, answer{Refused: why}); err != nil {
		return err
	}
	return why
}

// Accept answers yes. Unless the successor only asks, the holder now ends everything else that it does and calls
// [Holder.Give]. bound is the file of the clients' socket, or nil where that is not given.
func (h *Holder) Accept(bound *File) error {
	h.c.SetDeadline(time.Now().Add(answerTime))
	return writeMessage(h.c, answer{Bound: bound})
}

// Give sends the lock, the clients' socket unless that is nil, and the tokens, and returns when the successor has them.
// The files stay the caller's, who closes the lock without unlocking it.
func (h *Holder) Give(lock, socket *os.File, tokens []Token, now clock.Instant) error {
	h.c.SetDeadline(time.Now().Add(transferTime))
	fds := []int{int(lock.Fd())}
	if socket != nil {
		fds = append(fds, int(socket.Fd()))
	}
	if _, _, err := h.c.WriteMsgUnix([]byte{1}, unix.UnixRights(fds...), nil); err != nil {
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

// Successor is the successor's end of one hand-over.
type Successor struct {
	PID     int // the holder's process id
	c       *net.UnixConn
	now     clock.Func
	asked   clock.Instant
	restart bool
	bound   *File
}

// Question is what a successor asks for.
type Question int

// The questions: the lock and the tokens, for a service manager's groatd; only whether they would be given; and with
// them the clients' socket.
const (
	ForService Question = iota
	Only
	ForRestart
)

// Ask connects to the socket of the holder, the process with the id pid, and asks it to hand over the place with the id
// place. A holder that goes on answers with a [*Refusal].
func Ask(socket string, pid int, place string, q Question, now clock.Func) (*Successor, error) {
	address, done, err := Address(socket)
	if err != nil {
		return nil, err
	}
	defer done()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: address, Net: "unix"})
	if err != nil {
		return nil, err
	}
	s := &Successor{PID: pid, c: c, now: now, asked: now()}
	s.restart = q == ForRestart
	if err := s.ask(pid, request{version, place, q == Only, s.restart}); err != nil {
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
	s.bound = a.Bound
	return nil
}

// Close ends the hand-over. A holder that has already sent the lock ends in any case.
func (s *Successor) Close() error { return s.c.Close() }

// Taken is what a successor has got. The caller closes the files.
type Taken struct {
	Lock   *os.File
	Socket *os.File // the clients'; nil where it was not asked for, or is not given
	Bound  *File    // the socket's file when the holder stepped down; nil where an older holder does not say
	Tokens []Token
}

// Take waits for the lock and the tokens. If there is an error about the tokens, it returns none of them, and the files
// all the same.
func (s *Successor) Take() (t Taken, err error) {
	s.c.SetDeadline(time.Now().Add(DrainTime))
	if t.Lock, t.Socket, err = s.takeFiles(); err != nil {
		return Taken{}, err
	}
	t.Bound = s.bound
	s.c.SetDeadline(time.Now().Add(transferTime))
	r := bufio.NewReader(io.LimitReader(s.c, maxAll))
	var tokens []Token
	for len(tokens) <= maxTokens {
		token, err := s.readToken(r)
		if errors.Is(err, io.EOF) {
			s.c.Write([]byte{1}) // if this fails, the holder ends at its deadline
			t.Tokens = tokens
			return t, nil
		}
		if err != nil {
			return t, err
		}
		tokens = append(tokens, token)
	}
	return t, ErrBroken
}

func (s *Successor) takeFiles() (lock, socket *os.File, err error) {
	most := 1
	if s.restart {
		most = 2
	}
	oob := make([]byte, unix.CmsgSpace(4*most))
	n, oobn, flags, _, err := s.c.ReadMsgUnix(make([]byte, 1), oob)
	fds, ok := descriptors(oob[:oobn])
	if err == nil && n == 1 && ok && len(fds) > 0 && len(fds) <= most && flags&unix.MSG_CTRUNC == 0 {
		if len(fds) > 1 {
			socket = os.NewFile(uintptr(fds[1]), "socket")
		}
		return os.NewFile(uintptr(fds[0]), "lock"), socket, nil
	}
	for _, fd := range fds {
		unix.Close(fd)
	}
	switch {
	case err != nil:
		return nil, nil, err
	case n == 0:
		return nil, nil, io.ErrUnexpectedEOF
	}
	return nil, nil, ErrBroken
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
