package main

import (
	"fmt"
	"strings"

	"github.com/groat-dev/groat/protocol/frame"
)

// The sentences about places and about who holds one.

func errOtherPlace(socket string, theirs, ours frame.Place, cause error) *failure {
	return &failure{code: exitConfig, msg: fmt.Sprintf("groatd at %s is another place's (%s); this is %s", socket, clean(theirs.String()), ours),
		hint: "env -u GROAT_SOCKET groat status", cause: cause}
}

// quote returns a word as a shell reads it.
func quote(word string) string {
	if strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-") == "" && word != "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
