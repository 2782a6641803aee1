package keychain

import "time"

// SetHungLimit changes how long a hung call may go on, and returns a function that restores it.
func SetHungLimit(d time.Duration) (back func()) {
	was := hungLimit
	hungLimit = d
	return func() { hungLimit = was }
}
