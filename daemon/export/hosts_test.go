package export

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// sealedFor is a token for these APIs, in the long form.
func sealedFor(apis ...string) grant.Token {
	return grant.Token{Access: keystore.SecretString("dummy.token"), Type: "Bearer", Sent: clock.Now(),
		Lifetime: time.Hour, Destinations: &grant.Destinations{APIs: apis}}
}

// A file with entries names the APIs that the token is sealed for, as far as its format can name exactly those, and says
// which it does not.
func TestEntriesAreWhatTheTokenIsSealedFor(t *testing.T) {
	const api = "https://git.example:443"
	for _, tt := range []struct {
		form string
		apis []string
		file string // without a token in it
		flaw string
	}{
		{protocol.FormNetrc, []string{api}, "machine git.example login oauth2 password @\n", ""},
		{protocol.FormNetrc, []string{"https://b.example:443", api, api},
			"machine b.example login oauth2 password @\nmachine git.example login oauth2 password @\n", ""},
		{protocol.FormNetrc, []string{api, "https://b.example:8443", "https://c.example:443/team", "http://127.0.0.1:80",
			"https://[::1]:443"}, "machine git.example login oauth2 password @\n", "not in the file: http://127.0.0.1, " +
			"https://[::1], https://b.example:8443, https://c.example/team; an entry is for https and a host without a " +
			"port and a path"},
		{protocol.FormNetrc, []string{"http://127.0.0.1:443", "https://c.example:443/team"}, "", ""},
		{protocol.FormNetrc, nil, "", ""},
		{protocol.FormNpmrc, []string{api}, "//git.example/:_authToken=@\n", ""},
		{protocol.FormNpmrc, []string{"https://b.example:8443/team/@scope", api},
			"//b.example:8443/team/@scope/:_authToken=@\n//git.example/:_authToken=@\n", ""},
		{protocol.FormNpmrc, []string{api, "https://c.example:443/a=b", "https://d.example:443/${HOME}",
			"http://127.0.0.1:4873"}, "//git.example/:_authToken=@\n", "not in the file: http://127.0.0.1:4873, " +
			"https://c.example/a=b, https://d.example/${HOME}; an entry is for https and an address with a plain path"},
		{protocol.FormNpmrc, []string{"http://127.0.0.1:4873"}, "", ""},
	} {
		content, err := forms[tt.form].render("p", sealedFor(tt.apis...))
		if e, ok := errors.AsType[*protocol.Error](err); tt.file == "" {
			if !ok || e.Kind() != protocol.Config || e.Hint() != "groat profile show p" {
				t.Errorf("%s %q: %v", tt.form, tt.apis, err)
			}
			continue
		}
		want := keystore.SecretString(strings.ReplaceAll(tt.file, "@\n", "dummy.token\n"))
		if err != nil || !content.Equal(want) {
			t.Errorf("%s %q: %q, %v", tt.form, tt.apis, content.Reveal(), err)
		}
		if flaw := forms[tt.form].flaw(sealedFor(tt.apis...)); flaw != tt.flaw {
			t.Errorf("%s %q: %s", tt.form, tt.apis, flaw)
		}
	}
}

// What is not sent as "Authorization: Bearer" is in a header file, and in no other.
func TestWhatIsNoBearerTokenHasNoEntry(t *testing.T) {
	prefixed := sealedFor("https://git.example:443")
	prefixed.Destinations.Header = &grant.Header{Name: "X-Token"}
	key := grant.Token{Access: keystore.SecretString("dummy-key"), Static: true, Destinations: prefixed.Destinations}
	for _, form := range named() {
		for _, token := range []grant.Token{prefixed, key} {
			_, err := forms[form].render("p", token)
			if e, ok := errors.AsType[*protocol.Error](err); !ok || e.Hint() != "groat export p --header-file FILE" {
				t.Errorf("%s: %v", form, err)
			}
		}
	}
}

// A file that other programs write too is none of groat's, although there is none yet.
func TestAFileThatOthersWriteToo(t *testing.T) {
	for _, tt := range []struct{ form, name, hint string }{
		{protocol.FormNetrc, ".netrc", "groat export p --netrc "}, {protocol.FormNetrc, "_netrc", "groat export p --netrc "},
		{protocol.FormNpmrc, ".npmrc", "groat export p --npmrc "},
	} {
		dir := t.TempDir()
		w := Wanted{Path: filepath.Join(dir, tt.name), Variant: Variant{Profile: "p"}, Form: tt.form}
		err := w.checkName()
		if e, ok := errors.AsType[*protocol.Error](err); !ok || e.Hint() != tt.hint+dir+"/groat-"+tt.form {
			t.Errorf("%s: %v", tt.name, err)
		}
		w.Path += "-groat"
		if err := w.checkName(); err != nil {
			t.Error(err)
		}
	}
}
