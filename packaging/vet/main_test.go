package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is wrong in a file of the other system alone is found: what vet finds, and what does not compile. The rest of
// the package is read as that system has it.
func TestTheOtherSystemsFilesAreRead(t *testing.T) {
	const here = "package p\n\nimport \"syscall\"\n\nconst x = syscall.SYS_EPOLL_WAIT\n"
	for name, test := range map[string]struct{ there, want string }{
		"good": {"package p\n\nimport \"syscall\"\n\nconst x = syscall.SYS_KQUEUE\n", ""},
		"vet": {"package p\n\nimport \"log\"\n\nfunc f() { log.Printf(\"%d\", \"x\") }\n",
			"p_darwin.go:5:24: log.Printf format %d has arg \"x\" of wrong type string"},
		"compiler": {"package p\n\nimport \"syscall\"\n\nconst x = syscall.SYS_EPOLL_WAIT\n",
			"p_darwin.go:5:19: undefined: syscall.SYS_EPOLL_WAIT"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range map[string]string{
				"go.mod": "module p\n\ngo 1.26\n", "p_linux.go": here, "p_darwin.go": test.there,
			} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			found, err := vet(dir, "darwin", []string{"./..."})
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.ReplaceAll(strings.Join(found, "\n"), dir+"/", ""); got != test.want {
				t.Errorf("found %q, want %q", got, test.want)
			}
		})
	}
}
