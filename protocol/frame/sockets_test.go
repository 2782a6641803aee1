package frame

import (
	"strings"
	"testing"
)

func TestSocketsOfAnEnvironment(t *testing.T) {
	for _, test := range []struct {
		name, override, runtime, want, fails string
	}{
		{name: "the override wins", override: "/a/b.sock", runtime: "/run/x", want: "/a/b.sock"},
		{name: "a relative override", override: "b.sock", fails: "not absolute"},
		{name: "a long override", override: "/" + strings.Repeat("x", 103), fails: "104 bytes long"},
		{name: "the longest", override: "/" + strings.Repeat("x", 102), want: "/" + strings.Repeat("x", 102)},
	} {
		t.Run(test.name, func(t *testing.T) {
			env := map[string]string{"HOME": "/h", "GROAT_SOCKET": test.override, "XDG_RUNTIME_DIR": test.runtime}
			r, err := FindRoute(func(name string) string { return env[name] })
			got := ""
			if err == nil {
				got = r.OwnSocket()
			}
			if got != test.want || (err != nil) != (test.fails != "") || err != nil &&
				!strings.Contains(err.Error(), test.fails) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}
