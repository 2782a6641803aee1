package autostart

import (
	"math"

	"golang.org/x/sys/unix"
)

// keepDescriptors makes sure that a program we start inherits none of what our own caller left open.
func keepDescriptors() {
	if unix.CloseRange(firstForeign, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) != nil {
		markEach() // before Linux 5.11, or a filter that does not know it
	}
}
