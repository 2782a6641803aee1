package setup_test

import (
	"testing"

	"github.com/groat-dev/groat/cmd/groat-commands/setup"
)

func TestAPI(t *testing.T) {
	for in, want := range map[string]string{
		"https://h:443": "https://h", "https://h:443/a/": "https://h/a", "https://h:80": "https://h:80",
		"http://127.0.0.1:80": "http://127.0.0.1", "https://[::1]:443/x": "https://[::1]/x", "https://h/": "https://h",
		"https://h:8443/a": "https://h:8443/a",
	} {
		if got := setup.API(in); got != want {
			t.Errorf("%s is %s, want %s", in, got, want)
		}
	}
}
