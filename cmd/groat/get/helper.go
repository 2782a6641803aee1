package get

import (
	"errors"
	"io"
	"time"

	"github.com/groat-dev/groat/cmd/groat/helper"
	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol/frame"
)

// Git answers git's credential helper protocol within [helper.GitTime]. It reads in, or stdin where that is nil; only
// stdin knows the end of that time. What was read is returned, for another program to answer.
func Git(c Caller, args []string, getenv func(string) string, in io.Reader, out io.Writer) (read []byte, err error) {
	end := time.Now().Add(helper.GitTime)
	if in == nil {
		in = stdin{end}
	}
	r := &recorder{from: in}
	err = helper.Git(untilEnd{c, end, getenv(EnvProfile)}, args, r, out)
	if u, ok := errors.AsType[*helper.Undecided](err); ok {
		err = report.UndecidedGit(u.Cause, u.Server, u.Username, u.Path)
	}
	return r.read, err
}

// recorder keeps what was read, which is at most what a helper's protocol allows.
type recorder struct {
	from io.Reader
	read []byte
}

func (r *recorder) Read(b []byte) (int, error) {
	n, err := r.from.Read(b)
	r.read = append(r.read, b[:n]...)
	return n, err
}

// untilEnd makes the requests of a helper, each on a connection of its own: it implements [helper.Daemon].
type untilEnd struct {
	Caller
	end    time.Time
	prefer string
}

func (u untilEnd) Token(params frame.TokenParams) (frame.Token, error) {
	return u.Do(Request{Params: params, Prefer: u.prefer, End: u.end})
}

func (u untilEnd) Reject(params frame.TokenParams, accessToken string) error {
	_, err := u.Do(Request{Params: params, Prefer: u.prefer, Refused: accessToken, End: u.end})
	return err
}
