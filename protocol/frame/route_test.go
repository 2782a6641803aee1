package frame

import (
	"os"
	"path/filepath"
	"testing"
)

// A state directory that others can enter is not believed, whatever its lock says.
func TestH11RecordOfAnOpenDirectory(t *testing.T) {
	state := t.TempDir()
	place := UsualPlace(t.TempDir())
	place.State = state
	if err := os.Chmod(state, 0o700); err != nil {
		t.Fatal(err)
	}
	record := []byte(`{"pid":1,"host":"x","place":{"home":"/h","configuration":"/c","state":"/s"}}`)
	if err := os.WriteFile(filepath.Join(state, LockFile), record, 0o600); err != nil {
		t.Fatal(err)
	}
	r := &Route{Place: &place}
	if _, ok := r.Holder(); !ok {
		t.Error("the record is not read")
	}
	if err := os.Chmod(state, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, ok := r.Holder(); ok {
		t.Error("it is believed")
	}
}
