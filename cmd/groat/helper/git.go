package helper

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/groat-dev/groat/protocol/frame"
)

// GitName is the name that git calls a program by for "credential.helper = groat" (gitcredentials(7)).
const GitName = "git-credential-groat"

// Git runs one operation of git's credential helper protocol (gitcredentials(7), git-credential(1)); the operation is
// the last of args. An operation that it does not know is no error, since git may add some. How long git's request may
// take is for in to see to ([ErrGitSlow]).
//
// Whatever goes wrong, nothing is written to out, so that git asks the next helper or the person. The error is for
// the person only: nil if no profile lists the server, an [*Undecided] if more than one does, an [*OtherUser] after an
// answer. Git ignores exit codes.
func Git(d Daemon, args []string, in io.Reader, out io.Writer) error {
	if len(args) == 0 {
		return nil
	}
	switch args[len(args)-1] {
	case "get":
		return gitGet(d, in, out)
	case "erase":
		return gitErase(d, in)
	case "store":
		// A token need not be stored. What git writes is read, so that git does not write to a closed pipe.
		parseGit(in)
	case "capability":
		// As git-credential(1) says it of itself: 2.46 and later.
		_, err := io.WriteString(out, "version 0\ncapability authtype\n")
		return err
	}
	return nil
}

func gitGet(d Daemon, in io.Reader, out io.Writer) error {
	req, err := parseGit(in)
	if err != nil {
		return err
	}
	target, ok := req.target()
	if !ok || req.answered() {
		return nil
	}
	wait := int64(Wait)
	t, err := d.Token(frame.TokenParams{Target: target, Username: req.username(), Wait: &wait})
	if e, ok := errors.AsType[*frame.Error](err); ok && e.Kind == frame.UnknownProfile {
		if len(e.Choices) == 0 {
			return nil
		}
		return &Undecided{Cause: e, Server: req.server(), Username: req.username(), Path: req.values["path"]}
	}
	if err != nil {
		return err
	}
	if err := sendable(t, "git"); err != nil {
		return err
	}
	if _, err = out.Write(req.answer(t)); err == nil && t.UsernameUnknown {
		return &OtherUser{Server: req.server(), Username: req.username(), Profile: t.Profile}
	}
	return err
}

// OtherUser means that git was answered, with the token of the only profile that lists the server, and that the user
// name that git has for it is not known to be that profile's.
type OtherUser struct {
	Server            string // as in [Undecided]
	Username, Profile string
}

func (o *OtherUser) Error() string {
	return "the user name " + strconv.Quote(o.Username) + " is nobody's that profile " + o.Profile + " is known to be"
}

// Undecided means that profiles list a server, and nothing that git said chooses one of them.
type Undecided struct {
	Cause *frame.Error // with the choices
	// Server is the server's URL as it stands in keys of git's configuration. Username and Path are what git said; each
	// may be empty.
	Server, Username, Path string
}

func (u *Undecided) Error() string { return u.Cause.Error() }
func (u *Undecided) Unwrap() error { return u.Cause }

// username returns the user name that git has for the server: of the URL, or of credential.username. The one that an
// answer invents says nothing; git repeats it when it erases.
func (r gitRequest) username() string {
	if name := r.values["username"]; name != oauthUsername {
		return name
	}
	return ""
}

// answer words a token for the git that asked.
func (r gitRequest) answer(t frame.Token) []byte {
	var b []byte
	// A server that asks for Basic alone takes the token as a password, and no other way (GitHub, GitLab, Bitbucket).
	if r.authtype && (r.beyondBasic || !r.challenged) {
		// git 2.46 and later: the token goes out as Bearer, and "ephemeral" keeps it out of other helpers' files.
		b = append(b, "capability[]=authtype\nauthtype=Bearer\ncredential="...)
		b = append(b, t.AccessToken...)
		b = append(b, "\nephemeral=1\n"...)
	} else {
		// The name is repeated even if git has one: without a name git takes no password. One that is a profile's has
		// chosen the token and means nothing to the server, and GitLab takes no other beside an OAuth token than this.
		name := r.username()
		if name == "" || name == t.Profile {
			name = oauthUsername
		}
		b = append(b, "username="...)
		b = append(b, name...)
		b = append(b, "\npassword="...)
		b = append(b, t.AccessToken...)
		b = append(b, '\n')
	}
	b = append(b, "password_expiry_utc="...)
	b = strconv.AppendInt(b, t.ExpiresAt, 10)
	return append(b, '\n')
}

// gitErase tells groatd that a server refused a token. Without it git-lfs would ask for ever, and get the same token
// each time.
func gitErase(d Daemon, in io.Reader) error {
	req, err := parseGit(in)
	if err != nil {
		return err
	}
	target, ok := req.target()
	token := req.values["credential"]
	if token == "" {
		token = req.values["password"]
	}
	if !ok || !frame.ValidToken(token) {
		return nil // git sends the person's passwords for other servers here too
	}
	// Git does not wait for the next token: groatd may get it while git tells the person.
	var wait int64
	err = d.Reject(frame.TokenParams{Target: target, Username: req.username(), Wait: &wait}, token)
	if _, ok := errors.AsType[*frame.Error](err); ok {
		return nil // it is not ours, or there is no other one yet: the next "get" says so
	}
	return err
}

// Passed is a password that a server has accepted, and that git gives to each of its helpers to keep.
type Passed struct {
	Target, Username string // as in [frame.TokenParams]
	Server, Path     string // as in [Undecided]
	// Is reports whether the password is an access token.
	Is func(token string) bool
}

// PassedOn returns what git's request says if the operation is "store" and the credential is a password that may be an
// access token; else nil. Git gives no other helper what was answered as Bearer and "ephemeral".
func PassedOn(args []string, request []byte) *Passed {
	if len(args) == 0 || args[len(args)-1] != "store" {
		return nil
	}
	r, err := parseGit(bytes.NewReader(request))
	target, ok := r.target()
	given := r.values["password"]
	if err != nil || !ok || r.values["credential"] != "" || !frame.ValidToken(given) {
		return nil
	}
	return &Passed{Target: target, Username: r.username(), Server: r.server(), Path: r.values["path"],
		Is: func(token string) bool { return token == given }}
}

// server returns the server's URL as it stands in keys of git's configuration.
func (r gitRequest) server() string {
	return strings.ToLower(r.values["protocol"]) + "://" + strings.ToLower(r.values["host"])
}

// answered reports whether the request has an answer already: of another helper, or that none is wanted.
func (r gitRequest) answered() bool {
	return r.values["password"] != "" || r.values["credential"] != "" || r.values["quit"] != ""
}

// target returns the URL that a request is about. It reports false if there is none that a token could be sent to.
func (r gitRequest) target() (string, bool) {
	scheme, host := strings.ToLower(r.values["protocol"]), r.values["host"]
	if _, ok := r.values["url"]; ok { // git would read host and the others anew from it
		return "", false
	}
	if host == "" || strings.ContainsFunc(host, notInHost) {
		return "", false
	}
	if scheme != "https" && !(scheme == "http" && isLoopback(host)) {
		return "", false
	}
	return scheme + "://" + host + "/" + escapePath(r.values["path"]), true
}

// notInHost reports what would make the host end somewhere else than git thinks it does.
func notInHost(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return false
	}
	return !strings.ContainsRune(".-_:[]", r)
}

// isLoopback reports whether host, with or without a port, is this machine by its very name: localhost, an address of
// 127.0.0.0/8 in its usual form, or ::1. Package net/netip would know every other spelling, and takes its time to
// start.
func isLoopback(host string) bool {
	if port, ok := strings.CutPrefix(host, "[::1]"); ok {
		return port == "" || port[0] == ':' && isNumber(port[1:], 65535)
	}
	name, port, _ := strings.Cut(host, ":")
	if port != "" && !isNumber(port, 65535) {
		return false
	}
	if strings.EqualFold(name, "localhost") {
		return true
	}
	octets := strings.Split(name, ".")
	for _, octet := range octets {
		if !isNumber(octet, 255) {
			return false
		}
	}
	return len(octets) == 4 && octets[0] == "127"
}

// isNumber reports whether s is a decimal number up to limit, without a sign or a zero before it.
func isNumber(s string, limit int) bool {
	n, err := strconv.Atoi(s)
	return err == nil && 0 <= n && n <= limit && strconv.Itoa(n) == s
}

// escapePath keeps a path a path (RFC 3986 §3.3).
func escapePath(path string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(path) {
		switch c := path[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c &&
			c <= '9', strings.IndexByte("-._~/:@!$&'()*+,;=", c) >= 0:
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}
