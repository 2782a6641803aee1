package daemon

import (
	"context"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// stuck is a network on which every request waits for release.
type stuck struct{ arrived, release chan struct{} }

func (s stuck) RoundTrip(r *http.Request) (*http.Response, error) {
	s.arrived <- struct{}{}
	<-s.release
	return nowhere{}.RoundTrip(r)
}

// When the daemon is told to stop, idle, silent and half-spoken connections end at once, whoever waits is answered, and a
// request to a provider that is under way is let finish.
func TestStop(t *testing.T) {
	network := stuck{make(chan struct{}, 1), make(chan struct{})}
	d := newIsolated(t, network)
	d.arm(t)
	socket := filepath.Join(t.TempDir(), "agent.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- d.Serve(ctx, l) }()

	idle, half, waiting := dialRaw(t, socket), dialRaw(t, socket), dialRaw(t, socket)
	for _, c := range []*raw{idle, half} {
		c.say(t, probe)
		c.hear(t)
	}
	half.say(t, `{"jsonrpc":`)
	waiting.say(t, tokenRequest)
	<-network.arrived
	cancel()

	if line, ok := idle.hear(t); ok {
		t.Errorf("the idle connection heard %q", line)
	}
	if line, _ := half.hear(t); line != "" && !strings.Contains(line, "-32700") {
		t.Errorf("half a request was answered with %q", line)
	}
	if line, _ := waiting.hear(t); !strings.Contains(line, `"temporary"`) {
		t.Errorf("the waiting client heard %q", line)
	}
	if _, ok := waiting.hear(t); ok {
		t.Error("its connection is still open")
	}
	select {
	case err := <-served:
		t.Errorf("stopped before the provider's answer was in: %v", err)
	default:
	}
	close(network.release)
	if err := <-served; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("unix", socket); err == nil {
		t.Error("somebody still listens")
	}
}
