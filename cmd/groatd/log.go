package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"

	"github.com/groat-dev/groat/protocol/visible"
)

// lineEncoder is zap's console encoding with two more guarantees: an entry is one line of visible characters, whatever
// is in its message and fields, and no part of it reads like a line in which groat tells a person what to do.
type lineEncoder struct{ zapcore.Encoder }

// Clone copies the encoder.
func (e lineEncoder) Clone() zapcore.Encoder { return lineEncoder{e.Encoder.Clone()} }

// EncodeEntry encodes one entry. Characters in fields that cannot be seen are written as JSON escapes.
func (e lineEncoder) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	entry.Message = visible.Text(entry.Message)
	encoded, err := e.Encoder.EncodeEntry(entry, fields)
	if err != nil {
		return nil, err
	}
	line := []byte(visible.WithoutPrefixes(strings.TrimRight(encoded.String(), "\n")))
	encoded.Reset()
	for len(line) > 0 {
		r, n := utf8.DecodeRune(line)
		switch {
		case r == '\t' || visible.Rune(r): // zap parts an entry with tabs; in fields they are escaped
			encoded.Write(line[:n])
		case r <= 0xffff:
			fmt.Fprintf(encoded, `\u%04x`, r)
		default: // a surrogate pair, as JSON has it
			fmt.Fprintf(encoded, `\u%04x\u%04x`, 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff)
		}
		line = line[n:]
	}
	encoded.AppendByte('\n')
	return encoded, nil
}

// newLogger logs to stderr, without a time where the journal adds its own; or to a file where stderr is /dev/null. The
// file is nil in the first case.
func newLogger() (*zap.Logger, *logFile) {
	c := zap.NewProductionEncoderConfig()
	c.EncodeTime = zapcore.RFC3339TimeEncoder
	if isJournal(os.Stderr, os.Getenv("JOURNAL_STREAM")) {
		c.TimeKey = ""
	}
	stderr := zapcore.Lock(os.Stderr)
	var to zapcore.WriteSyncer = stderr
	var file *logFile
	if discarded(os.Stderr) {
		file = new(logFile)
		to = file
	}
	core := zapcore.NewCore(lineEncoder{zapcore.NewConsoleEncoder(c)}, to, zapcore.InfoLevel)
	// Of equal entries within a second the first hundred are logged, and then each hundredth, as in zap's production
	// configuration.
	core = zapcore.NewSamplerWithOptions(core, time.Second, 100, 100)
	return zap.New(core, zap.ErrorOutput(stderr)), file
}

// isJournal reports whether f is the stream to the journal that $JOURNAL_STREAM names: its device and inode
// (systemd.exec(5)). Programs that a service starts inherit the variable, but often not the stream.
func isJournal(f *os.File, stream string) bool {
	info, err := f.Stat()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && stream == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}
