package grant

import (
	"net/http"
)

// Presented is what a request proved its sender by. An answer without an OAuth error means something else for each.
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
	// RefreshToken: a refresh token.
	RefreshToken
	// Code: an authorization code, or a device code.
	Code
	// Assertion: a signed statement about an identity, or another server's token.
	Assertion
)

// Classify decides what an answer means, from its arguments alone. An OAuth error decides first, under whatever status
// (Auth0 uses 403 and 429 for codes that RFC 6749 puts under 400; some servers put an error under 200); then the status
// decides. A body counts only if its media type is JSON and it can be parsed, so that the page of a proxy or firewall
// never costs a credential. The result's Class is [OK] where the body is the JSON object of a success, whose members
// are still to be read. [Error.Action] says how to go on.
func Classify(a Answer, proof Presented) Error {
	if a.Err != nil && (a.Status == 0 || !retryable(a.Status)) {
		return classifyFailure(a)
	}
	body, flaw := a.object()
	e := Error{Status: a.Status, Proxy: a.Proxy, Redirect: a.redirectShown()}
	code, said := body.errorCode()
	e.Code = sanitize(code, a.Carried, maxErrorCode)
	description := body.description()
	e.Description = sanitize(description, a.Carried, maxDescription)
	if class, ok := codes[meaning(code, description, a.Status, proof)]; said && ok {
		e.Class = class
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

// codes are the OAuth errors that decide regardless of the status.
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

// retryable reports whether a status asks for a retry whatever the body says.
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
		return TransientSlow // an unknown code
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

// withoutCode classifies a 4xx that names no OAuth error. A JSON object with "detail" is how FastAPI's servers refuse;
// an answer without either comes from a proxy or firewall.
func withoutCode(a Answer, body object, proof Presented) Class {
	detail, found := body.detail()
	switch {
	case found && a.Status == http.StatusUnprocessableEntity:
		return Misconfigured
	case proof == ClientCredential && found && (a.Status == http.StatusUnauthorized ||
		detail == "LOGIN_BAD_CREDENTIALS"):
		return InvalidClient
	case proof == Password && found && (a.Status == http.StatusBadRequest || a.Status == http.StatusUnauthorized):
		return Refused
	case proof == AccessToken && found && a.Status == http.StatusUnauthorized:
		return Refused
	case (proof == Password || proof == AccessToken || proof == Nothing) && a.Status == http.StatusUnauthorized &&
		a.Header.Get("WWW-Authenticate") != "":
		return Refused // the challenge itself; a proxy's would be a 407
	}
	return TransientSlow
}
