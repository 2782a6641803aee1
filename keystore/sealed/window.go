package sealed

import (
	"bytes"
	"errors"
	"io"
)

// window shows a file piece by piece, so that a file of ten thousand profiles is not in memory as a whole. It is for
// one goroutine.
type window struct {
	file io.ReaderAt
	size int64 // of the file
	err  error // the first one; from then on pieces are empty

	start int64 // the offset of piece[0]
	piece []byte
}

// windowSize is many records in one read, and more than the largest.
const windowSize = 1 << 20

func newWindow(file io.ReaderAt, size int64) *window {
	return &window{file: file, size: size, piece: make([]byte, 0, min(windowSize, size))}
}

// at returns n bytes from an offset on, or fewer at the end of the file; n is at most [windowSize]. They are there
// until the next call.
func (w *window) at(offset int64, n int) []byte {
	end := min(offset+int64(n), w.size)
	if offset < w.start || end > w.start+int64(len(w.piece)) {
		w.move(offset)
	}
	if w.err != nil || offset >= end {
		return nil
	}
	return w.piece[offset-w.start : end-w.start]
}

// move reads the file from an offset on.
func (w *window) move(offset int64) {
	if w.err != nil {
		return
	}
	w.start, w.piece = offset, w.piece[:max(0, min(int64(cap(w.piece)), w.size-offset))]
	n, err := w.file.ReadAt(w.piece, offset)
	if n == len(w.piece) {
		return
	}
	w.piece = w.piece[:0]
	if w.err = err; errors.Is(err, io.EOF) {
		w.err = io.ErrUnexpectedEOF // it was larger when it was opened
	}
}

// find returns the offset of the next mark that stands at an offset or behind it, or -1. A mark is no longer than a
// head.
func (w *window) find(mark string, offset int64) int64 {
	for w.at(offset, headSize) != nil {
		rest := w.piece[offset-w.start:]
		if i := bytes.Index(rest, []byte(mark)); i >= 0 {
			return offset + int64(i)
		}
		offset += int64(len(rest) - len(mark) + 1)
		if w.start+int64(len(w.piece)) == w.size {
			break
		}
	}
	return -1
}
