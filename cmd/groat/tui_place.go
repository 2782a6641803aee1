package main

import (
	"fmt"

	"github.com/groat-dev/groat/protocol/frame"
)

// The sentences about places and about who holds one.

func errOtherPlace(socket string, theirs, ours frame.Place, cause error) *failure {
	return &failure{code: exitConfig, msg: fmt.Sprintf("groatd at %s is another place's (%s); this is %s", socket, clean(theirs.String()), ours),
		hint: "env -u GROAT_SOCKET groat status", cause: cause}
}
