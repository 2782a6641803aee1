// Package get asks groatd for a token and prints it: it is "groat get", and makes the requests of credential
// helpers.
//
// The invariants: what is printed is one write; it holds no token whose alphabet could break out of the format. What is
// not here: how the arguments are parsed, how a groatd is started, sentences for people.
package get

import (
	"errors"
	"slices"
	"time"

	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol/frame"
)

// Formats are what --output may say.
var Formats = []string{"token", "header", "json", "env", "export", "curl", "json-header"}

// Options are the flags of "groat get" that say what to ask for, what to print and for how long to wait.
type Options struct {
	MinTTL, Wait    Seconds
	Scope, Audience string
	Target          string
	Output          string
	JSON            bool
	IDToken         bool
}

// The answers to options that are no options.
var (
	// ErrFormat means that Output is none of [Formats].
	ErrFormat = errors.New("no such format")
	// ErrFormats means that both JSON and another Output are asked for.
	ErrFormats = errors.New("two formats")
)

// Format returns the format that the options ask for. Its error is [ErrFormat] or [ErrFormats].
func (o *Options) Format() (string, error) {
	switch {
	case o.JSON && o.Output != "" && o.Output != "json":
		return "", ErrFormats
	case o.JSON:
		return "json", nil
	case o.Output == "":
		return "token", nil
	case !slices.Contains(Formats, o.Output):
		return "", ErrFormat
	}
	return o.Output, nil
}

const (
	// AnswerTime is how long groatd may take for an answer that no authorization server has to give, and beyond the
	// wait that a request allows: the machine may be busy.
	AnswerTime = 10 * time.Second
	// ConnectTime bounds the way to a connection: to look for groatd, to start one, and to hear that it is this
	// place's.
	ConnectTime = 30 * time.Second
)

// Request returns the request that the options describe, for the profile of an argument, or with an empty one for the
// profile that the environment names, or for the only one. A target chooses the profile before the environment does.
func (o *Options) Request(profile string, getenv func(string) string) Request {
	q := Request{
		Params: frame.TokenParams{Profile: profile, Target: o.Target, MinTTL: o.MinTTL.N, Wait: o.Wait.N,
			Scope: o.Scope, Audience: o.Audience},
		Limit: o.Wait.or(frame.DefaultWait) + AnswerTime,
	}
	if o.IDToken {
		q.Params.TokenUse = frame.UseID
	}
	switch {
	case profile != "":
	case o.Target != "":
		q.Prefer = getenv(EnvProfile)
	default:
		q.Params.Profile = getenv(EnvProfile)
	}
	return q
}

// EnvProfile is the variable that names the profile where nothing else does.
const EnvProfile = "GROAT_PROFILE"

// Request is one request for a token.
type Request struct {
	Params frame.TokenParams
	// Prefer is the profile to ask for where Params leave more than one to choose from; it may be empty.
	Prefer string
	// Refused is a token that an API has refused: a better one is asked for. Empty if there is none.
	Refused string
	// Limit is how long groatd may take once it is reached, and End the end of all of it. Either may be zero.
	Limit time.Duration
	End   time.Time
}

// Caller reaches groatd.
type Caller struct {
	// Route finds out where groatd is looked for.
	Route func() (*frame.Route, error)
	// Connect returns a connection to the groatd of a route. [frame.Route.Reach] explains repeatable.
	Connect func(r *frame.Route, repeatable bool) (*frame.Conn, error)
}

// Do has groatd answer a request. If groatd ended before it answered, it is asked once more: a request for a token may
// be made twice. The error is a [*frame.Error], a [*report.Failure], or one of Connect's.
func (c Caller) Do(q Request) (frame.Token, error) {
	t, err := c.do(q)
	if e, ok := errors.AsType[*frame.Error](err); ok && q.Prefer != "" && e.HasChoice(q.Prefer) {
		q.Params.Profile, q.Prefer = q.Prefer, ""
		return c.do(q)
	}
	return t, err
}

func (c Caller) do(q Request) (t frame.Token, err error) {
	err = RetryClosed(q.End, func() error {
		t, err = c.once(q)
		return err
	})
	return t, err
}

// Connected connects to groatd, and returns a Caller whose first request goes over that connection. The error is as in
// [Caller.Do].
func (c Caller) Connected() (Caller, error) {
	route, err := c.Route()
	if err != nil {
		return c, report.NoRoute(err)
	}
	first, err := c.Connect(route, true)
	if err != nil {
		return c, err
	}
	return Caller{
		Route: func() (*frame.Route, error) {
			if first != nil {
				return route, nil
			}
			return c.Route()
		},
		Connect: func(r *frame.Route, repeatable bool) (conn *frame.Conn, err error) {
			if first == nil || !repeatable {
				return c.Connect(r, repeatable)
			}
			conn, first = first, nil
			return conn, nil
		},
	}, nil
}

func (c Caller) once(q Request) (frame.Token, error) {
	r, err := c.Route()
	if err != nil {
		return frame.Token{}, report.NoRoute(err)
	}
	for {
		conn, err := c.Connect(r, q.Refused == "")
		if err != nil {
			return frame.Token{}, err
		}
		conn.SetDeadline(q.deadline(time.Now()))
		t, err := q.ask(conn)
		conn.Close()
		if frame.OtherPlace(err) == nil || !r.PlainIsAnothers() {
			return t, NamePlaces(r, frame.OtherPlace(err), err)
		}
	}
}

// deadline returns when the answer must have come to a request that is made now.
func (q Request) deadline(now time.Time) time.Time {
	if d := now.Add(q.Limit); q.End.IsZero() || q.Limit > 0 && d.Before(q.End) {
		return d
	}
	return q.End
}

func (q Request) ask(c *frame.Conn) (frame.Token, error) {
	if q.Refused != "" {
		return c.Reject(q.Params, q.Refused)
	}
	return c.Token(q.Params)
}

// NamePlaces names both places if a groatd refused because the caller's is another.
func NamePlaces(r *frame.Route, theirs *frame.Place, err error) error {
	if theirs == nil || r.Place == nil {
		return err
	}
	return report.OtherPlace(r, *theirs, err)
}

// RetryClosed repeats what may be asked more than once. If groatd ended before it answered (it was killed, or needed
// the room), the one that runs then is asked: after a pause, for one that is ending may still take connections, and two
// times at most. Nothing is begun after end, unless it is zero.
func RetryClosed(end time.Time, f func() error) error {
	err := f()
	for _, pause := range []time.Duration{50 * time.Millisecond, 200 * time.Millisecond} {
		if !errors.Is(err, frame.ErrClosed) || !end.IsZero() && time.Until(end) < pause {
			break
		}
		time.Sleep(pause)
		err = f()
	}
	return err
}
