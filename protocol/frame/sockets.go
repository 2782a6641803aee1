package frame

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/groat-dev/groat/protocol/ownpath"
)

// MaxSocketPath is what sun_path holds on every system we run on (104 bytes on macOS, 108 on Linux) less its NUL.
const MaxSocketPath = 103

const socketFile = "agent.sock"

// ownDir precedes a place's id in the name of its directory.
const ownDir = "d."

// Sockets says where groatd listens for the callers of one place, and so where they look for it.
type Sockets struct {
	// Explicit is $GROAT_SOCKET. If it is set the other members are empty.
	Explicit string
	// Dir is the directory of all sockets of this user, Own the place's own socket in it, and Plain the socket of the
	// usual place, or an alias of the first other place's.
	Dir, Own, Plain string
	// Alias: the directory is none that this system gives a user, so a place that is not the usual one may have Plain.
	Alias bool
	// Session: Dir lives as long as the person is signed in to this machine.
	Session bool
}

// SocketsOf returns the sockets of a place. It looks at the directories, and makes nothing.
func SocketsOf(getenv func(string) string, place Place) (Sockets, error) {
	return socketsOf(getenv, place, place.ID())
}

func socketsOf(getenv func(string) string, place Place, id string) (Sockets, error) {
	if path := getenv("GROAT_SOCKET"); path != "" {
		return Sockets{Explicit: path}, checkSocket(path)
	}
	return socketsIn(ownpath.System(), getenv, place, id)
}

// socketsIn is [SocketsOf] in a file system, without $GROAT_SOCKET.
func socketsIn(v ownpath.View, getenv func(string) string, place Place, id string) (Sockets, error) {
	for c := range candidates(v.UID, getenv, place) {
		if c.fits() && c.safe(v) {
			return c.sockets(id), nil
		}
	}
	return Sockets{}, fmt.Errorf("every path for a socket is longer than %d bytes or in a directory that others may "+
		"change, the last one %s",
		MaxSocketPath, place.State)
}

func checkSocket(path string) error {
	if !filepath.IsAbs(path) {
		return &VariableError{"GROAT_SOCKET", fmt.Sprintf("the socket path %q is not absolute", path)}
	}
	if len(path) > MaxSocketPath {
		return &VariableError{"GROAT_SOCKET", fmt.Sprintf("the socket path is %d bytes long, the system allows %d: %s",
			len(path), MaxSocketPath, path)}
	}
	return nil
}

// candidate is a directory that sockets may be in.
type candidate struct {
	parent, dir    string
	private        bool // the parent must be the user's, and no other user may write it
	alias, session bool
}

// candidates yields them in the order in which they are tried.
func candidates(uid int, getenv func(string) string, place Place) iter.Seq[candidate] {
	return func(yield func(candidate) bool) {
		if runtime.GOOS == "darwin" {
			caches := filepath.Join(place.Home, "Library", "Caches")
			if yield(candidate{parent: caches, dir: filepath.Join(caches, "groat"), alias: true}) {
				yield(candidate{parent: place.State, dir: place.State})
			}
			return
		}
		id := strconv.Itoa(uid)
		usual := "/run/user/" + id
		if dir := getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) && filepath.Clean(dir) != usual {
			dir = filepath.Clean(dir)
			c := candidate{parent: dir, dir: filepath.Join(dir, "groat"), private: true, alias: true, session: true}
			if !yield(c) {
				return
			}
		}
		if !yield(candidate{parent: usual, dir: usual + "/groat", private: true, session: true}) {
			return
		}
		if tmp := getenv("TMPDIR"); tmp == "" || filepath.IsAbs(tmp) {
			if tmp = filepath.Clean(tmp); tmp == "." {
				tmp = "/tmp"
			}
			if !yield(candidate{parent: tmp, dir: filepath.Join(tmp, "groat-"+id)}) {
				return
			}
		}
		yield(candidate{parent: place.State, dir: place.State})
	}
}

func (c candidate) sockets(id string) Sockets {
	return Sockets{
		Dir: c.dir, Own: filepath.Join(c.dir, ownDir+id, socketFile), Plain: filepath.Join(c.dir, socketFile),
		Alias: c.alias, Session: c.session,
	}
}

// fits reports whether the path of every socket in the directory is short enough.
func (c candidate) fits() bool {
	return len(c.dir)+len("/"+ownDir+"0123456789abcdef/"+socketFile) <= MaxSocketPath
}

// safe reports whether the way to the directory is safe, and the directory the user's, or one that may be made. One of
// the user's that is open to others is not passed over: the person is told.
func (c candidate) safe(v ownpath.View) bool {
	if c.parent == c.dir { // the state directory, which may have to be made
		return v.Check(c.dir) == nil
	}
	parent, err := v.Lstat(c.parent)
	if err != nil || v.Check(c.parent) != nil {
		return false
	}
	// Check allows /tmp
	shared := parent.Mode.Perm()&0o002 != 0 || parent.Mode&fs.ModeSticky != 0 && parent.Mode.Perm()&0o020 != 0
	if c.private && (parent.UID != v.UID || !parent.Mode.IsDir() || shared) {
		return false
	}
	dir, err := v.Lstat(c.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return v.MayMakeIn(c.dir) == nil
	}
	return err == nil && dir.UID == v.UID
}

// RuntimeDir returns the directory of this user's that lives as long as the person is signed in to this machine:
// $XDG_RUNTIME_DIR or /run/user/UID. It is empty if neither is there, or is another user's.
func RuntimeDir(getenv func(string) string) string {
	v := ownpath.System()
	for c := range candidates(v.UID, getenv, Place{State: "/"}) {
		if c.session && c.safe(v) {
			return c.parent
		}
	}
	return ""
}
