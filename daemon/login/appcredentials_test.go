package login

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// The client was created and could not be stored: the next command, as the hint has it, stores that one.
func TestTheHintAfterAClientThatCouldNotBeStored(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		h.store.unwritable.Store(true)
		params := protocol.LoginParams{Profile: "work", Provider: "spatiafi", AuthServer: h.server.URL(),
			Username: person}
		_, err := h.login(t.Context(), params, typing(password))
		e := wantError(t, err, protocol.KeystoreUnavailable)
		const hint = "groat login work"
		if e.Hint() != hint {
			t.Fatalf("%q, want %q", e.Hint(), hint)
		}
		h.store.unwritable.Store(false)
		r, err := h.login(t.Context(), protocol.LoginParams{Profile: "work"}, unasked(t))
		if err != nil || r.Created || r.ClientID == "" {
			t.Fatalf("%+v, %v", r, err)
		}
		if got := h.stored(t, "work"); got.ClientID != r.ClientID {
			t.Errorf("the keystore has %q, want %q", got.ClientID, r.ClientID)
		}
		if n := h.server.Count(sandbox.SpatiafiClientsPath); n != 1 {
			t.Errorf("%d clients were created", n)
		}
	})
}

// A renewal takes longer than a login waits for it. The new client, whose secret the provider shows once, is stored all
// the same.
func TestANewClientDoesNotWaitForEver(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		params := protocol.LoginParams{Profile: "work", Provider: "spatiafi", AuthServer: h.server.URL(),
			Username: person}
		if _, err := h.login(t.Context(), params, typing(password)); err != nil {
			t.Fatal(err)
		}
		old := h.stored(t, "work").ClientID
		h.cool("work")
		var reads atomic.Int64
		stuck := func() {
			if reads.Add(1) == 1 {
				time.Sleep(2 * pauseTime)
			}
		}
		h.store.read.Store(&stuck)
		renewed := h.asking(t, "work")
		params.NewClient = true
		r, err := h.login(t.Context(), params, typing(password))
		if err != nil || !r.Created || r.ClientID == old {
			t.Errorf("%+v, %v", r, err)
		}
		<-renewed
		time.Sleep(2 * pauseTime)
		if got := h.stored(t, "work"); got.ClientID != r.ClientID {
			t.Errorf("the keystore has %q, want %q", got.ClientID, r.ClientID)
		}
	})
}
