package grant

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"
)

// reason describes a classified answer as a predicate whose subject is the host.
func reason(e Error, proof Presented, flaw string) string {
	switch e.Class {
	case OK:
		return ""
	case InvalidClient, Refused, Misconfigured:
		if wantsDPoP(e) {
			return "wants a proof of a key (DPoP, RFC 9449), which groat does not have: " +
				"the client must be registered for Bearer tokens"
		}
	}
	switch e.Class {
	case InvalidClient:
		return "does not accept the client id or secret"
	case Refused:
		if e.Code == "access_denied" && e.Status == http.StatusUnauthorized && proof == ClientCredential {
			return "does not accept the client id or secret" // Auth0's word for that
		}
		return refusal(e.Code, proof)
	case Pending:
		return "waits for somebody to sign in"
	case Misconfigured:
		if e.Status >= 300 && e.Status < 400 {
			return "answers with a redirect, which is not followed" + leadsTo(e.Redirect)
		}
		return "cannot serve this request"
	case Malformed:
		if e.Status == http.StatusOK || e.Status == http.StatusCreated {
			return "gave an answer that " + flaw
		}
		return "gave an answer that is no success and no error"
	}
	switch {
	case e.Status == http.StatusTooManyRequests:
		return "asks for fewer requests"
	case unexplained(e):
		return "answered" + through(e.Proxy) + " with neither a token nor an OAuth error (" + suspect(proof) +
			", or a proxy or firewall is in between)"
	case e.Class == TransientSlow && e.Code == "" && e.Description == "":
		return "answered" + through(e.Proxy) +
			" with neither a token nor an OAuth error (a proxy or firewall in between, or a wrong address)"
	}
	return "could not answer"
}

// unexplained reports whether an answer refuses without an OAuth error. Servers that do not say why they refuse a
// credential give it, and so do proxies and firewalls: it is no reason to give a credential up, and none to believe in
// it.
func unexplained(e Error) bool {
	if e.Class != TransientSlow || e.Code != "" {
		return false
	}
	switch e.Status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		return true
	}
	return false
}

// suspect says what may be wrong with what a request presented.
func suspect(proof Presented) string {
	switch proof {
	case ClientCredential:
		return "the client id or secret may be wrong"
	case Password:
		return "the user name or password may be wrong"
	case AccessToken:
		return "the access token may have ended"
	case RefreshToken:
		return "the session may have ended"
	case Code:
		return "the code of this sign-in may have expired"
	case Assertion:
		return "what vouches for this identity may be refused"
	}
	return "the address may be wrong"
}

// mayWantDPoP reports whether a server that knows DPoP may have refused a request because it had no proof of a key.
// Some do not say so: they answer with invalid_grant or invalid_request where the code, or the client, is good.
func mayWantDPoP(e Error, proof Presented) bool {
	return (proof == Code || proof == ClientCredential) && !wantsDPoP(e) &&
		(e.Code == "invalid_grant" || e.Code == "invalid_request")
}

// wantsDPoP reports whether an error says that tokens are bound to a key.
func wantsDPoP(e Error) bool {
	return e.Code == "use_dpop_nonce" || e.Code == "invalid_dpop_proof" ||
		strings.Contains(strings.ToLower(e.Description), "dpop")
}

// leadsTo says where a redirect leads.
func leadsTo(address string) string {
	if address == "" {
		return ""
	}
	return ": it leads to " + shown(address)
}

// refusal says what a server refuses: by the code where that says more, else by what the request presented.
func refusal(code string, proof Presented) string {
	switch code {
	case "mfa_required", "interaction_required", "account_selection_required":
		return "wants more of the person than can be given here: sign in with a browser"
	case "expired_token":
		return "says that the code has expired before anybody signed in with it"
	case "access_denied", "consent_required":
		if proof == Code {
			return "says that the sign-in was declined"
		}
	}
	switch proof {
	case Password:
		return "does not accept the user name or password"
	case AccessToken:
		return "does not accept the access token"
	case RefreshToken:
		return "has ended the session"
	case Code:
		return "does not accept the code of this sign-in"
	case Assertion:
		return "does not accept what vouches for this identity"
	}
	return "refuses to give a token"
}

// classifyFailure is [Classify] for an exchange without a usable answer. Its text has only words of our own: some
// errors of net/http quote what the server sent, and a server may send back what it received.
func classifyFailure(a Answer) Error {
	if own, ok := errors.AsType[*Error](a.Err); ok {
		return *own // nothing was tried
	}
	e := Error{Class: Transient, Status: a.Status, Err: cause(a.Err), Proxy: a.Proxy, Trouble: trouble(a)}
	why, slow := describe(a.Err, a.At)
	through := through(a.Proxy)
	if byProxy(a.Err) {
		why = "the proxy: " + why
	}
	switch {
	case a.Sent:
		e.Class, e.Reason = Ambiguous, "was sent a request"+through+", but no whole answer came ("+why+")"
	case slow:
		e.Class, e.Reason = TransientSlow, "cannot be used"+through+": "+why
	default:
		e.Reason = "cannot be reached" + through + ": " + why
	}
	return e
}

// through names the proxy of a request in the middle of a sentence.
func through(proxy string) string {
	if proxy == "" {
		return ""
	}
	return " through proxy " + sanitize(proxy, nil, maxDescription)
}

// byProxy reports whether an error is about the connection to a proxy and not about what is behind it, by net/http's
// names of the operations.
func byProxy(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && (op.Op == "proxyconnect" || strings.HasPrefix(op.Op, "socks "))
}

// trouble returns the [Trouble] of a failed exchange.
func trouble(a Answer) Trouble {
	_, refused := errors.AsType[*proxyError](a.Err)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](a.Err)
	switch {
	case unknown:
		return UntrustedAuthority
	case refused || byProxy(a.Err):
		return ProxyFailed
	case !a.Sent && a.Proxy == "" && unreachable(a.Err):
		return Unreachable
	}
	return Broken
}

// unreachable reports whether a missing proxy may be the cause of an error. A host that refuses the connection is
// reachable.
func unreachable(err error) bool {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return true
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" && op.Timeout() {
		return true
	}
	return errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EHOSTUNREACH) ||
		errors.Is(err, syscall.ETIMEDOUT)
}

// describe describes a transport's error. now is this machine's clock; slow means that something must change before
// another attempt can succeed.
func describe(err error, now time.Time) (why string, slow bool) {
	if p, ok := errors.AsType[*proxyError](err); ok {
		return p.Error(), true
	}
	if errors.Is(err, errProxySetting) {
		return errProxySetting.Error(), true
	}
	if d, ok := errors.AsType[*net.DNSError](err); ok {
		if d.IsNotFound {
			return "there is no such host", false
		}
		return "the name service does not answer", false
	}
	if why := describeTLS(err, now); why != "" {
		return why, true
	}
	if n, ok := errors.AsType[net.Error](err); ok && n.Timeout() {
		return "it took too long", false
	}
	switch {
	case errors.Is(err, context.Canceled):
		return "it was given up", false
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused", false
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF),
		errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection broke", false
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return "no route to it", false
	case strings.Contains(err.Error(), "header") && strings.Contains(err.Error(), "exceeded"):
		return "its answer has too large a header", false
	}
	return "the connection failed", false
}

func describeTLS(err error, now time.Time) string {
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if invalid.Reason == x509.Expired {
			return outOfDate(invalid.Cert, now)
		}
		return "its certificate is not valid"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "its certificate is for another host"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "its certificate is from an authority that this machine does not trust"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "its certificate cannot be verified"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		return "it does not speak TLS"
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return "it broke off the TLS handshake"
	}
	return ""
}

// outOfDate says whether a certificate has expired or is not valid yet. A certificate that was not renewed in time has
// usually expired by hours; beyond a day this machine's clock is as likely to be wrong.
func outOfDate(c *x509.Certificate, now time.Time) string {
	if c == nil {
		return "its certificate is expired or not yet valid"
	}
	why, off := "its certificate has expired", now.Sub(c.NotAfter)
	if early := c.NotBefore.Sub(now); early > 0 {
		why, off = "its certificate is not valid yet", early
	}
	if off > 24*time.Hour {
		why += " (check this machine's clock, which says " + now.UTC().Format(time.DateOnly) + ")"
	}
	return why
}

// cause returns the part of a transport's error that errors.Is can find and that quotes nothing the server sent.
func cause(err error) error {
	for _, known := range []error{context.Canceled, context.DeadlineExceeded, os.ErrDeadlineExceeded,
		io.ErrUnexpectedEOF, io.EOF} {
		if errors.Is(err, known) {
			return known
		}
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	return nil
}

// causeText returns the text of cause.
func causeText(err error) string {
	if known := cause(err); known != nil {
		return known.Error()
	}
	return "the system does not say why"
}
