package daemon

import (
	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/broker"
)

// guarded is a handler's answer, also where the handler panics.
func guarded(h func(*conn, []byte) (any, error), c *conn, params []byte) (result any, err error) {
	defer func() {
		if v := recover(); v != nil {
			result, err = nil, broker.Recovered(v)
		}
	}()
	return h(c, params)
}

// rescue ends a connection whose reading has panicked, and nothing else. It is deferred.
func (c *conn) rescue() {
	if v := recover(); v != nil {
		c.d.Log.Error("a connection is closed", zap.Error(broker.Recovered(v)))
	}
}
