//go:build !linux && !darwin

package clock

import (
	"errors"
	"time"
)

func read() (time.Duration, error) { return 0, errors.ErrUnsupported }
