package daemon

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/protocol"
)

// A groatd that ends right after a new credential was stored, before it has said so to anybody: its successor does not hold
// against the new one what a server has said of the old one.
func TestARefusalDoesNotSpeakForTheNextCredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := refusedIncident(t)
		i.restart(t)
		i.server.BlockUser(person, false)
		var atThatMoment []byte
		look := func() { atThatMoment, _ = os.ReadFile(i.remembered()) }
		i.store.(*picky).write.Store(&look)
		if r := i.signIn(t, protocol.LoginParams{Profile: "p", ClientID: "other-app"}); r.Outcome != protocol.SignedIn {
			t.Fatalf("%+v", r)
		}
		i.store.(*picky).write.Store(nil)
		if all, err := parseRefusals(atThatMoment); err != nil || len(all) != 0 {
			t.Errorf("when the new credential was stored the file said %s", atThatMoment)
		}
	})
}

// Where the file cannot be replaced it goes: what it says would else be believed at the next start.
func TestAFileThatCannotBeWrittenIsForgottenAsAWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := openRefusals(dir, zap.NewNop())
		r.entries["p"] = remembered{}
		r.entries["q"] = remembered{}
		// A directory cannot be replaced by a file; it stands for a disk that is full.
		r.file = filepath.Join(dir, "is-a-directory")
		if err := os.Mkdir(r.file, 0o700); err != nil {
			t.Fatal(err)
		}
		r.forget(t.Context(), "p")
		if _, err := os.Lstat(r.file); err == nil {
			t.Error("what could not be replaced is still there")
		}
		r.note("q", nil, []broker.Standing{}) // and from then on it is as before
		r.close(t.Context())
		if all, err := readRefusals(r.file); err != nil || len(all) != 0 {
			t.Errorf("%v, %v", all, err)
		}
	})
}
