package frame

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// feed returns a reader of chunks, each of which arrives by itself, and then the end of input.
func feed(t testing.TB, chunks ...[]byte) *Reader {
	here, there := net.Pipe()
	go func() {
		defer there.Close()
		for _, c := range chunks {
			if _, err := there.Write(c); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { here.Close() })
	return NewReader(here)
}

func all(r *Reader) (lines []string, err error) {
	for {
		line, err := r.ReadLine()
		if err != nil {
			return lines, err
		}
		lines = append(lines, string(line))
	}
}

func TestReaderBounds(t *testing.T) {
	longest := strings.Repeat("x", MaxLine-1)
	for _, test := range []struct {
		name  string
		input string
		lines []string
		err   error
	}{
		{"nothing", "", nil, io.EOF},
		{"empty lines", "\n\n", []string{"", ""}, io.EOF},
		{"no newline at the end", "a\nb", []string{"a", "b"}, io.EOF},
		{"the longest line", longest + "\n", []string{longest}, io.EOF},
		{"one byte more", longest + "x\n", nil, ErrLineTooLong},
		{"one byte more and no newline", longest + "x", nil, ErrLineTooLong},
		{"short ones before the longest", "a\nbc\n" + longest + "\nd\n", []string{"a", "bc", longest, "d"}, io.EOF},
		{"a short one before one byte more", "a\n" + longest + "x\n", []string{"a"}, ErrLineTooLong},
		{"a half-filled buffer before one byte more", strings.Repeat("y", MaxLine/3) + "\n" + longest + "x\n",
			[]string{strings.Repeat("y", MaxLine/3)}, ErrLineTooLong},
	} {
		for _, size := range []int{1 << 20, 60000, 4096, 511} {
			var chunks [][]byte
			for b := []byte(test.input); len(b) > 0; {
				n := min(size, len(b))
				chunks, b = append(chunks, b[:n]), b[n:]
			}
			r := feed(t, chunks...)
			lines, err := all(r)
			if !errors.Is(err, test.err) || strings.Join(lines, "|") != strings.Join(test.lines, "|") {
				t.Errorf("%s in chunks of %d: %d lines, %v", test.name, size, len(lines), err)
			}
			if len(r.buf) > MaxLine {
				t.Errorf("%s: a buffer of %d bytes", test.name, len(r.buf))
			}
			if _, again := r.ReadLine(); again != err {
				t.Errorf("%s: %v, then %v", test.name, err, again)
			}
		}
	}
}

// The buffer holds no more of a request than its caller has left there.
func TestReaderLeavesNothing(t *testing.T) {
	const secret = "canary-3f9a"
	for name, chunks := range map[string][][]byte{
		"a line":          {[]byte(secret + "\n")},
		"after others":    {[]byte(strings.Repeat("a", firstBuffer-10) + "\n" + secret[:5]), []byte(secret[5:] + "\n")},
		"grown":           {[]byte(secret), bytes.Repeat([]byte("b"), 3000), []byte("\n")},
		"never completed": {[]byte(secret)},
		"much too long":   {[]byte(secret), bytes.Repeat([]byte("b"), MaxLine)},
	} {
		r := feed(t, chunks...)
		var buffers [][]byte
		for {
			line, err := r.ReadLine()
			buffers = append(buffers, r.buf)
			if err != nil {
				break
			}
			clear(line)
		}
		for _, b := range buffers {
			if bytes.Contains(b[:cap(b)], []byte(secret[:5])) {
				t.Errorf("%s: it is still there", name)
			}
		}
	}
}

// A buffer that one long line made grow is given back.
func TestReaderShrinks(t *testing.T) {
	r := feed(t, bytes.Repeat([]byte("x"), 50000), []byte("\n"), []byte("y\n"))
	for range 2 {
		if _, err := r.ReadLine(); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.buf) != firstBuffer {
		t.Errorf("%d bytes", len(r.buf))
	}
}

// FuzzReader: however the bytes arrive, the lines are the same.
func FuzzReader(f *testing.F) {
	f.Add([]byte("a\nbb\n\nccc"), uint16(1))
	f.Add([]byte(strings.Repeat("x", 600)+"\ny\n"), uint16(511))
	f.Add([]byte(strings.Repeat(strings.Repeat("z", 90)+"\n", 20)), uint16(100))
	f.Fuzz(func(t *testing.T, input []byte, size uint16) {
		want := strings.Split(string(input), "\n")
		if last := len(want) - 1; want[last] == "" {
			want = want[:last]
		}
		var chunks [][]byte
		for b := input; len(b) > 0; {
			n := min(int(size)+1+len(input)/64, len(b)) // a few dozen chunks will do
			chunks, b = append(chunks, b[:n]), b[n:]
		}
		r := feed(t, chunks...)
		r.conn.(net.Conn).SetDeadline(time.Now().Add(30 * time.Second))
		got, err := all(r)
		if errors.Is(err, ErrLineTooLong) {
			for i, line := range want {
				if len(line)+1 > MaxLine {
					want = want[:i]
					break
				}
			}
		} else if !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") || len(got) != len(want) {
			t.Fatalf("%q, want %q", got, want)
		}
	})
}
