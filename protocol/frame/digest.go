package frame

import (
	"encoding/binary"
	"math/bits"
)

// SHA-256 by hand (FIPS 180-4 §6.2). An id that is no secret needs it, in a process that lives two milliseconds:
// crypto/sha256 brings the initialisation of the whole FIPS module into every `groat get`. A test holds it against
// crypto/sha256.

// roundConstants are the first 32 bits of the fractional parts of the cube roots of the first 64 primes (§4.2.2).
var roundConstants = [64]uint32{
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
}

// digest returns the first 8 bytes of a message's SHA-256. It writes behind the message, where there is room.
func digest(message []byte) uint64 {
	// §5.1.1: a one bit, zeros, and the length in bits in the last 8 bytes of a block.
	padded := append(message, 0x80)
	for len(padded)%64 != 56 {
		padded = append(padded, 0)
	}
	padded = binary.BigEndian.AppendUint64(padded, uint64(len(message))*8)
	// §5.3.3: of the square roots of the first 8 primes.
	h := [8]uint32{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}
	for ; len(padded) > 0; padded = padded[64:] {
		compress(&h, padded[:64])
	}
	return uint64(h[0])<<32 | uint64(h[1])
}

// compress takes one block into the hash (§6.2.2).
func compress(h *[8]uint32, block []byte) {
	right := func(x uint32, n int) uint32 { return bits.RotateLeft32(x, -n) }
	var w [64]uint32
	for t := range w {
		if t < 16 {
			w[t] = binary.BigEndian.Uint32(block[4*t:])
			continue
		}
		x, y := w[t-15], w[t-2]
		w[t] = w[t-16] + (right(x, 7) ^ right(x, 18) ^ x>>3) + w[t-7] + (right(y, 17) ^ right(y, 19) ^ y>>10)
	}
	v := *h // a, b, … h
	for t, k := range roundConstants {
		e := v[4]
		t1 := v[7] + (right(e, 6) ^ right(e, 11) ^ right(e, 25)) + (e&v[5] ^ ^e&v[6]) + k + w[t]
		a := v[0]
		t2 := (right(a, 2) ^ right(a, 13) ^ right(a, 22)) + (a&v[1] ^ a&v[2] ^ v[1]&v[2])
		v = [8]uint32{t1 + t2, v[0], v[1], v[2], v[3] + t1, v[4], v[5], v[6]}
	}
	for i := range h {
		h[i] += v[i]
	}
}
