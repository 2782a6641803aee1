// Package helper answers other programs in their own credential-helper protocols, one file a protocol.
//
// The invariants: an answer is complete or it is empty; it holds no token whose alphabet could break out of the format;
// it is given only for a server that a profile lists, which is groatd's decision and never this package's. Stdin is
// read only if the protocol says that there is something to read. What is not here: sentences for people.
package helper

import (
	"errors"
	"strings"
	"time"

	"github.com/groat-dev/groat/protocol/frame"
)

// Daemon makes requests to groatd, each within a time that the caller has given it. A refusal of groatd's is a
// [*frame.Error].
type Daemon interface {
	Token(params frame.TokenParams) (frame.Token, error)
	Reject(params frame.TokenParams, accessToken string) error
}

const (
	// Time is how long one call of a helper may take: a person waits for a clone, a pull or a list.
	Time = 10 * time.Second
	// Wait is how many seconds groatd may take for a token; it leaves time to say what is wrong.
	Wait = 8
	// oauthUsername goes with a token that is sent by HTTP Basic. The big forges and their registries ignore the name,
	// or expect this one. It must not be empty: git would then send no credential at all.
	oauthUsername = "oauth2"
)

var errBadToken = errors.New("groatd handed out something that is no bearer token")

// noneLists reports whether an error means that no profile lists the target, nor any part of its origin.
func noneLists(err error) bool {
	e, ok := errors.AsType[*frame.Error](err)
	return ok && e.Kind == frame.UnknownProfile && len(e.Choices) == 0
}

// authorization returns the value of the header field Authorization that the token is to be sent as. It returns an
// error where the token is not one that a program could send so.
func authorization(t frame.Token, program string) (string, error) {
	if err := sendable(t, program); err != nil {
		return "", err
	}
	value, ok := strings.CutPrefix(t.Header, "Authorization: ")
	if !ok || !frame.ValidHeader(t.Header, t.AccessToken) {
		return "", errors.New("the token of this server goes into a header field of its own, which " + program +
			" cannot send")
	}
	return value, nil
}

// basicUsername returns the user name that goes with an access token that is sent to a server by HTTP Basic. It must
// not be "<token>", which makes of the secret a refresh token that docker takes to the registry's token endpoint.
func basicUsername(server string) string {
	_, rest, named := strings.Cut(server, "://")
	if !named {
		rest = server
	}
	host, _, _ := strings.Cut(strings.ToLower(rest), "/")
	host, _, _ = strings.Cut(host, ":")
	// Google's registries take an access token beside this name alone:
	// https://cloud.google.com/artifact-registry/docs/docker/authentication#token
	if host == "gcr.io" || strings.HasSuffix(host, ".gcr.io") || strings.HasSuffix(host, ".pkg.dev") {
		return "oauth2accesstoken"
	}
	return oauthUsername
}

// sendable returns an error where a token is not one that a program could send as a bearer token or a password.
func sendable(t frame.Token, program string) error {
	switch {
	case t.Static:
		return errors.New("the profile of this server has an API key, which " + program + " cannot send")
	case t.TokenChars != "":
		return errors.New("the token of this server has characters that RFC 6750 does not allow, so " + program +
			" gets none")
	case !frame.ValidToken(t.AccessToken) || !strings.EqualFold(t.TokenType, "Bearer"):
		return errBadToken
	}
	return nil
}
