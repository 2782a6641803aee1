// Package stack gives the main goroutine all the stack that a request for a token needs, before anything else of the
// program is initialised. The linker puts first what imports nothing, in the order of the names.
//
// A goroutine begins with 2 KiB. Whenever these do not suffice the runtime doubles them: it copies what is there and
// rewrites every frame, which takes it longer in the middle of a request than groat has for the whole of it, and it
// touches pages that nothing needs. Here there is nothing to copy yet.
package stack

func init() { grow() }

// need is what "groat get" uses, with room to spare.
const need = 7 << 10

// grow has a frame that is as large as what is needed.
//
//go:noinline
func grow() {
	var room [need]byte
	keep(&room)
}

// keep makes room a part of the frame.
//
//go:noinline
func keep(*[need]byte) {}
