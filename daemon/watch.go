package daemon

import (
	"fmt"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/watch"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/jsonrpc"
)

// maxWatches is how many profiles one connection may watch.
const maxWatches = 64

// watching answers "watch": the watch starts when the answer has left.
type watching struct {
	watch *watch.Watch
	now   protocol.Change
}

// watchProfile answers "watch". A watch does not keep its connection from counting as idle: where there are too many
// connections, a watcher connects again.
func watchProfile(c *conn, params []byte) (any, error) {
	var wp protocol.WatchParams
	if err := jsonrpc.DecodeParams(params, &wp); err != nil {
		return nil, err
	}
	p, err := c.d.find(wp.Profile)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.watches[p.Name] != nil:
		return c.d.lookAt(p.Name).Now, nil
	case len(c.watches) == maxWatches:
		return nil, protocol.InvalidParams("a connection watches %d profiles at most", maxWatches)
	case c.watches == nil:
		c.watches = map[string]*watch.Watch{}
	}
	w, now := c.d.changes.Add(p.Name, c.tell)
	c.watches[p.Name] = w
	return watching{w, now}, nil
}

// tell tells the client of a change.
func (c *conn) tell(change protocol.Change) {
	if change.Event == protocol.EventDropped {
		c.d.Log.Info(fmt.Sprintf("a watch of profile %s has ended: its client, process %d, does not read the changes",
			change.Profile, c.peer.PID))
		c.mu.Lock()
		delete(c.watches, change.Profile) // it may watch again
		c.mu.Unlock()
	}
	c.notify(protocol.NoteChange, change)
}

// endWatches ends what the connection watches.
func (c *conn) endWatches() {
	c.mu.Lock()
	all := c.watches
	c.watches = nil
	c.mu.Unlock()
	for _, w := range all {
		w.End()
	}
}

// lookAt is what watchers are told of a profile. It takes no lock but those of a moment: the profile's owner calls it.
func (d *Daemon) lookAt(name string) watch.State {
	now := protocol.Change{Profile: name, At: d.Now().Wall.Unix()}
	p := d.profiles.Named(name)
	if p == nil {
		return watch.State{Now: now}
	}
	st := d.reporter().Profile(p)
	now.State, now.Message, now.Hint, now.RetryIn = st.State, st.Message, st.Hint, st.RetryIn
	now.ExpiresAt, now.ExpiresIn = st.ExpiresAt, st.ExpiresIn
	s := watch.State{Exists: true, Now: now}
	if b, ok := d.broker.Status(name); ok {
		s.Held, s.Serial = b.Held, b.Serial
		if !b.Static {
			s.Remaining = b.Remaining
		}
		if b.Err != nil {
			s.Block = d.wire(&broker.Unavailable{Err: b.Err, RetryAfter: b.RetryIn}, name).Kind()
		}
	}
	return s
}
