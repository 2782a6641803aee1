package e2e_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unicode/utf16"
)

// canaries are secrets that must come out nowhere: not in a file, a log, an output, an argument or an environment. It
// is safe for concurrent use. The zero value watches for nothing yet.
type canaries struct {
	mu      sync.Mutex
	secrets map[string]bool
	begins  map[uint64][]sighting // :: the first eight bytes of a form → the forms that begin so
	maybe   [1 << 16]bool         // :: the first two bytes → whether any form begins so
	theirs  map[string]bool       // files that the person has the secrets in
	texts   int                   // searched so far
}

// sighting is one form in which a secret may come out.
type sighting struct {
	form      []byte
	what, how string
}

const shortest = 8 // bytes of a form

// add watches for a secret in every form that [formsOf] knows.
func (c *canaries) add(what, secret string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(secret) < 2*shortest {
		panic(what + " is too short to be looked for")
	}
	if c.secrets[secret] {
		return
	}
	if c.secrets == nil {
		c.secrets, c.begins = map[string]bool{}, map[uint64][]sighting{}
	}
	c.secrets[secret] = true
	for how, form := range formsOf(secret) {
		key := binary.LittleEndian.Uint64([]byte(form))
		c.begins[key] = append(c.begins[key], sighting{[]byte(form), what, how})
		c.maybe[uint16(key)] = true
	}
}

// formsOf returns how a secret looks where a program prints, encodes, quotes or cuts it, by the name of the form.
func formsOf(secret string) map[string]string {
	b := []byte(secret)
	quoted, _ := json.Marshal(secret)
	decimal := strings.Trim(fmt.Sprint(b), "[]")
	forms := map[string]string{
		"as it is": secret,
		"JSON":     strings.Trim(string(quoted), `"`), "JSON, HTML's characters as they are": plainJSON(secret),
		"quoted": strings.Trim(strconv.Quote(secret), `"`), "HTML": html.EscapeString(secret),
		"a query": url.QueryEscape(secret), "a path": url.PathEscape(secret),
		"a query, %aa": lowerEscapes(url.QueryEscape(secret)), "a path, %aa": lowerEscapes(url.PathEscape(secret)),
		"hex": hex.EncodeToString(b), "HEX": strings.ToUpper(hex.EncodeToString(b)),
		"hex, spaced": fmt.Sprintf("% x", b),
		"Go bytes":    strings.Trim(fmt.Sprintf("%#v", b), "[]byte{}"), "numbers": decimal,
		"numbers, commas": strings.ReplaceAll(decimal, " ", ","),
		"UTF-16LE":        utf16Of(secret, binary.LittleEndian), "UTF-16BE": utf16Of(secret, binary.BigEndian),
	}
	// Base64 of a text that has the secret somewhere inside: three alignments, without the characters at the ends that
	// depend on what stands beside it.
	for skip := range 3 {
		inner := b[skip:]
		whole := base64.StdEncoding.EncodeToString(inner[:len(inner)/3*3])
		forms["base64 "+strconv.Itoa(skip)] = whole
		forms["base64url "+strconv.Itoa(skip)] = strings.NewReplacer("+", "-", "/", "_").Replace(whole)
	}
	// What is cut off still tells much. A JWT's beginning is the same in all of them.
	const piece = 20
	if len(b) >= 2*piece {
		forms["its end"] = secret[len(b)-piece:]
		if !strings.HasPrefix(secret, "eyJ") {
			forms["its beginning"] = secret[:piece]
		}
	}
	return forms
}

func plainJSON(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(s)
	return strings.Trim(strings.TrimSpace(b.String()), `"`)
}

// lowerEscapes writes %2B as %2b.
func lowerEscapes(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], bytes.ToLower(b[i+1:i+3]))
		}
	}
	return string(b)
}

func utf16Of(s string, order binary.AppendByteOrder) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, unit)
	}
	return string(b)
}

// found returns what is in a text, each secret once, with the form it has there.
func (c *canaries) found(text []byte) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.texts++
	found := map[string]bool{}
	for i := 0; i+shortest <= len(text); i++ {
		if !c.maybe[binary.LittleEndian.Uint16(text[i:])] {
			continue
		}
		for _, s := range c.begins[binary.LittleEndian.Uint64(text[i:])] {
			if bytes.HasPrefix(text[i:], s.form) {
				found[s.what+" ("+s.how+")"] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// find says which secrets are in a text, or returns an empty string.
func (c *canaries) find(text string) string { return strings.Join(c.found([]byte(text)), ", ") }

// allow leaves a file out of the search that the person has secrets in.
func (c *canaries) allow(file string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.theirs == nil {
		c.theirs = map[string]bool{}
	}
	c.theirs[file] = true
}

// findInFiles looks at every file below the directories, and at its name.
func (c *canaries) findInFiles(dirs ...string) error {
	var found []error
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) || err == nil && c.theirs[name] {
				return nil
			}
			if what := c.find(name); what != "" {
				found = append(found, fmt.Errorf("the name of %s is %s", name, what))
			}
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			text, err := os.ReadFile(name)
			if errors.Is(err, fs.ErrNotExist) { // it was renamed meanwhile
				return nil
			}
			if what := c.find(string(text)); what != "" {
				found = append(found, fmt.Errorf("%s holds %s", name, what))
			}
			return err
		})
		found = append(found, err)
	}
	return errors.Join(found...)
}

// notText are the files of /proc/PID that are no description of the process, or that change it.
var notText = []string{"mem", "pagemap", "clear_refs", "kpagecount", "autogroup"}

// findInProcess looks at what the system shows of a process: every file of its directory in /proc and of its threads',
// and what its descriptors are. What may not be looked at shows nothing.
func (c *canaries) findInProcess(pid int) error {
	dir := fmt.Sprintf("/proc/%d", pid)
	if _, err := os.Stat(dir + "/stat"); err != nil {
		return err
	}
	var found []error
	for _, pattern := range []string{"/*", "/fd/*", "/ns/*", "/net/unix", "/task/*/*", "/attr/*"} {
		names, _ := filepath.Glob(dir + pattern)
		for _, name := range names {
			if slices.Contains(notText, filepath.Base(name)) {
				continue
			}
			text, err := os.Readlink(name)
			if err != nil {
				text, err = beginning(name)
			}
			if err != nil && !unreadable(err) {
				found = append(found, err)
			}
			if what := c.find(text); what != "" {
				found = append(found, fmt.Errorf("%s shows %s", name, what))
			}
		}
	}
	return errors.Join(found...)
}

// beginning reads a file, but not without end.
func beginning(name string) (string, error) {
	info, err := os.Stat(name)
	if err != nil || !info.Mode().IsRegular() {
		return "", err
	}
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 1<<20))
	return string(text), err
}

// unreadable reports whether an error is the system's way to say that there is nothing to see: not ours, not now, not
// any more.
func unreadable(err error) bool {
	for _, e := range []error{
		fs.ErrPermission, fs.ErrNotExist, syscall.ESRCH, syscall.EINVAL, syscall.EIO, syscall.EAGAIN, syscall.ENODATA,
		syscall.EOPNOTSUPP,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// TestCanariesAreFound makes sure that the search would find something: every form of a secret, in every place that is
// searched.
func TestCanariesAreFound(t *testing.T) {
	const secret = `a "secret" & more/+é and some more of it`
	var c canaries
	c.add("the secret", secret)
	for how, form := range formsOf(secret) {
		for _, text := range []string{form, "so it was " + form + ".", strings.Repeat("x", 1<<16) + form} {
			if c.find(text) == "" {
				t.Errorf("%s: not found in %q", how, text)
			}
		}
	}
	for _, text := range []string{
		fmt.Sprintf("%q", secret), fmt.Sprintf("%x", secret), fmt.Sprint([]byte(secret)),
		url.QueryEscape("x=" + secret), url.PathEscape(secret),
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte("user:" + secret)),
		base64.RawURLEncoding.EncodeToString([]byte("ab" + secret + "cd")),
		base64.StdEncoding.EncodeToString([]byte("x" + secret)),
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
	c.allow(file)
	if err := c.findInFiles(filepath.Dir(filepath.Dir(file))); err != nil {
		t.Errorf("found in a file that may have it: %v", err)
	}
	c.add("the test's own name", os.Args[0])
	err := c.findInProcess(os.Getpid())
	for _, name := range []string{"cmdline", "exe", "maps"} {
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("/proc/%d/%s shows", os.Getpid(), name)) {
			t.Errorf("not found in /proc/PID/%s", name)
		}
	}
}
