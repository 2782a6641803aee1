package pages

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// secrets are what must be in no notebook and nothing that is left of one: what a person types, and what servers hand
// out. It is safe for concurrent use.
type secrets struct {
	mu    sync.Mutex
	forms map[string]string // :: what is looked for → what it is
	n     int
}

// add has a secret looked for as it is, and as programs encode it.
func (s *secrets) add(what, secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.forms == nil {
		s.forms = map[string]string{}
	}
	if s.forms[secret] != "" {
		return
	}
	s.n++
	quoted, _ := json.Marshal(secret)
	forms := []string{secret, strings.Trim(string(quoted), `"`), url.QueryEscape(secret), url.PathEscape(secret),
		hex.EncodeToString([]byte(secret)), secret[len(secret)-len(secret)/2:]}
	for skip := range 3 { // of base64, where the secret stands inside a text
		inner := secret[skip:]
		forms = append(forms, base64.StdEncoding.EncodeToString([]byte(inner[:len(inner)/3*3])))
	}
	for _, form := range forms {
		s.forms[form] = what
	}
}

// in returns what is in a text, or "".
func (s *secrets) in(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for form, what := range s.forms {
		if strings.Contains(text, form) {
			return what
		}
	}
	return ""
}

// inFiles complains of each file below dir that has one, and returns how many it has read.
func (s *secrets) inFiles(t *testing.T, dir string) (read int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(name)
		if what := s.in(name + string(text)); what != "" {
			t.Errorf("%s holds %s", name, what)
		}
		read++
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return read
}

// watch has every secret that a server hands out looked for.
func (s *secrets) watch(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, r)
		var members map[string]any
		json.Unmarshal(answer.Body.Bytes(), &members)
		for _, name := range []string{"access_token", "refresh_token", "id_token", "client_secret", "device_code"} {
			if secret, _ := members[name].(string); secret != "" {
				s.add("a "+name, secret)
			}
		}
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		w.Write(answer.Body.Bytes())
	})
}

// TestSecretsAreFound makes sure that the search is one.
func TestSecretsAreFound(t *testing.T) {
	const secret = "a dummy secret, +/& and more"
	var s secrets
	s.add("it", secret)
	quoted, _ := json.Marshal(map[string]string{"x": secret})
	for _, text := range []string{secret, string(quoted), url.QueryEscape(secret), hex.EncodeToString([]byte(secret)),
		base64.StdEncoding.EncodeToString([]byte("user:" + secret)), secret[len(secret)/2:],
		base64.StdEncoding.EncodeToString([]byte(secret + "x"))} {
		if s.in("so it was "+text+".") == "" {
			t.Errorf("not found in %s", text)
		}
	}
	if what := s.in("a dummy secret"); what != "" {
		t.Errorf("%s is found where it is not", what)
	}
	var seen secrets
	h := seen.watch(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
		w.Write([]byte(`{"client_secret":"` + secret + `"}`))
	}))
	got := httptest.NewRecorder()
	h.ServeHTTP(got, httptest.NewRequest(http.MethodPost, "/", nil))
	if got.Code != http.StatusCreated || !bytes.Contains(got.Body.Bytes(), []byte(secret)) || seen.in(secret) == "" {
		t.Errorf("%d, %s", got.Code, got.Body)
	}
}
