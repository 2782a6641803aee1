package helper

import (
	"errors"
	"io"
	"strings"

	"github.com/groat-dev/groat/protocol/frame"
	"github.com/groat-dev/groat/protocol/strictjson"
)

// DockerName is the name that docker, podman and skopeo call a program by for
// {"credHelpers": {"registry.example": "groat"}} in their configuration.
const DockerName = "docker-credential-groat"

// DockerFailed is the exit code of a call that fails, as it is of docker's own helpers.
const DockerFailed = 1

// A DockerError is an error in words that docker's clients know. They are written to stdout as they are.
type DockerError string

func (e DockerError) Error() string { return string(e) }

// The words are those of github.com/docker/docker-credential-helpers, credentials/error.go.
const (
	// NoCredentials means that no profile lists the server: the client goes on without a credential.
	NoCredentials DockerError = "credentials not found in native keychain"
	// NoServer means that the request names none.
	NoServer DockerError = "no credentials server URL"
)

var (
	// ErrDockerOperation means that there is no such operation, or that it is none of a helper's alone: "version".
	ErrDockerOperation = DockerError("the operation is none of get, store, erase, list and version")
	// ErrDockerSlow means that docker's request does not end.
	ErrDockerSlow = errors.New("docker's request does not end")
	// ErrDockerStore means that docker brought a password to keep. It is not kept.
	ErrDockerStore = errors.New("groat keeps no passwords, so this one was not stored")

	errDockerTooLong = errors.New("docker's request is longer than 64 KiB")
	errDockerControl = errors.New("docker's request holds a control character")
	errDockerJSON    = errors.New("docker's request to store is not an object with ServerURL and Secret")
)

// maxDockerRequest bounds what is read of a request.
const maxDockerRequest = 64 << 10

// Docker runs one operation of docker's credential helper protocol, the only one of args. A [DockerError] is to be
// written to stdout as it is, and so is any other error, where docker's clients look for one; the exit code is
// [DockerFailed] then. Nothing else was written to out. For how long a request may take see [ErrDockerSlow].
//
// "list" names no server: docker would ask for a token of each, and give all of them to whatever builds an image.
func Docker(d Daemon, args []string, in io.Reader, out io.Writer) error {
	if len(args) != 1 {
		return ErrDockerOperation
	}
	switch args[0] {
	case "get":
		return dockerGet(d, in, out)
	case "store":
		return dockerStore(d, in)
	case "erase":
		return dockerErase(d, in)
	case "list":
		_, err := io.WriteString(out, "{}\n")
		return err
	}
	return ErrDockerOperation
}

func dockerGet(d Daemon, in io.Reader, out io.Writer) error {
	server, err := readServer(in)
	if err != nil {
		return err
	}
	t, _, err := dockerToken(d, server, Wait)
	if err != nil {
		return err
	}
	b := strictjson.AppendString([]byte(`{"ServerURL":`), server)
	b = strictjson.AppendString(append(b, `,"Username":`...), basicUsername(server))
	b = strictjson.AppendString(append(b, `,"Secret":`...), t.AccessToken)
	_, err = out.Write(append(b, "}\n"...))
	return err
}

// dockerStore takes in silence what groat has given out itself: docker stores what it has signed in with.
func dockerStore(d Daemon, in io.Reader) error {
	b, err := readDocker(in)
	if err != nil {
		return err
	}
	if strictjson.Check(b) != nil || !strictjson.IsObject(b) {
		return errDockerJSON
	}
	var server, secret string
	for name, value := range strictjson.Members(b) {
		switch string(name) {
		case "ServerURL":
			server, _ = strictjson.Text(value)
		case "Secret":
			secret, _ = strictjson.Text(value)
		}
	}
	switch {
	case server == "":
		return NoServer
	case secret == "":
		return errDockerJSON
	case !frame.ValidToken(secret):
		return ErrDockerStore
	}
	if t, _, err := dockerToken(d, server, 0); err != nil || t.AccessToken != secret {
		return ErrDockerStore
	}
	return nil
}

// dockerErase tells groatd that the server's token is no good, so that the next one is another. Docker says of no
// token which one it was. Where there is none, nothing is to be erased.
func dockerErase(d Daemon, in io.Reader) error {
	server, err := readServer(in)
	if err != nil {
		return err
	}
	t, target, err := dockerToken(d, server, 0)
	if err == nil {
		var wait int64
		err = d.Reject(frame.TokenParams{Target: target, Wait: &wait}, t.AccessToken)
	}
	if e, ok := errors.AsType[*frame.Error](err); ok && (e.Kind == frame.Temporary || e.Kind == frame.LoginRequired) ||
		err == NoCredentials {
		return nil
	}
	return err
}

// dockerToken returns the token for a server, and the URL that it is for.
func dockerToken(d Daemon, server string, wait int64) (t frame.Token, target string, err error) {
	for _, target := range dockerTargets(server) {
		t, err := d.Token(frame.TokenParams{Target: target, Wait: &wait})
		if noneLists(err) {
			continue
		}
		if err == nil {
			err = sendable(t, "docker")
		}
		return t, target, err
	}
	return frame.Token{}, "", NoCredentials
}

// readServer reads the name of a server, which is all of the request.
func readServer(in io.Reader) (string, error) {
	b, err := readDocker(in)
	if err != nil {
		return "", err
	}
	server := strings.Trim(string(b), " \t\r\n")
	if server == "" {
		return "", NoServer
	}
	if strings.ContainsFunc(server, func(c rune) bool { return c < 0x20 || c == 0x7f }) {
		return "", errDockerControl
	}
	return server, nil
}

func readDocker(in io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(in, maxDockerRequest+1))
	if err == nil && len(b) > maxDockerRequest {
		err = errDockerTooLong
	}
	return b, err
}

// dockerTargets returns the URLs that a server may stand for, in the order in which a client of docker's tries them: a
// name without a scheme is one for https, and on this machine for http where there is no https. It returns none for
// what a token could not be sent to.
func dockerTargets(server string) []string {
	scheme, rest, named := strings.Cut(server, "://")
	if !named {
		scheme, rest = "", server
	}
	host, path, _ := strings.Cut(rest, "/")
	if host == "" || strings.ContainsFunc(host, notInHost) || strings.ContainsFunc(path, notInURLPath) {
		return nil
	}
	rest = host + "/" + path
	switch here := isLoopback(host); {
	case strings.EqualFold(scheme, "https"), !named && !here:
		return []string{"https://" + rest}
	case !named:
		return []string{"https://" + rest, "http://" + rest}
	case strings.EqualFold(scheme, "http") && here:
		return []string{"http://" + rest}
	}
	return nil
}

// notInURLPath reports what cannot stand in a URL's path, or ends it (RFC 3986 §3.3).
func notInURLPath(c rune) bool {
	return c <= 0x20 || c >= 0x7f || strings.ContainsRune("?#\\\"<>^`{|}", c)
}
