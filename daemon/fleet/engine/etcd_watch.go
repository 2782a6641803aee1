package engine

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

const (
	// idleTime and at most idleSpread more, which is drawn, is how long a watch may be silent before its node is asked
	// whether there is something to say, by a read that needs a majority.
	idleTime   = 5 * time.Second
	idleSpread = 3 * time.Second
	// lateTime is how long a change that such a read has seen may take to arrive.
	lateTime = 2 * time.Second
	// maxPause bounds the wait, which is drawn, before a watch that has ended goes on elsewhere: a whole fleet does so
	// at once when a node ends.
	maxPause = 500 * time.Millisecond
	// maxPart bounds the changes of one revision that are told, in bytes; where an administrator has made more, all is
	// read anew. A Swap has 768 KiB, and etcd's own limit of a request is 1.5 MiB.
	maxPart = 4 << 20
)

// Watch implements [Engine].
func (e *Etcd) Watch(ctx context.Context, prefix string, after State, each func([]Entry, State)) error {
	if err := checkKey(prefix); err != nil {
		return err
	}
	var all failures
	for {
		n := e.order()[0]
		w := &etcdWatch{etcd: e, node: n, prefix: prefix, after: after, each: each}
		err := w.run(ctx)
		after = w.after
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if _, ok := errors.AsType[*nodeError](err); !ok {
			return err
		}
		if w.begun {
			all = failures{}
		}
		if !errors.Is(err, errLeft) {
			e.leave(n)
			all.add(n, err)
		}
		if len(all.said) >= len(e.order()) {
			return e.nobody(all)
		}
		select {
		case <-time.After(rand.N(maxPause)):
		case <-ctx.Done():
		}
	}
}

// etcdWatch is a watch at one node.
type etcdWatch struct {
	etcd   *Etcd
	node   *node
	prefix string
	after  State // what was told last
	each   func([]Entry, State)

	begun bool
	part  []Entry // of a revision whose other changes are to come
}

var (
	errLeft   = errors.New("the node was left")
	errSilent = errors.New("it does not tell what has changed")
	errEnded  = errors.New("it ended the watch")
)

// reading is what a read says of the engine during a watch.
type reading struct {
	state State
	newer bool // there is an entry that is newer than what was told
	err   error
}

// ask reads at the node of the watch.
func (w *etcdWatch) ask(ctx context.Context, after int64) reading {
	r := request{path: "/v3/kv/range", body: newerRequest(w.prefix, after), repeatable: true}
	a, err := w.etcd.call(ctx, w.node, readTime, r)
	if err != nil {
		return reading{err: err}
	}
	f, err := decodeRange(a, w.prefix, w.prefix)
	if err != nil {
		return reading{err: &nodeError{err: err}}
	}
	return reading{state: f.state, newer: len(f.entries) > 0}
}

// foreign reports whether an engine in state s does not have what was told: it is another one, or an older copy.
func (w *etcdWatch) foreign(s State) bool {
	another := w.after.Cluster != 0 && w.after.Cluster != s.Cluster
	return another || s.Revision < w.after.Revision || s.term < w.after.term
}

// run watches until something ends it.
func (w *etcdWatch) run(ctx context.Context) error {
	left := w.etcd.whenLeft(w.node)
	// This read also finds out whether the node has a majority, and whether it knows the token: for a watch, etcd has
	// the same words for that and for a key that the user may not read.
	said := w.ask(ctx, w.after.Revision)
	if said.err != nil {
		return said.err
	}
	if w.foreign(said.state) {
		return ErrCompacted
	}
	w.after.Cluster, w.after.term = said.state.Cluster, said.state.term
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	messages, ended, err := w.open(ctx, cancel)
	if err != nil {
		return err
	}
	defer func() {
		cancel()
		<-ended
	}()
	return w.listen(ctx, left, messages, ended, said.state.Now)
}

// open begins the watch at the node. Its messages come one by one; ended has one error when no more come.
func (w *etcdWatch) open(ctx context.Context, cancel func()) (<-chan *message, <-chan error, error) {
	token, err := w.etcd.token(ctx, w.node)
	if err != nil {
		return nil, nil, err
	}
	r := request{path: "/v3/watch", body: watchRequest(w.prefix, w.after.Revision+1), repeatable: true}
	late := time.AfterFunc(readTime, cancel)
	response, _, err := w.etcd.open(ctx, w.node, r, token)
	if !late.Stop() {
		if err == nil {
			response.Body.Close()
		}
		err = context.DeadlineExceeded
	}
	if err != nil {
		return nil, nil, r.failed(err, true)
	}
	messages, ended := make(chan *message), make(chan error, 1)
	go func() {
		defer response.Body.Close()
		ended <- readMessages(ctx, response, messages)
		close(ended)
	}()
	return messages, ended, nil
}

// readMessages reads messages until there are no more. The error says why.
func readMessages(ctx context.Context, response *http.Response, messages chan<- *message) error {
	if response.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10))
		return request{repeatable: true}.refused(response.StatusCode, body)
	}
	reader := bufio.NewReaderSize(response.Body, 16<<10)
	for {
		line, err := readLine(reader)
		if err != nil {
			return &nodeError{err: err}
		}
		m := new(message)
		if err := decode(line, m); err != nil {
			return &nodeError{err: err}
		}
		select {
		case messages <- m:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// readLine reads a line of at most maxAnswer bytes.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if line = append(line, part...); len(line) > maxAnswer {
			return nil, errTooLarge
		}
		if err == nil {
			return bytes.TrimSpace(line), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
	}
}

// listen passes on what is told.
func (w *etcdWatch) listen(ctx context.Context, left <-chan struct{}, messages <-chan *message, ended <-chan error,
	now time.Time) error {
	idle := time.NewTimer(idleTime + rand.N(idleSpread))
	defer idle.Stop()
	var asked chan reading       // while a read runs
	var missing <-chan time.Time // while something that it has seen does not come
	for {
		select {
		case m := <-messages:
			if err := w.take(m, now); err != nil {
				return err
			}
			missing = nil
			idle.Reset(idleTime + rand.N(idleSpread))
		case err := <-ended:
			if errors.Is(err, errToken) { // it was good for the read before
				err = &nodeError{err: err}
			}
			return err
		case <-left:
			return &nodeError{err: errLeft}
		case <-missing:
			return &nodeError{err: errSilent}
		case <-idle.C:
			asked = make(chan reading, 1)
			go func(asked chan<- reading, after int64) { asked <- w.ask(ctx, after) }(asked, w.after.Revision)
		case said := <-asked:
			asked = nil
			idle.Reset(idleTime + rand.N(idleSpread))
			switch {
			case said.err != nil:
				return said.err
			case w.foreign(said.state):
				return ErrCompacted
			case said.newer:
				missing = time.After(lateTime)
			default:
				said.state.Revision = w.after.Revision
				w.each(nil, said.state)
			}
		}
	}
}

// take passes on one message.
func (w *etcdWatch) take(m *message, now time.Time) error {
	r := &m.Result
	switch {
	case m.Error != nil:
		said := &refusal{max(m.Error.Code, m.Error.Newer), m.Error.Message}
		return &nodeError{err: said}
	case r.Compacted > 0:
		return ErrCompacted
	case r.Canceled && strings.Contains(r.Reason, "permission denied"):
		return fmt.Errorf("%w (%s: %w)", ErrRefused, w.node.url, &refusal{message: r.Reason})
	case r.Canceled:
		return &nodeError{err: errEnded}
	case r.Created:
		w.begun = true
		w.each(nil, State{Revision: w.after.Revision, Cluster: w.after.Cluster, Now: now, term: w.after.term})
	}
	entries, err := m.entries(w.prefix)
	if err != nil {
		return &nodeError{err: err}
	}
	for _, entry := range entries {
		if len(w.part) > 0 && entry.Revision < w.part[0].Revision {
			return &nodeError{err: errAnswer}
		}
		if len(w.part) > 0 && entry.Revision > w.part[0].Revision {
			w.flush(r.Header)
		}
		if entry.Revision > w.after.Revision {
			w.part = append(w.part, entry)
		}
	}
	if size(w.part) > maxPart {
		return ErrCompacted
	}
	if !r.Incomplete {
		w.flush(r.Header)
	}
	if len(entries) == 0 && !r.Created && r.Header.Revision > w.after.Revision {
		w.after.Revision = r.Header.Revision // nothing of ours has changed until there
		w.each(nil, w.after)
	}
	return nil
}

// flush tells the changes of one revision.
func (w *etcdWatch) flush(h header) {
	if len(w.part) == 0 {
		return
	}
	w.after = State{Revision: w.part[0].Revision, Cluster: h.Cluster, term: h.Term}
	w.each(w.part, w.after)
	w.part = nil
}
