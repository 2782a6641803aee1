package helper

import (
	"io"
	"strings"

	"github.com/groat-dev/groat/protocol/frame"
)

// Go answers the go command as a program of GOAUTH ("go help goauth") about a URL that a server has refused (4xx), with
// the token for the API that the URL is part of: the go command then sends it to all of that API, and to nothing else.
// Without a URL, as before its first request, it is told nothing: no server has asked for a token yet.
//
// Stdin, which has the server's answer, is not needed and not read. Where no profile lists the URL, nothing is written
// and the error is nil. The go command shows errors only with -x.
func Go(d Daemon, url string, out io.Writer) error {
	if url == "" {
		return nil
	}
	wait := int64(Wait)
	t, err := d.Token(frame.TokenParams{Target: url, Wait: &wait})
	if noneLists(err) {
		return nil
	}
	if err != nil {
		return err
	}
	value, err := authorization(t, "the go command")
	if err != nil {
		return err
	}
	prefix, ok := inWordsOf(url, t.API)
	if !ok {
		return frame.ErrUse // of a groatd that does not say which API the token is for
	}
	// Sets of URLs and header fields, each ended by an empty line. The URLs are those whose beginning is the same.
	_, err = out.Write([]byte(prefix + "\n\nAuthorization: " + value + "\n\n"))
	return err
}

// inWordsOf returns the API that a URL is part of as this URL writes it: the go command compares the text. It reports
// false where the URL is not part of it.
func inWordsOf(url, api string) (prefix string, ok bool) {
	_, path, _ := splitURL(api)
	authority, rest, ok := splitURL(url)
	if !ok || api == "" || !strings.HasPrefix(rest, path) {
		return "", false
	}
	return authority + path, true
}

// splitURL splits a URL behind its scheme and authority (RFC 3986 §3.2).
func splitURL(url string) (authority, rest string, ok bool) {
	scheme, behind, ok := strings.Cut(url, "://")
	if !ok {
		return "", "", false
	}
	end := strings.IndexAny(behind, "/?#")
	if end < 0 {
		end = len(behind)
	}
	end += len(scheme) + len("://")
	return url[:end], url[end:], true
}
