package sandbox

import (
	"bytes"
	"html/template"
	"net/http"
)

// The pages for persons. The ids are for browsers under a test's control: login, password, go, allow, deny, user_code.
var pages = template.Must(template.New("").Parse(`
{{define "top"}}<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Sandbox</title></head><body>{{end}}
{{define "form"}}<form method="post" action="{{.Action}}">
<input type="hidden" name="request" value="{{.Request}}">{{end}}
{{define "login"}}{{template "top"}}<h1>Sign in</h1>
{{with .Problem}}<p id="problem">{{.}}</p>{{end}}{{template "form" .}}
<input id="login" name="login" value="{{.Hint}}" autofocus>
<input id="password" name="password" type="password">
<button id="go" type="submit">Sign in</button>
<button id="deny" name="consent" value="deny" type="submit">Cancel</button>
</form></body></html>{{end}}
{{define "consent"}}{{template "top"}}<h1>Allow {{.Client}}?</h1>
<p>Signed in as <span id="user">{{.User}}</span>. It asks for: <span id="scope">{{.Scope}}</span></p>
{{template "form" .}}
<button id="allow" name="consent" value="allow" type="submit" autofocus>Allow</button>
<button id="deny" name="consent" value="deny" type="submit">Deny</button>
</form></body></html>{{end}}
{{define "code"}}{{template "top"}}<h1>Connect a device</h1>{{with .Problem}}<p id="problem">{{.}}</p>{{end}}
<form method="get" action="{{.Action}}">
<input id="user_code" name="user_code" autofocus> <button id="go" type="submit">Continue</button>
</form></body></html>{{end}}
{{define "said"}}{{template "top"}}<p id="message">{{.Problem}}</p></body></html>{{end}}
`))

type page struct {
	Action, Request, Hint, Problem, Client, User, Scope string
}

func (p page) answer(status int, name string) answer {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, p); err != nil {
		panic(err) // the templates are constants and so are their fields
	}
	return answer{status: status, body: b.Bytes(), header: http.Header{
		"Content-Type": {"text/html; charset=utf-8"}, "Cache-Control": {"no-store"},
		"Content-Security-Policy": {"default-src 'none'; frame-ancestors 'none'"}, // RFC 6749 §10.13
		"Referrer-Policy":         {"no-referrer"},
	}}
}

func errorPage(problem string) answer {
	return page{Problem: problem}.answer(http.StatusBadRequest, "said")
}

func loginPage(status int, a *authorization, handle, problem string) answer {
	return page{Action: a.realm.interact, Request: handle, Hint: a.hint, Problem: problem}.answer(status, "login")
}

// interaction takes the forms of the login and consent pages: request, and login with password, or consent, or all at
// once.
func (s *Server) interaction(m *realm, r *request) answer {
	form, e := readForm(r)
	if e != nil {
		return errorPage(e.description)
	}
	handle, consent := form.Get("request"), form.Get("consent")
	s.sess.mu.Lock()
	a := s.sess.open[handle]
	if a == nil || a.realm != m || a.gone(r.now) {
		s.sess.mu.Unlock()
		return errorPage("this sign-in is no longer open")
	}
	next := *a // what others see does not change under their hands
	s.sess.mu.Unlock()
	if consent == "deny" {
		return s.close(handle, &next, r, false)
	}
	if form.Has("login") {
		if next.user = s.signIn(form.Get("login"), form.Get("password")); next.user == nil {
			return loginPage(http.StatusForbidden, &next, handle, "wrong name or password")
		}
		next.signedIn = r.now
		s.sess.mu.Lock()
		if s.sess.open[handle] != nil {
			s.sess.open[handle] = &next
		}
		s.sess.mu.Unlock()
	}
	switch {
	case next.user == nil:
		return loginPage(http.StatusForbidden, &next, handle, "sign in first")
	case consent == "allow":
		return s.close(handle, &next, r, true)
	}
	return page{
		Action: m.interact, Request: handle, Client: next.client.ID, User: next.user.Name, Scope: next.scope,
	}.answer(http.StatusOK, "consent")
}

// close takes the person's decision once.
func (s *Server) close(handle string, a *authorization, r *request, allowed bool) answer {
	s.sess.mu.Lock()
	open := s.sess.open[handle] != nil
	delete(s.sess.open, handle)
	s.sess.mu.Unlock()
	if !open {
		return errorPage("this sign-in is no longer open")
	}
	return s.finish(a, r, allowed)
}
