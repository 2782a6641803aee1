package daemon

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// TestImportTakesOnlyWhatWorks finds App Credentials that another program saved, in a file and in the environment of
// the person who asks, and takes what the provider accepts.
func TestImportTakesOnlyWhatWorks(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	h := newEnv(t, sandbox.Options{})
	created, err := h.login(t, "work", nil)
	if err != nil {
		t.Fatal(err)
	}
	const secret = "dummy-secret-not-real-0123456789-abcdefghij"
	file := filepath.Join(home, "app_credentials.json")
	text := `{"user_id":"00000000-1111-4222-8333-444444444444","client_id":"` + created.ClientID +
		`","client_secret":"` + secret + `"}`
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	c := h.client(t)
	var looked protocol.ImportResult
	if err := c.Call(t.Context(), protocol.MethodImport, protocol.ImportParams{From: file}, &looked); err != nil {
		t.Fatal(err)
	}
	if len(looked.Found) != 1 || len(looked.Variables) == 0 {
		t.Fatalf("%+v", looked)
	}
	f := looked.Found[0]
	if f.Imported || f.Reason != "" || f.ClientID != created.ClientID || f.Copies[0].Mode != "0644" ||
		f.Copies[0].Remove == "" {
		t.Errorf("%+v", f)
	}

	// The preset's own host is not to be reached from a test: what cannot be proven is not taken, and nothing is kept
	// of it.
	environment, err := json.Marshal(map[string]string{"SPATIAFI_CLIENT_ID": created.ClientID,
		"SPATIAFI_CLIENT_SECRET": secret})
	if err != nil {
		t.Fatal(err)
	}
	var around protocol.ImportResult
	err = c.CallSecret(t.Context(), protocol.MethodImport, protocol.ImportParams{}, "environment",
		protocol.NewLoginSecret(environment), &around)
	if err != nil {
		t.Fatal(err)
	}
	var variables []string
	for _, f := range around.Found {
		for _, c := range f.Copies {
			variables = append(variables, c.Variables...)
		}
	}
	if !strings.Contains(strings.Join(variables, " "), "SPATIAFI_CLIENT_ID") {
		t.Errorf("the person's variables were not seen: %+v", around.Found)
	}
	all, err := json.Marshal([]protocol.ImportResult{looked, around})
	if err != nil || strings.Contains(string(all), secret) {
		t.Errorf("a secret was shown, or %v", err)
	}
}
