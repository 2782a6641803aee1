package grant

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/origin"
)

// The names of metadata documents (RFC 8414 §3.1, OpenID Connect Discovery §4).
const (
	wellKnownOAuth  = "/.well-known/oauth-authorization-server"
	wellKnownOpenID = "/.well-known/openid-configuration"
)

// wellKnown returns an issuer and the addresses that its metadata may have. Where the address of a document was pasted
// instead of an issuer, it is the issuer that the document must be of, and the document comes first.
func wellKnown(pasted string) (issuer string, documents []string) {
	u, err := url.Parse(pasted)
	if err != nil {
		return pasted, nil
	}
	base, path := u.Scheme+"://"+u.Host, strings.TrimRight(u.EscapedPath(), "/")
	for _, name := range []string{wellKnownOAuth, wellKnownOpenID} {
		before, after, found := strings.Cut(path, name)
		if found && (before == "" || after == "") && (after == "" || after[0] == '/') {
			issuer, documents, path = base+before+after, []string{base + path}, before+after
			break
		}
	}
	if issuer == "" {
		issuer = pasted
	}
	for _, document := range []string{base + wellKnownOAuth + path, base + path + wellKnownOpenID} {
		if len(documents) == 0 || documents[0] != document {
			documents = append(documents, document)
		}
	}
	return issuer, documents
}

// maxRedirects is how many redirects lead to a document.
const maxRedirects = 3

// getDocument reads a document that anybody may read. It follows redirects on the document's own origin: what is there
// speaks for the server anyway, and the request carries nothing.
func getDocument(ctx context.Context, client *http.Client, document string) (a Answer, from string) {
	for n := 0; ; n++ {
		a, _, _ = exchange(ctx, client, clock.Now, httpRequest{method: http.MethodGet, url: document})
		to := a.redirect()
		if a.Err != nil || n == maxRedirects || to == nil || origin.CheckURL(to.String(), "") != nil ||
			origin.Of(to.String()) != origin.Of(document) {
			return a, document
		}
		document = to.String()
	}
}

// redirect returns where an answer redirects to (RFC 9110 §15.4), or nil.
func (a Answer) redirect() *url.URL {
	location := a.Header.Get("Location")
	from, err := url.Parse(a.URL)
	if err != nil || location == "" || a.Status < 300 || a.Status >= 400 {
		return nil
	}
	to, err := from.Parse(location)
	if err != nil || to.Host == "" {
		return nil
	}
	return to
}

// redirectShown is redirect for people: without what may be secret in it (user, query, fragment, and what the request
// carried).
func (a Answer) redirectShown() string {
	to := a.redirect()
	if to == nil {
		return ""
	}
	plain := url.URL{Scheme: to.Scheme, Host: to.Host, Path: to.Path, RawPath: to.RawPath}
	return sanitize(plain.String(), a.Carried, maxDescription)
}
