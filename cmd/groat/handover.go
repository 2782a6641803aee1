package main

import (
	"errors"
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
// read of stdin it finds there again. If handOver returns, it has said why, and returns the exit code.
func handOver(read []byte) int {
	err := unread(read)
	dir := ""
	if err == nil {
		dir, err = execCommands()
	}
	f := report.NoCommands(commands, dir, err)
	f.Print(os.Stderr)
	return f.Code
}

// execCommands returns only if it fails, with the directory that it looked in. The program is beside this one's real
// file, whatever link led here, or where distributions keep what is not typed.
func execCommands() (dir string, err error) {
	self, err := os.Executable()
	if err == nil {
		self, err = filepath.EvalSymlinks(self)
	}
	if err != nil {
		return "", err
	}
	dir = filepath.Dir(self)
	for _, way := range []string{".", "../libexec/groat", "../lib/groat"} {
		err = syscall.Exec(filepath.Join(dir, way, commands), os.Args, os.Environ())
		if !errors.Is(err, fs.ErrNotExist) {
			return filepath.Join(dir, way), err
		}
	}
	return dir, nil
}

// unread puts back what was read of stdin: a pipe that holds it becomes stdin, and nothing follows.
func unread(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	var p [2]int
	if err := syscall.Pipe(p[:]); err != nil {
		return os.NewSyscallError("pipe", err)
	}
	// No one reads yet: a pipe that is too small must not keep us waiting.
	if err := syscall.SetNonblock(p[1], true); err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	n, err := syscall.Write(p[1], b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return os.NewSyscallError("write to a pipe", err)
	}
	syscall.Close(p[1])
	if err := dup2(p[0], 0); err != nil {
		return os.NewSyscallError("dup2", err)
	}
	return syscall.Close(p[0])
}
