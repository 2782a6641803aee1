package grant

import (
	"net/url"
	"slices"
	"strings"
)

// scopeRule says what is done about a scope that was granted and not asked for.
type scopeRule int

const (
	// noteWider takes the token and lists what it may do beyond what was asked for.
	noteWider scopeRule = iota
	// refuseWider refuses the token: a caller asked for a narrow one, whatever the server is known for, or the profile is
	// strict.
	refuseWider
	// anyScope takes the token: the server is known to grant more, or to name scopes differently.
	anyScope
)

// scopeRule returns the rule for a request's answer.
func (s Server) scopeRule(r Request) scopeRule {
	switch {
	case s.StrictScope, r.Narrow:
		return refuseWider
	case s.WiderScope:
		return anyScope
	}
	return noteWider
}

// scopeWords returns the words of a granted scope. They are separated by spaces (RFC 6749 §3.3), at GitHub and others
// by commas ([GitHub]). A word that was asked for with a comma in it stays one.
//
// [GitHub]: https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps#normalized-scopes
func scopeWords(granted string, asked []string) (words []string) {
	for _, word := range strings.Fields(granted) {
		if slices.Contains(asked, word) {
			words = append(words, word)
			continue
		}
		for part := range strings.SplitSeq(word, ",") {
			if part != "" {
				words = append(words, part)
			}
		}
	}
	return words
}

// exceeding returns the words that were granted and not asked for. Where none was asked for that is about an API, the
// server's default is wanted. "openid" gives no access to an API, and some servers add it to every answer.
// "R/.default" asks for whatever the client may do at R ([Microsoft]).
//
// [Microsoft]: https://learn.microsoft.com/en-us/entra/identity-platform/scopes-oidc#the-default-scope
func exceeding(granted, asked []string) (more []string) {
	asksOfAPI := slices.ContainsFunc(asked, func(a string) bool { return a != scopeOpenID && a != offlineAccess })
	if !asksOfAPI || slices.ContainsFunc(asked, isDefaultScope) {
		return nil
	}
	for _, g := range granted {
		if g != scopeOpenID && !slices.ContainsFunc(asked, func(a string) bool { return sameScope(g, a) }) {
			more = append(more, g)
		}
	}
	return more
}

func isDefaultScope(word string) bool {
	return word == ".default" || strings.HasSuffix(word, "/.default")
}

// graph is the resource of a scope that names none ([Microsoft]).
//
// [Microsoft]: https://learn.microsoft.com/en-us/entra/identity-platform/scopes-oidc
const graph = "https://graph.microsoft.com/"

// sameScope reports whether two words are one scope. Words are compared byte by byte (RFC 6749 §3.3), URIs as RFC 3986
// §6.2 does: the case of scheme and host, escapes that need not be, and a slash at the end make no difference.
func sameScope(a, b string) bool {
	return a == b || scopeURI(strings.TrimPrefix(a, graph)) == scopeURI(strings.TrimPrefix(b, graph))
}

// scopeURI returns a URI in the one spelling that sameScope compares, and any other word as it is.
func scopeURI(word string) string {
	u, err := url.Parse(word)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return word
	}
	u.Scheme, u.Host = strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	if port := map[string]string{"https": ":443", "http": ":80"}[u.Scheme]; port != "" {
		u.Host = strings.TrimSuffix(u.Host, port)
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), ""
	return u.String()
}
