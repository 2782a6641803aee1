package importer_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/importer"
	"github.com/groat-dev/groat/packaging/testing/parts"
)

// standIn is a stand-in for sops, which Debian does not have: it knows `sops -d FILE` and nothing else. It shows that
// the program is started as it should be and that whatever it does is borne; it shows nothing about encryption.
const standIn = `#!/bin/sh
[ $# = 2 ] && [ "$1" = -d ] || { echo "usage: $*" >&2; exit 64; }
cat -- "$2.plain"
`

// sopsFile is what sops makes of any file, but for the values.
const sopsFile = `{"client_type":"ENC[AES256_GCM,data:x,iv:y,tag:z,type:str]","client_secret":"ENC[AES256_GCM,` +
	`data:x,iv:y,tag:z,type:str]","sops":{"mac":"ENC[AES256_GCM,data:x,iv:y,tag:z,type:str]","version":"3.9.0"}}`

// program puts a script on the PATH of the world, with the system's own programs behind it.
func (w *testHome) program(name, text string) {
	w.t.Helper()
	dir := w.t.TempDir()
	parts.WriteProgram(w.t, filepath.Join(dir, name), text)
	w.vars["PATH"] = dir + ":/usr/bin:/bin"
}

func TestSops(t *testing.T) {
	const (
		client = ".planet/p/auth_client.sops.json"
		byHand = "sops -d HOME/" + client + " | groat import --from -"
	)
	for name, test := range map[string]struct {
		script string // empty: no sops
		files  map[string]string
		want   string
		hint   string
		warns  string
	}{
		"decrypted": {script: standIn, files: map[string]string{client: sopsFile, client + ".plain": planetM2M},
			want: "p" + m2mLine},
		"both": {
			script: standIn, files: map[string]string{client: sopsFile, client + ".plain": planetM2M,
				".planet/p/auth_client.json": planetUser},
			want: "p" + m2mLine, warns: "auth_client.json lies unencrypted beside auth_client.sops.json",
		},
		"tokens": {
			script: standIn, want: "p" + userLine,
			files: map[string]string{".planet/p/auth_client.json": planetUser, ".planet/p/token.sops.json": sopsFile,
				".planet/p/token.sops.json.plain": planetToken},
		},
		"no sops": {
			files: map[string]string{client: sopsFile},
			want:  "p: Planet profile refused: it is encrypted by sops, which is not installed",
			hint:  byHand,
		},
		"fails": {script: "#!/bin/sh\necho dummy >&2\nexit 128\n", files: map[string]string{client: sopsFile},
			want: "p: Planet profile refused: sops cannot decrypt it (exit status 128)", hint: byHand},
		"nothing": {script: "#!/bin/sh\n", files: map[string]string{client: sopsFile},
			want: "p: Planet profile refused: what sops decrypted cannot be used: not JSON: a value is missing at " +
				"byte 0", hint: byHand},
		"endless": {script: "#!/bin/sh\nexec cat /dev/zero\n", files: map[string]string{client: sopsFile},
			want: "p: Planet profile refused: what sops decrypts is larger than 1048576 bytes", hint: byHand},
		"a child that stays": {
			script: "#!/bin/sh\nsleep 600 &\ncat -- \"$2.plain\"\n",
			files:  map[string]string{client: sopsFile, client + ".plain": planetM2M},
			want:   "p: Planet profile refused: sops ended, but something that it started did not", hint: byHand,
		},
		"never encrypted": {
			files: map[string]string{client: planetM2M}, want: "p" + m2mLine,
			warns: "is called .sops.json but is not encrypted",
		},
		"another name": {
			script: standIn, files: map[string]string{".planet/p/auth_client.json": sopsFile},
			want: "p: Planet profile refused: it is encrypted by sops but not called .sops.json, so that no program " +
				"decrypts it",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTestHome(t, test.files, map[string]string{"PATH": "/nonexistent"})
			if test.script != "" {
				w.program("sops", test.script)
			}
			found := w.find()
			check(t, found, test.want)
			if test.hint != "" {
				says(t, strings.ReplaceAll(test.hint, "HOME", w.home), found[0].Hint)
			}
			if test.warns != "" {
				says(t, test.warns, found[0].Warnings...)
			}
			if encrypted := found[0].Copies[0].Path == w.path(client) && name != "never encrypted"; encrypted &&
				found[0].Importable() && found[0].Copies[0].Plain {
				t.Error("an encrypted copy is called plain")
			}
		})
	}
}

// TestSopsEnvironment: sops learns where its keys are, and none of the other secrets in the environment.
func TestSopsEnvironment(t *testing.T) {
	const client = ".planet/p/auth_client.sops.json"
	w := newTestHome(t, map[string]string{client: sopsFile, client + ".plain": planetM2M}, map[string]string{
		"SOPS_AGE_KEY_FILE": "/keys", "SOPS_AGE_KEY": "dummy", "PL_API_KEY": "dummy", "AWS_SECRET_ACCESS_KEY": "dummy",
	})
	w.program("sops", standIn+"env > \"$HOME/sops.env\"\n")
	t.Setenv("PL_API_KEY", "dummy") // the process's own environment does not reach it either
	if _, err := importer.Find(t.Context(), w.env()); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(w.path("sops.env"))
	if err != nil {
		t.Fatal(err)
	}
	if text := string(got); strings.Contains(text, "dummy") || !strings.Contains(text, "SOPS_AGE_KEY_FILE=/keys\n") ||
		!strings.Contains(text, "HOME="+w.home+"\n") {
		t.Errorf("its environment:\n%s", text)
	}
}

// TestSopsHangs: a sops that waits for input ends with the search, and so does what it started. Its own
// deadline goes the same way.
func TestSopsHangs(t *testing.T) {
	w := newTestHome(t, map[string]string{".planet/p/auth_client.sops.json": sopsFile}, nil)
	w.program("sops", "#!/bin/sh\nsleep 600 &\necho $! >\"$HOME/pid.new\"\nmv \"$HOME/pid.new\" \"$HOME/pid\"\nwait\n")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := importer.Find(ctx, w.env())
		ended <- err
	}()
	var child int
	eventually(t, "sops starts", func() bool {
		text, err := os.ReadFile(w.path("pid"))
		if err == nil {
			child, err = strconv.Atoi(strings.TrimSpace(string(text)))
		}
		return err == nil
	})
	cancel()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the search ended with %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the search goes on")
	}
	eventually(t, "its child ends", func() bool { return gone(child) })
}

// gone reports whether a process has ended; who should reap it is another question.
func gone(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in a minute it is not so that %s", what)
		}
	}
}
