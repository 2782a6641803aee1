package helper

import (
	"bytes"
	"strings"
	"testing"

	"github.com/groat-dev/groat/protocol/frame"
)

// sent is bearer for an API, as it is to be sent.
func sent(api string) frame.Token {
	t := bearer
	t.API, t.Header = api, "Authorization: Bearer tok-1"
	return t
}

// The go command is told the API in the words of its URL, however groatd writes it.
func TestGo(t *testing.T) {
	for _, tt := range []struct{ url, api, prefix string }{
		{"https://h.example/a/b/@v/list", "https://h.example", "https://h.example"},
		{"https://h.example/a/b/@v/list", "https://h.example/a", "https://h.example/a"},
		{"https://H.Example:443/a?go-get=1", "https://h.example/a", "https://H.Example:443/a"},
		{"https://h.example?go-get=1", "https://h.example", "https://h.example"},
	} {
		d := &daemon{target: tt.url, token: sent(tt.api)}
		var out bytes.Buffer
		err := Go(d, tt.url, &out)
		if want := tt.prefix + "\n\nAuthorization: Bearer tok-1\n\n"; err != nil || out.String() != want {
			t.Errorf("%s: %v, %q", tt.url, err, &out)
		}
	}
}

// What is no answer is nothing at all.
func TestGoGetsNothing(t *testing.T) {
	static, odd := sent("https://h"), sent("https://h")
	several := &frame.Error{Kind: frame.UnknownProfile, Choices: make([]frame.Choice, 2)}
	static.Static = true
	odd.Header = "X-Key: tok-1"
	for name, tt := range map[string]struct {
		url   string
		d     daemon
		fails bool
	}{
		"before a server has asked":     {"", daemon{token: bearer}, false},
		"what no profile lists":         {"https://h/", daemon{target: "https://other/"}, false},
		"nobody is signed in":           {"https://h/", daemon{err: &frame.Error{Kind: frame.LoginRequired}}, true},
		"several list it":               {"https://h/", daemon{err: several}, true},
		"an API key":                    {"https://h/", daemon{token: static}, true},
		"a header field of its own":     {"https://h/", daemon{token: odd}, true},
		"a groatd that names no API":    {"https://h/", daemon{token: sent("")}, true},
		"an API that is not of the URL": {"https://h/a", daemon{token: sent("https://h/b")}, true},
		"no URL":                        {"h", daemon{token: sent("https://h")}, true},
	} {
		var out bytes.Buffer
		if err := Go(&tt.d, tt.url, &out); (err != nil) != tt.fails || out.Len() != 0 ||
			tt.url == "" && tt.d.method != "" {
			t.Errorf("%s: %v, %q", name, err, &out)
		}
	}
}

func FuzzInWordsOf(f *testing.F) {
	f.Add("https://h.example:443/a/b?c#d", "https://h.example/a")
	f.Fuzz(func(t *testing.T, url, api string) {
		if prefix, ok := inWordsOf(url, api); ok && !strings.HasPrefix(url, prefix) {
			t.Errorf("%q of %q", prefix, url)
		}
	})
}
