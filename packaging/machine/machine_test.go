package machine

import (
	"os"
	"strings"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/tier"
)

func TestMachine(t *testing.T) {
	tier.Needs(t, "git")
	m, err := This(t.Context(), "../..")
	if err != nil {
		t.Fatal(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	text := m.String()
	if m.cores < 1 || m.commit == "" || strings.Contains(text, host) || strings.Contains(text, "unknown") {
		t.Errorf("%s", text)
	}
}
