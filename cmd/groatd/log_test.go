package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/groat-dev/groat/protocol/visible"
)

// An entry is one line in which everything can be seen, wherever foreign text stands in it, also after With.
func TestI17ALogEntryIsOneLine(t *testing.T) {
	const foreign = "a\r\nb\x1b[2K\u009b\u202e\u200b\U000e0061\tgroat: hint: x"
	encoder := lineEncoder{zapcore.NewConsoleEncoder(zap.NewProductionEncoderConfig())}
	with := encoder.Clone()
	with.AddString("with", foreign)
	for name, e := range map[string]zapcore.Encoder{"plain": encoder, "with": with} {
		b, err := e.EncodeEntry(zapcore.Entry{Level: zapcore.ErrorLevel, Time: time.Unix(0, 0), Message: foreign},
			[]zapcore.Field{zap.String("s", foreign), zap.Error(errors.New(foreign)),
				zap.Strings("list", []string{foreign}), zap.String(foreign, "")})
		if err != nil {
			t.Fatal(err)
		}
		line, end := strings.CutSuffix(b.String(), "\n")
		if !end || strings.Contains(line, "\n") {
			t.Errorf("%s: %q", name, line)
		}
		for _, r := range line {
			if r != '\t' && r != '\ufffd' && !visible.Rune(r) {
				t.Errorf("%s shows %U: %q", name, r, line)
			}
		}
		if parts := strings.Split(line, "\t"); len(parts) != 4 {
			t.Errorf("%s: %d parts: %q", name, len(parts), parts)
		}
		if want := `\u202e\u200b\udb40\udc61`; !strings.Contains(line, want) {
			t.Errorf("%s: %q is without %s", name, line, want)
		}
	}
}

// Only the stream that $JOURNAL_STREAM names is the journal: it is inherited by programs whose stderr is another one.
func TestIsJournal(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	mine, next := fmt.Sprintf("%d:%d", st.Dev, st.Ino), fmt.Sprintf("%d:%d", st.Dev, st.Ino+1)
	for stream, want := range map[string]bool{mine: true, next: false, "": false, "x": false} {
		if isJournal(f, stream) != want {
			t.Errorf("%q: not %v", stream, want)
		}
	}
}
