//go:build !linux

package ownfile

import "errors"

// Reserve implements [File]: only Linux can allocate without changing the length.
func (systemFile) Reserve(_, _ int64) error { return errors.ErrUnsupported }
