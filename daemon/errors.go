package daemon

import (
	"os"

	"github.com/groat-dev/groat/daemon/wire"
	"github.com/groat-dev/groat/protocol"
)

// wire is [wire.Error] for an error about a profile, or about none where the name is empty. An error that nobody expects is logged.
func (d *Daemon) wire(err error, profile string) *protocol.Error {
	e, expected := wire.Error(err, wire.Context{
		Profile: profile, Configured: d.profiles.Named(profile) != nil, Network: d.networkResult(), PID: os.Getpid(),
	})
	if !expected {
		d.Log.Error("an unexpected error: " + err.Error())
	}
	return e
}
