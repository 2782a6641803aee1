package report

import (
	"fmt"
	"time"

	"github.com/groat-dev/groat/protocol/frame"
)

const (
	hintProxy  = "groat network set proxy "
	hintCAFile = "groat network set ca_file "
)

func hintImportEnvironment(variable string) string {
	return "systemctl --user import-environment " + variable + " && systemctl --user restart groatd.service"
}

func hintStartAnew(pid int64) string { return fmt.Sprintf("kill %d && groat status", pid) }

// textOtherEnvironment says that a variable of this shell does not count.
func textOtherEnvironment(variable, theirs string, n *frame.Network) string {
	uses := "does not use it"
	if theirs != "" {
		uses = "uses " + theirs + " instead"
	}
	return fmt.Sprintf(" (%s is set in this shell; groatd runs since %s with an environment of its own and %s)",
		variable, time.Unix(n.StartedAt, 0).Format("2006-01-02 15:04"), uses)
}
