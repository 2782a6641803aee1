package grant

import (
	"net/http"
)

// Presented is what a request proved itself with; an answer that names no OAuth error means something else for each.
type Presented int

const (
	// ClientCredential: a client id with a secret or an assertion, at the token endpoint.
	ClientCredential Presented = iota
	// Password: a person's user name and password.
	Password
	// AccessToken: a Bearer token.
	AccessToken
	// Nothing: a public document.
	Nothing
	// RefreshToken: a session.
	RefreshToken
	// Code: an authorization code, or a device code.
	Code
	// Assertion: a signed statement about somebody, or another server's token.
	Assertion
)

// Classify decides what an answer means, from nothing but its arguments. An OAuth error decides first, wherever it stands
// (Auth0 uses 403 and 429 for codes that RFC 6749 puts under 400; some servers put an error under 200), then the status.
// A body counts only if it says that it is JSON and is; a page from a proxy or firewall never costs a credential. The
// result's Class is [OK] where the body is the JSON object of a success, still to be read; what is to be done about any other
// is its [Error.Action].
func Classify(a Answer, proof Presented) Error {
	if a.Err != nil && (a.Status == 0 || !retryable(a.Status)) {
		return classifyFailure(a)
	}
	body, flaw := a.object()
	e := Error{Status: a.Status, Proxy: a.Proxy}
	code, said := body.errorCode()
	e.Code = sanitize(code, a.Carried, maxErrorCode)
	e.Description = sanitize(body.description(), a.Carried, maxDescription)
	if class, ok := codes[code]; said && ok {
		e.Class = class
		if code == "unauthorized_client" && a.Status == http.StatusUnauthorized {
			e.Class = InvalidClient // Keycloak's word for a wrong secret
		}
	} else {
		e.Class = byStatus(a, body, proof, flaw, said)
	}
	e.Reason = reason(e, proof, flaw)
	switch e.Action() {
	case Retry, RetrySlowly, RetrySeldom:
		e.RetryAfter, e.wished = retryAfter(a)
	}
	return e
}

// codes are the OAuth errors that decide by themselves.
var codes = map[string]Class{
	// RFC 6749 §5.2.
	"invalid_client":         InvalidClient,
	"invalid_grant":          Refused,
	"invalid_request":        Misconfigured,
	"invalid_scope":          Misconfigured,
	"unauthorized_client":    Misconfigured,
	"unsupported_grant_type": Misconfigured,
	// RFC 6749 §4.1.2.1, which token endpoints use too.
	"access_denied":           Refused,
	"server_error":            Transient,
	"temporarily_unavailable": Transient,
	// RFC 8707 §2, RFC 9449 §8 (this client has no DPoP key).
	"invalid_target":     Misconfigured,
	"invalid_dpop_proof": Misconfigured,
	"use_dpop_nonce":     Misconfigured,
	// OpenID Connect Core §3.1.2.6: a person must do something first.
	"account_selection_required": Refused,
	"consent_required":           Refused,
	"interaction_required":       Refused,
	"login_required":             Refused,
	// Auth0.
	"invalid_user_password": Refused,
	"mfa_required":          Refused,
	"too_many_requests":     Transient,
	// RFC 8628 §3.5.
	"authorization_pending": Pending,
	"expired_token":         Refused,
	"slow_down":             Transient,
	// RFC 6749 §4.1.2.1, RFC 9126 §2.3, RFC 9101 §7, RFC 7009 §2.2.1.
	"unsupported_response_type": Misconfigured,
	"invalid_redirect_uri":      Misconfigured,
	"invalid_request_uri":       Misconfigured,
	"unsupported_token_type":    Misconfigured,
	// RFC 6750 §3.1.
	"invalid_token": Refused,
}

// retryable statuses mean the same whatever the body.
func retryable(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status >= 500
}

func byStatus(a Answer, body object, proof Presented, flaw string, said bool) Class {
	switch {
	case retryable(a.Status):
		return Transient
	case said:
		return TransientSlow // a code that nobody knows
	case a.Status == http.StatusOK || a.Status == http.StatusCreated:
		if flaw != "" {
			return Malformed
		}
		return OK
	case a.Status < 300:
		return Malformed
	case a.Status < 400:
		return Misconfigured
	}
	return withoutCode(a, body, proof)
}

// withoutCode is for a 4xx that names no OAuth error. FastAPI's {"detail": …} is such an answer, and the framework's way
// of refusing; what has neither comes from something in between.
func withoutCode(a Answer, body object, proof Presented) Class {
	detail, found := body.detail()
	switch {
	case found && a.Status == http.StatusUnprocessableEntity:
		return Misconfigured
	case proof == ClientCredential && found && (a.Status == http.StatusUnauthorized || detail == "LOGIN_BAD_CREDENTIALS"):
		return InvalidClient
	case proof == Password && found && (a.Status == http.StatusBadRequest || a.Status == http.StatusUnauthorized):
		return Refused
	case proof == AccessToken && found && a.Status == http.StatusUnauthorized:
		return Refused
	case (proof == Password || proof == AccessToken || proof == Nothing) && a.Status == http.StatusUnauthorized && a.Header.Get("WWW-Authenticate") != "":
		return Refused // the challenge itself; a proxy's would be a 407
	}
	return TransientSlow
}
