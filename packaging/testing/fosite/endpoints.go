package main

import (
	"html"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/openid"
)

// personCookie names who has signed in.
const personCookie = "person"

// authorize is RFC 6749 §3.1's endpoint. Who has signed in has allowed everything.
func (s *server) authorize(w http.ResponseWriter, r *http.Request) {
	if r.FormValue("client_id") == pushing && r.FormValue("request_uri") == "" {
		http.Error(w, "this client's requests must be pushed", http.StatusBadRequest)
		return
	}
	who, err := r.Cookie(personCookie)
	if err != nil {
		http.Redirect(w, r, "/login?"+url.Values{"to": {r.URL.RequestURI()}}.Encode(), http.StatusFound)
		return
	}
	request, err := s.NewAuthorizeRequest(r.Context(), r)
	if err != nil {
		s.WriteAuthorizeError(r.Context(), w, request, err)
		return
	}
	for _, scope := range request.GetRequestedScopes() {
		request.GrantScope(scope)
	}
	response, err := s.NewAuthorizeResponse(r.Context(), request, s.session(who.Value))
	if err != nil {
		s.WriteAuthorizeError(r.Context(), w, request, err)
		return
	}
	s.WriteAuthorizeResponse(r.Context(), w, request, response)
}

// login is the page that a person sees.
func login(w http.ResponseWriter, r *http.Request) {
	to := r.FormValue("to")
	if r.Method == http.MethodPost {
		http.SetCookie(w, &http.Cookie{Name: personCookie, Value: r.PostFormValue("login"), Path: "/"})
		http.Redirect(w, r, "/"+strings.TrimLeft(to, "/"), http.StatusFound)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	io.WriteString(w, `<!doctype html><title>test</title><form method="post" action="/login">
<input type="hidden" name="to" value="`+html.EscapeString(to)+`">
<input name="login"> <button>Sign in</button></form>`)
}

// token is RFC 6749 §3.2's endpoint. Scopes are granted as they are asked for.
func (s *server) token(w http.ResponseWriter, r *http.Request) {
	request, err := s.NewAccessRequest(r.Context(), r, s.session(""))
	if err != nil {
		s.WriteAccessError(r.Context(), w, request, err)
		return
	}
	if request.GetGrantTypes().ExactOne("client_credentials") || request.GetGrantTypes().ExactOne("password") {
		for _, scope := range request.GetRequestedScopes() {
			request.GrantScope(scope)
		}
	}
	if session, ok := request.GetSession().(*openid.DefaultSession); ok && session.Claims.Subject == "" {
		session.Claims.Subject = session.Subject // which the library sets where a password was shown
	}
	response, err := s.NewAccessResponse(r.Context(), request)
	if err != nil {
		s.WriteAccessError(r.Context(), w, request, err)
		return
	}
	s.WriteAccessResponse(r.Context(), w, request, response)
}

// push is RFC 9126's endpoint.
func (s *server) push(w http.ResponseWriter, r *http.Request) {
	request, err := s.NewPushedAuthorizeRequest(r.Context(), r)
	if err != nil {
		s.WritePushedAuthorizeError(r.Context(), w, request, err)
		return
	}
	response, err := s.NewPushedAuthorizeResponse(r.Context(), request, s.session(""))
	if err != nil {
		s.WritePushedAuthorizeError(r.Context(), w, request, err)
		return
	}
	s.WritePushedAuthorizeResponse(r.Context(), w, request, response)
}

func (s *server) introspect(w http.ResponseWriter, r *http.Request) {
	response, err := s.NewIntrospectionRequest(r.Context(), r, s.session(""))
	if err != nil {
		s.WriteIntrospectionError(r.Context(), w, err)
		return
	}
	s.WriteIntrospectionResponse(r.Context(), w, response)
}

// userinfo says whose token it is, a client's own too.
func (s *server) userinfo(w http.ResponseWriter, r *http.Request) {
	token := fosite.AccessTokenFromRequest(r)
	_, request, err := s.IntrospectToken(r.Context(), token, fosite.AccessToken, s.session(""))
	if err != nil {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		http.Error(w, "the token is not valid", http.StatusUnauthorized)
		return
	}
	subject := request.GetSession().GetSubject()
	if subject == "" {
		subject = request.GetClient().GetID()
	}
	answer(w, map[string]any{"sub": subject, "scope": strings.Join(request.GetGrantedScopes(), " ")})
}
