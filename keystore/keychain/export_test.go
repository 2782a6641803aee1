package keychain

import "time"

// SetHungLimit changes how long a hung call stays out, and returns what changes it back.
func SetHungLimit(d time.Duration) (back func()) {
	was := hungLimit
	hungLimit = d
	return func() { hungLimit = was }
}
