package grant

import "net/http"

// Action is what is to be done about a failed exchange: the right-hand column of the table whose left-hand one is [Class].
// It says how, not when: the times are the broker's, which knows what went before. Two rules stand above every row: what
// the server wishes ([Error.RetryAfter]) is a floor, and a token that is still valid goes on being served.
type Action int

const (
	// Proceed: there is nothing to do about a success.
	Proceed Action = iota
	// Retry with backoff, from a second on: the same request may succeed at any moment.
	Retry
	// RetrySlowly: with a backoff that begins slowly, for something stands in between (a proxy, a firewall, a certificate).
	RetrySlowly
	// RetrySeldom: as RetrySlowly, up to a quarter of an hour: a wrong address, a redirect, a word that nobody knows. Most
	// likely somebody must change something, but no specification says that it is final, so it heals by itself.
	RetrySeldom
	// RetryOnceSoon: the server may have carried the request out. Once, after a few seconds, it is sent again, while servers
	// that rotate refresh tokens still take the one before; if that is lost too, it is RetrySlowly.
	RetryOnceSoon
	// ConfirmThenPark: believed when it is said twice, a minute apart; then Park.
	ConfirmThenPark
	// Park the credential: no request until it is stored anew or its configuration changes, or a person asks for one.
	Park
	// ParkRequest: only the scope or audience that was asked for is refused; other tokens of the credential are not.
	ParkRequest
	// ParkDoubtful: servers say this of a credential, and of a scope or audience that they do not know. Where the profile's
	// own default was asked for it is Park, else ParkRequest: the default's own request will tell.
	ParkDoubtful
	// Poll again after the interval: a person has not answered yet (RFC 8628 §3.5). Only a sign-in gets this.
	Poll
)

var actionNames = [...]string{
	"proceed", "retry", "retry slowly", "retry seldom", "retry once soon", "confirm, then park",
	"park", "park the request", "park, or the request", "poll",
}

func (a Action) String() string { return actionNames[a] }

// Parks reports whether the action, when it is carried out, ends with no further request until something changes.
func (a Action) Parks() bool {
	switch a {
	case ConfirmThenPark, Park, ParkRequest, ParkDoubtful:
		return true
	}
	return false
}

// Action is pure: it depends on the class, the code, the status and on what became of a refresh token, and on nothing that
// happened before. Only what RFC 6749 or an extension of it makes final parks anything.
func (e *Error) Action() Action {
	if e.RotationLost {
		return RetryOnceSoon // whatever the answer was, its refresh token may be the only one that still works
	}
	switch e.Class {
	case OK:
		return Proceed
	case Transient, Malformed:
		if e.Code == "slow_down" {
			return RetrySlowly
		}
		return Retry
	case TransientSlow:
		switch {
		case e.otherClock:
			return Retry
		case e.Code != "" || wrongPlace(e.Status) || e.Err == ErrClock:
			return RetrySeldom
		}
		return RetrySlowly
	case Ambiguous:
		return RetryOnceSoon
	case InvalidClient:
		return ConfirmThenPark
	case Pending:
		return Poll
	}
	return e.verdict()
}

// verdict is the action for what is definitive: [Refused] and [Misconfigured].
func (e *Error) verdict() Action {
	switch e.Code {
	case "invalid_scope", "invalid_target": // RFC 6749 §5.2, RFC 8707 §2
		return ParkRequest
	case "access_denied", "unauthorized_client", "invalid_request": // an unknown audience at Auth0, and worse
		return ParkDoubtful
	}
	if e.Class == Misconfigured && e.Code == "" && e.Status != 0 {
		return RetrySeldom // a redirect to a maintenance page, a scope too many: not in the words that make it final
	}
	return Park
}

// wrongPlace reports whether a status says that nothing, or something else, is at this address.
func wrongPlace(status int) bool {
	switch status {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone, http.StatusMisdirectedRequest:
		return true
	}
	return false
}

// Reached reports whether the request, or a part of it, may have reached the server: an exchange that has not costs the
// server nothing.
func (e *Error) Reached() bool { return e.Status != 0 || e.Class == Ambiguous || e.Class == Malformed }

// Answered reports whether the server itself has spoken, however unfavourably: it is there and works. What a proxy, a
// firewall or an outage says is no such word.
func (e *Error) Answered() bool {
	switch e.Class {
	case Refused, InvalidClient, Misconfigured, Pending, OK:
		return e.Status != 0 && (e.Status < 300 || e.Status >= 400)
	case TransientSlow:
		return e.Code != "" || e.Err == ErrClock
	}
	return false
}
