//go:build !linux

package sealed

import "errors"

// Reserve is Linux's alone.
func (systemFile) Reserve(_, _ int64) error { return errors.ErrUnsupported }
