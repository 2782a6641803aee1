package grant

import (
	"strings"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol/visible"
)

const (
	maxErrorCode   = 64
	maxDescription = 200
)

// sanitize returns a server's text as one line of at most limit bytes of printable ASCII, without any part of the
// request's secrets.
func sanitize(s string, secrets []keystore.Secret, limit int) string {
	if len(s) > maxSanitized {
		s = s[:maxSanitized]
	}
	for _, secret := range secrets {
		s = redact(s, secret.Reveal())
	}
	var b strings.Builder
	space := false
	for _, r := range s {
		switch {
		case r <= ' ':
			space = b.Len() > 0
			continue
		case r > '~':
			r = '?'
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(r)
	}
	if s = b.String(); len(s) > limit {
		s = s[:limit]
	}
	return s
}

const (
	// maxSanitized bounds the work in bytes; no longer text is ever shown.
	maxSanitized = 1 << 10
	// gram is the length in bytes of the shortest piece of a secret that is removed: servers echo secrets cut off.
	gram    = 8
	removed = "[removed]"
)

// redact replaces every piece of secret in s that is at least gram bytes long, or all of a shorter secret.
func redact(s, secret string) string {
	if len(secret) < gram {
		if len(secret) < 3 {
			return s
		}
		return strings.ReplaceAll(s, secret, removed)
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		n := 0
		for i+n+gram <= len(s) && strings.Contains(secret, s[i+n:i+n+gram]) {
			n++
		}
		if n == 0 {
			b.WriteByte(s[i])
			i++
			continue
		}
		b.WriteString(removed)
		i += n + gram - 1
	}
	return b.String()
}

func shown(s string) string {
	if s == "" {
		return "none"
	}
	return visible.Name(sanitize(s, nil, maxDescription))
}

// quoted returns text that a server or a redirect brought, in quotation marks.
func quoted(s string) string {
	if s == "" {
		return "none"
	}
	return visible.Quote(sanitize(s, nil, maxDescription))
}

// printable replaces characters that could steer a terminal or stay unseen: control characters, bidi marks, invisible
// ones.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if visible.Rune(r) {
			return r
		}
		return '?'
	}, s)
}

// cut shortens s to at most n bytes without splitting a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
