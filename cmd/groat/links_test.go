package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/tier"
)

// links are the packages that this program may link, with the reason. A process that lives for a millisecond pays for
// the initialisation of each, so there is no network poller here (net), no encoding/json, no regexp, no command library, no
// context and no crypto.
var links = map[string]string{
	"bufio":           "ownpath reads /etc/passwd line by line",
	"bytes":           "a line's end",
	"cmp":             "of slices",
	"encoding/binary": "the digest's big-endian words",
	"errors":          "which error it is",
	"fmt":             "errors that wrap others; package os needs its reflection anyway",
	"io":              "what a helper reads and writes",
	"io/fs":           "of os",
	"iter":            "the members of an object",
	"math":            "of strconv and reflect",
	"math/bits":       "the digest's rotations",
	"os":              "owners and modes of directories",
	"path":            "of io/fs",
	"path/filepath":   "places and sockets",
	"reflect":         "of fmt and encoding/binary",
	"runtime":         "which system this is",
	"slices":          "of strictjson",
	"strconv":         "the id of a request, a uid, seconds",
	"strings":         "variables of the environment, paths",
	"sync":            "of os",
	"sync/atomic":     "of os",
	"syscall":         "the socket",
	"time":            "the deadline",
	"unicode":         "which characters of a path can be seen",
	"unicode/utf16":   "escapes in strings of JSON",
	"unicode/utf8":    "names in JSON",
	"unsafe":          "of the runtime",

	"github.com/groat-dev/groat/cmd/groat":           "the program itself",
	"github.com/groat-dev/groat/cmd/groat/get":       "the request and the formats",
	"github.com/groat-dev/groat/cmd/groat/helper":    "git's protocol",
	"github.com/groat-dev/groat/cmd/groat/report":    "exit codes, and the two lines of an error",
	"github.com/groat-dev/groat/cmd/groat/stack":     "the main goroutine's stack, at once",
	"github.com/groat-dev/groat/cmd/groat/unit":      "of report: a hint where a service manager starts groatd",
	"github.com/groat-dev/groat/protocol/frame":      "the socket, the request, the reply",
	"github.com/groat-dev/groat/protocol/ownpath":    "whose a directory is",
	"github.com/groat-dev/groat/protocol/strictjson": "the grammar",
	"github.com/groat-dev/groat/protocol/visible":    "paths in errors",

	// On macOS only.
	"golang.org/x/sys/unix": "the peer's uid, which package syscall does not know there",
	"sort":                  "of golang.org/x/sys/unix",
}

func TestWhatIsLinked(t *testing.T) {
	seen := map[string]bool{}
	for goos, more := range map[string][]string{"linux": nil, "darwin": {"golang.org/x/sys/unix", "sort"}} {
		cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", ".")
		cmd.Env = append(os.Environ(), "GOOS="+goos, "CGO_ENABLED=0")
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		for path := range strings.FieldsSeq(string(out)) {
			if strings.HasPrefix(path, "internal/") || strings.HasPrefix(path, "vendor/") ||
				slices.Contains(strings.Split(path, "/"), "internal") {
				continue // of the packages that stand in the list
			}
			seen[path] = true
			if links[path] == "" || (path == "golang.org/x/sys/unix" || path == "sort") &&
				!slices.Contains(more, path) {
				t.Errorf("%s is linked on %s: do without it, or say in this test why not", path, goos)
			}
		}
	}
	for path := range links {
		if !seen[path] {
			t.Errorf("%s is in the list and not linked", path)
		}
	}
}

// The stack grows before anything else of the program is initialised, while there is nothing to copy.
func TestTheStackGrowsFirst(t *testing.T) {
	tier.Long(t, "it builds groat")
	program := filepath.Join(t.TempDir(), "groat")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), program, "get")
	cmd.Env = []string{"GODEBUG=inittrace=1", "HOME=/nonexistent", "GROAT_SOCKET=relative"}
	out, _ := cmd.CombinedOutput()
	var all []string
	for _, m := range regexp.MustCompile(`(?m)^init (\S+) `).FindAllSubmatch(out, -1) {
		if name := string(m[1]); name != "runtime" && !strings.HasPrefix(name, "internal/runtime/") &&
			name != "internal/bytealg" { // the runtime's own
			all = append(all, name)
		}
	}
	if len(all) < 5 || all[0] != "github.com/groat-dev/groat/cmd/groat/stack" {
		t.Errorf("initialised in this order: %s\n%s", all, out)
	}
}
