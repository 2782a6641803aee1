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

// visitor does what a person does in a browser, with less of a machine.
type visitor struct {
	t      *testing.T
	client *http.Client
	types  map[string]string // :: an input's name or id → what the person types there, or the button that is pressed
	link   *regexp.Regexp    // an address that is followed where a page has no form, or nil
}

// byHand is a visitor of the certified server's, alice.
func byHand(t *testing.T, as *parts.OIDC, address string) string {
	t.Helper()
	return visitor{t: t, client: as.Client(), types: map[string]string{"login": "alice"}}.visits(address)
}

// An element of a page, and what is in it.
var (
	formTag   = regexp.MustCompile(`(?i)<form[^>]*>`)
	formEnd   = regexp.MustCompile(`(?i)</form`)
	inputTag  = regexp.MustCompile(`(?i)<(?:input|button)[^>]*>`)
	attribute = regexp.MustCompile(`([\w-]+)="([^"]*)"`)
)

// attributes are those of a tag.
func attributes(tag string) map[string]string {
	found := map[string]string{}
	for _, m := range attribute.FindAllStringSubmatch(tag, -1) {
		found[m[1]] = html.UnescapeString(m[2])
	}
	return found
}

// visits goes to an address and sends each form that a page has, until one has none. It returns that page.
func (v visitor) visits(address string) string {
	v.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		v.t.Fatal(err)
	}
	client := *v.client
	client.Jar = jar
	resp, err := client.Get(address)
	for range 10 {
		if err != nil {
			v.t.Fatal(err)
		}
		text, failed := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		resp.Body.Close()
		if failed != nil {
			v.t.Fatal(failed)
		}
		page, at := string(text), resp.Request.URL
		if to, form := v.filled(at, page); form != nil {
			resp, err = client.PostForm(to, form)
		} else if m := v.follows(page); m != "" {
			to, failed := at.Parse(html.UnescapeString(m))
			if failed != nil {
				v.t.Fatal(failed)
			}
			resp, err = client.Get(to.String())
		} else {
			return page
		}
	}
	v.t.Fatalf("the pages do not end: %s", address)
	return ""
}

func (v visitor) follows(page string) string {
	if v.link == nil {
		return ""
	}
	m := v.link.FindStringSubmatch(page)
	if m == nil {
		return ""
	}
	return m[1]
}

// filled is the first form's address and what a person sends there, or nil where there is none.
func (v visitor) filled(at *url.URL, page string) (to string, form url.Values) {
	begin := formTag.FindStringIndex(page)
	if begin == nil {
		return "", nil
	}
	inside := page[begin[1]:]
	if end := formEnd.FindStringIndex(inside); end != nil {
		inside = inside[:end[0]]
	}
	target := *at
	if action := attributes(page[begin[0]:begin[1]])["action"]; action != "" {
		other, err := at.Parse(action)
		if err != nil {
			v.t.Fatal(err)
		}
		target = *other
	}
	form = url.Values{}
	for _, tag := range inputTag.FindAllString(inside, -1) {
		a := attributes(tag)
		name := a["name"]
		if typed, known := v.types[name]; known && name != "" {
			form.Set(name, typed)
		} else if a["type"] == "hidden" {
			form.Set(name, a["value"])
		}
	}
	return target.String(), form
}
