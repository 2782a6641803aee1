package main

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/groat-dev/groat/cmd/groat/report"
)

// commands is the program for all that this one does not do.
const commands = "groat-commands"

// handOver replaces this process with groat-commands, which gets the same arguments and environment. What was already
// read of stdin it finds there again. If handOver returns, it has failed; the error is a [*report.Failure].
func handOver(read []byte) error {
	path, err := findCommands()
	if err != nil {
		return err
	}
	if err := unread(read); err != nil {
		return report.CannotHandOver(err)
	}
	return report.CannotHandOver(&fs.PathError{Op: "run", Path: path, Err: syscall.Exec(path, os.Args, os.Environ())})
}

// findCommands returns the groat-commands beside this program's real file, also if a link led here. A file that another
// user could change, who could not change this program, is refused.
func findCommands() (string, error) {
	self, err := os.Executable()
	if err == nil {
		self, err = filepath.EvalSymlinks(self)
	}
	if err != nil {
		return "", report.CannotHandOver(err)
	}
	path := filepath.Join(filepath.Dir(self), commands)
	it, err := os.Stat(path)
	if os.IsNotExist(err) {
		return "", report.NoCommands(path)
	}
	var mine fs.FileInfo
	if err == nil {
		mine, err = os.Stat(self)
	}
	if err != nil {
		return "", report.CannotHandOver(err)
	}
	const others = 0o022
	owner := uid(it)
	if owner != os.Geteuid() && owner != 0 && owner != uid(mine) || it.Mode().Perm()&^mine.Mode().Perm()&others != 0 {
		return "", report.UnsafeCommands(path)
	}
	return path, nil
}

// uid returns the owner of a file.
func uid(info fs.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}

// unread puts back what was read of stdin: a socket that holds it becomes stdin, and nothing follows. A pipe would not
// do: an ordinary user's may be as small as a page.
func unread(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	// No one reads yet: too little room must not keep us waiting.
	err = syscall.SetsockoptInt(pair[1], syscall.SOL_SOCKET, syscall.SO_SNDBUF, 4*len(b))
	if err == nil {
		err = syscall.SetNonblock(pair[1], true)
	}
	n := 0
	if err == nil {
		n, err = syscall.Write(pair[1], b)
	}
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return os.NewSyscallError("put back stdin", err)
	}
	syscall.Close(pair[1])
	if err := dup2(pair[0], 0); err != nil {
		return os.NewSyscallError("dup2", err)
	}
	return syscall.Close(pair[0])
}
