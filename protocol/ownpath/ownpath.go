// Package ownpath decides whether a path is this user's alone, and makes directories only where it is.
//
// It is the one rule of groat and groatd for every directory that they use: nothing is made before the owner of every
// parent is known to be right. The invariant: no other user but root can put something else in the place of a path that
// [Check] has passed. What is not here: which paths are used, and whether the files in them are as they should be.
package ownpath

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/groat-dev/groat/protocol/visible"
)

// maxLinks is how many symbolic links a path may lead over; the system's own bound on Linux.
const maxLinks = 40

// Error is a path that cannot be used: which one, why, and the next command.
type Error struct {
	Path, Message, Hint string
}

func (e *Error) Error() string { return e.Path + " " + e.Message }

// Entry is what [View.Lstat] tells of a path.
type Entry struct {
	UID, GID int
	Mode     fs.FileMode
}

// View is a file system as one user sees it. Its methods are safe for concurrent use where its functions are.
type View struct {
	UID, GID int
	// Lstat does not follow a link in the last element. Its error is what [os.Lstat] returns.
	Lstat    func(path string) (Entry, error)
	Readlink func(path string) (string, error)
}

// System is this machine's file system as this process sees it.
func System() View {
	return View{UID: os.Geteuid(), GID: os.Getegid(), Lstat: lstat, Readlink: os.Readlink}
}

func lstat(path string) (Entry, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return Entry{}, err
	}
	e := Entry{UID: -1, GID: -1, Mode: info.Mode()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		e.UID, e.GID = int(st.Uid), int(st.Gid)
	}
	return e, nil
}

// Check refuses a path on whose way another user could put something else in its place: every directory from / to the
// path itself, also those that symbolic links lead over, must belong to this user or to root and may be written by
// no other user, but for root's sticky ones (/tmp). What is not there yet is no error. The error is an [*Error] about
// the directory.
//
// Root is the owner of /: in a user namespace, where root has no number of its own, that is another uid.
func Check(path string) error { return System().Check(path) }

// Check is [Check] in this view.
func (v View) Check(path string) error {
	_, err := v.walk(path)
	return err
}

// walk returns the deepest directory on the way to path that exists.
func (v View) walk(path string) (Entry, error) {
	top, err := v.Lstat("/")
	if err != nil {
		return top, unreadable("/", err)
	}
	w := walk{View: v, root: top.UID}
	at, rest, e := "/", path, top
	for links := 0; ; {
		if err := w.checkDirectory(at, e); err != nil {
			return e, err
		}
		var name string
		name, rest, _ = strings.Cut(strings.TrimLeft(rest, "/"), "/")
		if name == "" {
			return e, nil
		}
		next := filepath.Join(at, name) // also for "..", for there is no link in at
		found, err := v.Lstat(next)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return e, nil
		case err != nil:
			return e, unreadable(next, err)
		case found.Mode.IsDir():
			at, e = next, found
		case found.Mode.Type() != fs.ModeSymlink:
			return e, nil
		default:
			if links++; links > maxLinks {
				return e, unreadable(path, syscall.ELOOP)
			}
			if at, rest, err = w.follow(at, next, rest, found); err != nil {
				return e, err
			}
			if e, err = v.Lstat(at); err != nil {
				return e, unreadable(at, err)
			}
		}
	}
}

// walk is the check of one path.
type walk struct {
	View
	root int
}

func (w walk) trusts(e Entry) bool { return e.UID == w.UID || e.UID == 0 || e.UID == w.root }

func (w walk) sticky(e Entry) bool {
	return e.Mode&fs.ModeSticky != 0 && (e.UID == 0 || e.UID == w.root)
}

// checkDirectory refuses one that others could change.
func (w walk) checkDirectory(path string, e Entry) error {
	mode := e.Mode.Perm()
	switch {
	case !w.trusts(e):
		return anotherUsers(path, e)
	case w.sticky(e):
		return nil // only the owner of an entry can replace it
	case mode&0o002 != 0, mode&0o020 != 0 && !w.privateGroup(e):
		hint := "chmod go-w " + visible.Word(path)
		if e.UID != w.UID {
			hint = "ls -ld " + visible.Word(path)
		}
		return &Error{path, fmt.Sprintf("may be written by others (mode %04o)", mode), hint}
	}
	return nil
}

// follow returns where a link that stands in at leads on.
func (w walk) follow(at, link, rest string, e Entry) (string, string, error) {
	if !w.trusts(e) {
		return "", "", &Error{link, fmt.Sprintf("is a link of another user (uid %d)", e.UID), "ls -l " +
			visible.Word(link)}
	}
	target, err := w.Readlink(link)
	if err != nil {
		return "", "", unreadable(link, err)
	}
	if filepath.IsAbs(target) {
		at = "/"
	}
	return at, target + "/" + rest, nil
}

// MayMakeIn reports whether a directory of this user's may be made at path, or in the deepest directory above it that
// exists: that one belongs to the user, or is root's and sticky, and [View.Check] passes.
func (v View) MayMakeIn(path string) error {
	e, err := v.walk(path)
	if err != nil {
		return err
	}
	if top, err := v.Lstat("/"); err == nil && (walk{v, top.UID}).sticky(e) || e.UID == v.UID {
		return nil
	}
	at := v.deepest(path)
	return &Error{at, fmt.Sprintf("belongs to another user (uid %d), so nothing is made in it", e.UID), "ls -ld " +
		visible.Word(at)}
}

// Deepest returns the part of path that exists, as it is written.
func Deepest(path string) string { return System().deepest(path) }

// deepest is [Deepest] as v sees it.
func (v View) deepest(path string) string {
	at := filepath.Clean(path)
	for at != "/" {
		if _, err := v.Lstat(at); err == nil {
			break
		}
		at = filepath.Dir(at)
	}
	return at
}

// MakeDir makes a directory of mode 0700, and those above it that are missing, after it has checked all that there are:
// where one of them is another user's, nothing is made at all. One that exists is left as it is. The error is an
// [*Error].
func MakeDir(path string) error {
	v, path := System(), filepath.Clean(path)
	var missing []string
	for at := path; ; at = filepath.Dir(at) {
		_, err := os.Lstat(at)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return unreadable(at, err)
		}
		missing = append(missing, at)
	}
	if len(missing) == 0 {
		return v.Check(path)
	}
	if err := v.MayMakeIn(path); err != nil {
		return err
	}
	for i := len(missing) - 1; i >= 0; i-- {
		if err := os.Mkdir(missing[i], 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return &Error{missing[i], "cannot be made: " + cause(err),
				DirHint(filepath.Dir(missing[i]))}
		}
	}
	return v.Check(path) // in a sticky directory another user may have been faster
}

// CheckHome refuses a HOME that exists and belongs to another user. One that is not there, or cannot be examined,
// passes. It follows links. The error is an [*Error].
func CheckHome(home string) error {
	info, err := os.Stat(home)
	if err != nil {
		return nil
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	uid := os.Geteuid()
	if !ok || int(st.Uid) == uid {
		return nil
	}
	e := &Error{Path: "HOME=" + home,
		Message: "belongs to " + describeUser(int(st.Uid)) + ", and you are " + describeUser(uid)}
	owner, known := LocalUser(int(st.Uid))
	us, _ := LocalUser(uid)
	switch {
	case uid == 0 && known:
		e.Hint = "sudo -u " + owner.Name + " groat status"
	case us.Home != "":
		e.Hint = "HOME=" + visible.Word(us.Home) + " groat status"
	default:
		e.Hint = "HOME=" + SpareHome() + " groat status"
	}
	return e
}

// SpareHome is a directory that this user can make on every system, for a user who has no home (a container's).
func SpareHome() string { return fmt.Sprintf("/var/tmp/home-%d", os.Geteuid()) }

// describeUser is a user for people.
func describeUser(uid int) string {
	if u, ok := LocalUser(uid); ok {
		return fmt.Sprintf("%s (uid %d)", u.Name, uid)
	}
	return fmt.Sprintf("uid %d", uid)
}

func anotherUsers(path string, e Entry) *Error {
	return &Error{path, fmt.Sprintf("belongs to another user (uid %d)", e.UID), "ls -ld " + visible.Word(path)}
}

func unreadable(path string, err error) *Error {
	return &Error{path, "cannot be examined: " + cause(err), "ls -ld " + visible.Word(path)}
}

func cause(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err.Error()
	}
	return err.Error()
}
