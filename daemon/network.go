package daemon

import (
	"os"
	"slices"

	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/jsonrpc"
)

// networkResult describes the network in use.
func (d *Daemon) networkResult() protocol.NetworkResult {
	now := d.profiles.Network()
	return protocol.NetworkResult{
		Proxy: (*protocol.NetworkSetting)(now.Proxy), NoProxy: (*protocol.NetworkSetting)(now.NoProxy),
		CAFile: (*protocol.NetworkSetting)(now.CAFile), PID: os.Getpid(), StartedAt: d.started.Unix(),
	}
}

// networkInStatus is the network as "status" shows it: nil where nothing is set.
func (d *Daemon) networkInStatus() *protocol.NetworkResult {
	if d.profiles.Network().Equal(profile.Network{}) {
		return nil
	}
	r := d.networkResult()
	r.PID, r.StartedAt = 0, 0 // "status" has them already
	return &r
}

// network answers "network".
func network(c *conn, params []byte) (any, error) {
	var np protocol.NetworkParams
	if err := jsonrpc.DecodeParams(params, &np); err != nil {
		return nil, err
	}
	switch {
	case np.Setting == "" && np.Value != "":
		return nil, protocol.InvalidParams("a value needs the setting that it is for")
	case np.Setting != "" && !slices.Contains(config.NetworkKeys(), np.Setting):
		return nil, protocol.InvalidParams("setting must be one of proxy, no_proxy, ca_file")
	case np.Setting != "":
		if err := c.d.profiles.SetNetwork(np.Setting, np.Value); err != nil {
			return nil, c.d.wire(err, "")
		}
	}
	return c.d.networkResult(), nil
}
