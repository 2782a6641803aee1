package helper

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxGitRequest bounds what is read of a request. Git's own lines are bounded by this much.
const maxGitRequest = 64 << 10

// ErrGitSlow means that git's request does not end.
var ErrGitSlow = errors.New("git's request does not end")

var (
	errGitTooLong = errors.New("git's request is longer than 64 KiB")
	errGitLine    = errors.New("git's request has a line that is not key=value")
	errGitControl = errors.New("git's request holds a control character")
)

// gitRequest is what git says of a credential.
type gitRequest struct {
	values   map[string]string
	authtype bool // this git understands authtype and credential
	// The challenges of the server that git passes on: whether there are any, and one that is not Basic.
	challenged, beyondBasic bool
}

// parseGit reads lines of key=value up to an empty line or the end of input. Git sends either, and after an empty line
// it may leave the pipe open. A request that is not exactly that is refused as a whole: half of one may name another
// server.
func parseGit(in io.Reader) (gitRequest, error) {
	req := gitRequest{values: map[string]string{}}
	limited := &io.LimitedReader{R: in, N: maxGitRequest + 1}
	lines := bufio.NewReader(limited)
	for {
		line, err := lines.ReadString('\n')
		if limited.N <= 0 {
			return gitRequest{}, errGitTooLong
		}
		if err != nil && err != io.EOF {
			return gitRequest{}, err
		}
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			return req, nil
		}
		if err := req.add(line); err != nil {
			return gitRequest{}, err
		}
	}
}

func (r *gitRequest) add(line string) error {
	if strings.ContainsFunc(line, func(c rune) bool { return c < 0x20 || c == 0x7f }) {
		return errGitControl
	}
	key, value, ok := strings.Cut(line, "=")
	if !ok || key == "" {
		return errGitLine
	}
	if strings.HasSuffix(key, "[]") {
		// Lists may repeat their key, and an empty value forgets what came before.
		switch key {
		case "capability[]":
			r.authtype = value == "authtype" || r.authtype && value != ""
		case "wwwauth[]":
			scheme, _, _ := strings.Cut(value, " ")
			r.challenged = value != ""
			r.beyondBasic = r.challenged && (r.beyondBasic || !strings.EqualFold(scheme, "Basic"))
		}
		return nil
	}
	if _, twice := r.values[key]; twice {
		return fmt.Errorf("git's request says %q twice", key)
	}
	r.values[key] = value
	return nil
}
