package importer_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/groat-dev/groat/daemon/importer"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// TestFiles is about what stands where app_credentials.json should be.
func TestFiles(t *testing.T) {
	const at = ".config/spatiafi/app_credentials.json"
	for name, test := range map[string]struct {
		make  func(t *testing.T, w *testHome, path string)
		want  string // empty: imported; "-": not there
		all   bool   // of the directory's files, not only this one
		warns string
	}{
		"own link": {make: func(t *testing.T, w *testHome, path string) { link(t, w, path, "real.json") }},
		"own link, relative": {make: func(t *testing.T, w *testHome, path string) {
			link(t, w, path, "real.json")
			remove(t, path)
			if err := os.Symlink("../../real.json", path); err != nil {
				t.Fatal(err)
			}
		}},
		"another's link": {
			make: func(t *testing.T, w *testHome, path string) { link(t, w, path, "real.json"); giveAway(t, path) },
			want: "the way there goes through a symbolic link of another user (uid 4242)",
		},
		"another's link behind an own one": {
			make: func(t *testing.T, w *testHome, path string) {
				link(t, w, w.path("middle"), "real.json")
				giveAway(t, w.path("middle"))
				link(t, w, path, "middle")
			},
			want: "the way there goes through a symbolic link of another user (uid 4242)",
		},
		"another's link on the way": {
			make: func(t *testing.T, w *testHome, path string) {
				remove(t, filepath.Dir(path))
				w.write("elsewhere/app_credentials.json", apps)
				link(t, w, filepath.Dir(path), "elsewhere")
				giveAway(t, filepath.Dir(path))
			},
			want: "the way there goes through a symbolic link of another user (uid 4242)", all: true,
		},
		"circle": {
			make: func(t *testing.T, w *testHome, path string) {
				if err := os.Symlink(path, path); err != nil {
					t.Fatal(err)
				}
			},
			want: "there are too many symbolic links on the way",
		},
		"dangling": {make: func(t *testing.T, w *testHome, path string) {
			link(t, w, path, "nowhere")
			remove(t, w.path("nowhere"))
		}, want: "-"},
		"another's": {
			make: func(t *testing.T, w *testHome, path string) { w.write(at, apps); giveAway(t, path) },
			want: "the file belongs to another user (uid 4242)",
		},
		"writable by others": {
			make:  func(t *testing.T, w *testHome, path string) { w.write(at, apps); mode(0o666)(t, path) },
			warns: "others may write the file (mode 0666)",
		},
		"directory": {make: func(t *testing.T, w *testHome, path string) { mkdir(t, path) },
			want: "it is not a regular file"},
		"FIFO": {
			make: func(t *testing.T, w *testHome, path string) {
				if err := syscall.Mkfifo(path, 0o600); err != nil {
					t.Fatal(err)
				}
			},
			want: "it is not a regular file",
		},
		"device": {make: func(t *testing.T, w *testHome, path string) { symlink(t, "/dev/zero", path) },
			want: "it is not a regular file"},
		"largest": {make: func(t *testing.T, w *testHome, path string) {
			w.write(at, apps+strings.Repeat(" ", 1<<20-len(apps)))
		}},
		"too large": {make: func(t *testing.T, w *testHome, path string) {
			w.write(at,
				apps+strings.Repeat(" ", 1<<20-len(apps)+1))
		}, want: "the file is larger than 1048576 bytes"},
		"a file above": {make: func(t *testing.T, w *testHome, path string) {
			remove(t, filepath.Dir(path))
			w.write(".config/spatiafi", "x")
		}, want: "-"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTestHome(t, map[string]string{".config/spatiafi/x": ""}, nil)
			remove(t, w.path(".config/spatiafi/x"))
			test.make(t, w, w.path(at))
			found := w.find()
			switch test.want {
			case "":
				check(t, found, "spatiafi"+appsLine)
			case "-":
				check(t, found)
			default:
				if test.all && len(found) == 3 {
					found = found[:1]
				}
				check(t, found, "spatiafi: SpatiaFi App Credentials refused: "+test.want)
			}
			if test.warns != "" {
				says(t, test.warns, found[0].Warnings...)
			}
		})
	}
}

func symlink(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}

// link makes path a link to a name below the home, and the file there if there is none.
func link(t *testing.T, w *testHome, path, to string) {
	t.Helper()
	if _, err := os.Lstat(w.path(to)); errors.Is(err, fs.ErrNotExist) {
		w.write(to, apps)
	}
	symlink(t, w.path(to), path)
}

// TestAnotherUsersHome runs the search as a user who may not read what is there: a child, since a process that gave up
// root does not get it back.
func TestAnotherUsersHome(t *testing.T) {
	if path := os.Getenv("FOREIGN_TEST_HOME"); path != "" {
		found, err := importer.Find(t.Context(), importer.Env{Home: path, GOOS: "linux"})
		if err != nil {
			t.Fatal(err)
		}
		check(t, found, "spatiafi: SpatiaFi App Credentials refused: it cannot be read: permission denied")
		return
	}
	tier.NeedsRoot(t)
	w := newTestHome(t, map[string]string{".config/spatiafi/app_credentials.json": apps}, nil)
	for dir := w.home; dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		mode(0o755)(t, dir)
	}
	// The file is root's, and so trusted; what stops the child is its mode.
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestAnotherUsersHome$")
	cmd.Env = []string{"FOREIGN_TEST_HOME=" + w.home}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4242, Gid: 4242}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestQuoting: a command to type is right for sh, whatever a directory is called.
func TestQuoting(t *testing.T) {
	name := "it's a $(dummy) \"profile\"; & more"
	w := newTestHome(t, map[string]string{".planet/" + name + "/auth_client.json": planetM2M}, nil)
	found, err := importer.Find(t.Context(), w.env())
	if err != nil || len(found) != 1 || len(found[0].Copies) != 1 {
		t.Fatalf("%+v, %v", found, err)
	}
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", found[0].Copies[0].Remove)
	cmd.Env = append(os.Environ(), "PATH=/usr/bin:/bin") // rm is there, whatever this process's PATH is
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v, %s", found[0].Copies[0].Remove, err, out)
	}
	if _, err := os.Lstat(w.path(".planet/" + name + "/auth_client.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s removed nothing: %v", found[0].Copies[0].Remove, err)
	}
	w = newTestHome(t, map[string]string{".planet/a\x1b[2Jb/auth_client.json": planetM2M}, nil)
	check(t, w.find()) // a terminal would obey it
}

func TestHome(t *testing.T) {
	for _, home := range []string{"", "relative"} {
		if found, err := importer.Find(t.Context(), importer.Env{Home: home}); err == nil {
			t.Errorf("home %q: %+v", home, found)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := importer.Find(ctx, newTestHome(t, nil, nil).env()); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled search: %v", err)
	}
}
