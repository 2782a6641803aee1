package parts

import (
	"net/http"
	"testing"
	"time"

	"github.com/groat-dev/groat/packaging/testing/tier"
)

// Browser is a real one, headless Chromium, with a person in front of it. It is safe for concurrent use; each visit
// begins in a browser that knows nobody.
type Browser struct {
	address string
	client  *http.Client
}

// StartBrowser starts one for as long as the test runs.
func StartBrowser(t testing.TB) *Browser {
	t.Helper()
	tier.Needs(t, "chromium", "node")
	b := &Browser{client: &http.Client{Timeout: startTimeout}}
	b.address = start(t, "the browser (Debian's chromium, npm playwright-core)", node("browser.mjs"))
	return b
}

// BrowserVisit is what a person does with a page.
type BrowserVisit struct {
	URL      string `json:"url"`
	Login    string `json:"login,omitempty"` // "alice" where it is empty
	Password string `json:"password,omitempty"`
	Deny     bool   `json:"deny,omitempty"` // what is asked
}

// BrowserEnd is where a visit ended.
type BrowserEnd struct {
	URL  string `json:"url"`
	Text string `json:"text"` // of the page
}

// Visit opens a page, signs in and allows what is asked, or denies it, and returns where that ends.
func (b *Browser) Visit(t testing.TB, v BrowserVisit) BrowserEnd {
	t.Helper()
	began := time.Now()
	var end BrowserEnd
	if err := control(b.client, b.address, v, &end); err != nil {
		t.Fatalf("the browser, after %v: %v", time.Since(began), err)
	}
	return end
}
