package keychain

import "context"

// HangUp ends the connection to the bus, and reports whether there was one.
func HangUp(ctx context.Context) bool {
	if library.enter(ctx) != nil {
		return false
	}
	defer func() { <-library.semaphore }()
	if current == nil {
		return false
	}
	current.Conn.Close()
	current = nil
	return true
}
