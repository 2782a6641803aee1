package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol/frame"
	"github.com/groat-dev/groat/protocol/ownpath"
)

const (
	// maxLogRead bounds what is read of each of the log's two files: groatd begins a new one at 1 MiB.
	maxLogRead = 2 << 20
	// maxLogLine bounds a line that has not ended yet.
	maxLogLine = 64 << 10
	// followPause is the time between two looks at a log that is followed.
	followPause = 250 * time.Millisecond
	// defaultLines is how many lines of a log are shown.
	defaultLines = 100
)

// logFlags are what "groat logs" is called with.
type logFlags struct {
	follow bool
	lines  uint32
}

func (f *logFlags) add(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().BoolVarP(&f.follow, "follow", "f", false, flagFollow)
	cmd.Flags().Uint32VarP(&f.lines, "lines", "n", defaultLines, flagLines)
	return cmd
}

func (a *app) logsCommand() *cobra.Command {
	var f logFlags
	cmd := command("logs [flags]", helpLogs, cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		if s := a.installedService(); s != nil {
			if beside, err := a.runsBeside(cmd.Context(), s); err != nil || !beside {
				return a.showJournal(&f)
			}
		}
		r, err := a.route()
		if err != nil {
			return report.NoRoute(err)
		}
		if r.Sockets.Explicit != "" { // the groatd there need not be this place's
			if d, err := a.findRunning(cmd.Context()); err == nil && d != nil {
				d.c.Close()
				if err := a.ofThisPlace(r, d); err != nil {
					return err
				}
			}
		}
		if r.Place == nil {
			return errNoLogPlace()
		}
		return a.showLog(cmd.Context(), r.Place.State, &f)
	})
	return f.add(cmd)
}

// showLog prints the last lines of the log in a state directory, and goes on with what is added until ctx ends.
func (a *app) showLog(ctx context.Context, state string, f *logFlags) error {
	if err := ownpath.CheckPrivateDir(state); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errLog(state, err)
	}
	l := &logReader{path: filepath.Join(state, frame.LogFile)}
	defer l.close()
	text, err := l.all()
	if err != nil {
		return errLog(l.path, err)
	}
	if len(text) == 0 && !f.follow {
		a.printNote(textNoLog(l.path))
		return nil
	}
	if err := a.writeLog(lastLines(text, int(f.lines))); err != nil || !f.follow {
		return err
	}
	tick := time.NewTicker(followPause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		text, err := l.more()
		if err != nil {
			return errLog(l.path, err)
		}
		if err := a.writeLog(text); err != nil {
			return err
		}
	}
}

// writeLog prints whole lines of a log.
func (a *app) writeLog(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	var out []byte
	for line := range bytes.Lines(text) {
		out = append(append(out, textLogLine(string(line))...), '\n')
	}
	return a.write(out)
}

// lastLines returns the last n lines of text; all where n is 0.
func lastLines(text []byte, n int) []byte {
	if n == 0 {
		return text
	}
	end := len(bytes.TrimSuffix(text, []byte{'\n'}))
	for ; n > 0; n-- {
		if end = bytes.LastIndexByte(text[:end], '\n'); end < 0 {
			return text
		}
	}
	return text[end+1:]
}

// logReader reads a log, which groatd renames when it is long.
type logReader struct {
	path string
	file *os.File // nil while there is none
	part []byte   // of a line that has not ended
}

func (l *logReader) close() {
	if l.file != nil {
		l.file.Close()
	}
}

// open opens the file at path, if there is one.
func (l *logReader) open() (err error) {
	l.file, err = ownpath.OpenFile(l.path, os.O_RDONLY, ownpath.OwnState)
	if errors.Is(err, fs.ErrNotExist) {
		l.file, err = nil, nil
	}
	return err
}

// all returns the whole lines of the older file and of the newer one.
func (l *logReader) all() ([]byte, error) {
	if err := l.open(); err != nil {
		return nil, err
	}
	older := &logReader{path: l.path + frame.OlderLog}
	defer older.close()
	var text []byte
	// Where the older file cannot be read, the newer one is shown all the same. It may just have become the older one.
	if older.open() == nil && older.file != nil && !sameFile(older.file, l.file) {
		var err error
		if text, err = older.rest(); err != nil {
			return nil, err
		}
	}
	rest, err := l.rest()
	return append(text, rest...), err
}

// more returns the whole lines that were added since.
func (l *logReader) more() ([]byte, error) {
	now, err := os.Lstat(l.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return l.rest()
	case err != nil:
		return nil, err
	}
	if l.file == nil {
		if err := l.open(); err != nil {
			return nil, err
		}
		return l.rest()
	}
	mine, err := l.file.Stat()
	if err != nil {
		return nil, err
	}
	if at, err := l.file.Seek(0, io.SeekCurrent); err == nil && mine.Size() < at { // a person has emptied it
		l.file.Seek(0, io.SeekStart)
		l.part = nil
	}
	text, err := l.rest()
	if err != nil || os.SameFile(mine, now) {
		return text, err
	}
	// The file was renamed, and what was written to it before has been read.
	l.file.Close()
	l.part = nil
	if err := l.open(); err != nil {
		return text, err
	}
	newer, err := l.rest()
	return append(text, newer...), err
}

// rest reads to the end of the file and returns the whole lines.
func (l *logReader) rest() ([]byte, error) {
	if l.file == nil {
		return nil, nil
	}
	read, err := io.ReadAll(io.LimitReader(l.file, maxLogRead))
	text := append(l.part, read...)
	end := bytes.LastIndexByte(text, '\n') + 1
	l.part = nil
	if len(text)-end <= maxLogLine {
		l.part = bytes.Clone(text[end:])
	}
	return text[:end], err
}

func sameFile(a, b *os.File) bool {
	if a == nil || b == nil {
		return false
	}
	one, err := a.Stat()
	other, err2 := b.Stat()
	return err == nil && err2 == nil && os.SameFile(one, other)
}
