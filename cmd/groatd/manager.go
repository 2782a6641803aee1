package main

import (
	"fmt"
	"os"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/groat-dev/groat/daemon"
)

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

func (m *manager) notify(state string) {
	if _, err := sd.SdNotify(false, state); err != nil {
		m.log.Warn("the service manager could not be told", zap.Error(err))
	}
}

func statusLine(d *daemon.Daemon) string {
	if n := d.Profiles(); n != 1 {
		return fmt.Sprintf("STATUS=serving %d profiles", n)
	}
	return "STATUS=serving 1 profile"
}

func (m *manager) ready(d *daemon.Daemon) { m.notify(sd.SdNotifyReady + "\n" + statusLine(d)) }

func (m *manager) stopping() { m.notify(sd.SdNotifyStopping + "\nSTATUS=letting requests end") }

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
		m.notify(sd.SdNotifyWatchdog + "\n" + statusLine(d))
	}
}

// reload reads the configuration again; one that cannot be used changes nothing.
func (m *manager) reload(d *daemon.Daemon) {
	if err := d.Reload(); err != nil {
		m.log.Error("the configuration was not reloaded", zap.Error(err))
		m.notify("STATUS=the configuration was not reloaded: " + err.Error())
		return
	}
	m.log.Info("the configuration was reloaded", zap.Int("profiles", d.Profiles()))
	m.notify(statusLine(d))
}

// newLogger logs to stderr, without a time where the journal adds its own.
func newLogger() *zap.Logger {
	c := zap.NewProductionConfig()
	c.Encoding = "console"
	c.DisableCaller, c.DisableStacktrace = true, true
	c.EncoderConfig.EncodeTime = zapcore.RFC3339TimeEncoder
	if os.Getenv("JOURNAL_STREAM") != "" {
		c.EncoderConfig.TimeKey = ""
	}
	log, err := c.Build()
	if err != nil { // a constant configuration
		panic(err)
	}
	return log
}
