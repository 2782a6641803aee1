package ownpath

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/groat-dev/groat/protocol/visible"
)

// Rule says which files may be used for a purpose. Every rule demands a regular file.
//
//	rule         whose           others may    over a link  for
//	OwnSecret    this user's     nothing       no           groat's own files, whose mode is 0600 or less
//	OwnState     this user's     read          no           groat's own files that hold no secret
//	GivenSecret  this user's     nothing       yes          files that a person names, as a private key
//	GivenConfig  this user's     read          yes          files that a person writes or an administrator (root)
//	             or root's
//	Export       any user's      anything      no           encrypted files that a person takes elsewhere: the
//	                                                        file system of a stick has neither owners nor modes
type Rule uint8

// The rules.
const (
	OwnSecret Rule = iota
	OwnState
	GivenSecret
	GivenConfig
	Export
)

// flags are the flags of open(2) that the rule adds. A FIFO in a file's place is not waited for.
func (r Rule) flags() int {
	if r == OwnSecret || r == OwnState || r == Export {
		return syscall.O_NOFOLLOW | syscall.O_NONBLOCK | syscall.O_CLOEXEC
	}
	return syscall.O_NONBLOCK | syscall.O_CLOEXEC
}

// OpenFile opens a file, or with [os.O_CREATE] makes one of mode 0600, and closes it again where the rule does not
// allow it: the error is an [*Error] then, else what [os.OpenFile] returns.
func OpenFile(path string, flags int, rule Rule) (*os.File, error) {
	return OpenWith(func(path string, flags int) (*os.File, error) { return os.OpenFile(path, flags, 0o600) }, path,
		flags, rule)
}

// OpenWith is [OpenFile] with another function in the place of [os.OpenFile].
func OpenWith[F interface {
	comparable
	Stat() (fs.FileInfo, error)
	Close() error
}](open func(path string, flags int) (F, error), path string, flags int, rule Rule) (F, error) {
	var none F
	f, err := open(path, flags|rule.flags())
	if errors.Is(err, syscall.ELOOP) && rule.flags()&syscall.O_NOFOLLOW != 0 {
		return none, &Error{path, "is a symbolic link", listCommand(path)}
	}
	if err != nil {
		return none, err
	}
	// What was opened is what is checked: the name may mean another file by now.
	info, err := f.Stat()
	if err == nil {
		err = CheckFile(path, info, rule)
	}
	if err != nil {
		f.Close()
		return none, err
	}
	return f, nil
}

// CheckFile refuses a file that the rule does not allow. The error is an [*Error] about path.
func CheckFile(path string, info fs.FileInfo, rule Rule) error {
	mode := info.Mode().Perm()
	uid := owner(info)
	switch {
	case !info.Mode().IsRegular():
		return &Error{path, "is not a regular file", listCommand(path)}
	case rule == Export:
		return nil
	case uid != os.Geteuid() && !(rule == GivenConfig && uid == 0):
		return &Error{path, fmt.Sprintf("belongs to another user (uid %d)", uid), listCommand(path)}
	case rule == OwnSecret && mode&^0o600 != 0:
		return &Error{path, fmt.Sprintf("has mode %04o, want 0600: others may have read it", mode), "chmod 600 " +
			visible.Word(path)}
	case rule == GivenSecret && mode&0o077 != 0:
		return &Error{path, fmt.Sprintf("can be read or written by others (mode %04o)", mode), "chmod 600 " +
			visible.Word(path)}
	case mode&0o022 != 0:
		return &Error{path, fmt.Sprintf("may be written by others (mode %04o)", mode), "chmod go-w " +
			visible.Word(path)}
	}
	return nil
}

// CheckPrivateDir refuses what is no directory of this user's of mode 0700 or less; a link is none. It does not
// check what is above it: [Check] does. The error is an [*Error] about path, or what [os.Lstat] returns.
func CheckPrivateDir(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	mode, uid := info.Mode().Perm(), owner(info)
	switch {
	case !info.IsDir():
		return &Error{path, "is no directory (a link is refused too)", "ls -ld " + visible.Word(path)}
	case uid != os.Geteuid():
		return &Error{path, fmt.Sprintf("belongs to another user (uid %d)", uid), "ls -ld " + visible.Word(path)}
	case mode&0o077 != 0:
		return &Error{path, fmt.Sprintf("is open to others (mode %04o)", mode), "chmod 700 " + visible.Word(path)}
	}
	return nil
}

// owner returns a file's uid, or -1 where the system does not say.
func owner(info fs.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}

// listCommand is the command that shows what is wrong with a file.
func listCommand(path string) string { return "ls -l " + visible.Word(path) }

// HintFor returns the next command where err is about a file: that of an [*Error], what shows a disk that is full, or
// what gives this user a file that could not be opened or made for want of permission. It is empty for every other
// error.
func HintFor(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Hint
	}
	denied, ok := errors.AsType[*fs.PathError](err)
	if ok && (errors.Is(denied, syscall.ENOSPC) || errors.Is(denied, syscall.EDQUOT)) {
		return "df " + visible.Word(Deepest(filepath.Dir(denied.Path)))
	}
	if !ok || !errors.Is(denied, fs.ErrPermission) {
		return ""
	}
	info, err := os.Lstat(denied.Path)
	if err != nil { // it cannot be made, or not be reached
		return DirHint(filepath.Dir(denied.Path))
	}
	return accessHint(denied.Path, info, 0o600)
}

// DirHint returns the next command where this user may not write to a directory.
func DirHint(dir string) string {
	info, err := os.Lstat(dir)
	if err != nil {
		return "ls -ld " + visible.Word(dir)
	}
	return accessHint(dir, info, 0o700)
}

func accessHint(path string, info fs.FileInfo, own fs.FileMode) string {
	switch {
	case owner(info) != os.Geteuid() || info.Mode().Perm()&own == own:
		return "ls -ld " + visible.Word(path)
	case info.IsDir():
		return "chmod u+rwx " + visible.Word(path)
	}
	return "chmod u+rw " + visible.Word(path)
}
