package frame

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"testing"
)

// The SHA-256 of places is crypto/sha256's, at every length that makes another number of blocks or of padding.
func TestH26Digest(t *testing.T) {
	message := bytes.Repeat([]byte("/home/alice\x00\xff"), 400)
	for n := range 300 {
		for _, m := range [][]byte{message[:n], message[n : 2*n], message[:16*n]} {
			sum := sha256.Sum256(m)
			if got, want := digest(bytes.Clone(m)), binary.BigEndian.Uint64(sum[:]); got != want {
				t.Fatalf("of %d bytes: %x, want %x", len(m), got, want)
			}
		}
	}
}
