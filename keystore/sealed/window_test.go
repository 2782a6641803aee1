package sealed

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// A mark is found wherever it stands, also across the end of a piece, and a piece is what the file has there.
func TestWindow(t *testing.T) {
	data := bytes.Repeat([]byte{'.'}, 3*windowSize)
	places := []int64{0, 17, windowSize - 3, windowSize + 5, int64(2*windowSize - headSize), int64(len(data) - len(marker))}
	for _, place := range places {
		copy(data[place:], marker)
	}
	w := newWindow(bytes.NewReader(data), int64(len(data)))
	var found []int64
	for at := w.find(marker, 0); at >= 0; at = w.find(marker, at+1) {
		found = append(found, at)
		if got := w.at(at, maxBody); !bytes.Equal(got, data[at:min(int(at)+maxBody, len(data))]) {
			t.Errorf("at %d: a piece of %d bytes, which the file does not have there", at, len(got))
		}
	}
	if len(found) != len(places) {
		t.Fatalf("found at %v, want %v", found, places)
	}
	for i, place := range places {
		if found[i] != place {
			t.Errorf("found at %d, want %d", found[i], place)
		}
	}
	if got := w.at(w.size-2, headSize); string(got) != marker[len(marker)-2:] {
		t.Errorf("at the end of the file: %q", got)
	}
}

// A file that has become shorter is no damage, which would be written over: it is an error.
func TestWindowOfAFileThatShrinks(t *testing.T) {
	k, err := newKeys(diskKey)
	if err != nil {
		t.Fatal(err)
	}
	data := append(k.header(), make([]byte, 2*windowSize)...)
	w := newWindow(bytes.NewReader(data[:windowSize+7]), int64(len(data)))
	if x, err := scanFrom(k, w); x != nil || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v, %v", x, err)
	}
}
