package frame

import "strings"

// ValidToken reports whether s is a b64token (RFC 6750 §2.1): [A-Za-z0-9._~+/-]+=*. Such a token needs no quoting in a
// header, a shell, JSON or an environment file, and cannot break out of one.
func ValidToken(s string) bool {
	s = strings.TrimRight(s, "=")
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("-._~+/", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}

// ValidVisible reports whether s is made of visible ASCII without quotes, backslash, backtick and dollar sign. It is
// what a token may be whose profile says token_chars = "visible"; it needs quoting wherever ; | & and the like mean
// something.
func ValidVisible(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || strings.IndexByte("\"'\\`$", c) >= 0 {
			return false
		}
	}
	return s != ""
}

// VisibleChars is the value of [Token.TokenChars].
const VisibleChars = "visible"

// ValidHeader reports whether line is one header field (RFC 9110 §5.1, §5.5) that ends with the credential.
func ValidHeader(line, credential string) bool {
	name, value, ok := strings.Cut(line, ": ")
	if !ok || name == "" || credential == "" || !strings.HasSuffix(value, credential) {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	for i := range len(value) {
		if value[i] < ' ' || value[i] > '~' {
			return false
		}
	}
	return true
}
