package main_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// canaries are secrets that must come out nowhere: not in a file, a log, an output, an argument or an environment. It is
// safe for concurrent use.
type canaries struct {
	mu    sync.Mutex
	forms map[string]string // :: how a secret may look → what it is
}

// add watches for a secret: as it is, in JSON, in a URL, and inside anything that was base64-encoded as a whole.
func (c *canaries) add(what, secret string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.forms == nil {
		c.forms = map[string]string{}
	}
	quoted, _ := json.Marshal(secret)
	c.forms[secret] = what
	c.forms[strings.Trim(string(quoted), `"`)] = what + ", in JSON"
	c.forms[strings.Trim(strconv.Quote(secret), `"`)] = what + ", quoted"
	c.forms[url.QueryEscape(secret)] = what + ", in a URL"
	c.forms[url.PathEscape(secret)] = what + ", in a URL"
	// Base64 of a text that has the secret somewhere inside: three alignments, without the characters at the ends that
	// depend on what stands beside it.
	for skip := range 3 {
		inner := secret[skip:]
		whole := base64.StdEncoding.EncodeToString([]byte(inner[:len(inner)/3*3]))
		c.forms[whole] = what + ", in base64"
		c.forms[strings.NewReplacer("+", "-", "/", "_").Replace(whole)] = what + ", in base64url"
	}
}

// find says which secret is in a text, or returns an empty string.
func (c *canaries) find(text string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for form, what := range c.forms {
		if strings.Contains(text, form) {
			return what
		}
	}
	return ""
}

// findInFiles looks at every file below the directories.
func (c *canaries) findInFiles(dirs ...string) error {
	var found []error
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			text, err := os.ReadFile(name)
			if what := c.find(string(text)); what != "" {
				found = append(found, fmt.Errorf("%s holds %s", name, what))
			}
			return err
		})
		found = append(found, err)
	}
	return errors.Join(found...)
}

// findInProcess looks at what the system shows of a process: its arguments and its environment. A process that may not be
// looked at shows nothing.
func (c *canaries) findInProcess(pid int) error {
	for _, name := range []string{"cmdline", "environ"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
		if err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
		if what := c.find(string(text)); what != "" {
			return fmt.Errorf("the %s of process %d holds %s", name, pid, what)
		}
	}
	return nil
}

// TestCanariesAreFound makes sure that the search would find something.
func TestCanariesAreFound(t *testing.T) {
	const secret = `a "secret" & more/+`
	var c canaries
	c.add("the secret", secret)
	for _, text := range []string{
		"x" + secret + "x", fmt.Sprintf("%q", secret), url.QueryEscape("x=" + secret), url.PathEscape(secret),
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte("user:" + secret)),
		base64.RawURLEncoding.EncodeToString([]byte("ab" + secret + "cd")), base64.StdEncoding.EncodeToString([]byte("x" + secret)),
	} {
		if c.find("so it was "+text+".") == "" {
			t.Errorf("not found in %s", text)
		}
	}
	if what := c.find("a secret & more"); what != "" {
		t.Errorf("%s is found where it is not", what)
	}
	file := filepath.Join(t.TempDir(), "deep", "file")
	if err := errors.Join(os.Mkdir(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(secret), 0o600)); err != nil {
		t.Fatal(err)
	}
	if c.findInFiles(filepath.Dir(filepath.Dir(file))) == nil {
		t.Error("not found in a file")
	}
	c.add("the test's own name", os.Args[0])
	if c.findInProcess(os.Getpid()) == nil {
		t.Error("not found in an argument")
	}
}
