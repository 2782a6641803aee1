package main

import (
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/groat-dev/groat/protocol/frame"
	"github.com/groat-dev/groat/protocol/ownpath"
)

const (
	// maxLog is the size at which the log's file becomes the older one.
	maxLog = 1 << 20
	// maxEarly bounds what is kept until the file may be opened.
	maxEarly = 16 << 10
)

// logFile is the log of a groatd whose stderr is /dev/null, as groat starts it: a file in its state directory, mode
// 0600, and one older file. Until [logFile.open] it keeps the first lines. What cannot be written is dropped: a full
// disk harms no request. The methods are safe for concurrent use.
type logFile struct {
	mu    sync.Mutex
	path  string // empty until open
	file  *os.File
	early []byte
	torn  bool // the last write has left a part of a line
}

// open names the state directory, which must be this user's alone, and writes what was kept.
func (l *logFile) open(state string) {
	if l == nil || ownpath.CheckPrivateDir(state) != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.path != "" {
		return
	}
	l.path = filepath.Join(state, frame.LogFile)
	l.put(l.early)
	l.early = nil
}

// Write implements [zapcore.WriteSyncer]. It reports no error: zap would tell it to stderr.
func (l *logFile) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.path != "":
		l.put(line)
	case len(l.early)+len(line) <= maxEarly:
		l.early = append(l.early, line...)
	}
	return len(line), nil
}

// Sync implements [zapcore.WriteSyncer].
func (l *logFile) Sync() error { return nil }

// put appends lines to the file. The caller holds mu.
func (l *logFile) put(lines []byte) {
	if len(lines) == 0 || !l.ready(len(lines)) {
		return
	}
	if l.torn {
		lines = append([]byte{'\n'}, lines...)
	}
	n, err := l.file.Write(lines)
	l.torn = err != nil && (n > 0 || l.torn)
}

// ready opens the file where that is needed, and reports whether n more bytes may be written to it. A file that was
// removed is made anew; one that another groatd has renamed, while that takes this one's place, is left.
func (l *logFile) ready(n int) bool {
	if l.file != nil && !l.inPlace() {
		l.file.Close()
		l.file = nil
	}
	if l.file == nil && !l.reopen() {
		return false
	}
	info, err := l.file.Stat()
	if err != nil || info.Size() == 0 || info.Size()+int64(n) <= maxLog {
		return err == nil
	}
	if os.Rename(l.path, l.path+frame.OlderLog) != nil { // a directory of that name, for example
		return l.file.Truncate(0) == nil // the bound counts more than the older lines
	}
	l.file.Close()
	return l.reopen()
}

func (l *logFile) reopen() bool {
	f, err := ownpath.OpenFile(l.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, ownpath.OwnSecret)
	if err != nil {
		l.file = nil
		return false
	}
	l.file, l.torn = f, false
	return true
}

func (l *logFile) inPlace() bool {
	now, err := os.Lstat(l.path)
	mine, err2 := l.file.Stat()
	return err == nil && err2 == nil && os.SameFile(now, mine)
}

// discarded reports whether what is written to f goes nowhere: f is /dev/null.
func discarded(f *os.File) bool {
	info, err := f.Stat()
	null, err2 := os.Stat(os.DevNull)
	if err != nil || err2 != nil {
		return false
	}
	a, ok := info.Sys().(*syscall.Stat_t)
	b, ok2 := null.Sys().(*syscall.Stat_t)
	return ok && ok2 && info.Mode()&os.ModeCharDevice != 0 && a.Rdev == b.Rdev
}
