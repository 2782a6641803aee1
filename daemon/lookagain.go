package daemon

import (
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/protocol"
)

// Whoever writes a profile by hand and asks for it means the file as it is now. So before a profile is said to be unknown, the
// configuration is read again if profiles were added there. Nothing else makes the daemon read it but a reload and a login.

// lookAgainTime is how far apart two readings of a configuration that cannot be used are.
const lookAgainTime = time.Second

// looked is what the files were when they were last read. The members are guarded by Daemon.loading.
type looked struct {
	stamp string // of the configuration in use; empty: not known
	err   error  // why it could not be used when that was last tried, or nil
	at    time.Time
}

// find is pick, which looks into the files where there is no such profile. It may wait for the end of a login's last step.
func (d *Daemon) find(name, target string) (*profile, error) {
	p, err := d.pick(name, target)
	if !unknown(err) {
		return p, err
	}
	if err := d.lookAgain(); err != nil {
		return nil, err
	}
	return d.pick(name, target)
}

func unknown(err error) bool {
	e, ok := errors.AsType[*protocol.Error](err)
	return ok && e.Kind() == protocol.UnknownProfile
}

// lookAgain reads the configuration if profiles were added to it or removed since that was last done. The error is what is wrong
// with the files; then what was in use stays.
func (d *Daemon) lookAgain() error {
	d.loading.Lock()
	defer d.loading.Unlock()
	stamp := d.Config.Stamp()
	switch {
	case stamp != "" && stamp == d.looked.stamp:
		return nil
	case d.looked.err != nil && time.Since(d.looked.at) < lookAgainTime:
		return d.looked.err
	}
	err := d.reload()
	if _, ok := errors.AsType[*config.Error](err); err != nil && !ok {
		return err
	}
	d.looked.err, d.looked.at = err, time.Now()
	d.Log.Info("the configuration was read again for a profile that is not in it", zap.Error(err))
	return err
}
