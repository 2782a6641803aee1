package main

import (
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap/zaptest"
)

// The service manager is told a status once, and what else it has to know each time.
func TestStatusIsToldWhenItChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	m := newNotifier(zaptest.NewLogger(t))
	const needs = "3 profiles, 1 needs you: groat login work"
	m.status("3 profiles", sd.SdNotifyReady)
	m.status(needs)
	m.status(needs)
	m.notify(sd.SdNotifyWatchdog)
	m.status("3 profiles\nREADY=1")
	var told []string
	for range 4 {
		b := make([]byte, 4096)
		if err := manager.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		n, err := manager.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		told = append(told, string(b[:n]))
	}
	if want := []string{"READY=1\nSTATUS=3 profiles", "STATUS=" + needs, "WATCHDOG=1",
		"STATUS=3 profiles READY=1"}; !slices.Equal(told, want) {
		t.Errorf("it was told %q, want %q", strings.Join(told, " | "), strings.Join(want, " | "))
	}
}
