package e2e_test

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/parts"
)

var (
	formAction  = regexp.MustCompile(`<form[^>]* action="([^"]*)"`)
	formAny     = regexp.MustCompile(`<form`)
	hiddenInput = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
	loginInput  = regexp.MustCompile(`<input id="login"`)
)

// byHand does what a browser would, with less of a machine: it sends each form that a page of the certified server has,
// as alice, until one has none. It returns that page.
func byHand(t *testing.T, as *parts.OIDC, address string) string {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := as.Client()
	client.Jar = jar
	resp, err := client.Get(address)
	for range 10 {
		if err != nil {
			t.Fatal(err)
		}
		text, failed := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		resp.Body.Close()
		if failed != nil {
			t.Fatal(failed)
		}
		page := string(text)
		if !formAny.MatchString(page) {
			return page
		}
		resp, err = client.PostForm(filled(resp, page))
	}
	t.Fatal("the pages do not end")
	return ""
}

// filled is a form's address and what a person sends there.
func filled(resp *http.Response, page string) (string, url.Values) {
	to := resp.Request.URL
	if m := formAction.FindStringSubmatch(page); m != nil {
		if at, err := to.Parse(html.UnescapeString(m[1])); err == nil {
			to = at
		}
	}
	form := url.Values{}
	for _, m := range hiddenInput.FindAllStringSubmatch(page, -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	if loginInput.MatchString(page) {
		form.Set("login", "alice")
	}
	return to.String(), form
}
