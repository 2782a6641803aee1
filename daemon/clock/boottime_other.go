//go:build !linux && !darwin

package clock

import (
	"errors"
	"time"
)

// readBoot fails: no clock is known here that counts suspend.
func readBoot() (time.Duration, error) { return 0, errors.ErrUnsupported }
