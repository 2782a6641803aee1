package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/peer"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/jsonrpc"
)

// nowhere is a network that reaches no server.
type nowhere struct{}

func (nowhere) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("there is no network here")
}

const canary = "canary-3f9a"

// newIsolated is a daemon whose network is what the test makes of it.
func newIsolated(t testing.TB, network http.RoundTripper) *Daemon {
	t.Helper()
	d := newDaemon(t, Options{HTTP: &http.Client{Transport: network}, Log: zap.NewNop()})
	t.Cleanup(func() { // a test that has failed may have left a request without an answer
		ctx, cancel := context.WithTimeout(context.Background(), drain)
		defer cancel()
		d.Close(ctx)
	})
	return d
}

// arm gives the daemon its one profile (again), whose client secret is the canary.
func (d *Daemon) arm(t testing.TB) {
	t.Helper()
	for p := range d.profiles.Snapshot().All() {
		if p.Name != "work" {
			if err := d.profiles.Remove(p.Name, func(*profile.Profile) {}); err != nil {
				t.Fatal(err)
			}
		}
	}
	p, err := d.profiles.Resolve(config.Profile{Name: "work", Provider: "spatiafi"})
	if err != nil {
		t.Fatal(err)
	}
	if was := d.profiles.Named("work"); was != nil && !was.Ephemeral && profile.Same(was.Profile, p.Profile) {
		p = was // it need not be written again
	} else if _, _, err := d.profiles.Save(p); err != nil {
		t.Fatal(err)
	}
	item := p.Endpoint.Server().NewItem("client", p.Kind())
	item.ClientSecret = keystore.SecretString(canary)
	if err := d.Store.Set(context.Background(), "work", item); err != nil {
		t.Fatal(err)
	}
	d.broker.Put(map[string]broker.Source{"work": d.stores.Source(p)})
}

// FuzzDispatch: whatever comes in, every request is answered exactly once and nothing else is, every line that goes out
// is within the bounds, none holds the client secret, and the connection ends with its input.
func FuzzDispatch(f *testing.F) {
	for _, v := range vectors(f) {
		if b := v.bytes(); len(b) < 1000 {
			f.Add(b)
		}
	}
	f.Add([]byte(tokenRequest + tokenRequest + probe))
	for method := range handlers {
		f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"` + method +
			`","params":{"profile":"work","yes":true,"provider":"spatiafi","username":"u",` +
			`"login_id":"x","value":"y","wait":0}}` + "\n"))
	}
	f.Setenv("HOME", f.TempDir()) // "import" looks there
	d := newIsolated(f, nowhere{})
	f.Fuzz(func(t *testing.T, input []byte) {
		d.arm(t)
		here, there := pair(t)
		p, err := new(peer.Watch).Of(there)
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan struct{})
		go func() { d.newConn(there, p).serve(); close(served) }()
		here.SetDeadline(time.Now().Add(patience))
		go func() {
			here.Write(input)
			here.CloseWrite()
		}()
		heard, err := io.ReadAll(here)
		if err != nil && !hungUp(err) {
			t.Fatal(err)
		}
		<-served
		if got, want := check(t, heard), due(input); !maps.Equal(got, want) {
			t.Fatalf("%q is answered with %q: by id %v, want %v", input, heard, got, want)
		}
	})
}

// due counts the answers that an input is owed :: id → answers. The reading ends with the first line that makes no
// sense.
func due(input []byte) map[string]int {
	owed := map[string]int{}
	for line := range bytes.Lines(input) {
		r, fatal, err := jsonrpc.ParseRequest(bytes.TrimSuffix(line, []byte("\n")))
		if len(line) > protocol.MaxLine || len(line) == protocol.MaxLine && !bytes.HasSuffix(line, []byte("\n")) {
			r, fatal, err = jsonrpc.Request{}, true, protocol.ErrLineTooLong
		}
		switch {
		case err != nil && r.ID == nil:
			owed["null"]++
		case r.ID != nil:
			owed[string(r.ID)]++
		}
		if fatal {
			break
		}
	}
	return owed
}

// check holds every line to the protocol, and returns how many answers each id got.
func check(t *testing.T, heard []byte) map[string]int {
	t.Helper()
	if bytes.Contains(heard, []byte(canary)) {
		t.Fatalf("the client secret is in %q", heard)
	}
	got := map[string]int{}
	for line := range bytes.Lines(heard) {
		if len(line) > protocol.MaxLine {
			t.Fatalf("a line of %d bytes", len(line))
		}
		var m struct {
			Version string          `json:"jsonrpc"`
			ID      json.RawMessage `json:"id"`
			Method  string          `json:"method"`
			Params  json.RawMessage `json:"params"`
			Result  json.RawMessage `json:"result"`
			Error   *protocol.Error `json:"error"`
		}
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&m); err != nil || m.Version != "2.0" || !bytes.HasSuffix(line, []byte("\n")) {
			t.Fatalf("%q: %v", line, err)
		}
		note := m.Method == protocol.NotePrompt && m.ID == nil && m.Result == nil && m.Error == nil
		if answer := m.Method == "" && m.ID != nil && (m.Result == nil) != (m.Error == nil); !note && !answer {
			t.Fatalf("%q is neither an answer nor a prompt", line)
		}
		if !note {
			got[string(m.ID)]++
		}
	}
	return got
}
