package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/groat-dev/groat/protocol/visible"
)

// maxLinks is how many symbolic links a path may lead over; the system's own bound on Linux.
const maxLinks = 40

// CheckWay refuses a path on whose way another user could put something else in its place: every directory from / to the
// path itself, also those that symbolic links lead over, must belong to this user or to root and may be written by nobody
// else, but for root's sticky ones (/tmp). What is not there yet is no error. The error is an [*Error] about the directory.
//
// Root is whoever owns /: in a user namespace, where root has no number of its own, that is another uid.
func CheckWay(path string) error {
	top, err := os.Lstat("/")
	if err != nil {
		return unreadable("/", err)
	}
	w := walk{root: owner(top)}
	at, rest := "/", path
	for links := 0; ; {
		info, err := os.Lstat(at)
		if err != nil {
			return unreadable(at, err)
		}
		if err := w.directory(at, info); err != nil {
			return err
		}
		var name string
		name, rest, _ = strings.Cut(strings.TrimLeft(rest, "/"), "/")
		if name == "" {
			return nil
		}
		next := filepath.Join(at, name) // also for "..", for there is no link in at
		info, err = os.Lstat(next)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return unreadable(next, err)
		case info.IsDir():
			at = next
		case info.Mode().Type() != fs.ModeSymlink:
			return nil
		default:
			if links++; links > maxLinks {
				return unreadable(path, syscall.ELOOP)
			}
			if at, rest, err = w.follow(at, next, rest, info); err != nil {
				return err
			}
		}
	}
}

// walk is one look at a way.
type walk struct{ root int }

func (w walk) trusts(info fs.FileInfo) bool {
	uid := owner(info)
	return uid == os.Geteuid() || uid == 0 || uid == w.root
}

// directory refuses one that others could change.
func (w walk) directory(path string, info fs.FileInfo) error {
	mode := info.Mode().Perm()
	switch {
	case !w.trusts(info):
		return &Error{File: path, Message: fmt.Sprintf("belongs to another user (uid %d)", owner(info)), Hint: "ls -ld " + visible.Word(path)}
	case info.Mode()&fs.ModeSticky != 0 && (owner(info) == 0 || owner(info) == w.root):
		return nil // only the owner of an entry can replace it
	case mode&0o002 != 0, mode&0o020 != 0 && !privateGroup(info):
		hint := "chmod go-w " + path
		if owner(info) != os.Geteuid() {
			hint = "ls -ld " + path
		}
		return &Error{File: path, Message: fmt.Sprintf("may be written by others (mode %04o)", mode), Hint: hint}
	}
	return nil
}

// follow returns where a link that stands in at leads on.
func (w walk) follow(at, link, rest string, info fs.FileInfo) (string, string, error) {
	if !w.trusts(info) {
		return "", "", &Error{File: link, Message: fmt.Sprintf("is a link of another user (uid %d)", owner(info)), Hint: "ls -l " + visible.Word(link)}
	}
	target, err := os.Readlink(link)
	if err != nil {
		return "", "", unreadable(link, err)
	}
	if filepath.IsAbs(target) {
		at = "/"
	}
	return at, target + "/" + rest, nil
}

// privateGroup reports whether a file's group is the one that only this user is in: many systems give everybody one of the
// same number or name, and with it directories that the group may write.
func privateGroup(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	uid, gid := os.Geteuid(), os.Getegid()
	if !ok || uid == 0 || int(st.Gid) != gid {
		return false
	}
	if uid == gid {
		return true
	}
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return false
	}
	g, err := user.LookupGroupId(strconv.Itoa(gid))
	return err == nil && g.Name == u.Username
}

// owner returns a file's uid, or -1.
func owner(info fs.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}

func unreadable(path string, err error) *Error {
	return &Error{File: path, Message: "cannot be examined: " + cause(err), Hint: "ls -ld " + visible.Word(path)}
}
