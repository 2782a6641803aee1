package export

import (
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/ownpath"
	"github.com/groat-dev/groat/protocol/visible"
)

// fileError is what a person is told of a file that cannot be kept.
func fileError(err error) *protocol.Error {
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		return e
	}
	if own, ok := errors.AsType[*ownpath.Error](err); ok {
		return protocol.NewError(protocol.Config, own.Error(), own.Hint)
	}
	hint := "groat export"
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		hint = "ls -ld " + visible.Word(filepath.Dir(p.Path))
	}
	return protocol.NewError(protocol.Config, "the file cannot be written: "+err.Error(), hint)
}
