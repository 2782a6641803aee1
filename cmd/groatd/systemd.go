package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon"
	"github.com/groat-dev/groat/protocol/visible"
)

// launchdLabel is the agent's in packaging/launchd; launchd gives it to what it starts.
const launchdLabel = "io.groat.groatd"

// managed reports whether a service manager has started this process: systemd, which passes a socket or wants to be told when
// the service is ready, or launchd.
func managed() bool {
	return activated() || os.Getenv("NOTIFY_SOCKET") != "" || os.Getenv("XPC_SERVICE_NAME") == launchdLabel
}

// manager talks to the service manager by sd_notify(3). Without one it says nothing to nobody.
type manager struct {
	log  *zap.Logger
	tick *time.Ticker // half the watchdog's time, nil where there is none
}

func newManager(log *zap.Logger) *manager {
	m := &manager{log: log}
	if d, err := sd.SdWatchdogEnabled(false); err == nil && d > 0 {
		m.tick = time.NewTicker(d / 2)
	}
	return m
}

// notify sends assignments, one a line (sd_notify(3)). Whatever stands in one cannot begin another.
func (m *manager) notify(assignments ...string) {
	for i, a := range assignments {
		assignments[i] = visible.Text(a)
	}
	if _, err := sd.SdNotify(false, strings.Join(assignments, "\n")); err != nil {
		m.log.Warn("the service manager could not be told", zap.Error(err))
	}
}

func statusLine(d *daemon.Daemon) string {
	if n := d.Profiles(); n != 1 {
		return fmt.Sprintf("STATUS=serving %d profiles", n)
	}
	return "STATUS=serving 1 profile"
}

func (m *manager) ready(d *daemon.Daemon) { m.notify(sd.SdNotifyReady, statusLine(d)) }

func (m *manager) stopping() { m.notify(sd.SdNotifyStopping, "STATUS=letting requests end") }

// ticks is when the watchdog wants to hear from us; never where there is none.
func (m *manager) ticks() <-chan time.Time {
	if m.tick == nil {
		return nil
	}
	return m.tick.C
}

// alive feeds the watchdog, if the daemon can still take its own locks.
func (m *manager) alive(d *daemon.Daemon) {
	if d.Responds(time.Second) {
		m.notify(sd.SdNotifyWatchdog, statusLine(d))
	}
}

// reload reads the configuration again; one that cannot be used changes nothing.
func (m *manager) reload(d *daemon.Daemon) {
	if err := d.Reload(); err != nil {
		m.log.Error("the configuration was not reloaded", zap.Error(err))
		m.notify("STATUS=the configuration was not reloaded: " + visible.Text(err.Error()))
		return
	}
	m.log.Info("the configuration was reloaded", zap.Int("profiles", d.Profiles()))
	m.notify(statusLine(d))
}
