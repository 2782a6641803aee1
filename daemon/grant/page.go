package grant

import (
	"io"
	"net/http"
	"strconv"
)

// text is what one page says. Nothing that came with a request is ever in it.
type text struct{ title, body string }

var (
	pageDone    = text{"You can close this tab", "groat has what it needs to go on. The terminal says whether the sign-in worked."}
	pageFailed  = text{"The sign-in did not work", "The provider sent an error instead of a sign-in. The terminal says which. You can close this tab."}
	pageLate    = text{"This sign-in has been answered already", "groat takes one answer. You can close this tab."}
	pageOver    = text{"This sign-in is over", "groat did not wait any longer, and has not used what this page brought. Sign in again from the terminal. You can close this tab."}
	pageNotThis = text{"This is not the sign-in that groat waits for", "Use the tab that groat opened, or the address that it printed. You can close this one."}
	pageNotHere = text{"There is nothing here", "groat only waits here for a sign-in to come back."}
)

// showPage answers with a page that loads nothing, runs nothing, is framed by nobody, and tells nobody where it was.
func showPage(w http.ResponseWriter, status int, t text) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Connection", "close")
	html := "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>" + t.title + "</title>\n<h1>" + t.title + "</h1>\n<p>" + t.body + "</p></html>\n"
	h.Set("Content-Length", strconv.Itoa(len(html)))
	w.WriteHeader(status)
	io.WriteString(w, html)
}
