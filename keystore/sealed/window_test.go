package sealed

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/groat-dev/groat/keystore"
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

// Where the pieces end makes no difference to what is found in a file, whatever its damage.
func TestWindowsOfAnySizeFindTheSame(t *testing.T) {
	k, err := newKeys(diskKey)
	if err != nil {
		t.Fatal(err)
	}
	small, damaged, opened := headSize+maxBody, 0, 0
	for seed := range uint64(60) {
		draw := rand.New(rand.NewPCG(seed, 1))
		data := k.header()
		for int64(len(data)) < int64(4*small) {
			name := fmt.Sprint("profile-", draw.IntN(20))
			r := record{kind: kindSent, profile: name}
			if draw.IntN(4) > 0 {
				item := make([]byte, 1+draw.IntN(8000))
				r = record{kindSet, name, keystore.NewSecret(item)}
			}
			frame, err := k.seal(1+draw.Uint64N(9), r)
			if err != nil {
				t.Fatal(err)
			}
			data = append(data, frame...)
		}
		for range draw.IntN(30) {
			at := draw.IntN(len(data))
			switch draw.IntN(3) {
			case 0: // a byte
				data[at] ^= 1 << draw.IntN(8)
			case 1: // a forged head, of a body that may be longer than the file
				copy(data[at:], head{1, tag{1}, overhead + 1 + draw.IntN(maxContent)}.append(nil))
			case 2: // a stretch that was cut out
				data = append(data[:at:at], data[min(len(data), at+draw.IntN(3000)):]...)
			}
		}
		size := int64(len(data))
		whole, err1 := scanFrom(k, &window{file: bytes.NewReader(data), size: size, piece: make([]byte, 0, size)})
		pieces, err2 := scanFrom(k, &window{file: bytes.NewReader(data), size: size, piece: make([]byte, 0, small)})
		if fmt.Sprint(err1) != fmt.Sprint(err2) || !reflect.DeepEqual(whole, pieces) {
			t.Fatalf("seed %d: %v and %v, or an index that differs", seed, err1, err2)
		}
		if whole != nil {
			damaged, opened = damaged+whole.lost, opened+len(whole.names)
		}
	}
	if damaged < 100 || opened < 500 {
		t.Errorf("%d damaged, %d opened: the test tries too little", damaged, opened)
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
