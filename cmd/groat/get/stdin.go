package get

import (
	"io"
	"os"
	"syscall"
	"time"
)

// stdin is descriptor 0 with a deadline. Package os has one only for what its poller knows, and a timer of Go's starts
// that poller.
type stdin struct {
	end  time.Time
	slow error // after it
}

// Read implements [io.Reader]. After the deadline its error is slow.
func (s stdin) Read(b []byte) (int, error) {
	for {
		left := time.Until(s.end)
		if left <= 0 {
			return 0, s.slow
		}
		ready, err := readable(0, left)
		if err == syscall.EINTR || err == nil && !ready {
			continue
		}
		if err != nil {
			return 0, os.NewSyscallError("select", err)
		}
		switch n, err := syscall.Read(0, b); {
		case err == syscall.EINTR || err == syscall.EAGAIN:
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}
