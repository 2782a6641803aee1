package get

import (
	"errors"
	"io"
	"time"

	"github.com/groat-dev/groat/cmd/groat/helper"
	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol/frame"
	"github.com/groat-dev/groat/protocol/visible"
)

// Git answers git's credential helper protocol within [helper.Time]. It reads in, or stdin where that is nil; only
// stdin knows the end of that time. What was read is returned, for another program to answer.
func Git(c Caller, args []string, getenv func(string) string, in io.Reader, out io.Writer) (read []byte, err error) {
	d := c.untilEnd(getenv)
	if in == nil {
		in = stdin{d.end, helper.ErrGitSlow}
	}
	r := &recorder{from: in}
	err = helper.Git(d, args, r, out)
	if u, ok := errors.AsType[*helper.Undecided](err); ok {
		err = report.UndecidedGit(u.Cause, u.Server, u.Username, u.Path)
	}
	if o, ok := errors.AsType[*helper.OtherUser](err); ok {
		if err = nil; getenv(EnvProfile) != o.Profile { // who names the profile knows whose it is
			err = report.GitOtherUser(o.Server, o.Username, o.Profile)
		}
	}
	return r.read, err
}

// Docker answers docker's credential helper protocol within [helper.Time], as [Git] answers git's; in and read are the
// same. [FailDocker] says what to do about an error.
func Docker(c Caller, args []string, getenv func(string) string, in io.Reader, out io.Writer) (read []byte, err error) {
	d := c.untilEnd(getenv)
	if in == nil {
		in = stdin{d.end, helper.ErrDockerSlow}
	}
	r := &recorder{from: in}
	err = helper.Docker(d, args, r, answer{out})
	return r.read, err
}

// FailDocker writes an error of [Docker]'s to stdout, where podman, skopeo and others look for it, and to stderr, which
// is all that docker shows of it; explain words it. It returns the exit code.
func FailDocker(err error, explain func(error) *report.Failure, out, errs io.Writer) int {
	if known, ok := errors.AsType[helper.DockerError](err); ok {
		io.WriteString(out, string(known)+"\n")
		return helper.DockerFailed
	}
	if errors.Is(err, helper.ErrDockerStore) {
		err = report.NotStored(err)
	}
	f := explain(undecided(err))
	f.PrintLine(out)
	f.PrintLine(errs)
	return helper.DockerFailed
}

// undecided returns the error, or where the variable of the environment can choose between profiles, one that says so.
func undecided(err error) error {
	if e, ok := errors.AsType[*frame.Error](err); ok && len(e.Choices) > 0 {
		return report.Undecided(e)
	}
	return err
}

// Kubectl answers kubectl by [helper.Kubectl], within [helper.Time]. Without a profile and a cluster's URL the
// environment names the profile.
func Kubectl(c Caller, profile string, idToken bool, getenv func(string) string, out io.Writer) error {
	err := helper.Kubectl(c.untilEnd(getenv), profile, idToken, getenv(helper.KubectlEnv), answer{out})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, helper.ErrExecInfo), errors.Is(err, helper.ErrExecVersion):
		return report.ExecInfo(err)
	}
	return undecided(err)
}

// Go answers the go command by [helper.Go] within [helper.Time].
func Go(c Caller, url string, getenv func(string) string, out io.Writer) error {
	return undecided(helper.Go(c.untilEnd(getenv), url, answer{out}))
}

// Cargo answers cargo's credential provider protocol within [helper.Time]. It reads in, or stdin where that is nil.
// What is wrong cargo is told in the words of explain, so that an error is only for the exit code.
func Cargo(c Caller, getenv func(string) string, explain func(error) *report.Failure, in io.Reader,
	out io.Writer) error {
	d := c.untilEnd(getenv)
	if in == nil {
		in = stdin{d.end, helper.ErrCargoSlow}
	}
	return helper.Cargo(d, in, answer{out}, func(err error) (message, hint string) {
		f := explain(undecided(err))
		return visible.Text(f.Message), visible.Text(f.Hint)
	})
}

// Keyring answers pip and uv by [helper.Keyring] within [helper.Time].
func Keyring(c Caller, args []string, getenv func(string) string, out io.Writer) error {
	err := helper.Keyring(c.untilEnd(getenv), args, answer{out})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, helper.ErrKeyringNone):
		return &report.Failure{Code: helper.KeyringFailed, Cause: err} // keyring says nothing either
	case errors.Is(err, helper.ErrKeyringStore):
		return report.NotStored(err)
	case errors.Is(err, helper.ErrKeyringUsage):
		return report.KeyringUsage(err)
	}
	return undecided(err)
}

// Curl returns the request of "groat helper curl URL", which is printed as "curl".
func Curl(url string, getenv func(string) string) Request {
	wait := int64(helper.Wait)
	return Request{Params: frame.TokenParams{Target: url, Wait: &wait}, Prefer: getenv(EnvProfile),
		End: time.Now().Add(helper.Time)}
}

// answer is where a helper's answer goes. Its errors have their sentence.
type answer struct{ io.Writer }

func (a answer) Write(b []byte) (int, error) {
	if err := Write(a.Writer, b); err != nil {
		return 0, err
	}
	return len(b), nil
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

// untilEnd makes requests from now on within [helper.Time].
func (c Caller) untilEnd(getenv func(string) string) untilEnd {
	return untilEnd{c, time.Now().Add(helper.Time), getenv(EnvProfile)}
}

func (u untilEnd) Token(params frame.TokenParams) (frame.Token, error) {
	if params.Target == "" && params.Profile == "" {
		params.Profile = u.prefer
	}
	return u.Do(Request{Params: params, Prefer: u.prefer, End: u.end})
}

func (u untilEnd) Reject(params frame.TokenParams, accessToken string) error {
	_, err := u.Do(Request{Params: params, Prefer: u.prefer, Refused: accessToken, End: u.end})
	return err
}
