package main

import (
	"os"
	"strings"
	"sync"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon"
	"github.com/groat-dev/groat/protocol/visible"
)

// launchdLabel is the agent's in packaging/launchd; launchd gives it to what it starts.
const launchdLabel = "io.groat.groatd"

// managed reports whether a service manager has started this process: systemd, which passes a socket or wants to be
// told when the service is ready, or launchd.
func managed() bool {
	return activated() || os.Getenv("NOTIFY_SOCKET") != "" || os.Getenv("XPC_SERVICE_NAME") == launchdLabel
}

// notifier tells the service manager about the daemon by sd_notify(3). Without a service manager it is a no-op.
type notifier struct {
	log  *zap.Logger
	tick *time.Ticker // half the watchdog's interval, or nil without a watchdog
	mu   sync.Mutex
	said string // the last STATUS
}

func newNotifier(log *zap.Logger) *notifier {
	m := &notifier{log: log}
	if d, err := sd.SdWatchdogEnabled(false); err == nil && d > 0 {
		m.tick = time.NewTicker(d / 2)
	}
	return m
}

// notify sends assignments, one a line. A line end within an assignment is replaced, so that it cannot begin another
// one.
func (m *notifier) notify(assignments ...string) {
	for i, a := range assignments {
		assignments[i] = visible.Text(a)
	}
	if _, err := sd.SdNotify(false, strings.Join(assignments, "\n")); err != nil {
		m.log.Warn("the service manager could not be told", zap.Error(err))
	}
}

// status tells the service manager, with further assignments, what systemctl shows, if that has changed.
func (m *notifier) status(text string, further ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if text != m.said {
		m.said = text
		further = append(further, "STATUS="+text)
	}
	if len(further) > 0 {
		m.notify(further...)
	}
}

func (m *notifier) ready(d *daemon.Daemon) { m.status(d.Summary(), sd.SdNotifyReady) }

func (m *notifier) stopping() { m.status("letting requests end", sd.SdNotifyStopping) }

// ticks delivers when the watchdog is due, or is nil without a watchdog.
func (m *notifier) ticks() <-chan time.Time {
	if m.tick == nil {
		return nil
	}
	return m.tick.C
}

// alive notifies the watchdog if the daemon can take its own locks within a second.
func (m *notifier) alive(d *daemon.Daemon) {
	if d.Responds(time.Second) {
		m.notify(sd.SdNotifyWatchdog)
	}
}

// reload has the daemon read its configuration again. A configuration that cannot be used is logged and changes
// nothing. Each profile that cannot be is in the log already.
func (m *notifier) reload(d *daemon.Daemon) {
	if err := d.Reload(); err != nil {
		m.log.Error("the configuration was not reloaded", zap.Error(err))
		m.status("the configuration was not reloaded: " + visible.Text(err.Error()))
		return
	}
	tuneCollector(d.Profiles())
	m.log.Info("the configuration was reloaded", d.Counts()...)
	m.status(d.Summary())
}
