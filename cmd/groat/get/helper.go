package get

import (
	"io"
	"time"

	"github.com/groat-dev/groat/cmd/groat/helper"
	"github.com/groat-dev/groat/protocol/frame"
)

// Git answers git's credential helper protocol within [helper.GitTime]. If git's request does not end, slow is called,
// and is to end the process: nothing ends a read of stdin.
func Git(c Caller, args []string, in io.Reader, out io.Writer, slow func()) error {
	end := time.Now().Add(helper.GitTime)
	defer time.AfterFunc(helper.GitTime, slow).Stop()
	return helper.Git(untilEnd{c, end}, args, in, out)
}

// untilEnd makes the requests of a helper, each on a connection of its own: it implements [helper.Daemon].
type untilEnd struct {
	Caller
	end time.Time
}

func (u untilEnd) Token(params frame.TokenParams) (frame.Token, error) {
	return u.Do(Request{Params: params, End: u.end})
}

func (u untilEnd) Reject(params frame.TokenParams, accessToken string) error {
	_, err := u.Do(Request{Params: params, Refused: accessToken, End: u.end})
	return err
}
