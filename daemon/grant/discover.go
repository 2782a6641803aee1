package grant

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/groat-dev/groat/daemon/origin"
)

// Discovered is a server as its metadata describes it.
type Discovered struct {
	Server
	// Document is the address of the metadata.
	Document string
	// OtherOrigin is the origin of the token endpoint where it differs from the issuer's, else empty. RFC 8414 allows
	// it; a person should see it before a secret goes there.
	OtherOrigin string
	// MayPost means that the document does not say that the server takes no client_secret_post.
	MayPost bool
}

// Discover reads a server's metadata, first where RFC 8414 §3 puts it, then where OpenID Connect Discovery §4 does.
// method is how the client authenticates; if it is empty, it is the first that the server supports of
// client_secret_basic (the method of a client registered without one, RFC 7591 §2), client_secret_post and
// client_secret_jwt.
//
// The document's issuer must be the given one (RFC 8414 §3.3), except for a slash at the end: both spellings lead to
// the same document, and people mistype them. The document's own spelling is used from then on. The address of such a
// document is understood too. A redirect is followed on the same origin only. The error is an [*Error], or
// [origin.CheckURL]'s.
func Discover(ctx context.Context, client *http.Client, issuer string, method Method) (Discovered, error) {
	if err := origin.CheckURL(issuer, "the issuer"); err != nil {
		return Discovered{}, err
	}
	if strings.Contains(issuer, "?") {
		return Discovered{}, errors.New("the issuer must not have a query (RFC 8414 §2)")
	}
	var first *Error
	issuer, documents := wellKnown(issuer)
	for _, document := range documents {
		found, err := readMetadata(ctx, client, document, issuer, method)
		if err == nil {
			return found, nil
		}
		err.Where = host(document)
		if first == nil || first.Class == TransientSlow {
			first = err // "nothing there" says less than whatever else went wrong
		}
		if err.Status == 0 && err.Class != Ambiguous {
			break // not reached; the other document is on the same host
		}
	}
	return Discovered{}, first
}

func readMetadata(ctx context.Context, client *http.Client, document, issuer string,
	method Method) (Discovered, *Error) {
	a, document := getDocument(ctx, client, document)
	if verdict := Classify(a, Nothing); verdict.Class != OK {
		if verdict.Class == TransientSlow && verdict.Status != 0 {
			verdict.Reason = "has no description of itself where an authorization server keeps it"
		}
		return Discovered{}, &verdict
	}
	body, _ := a.object()
	found := Discovered{Document: document, Server: Server{ByIssuer: true}}
	found.Issuer, _ = body.text("issuer")
	found.TokenEndpoint, _ = body.text("token_endpoint")
	if strings.TrimSuffix(found.Issuer, "/") != strings.TrimSuffix(issuer, "/") {
		return Discovered{}, misdescribed(a, "says that its issuer is another: "+quoted(found.Issuer))
	}
	if err := checkBeside(issuer, found.TokenEndpoint, "the token endpoint that it names"); err != "" {
		return Discovered{}, misdescribed(a, "cannot be used: "+err)
	}
	var flaw string
	if found.ClientAuth, flaw = chooseMethod(body, method); flaw != "" {
		return Discovered{}, misdescribed(a, flaw)
	}
	methods := body["token_endpoint_auth_methods_supported"]
	found.MayPost = missing(methods) || slices.Contains(body.list("token_endpoint_auth_methods_supported"),
		string(ClientSecretPost))
	if flaw := found.readEndpoints(body, issuer); flaw != "" {
		return Discovered{}, misdescribed(a, flaw)
	}
	if o := origin.Of(found.TokenEndpoint); o != origin.Of(found.Issuer) {
		found.OtherOrigin = o
	}
	return found, nil
}

// readEndpoints reads the server's other endpoints and options. An endpoint with an unusable address counts as missing.
func (s *Server) readEndpoints(body object, issuer string) (flaw string) {
	members := body
	if aliases := (object)(nil); s.ClientAuth.ByCertificate() &&
		json.Unmarshal(body["mtls_endpoint_aliases"], &aliases) == nil {
		members = maps.Clone(body) // RFC 8705 §5: where a client that shows a certificate goes instead
		maps.Copy(members, aliases)
	}
	if at, ok := members.text("token_endpoint"); ok && checkBeside(issuer, at, "") == "" {
		s.TokenEndpoint = at
	}
	for name, to := range map[string]*string{
		"userinfo_endpoint": &s.Userinfo, "authorization_endpoint": &s.AuthorizeEndpoint,
		"device_authorization_endpoint": &s.DeviceEndpoint, "pushed_authorization_request_endpoint": &s.PAREndpoint,
		"revocation_endpoint": &s.RevocationEndpoint, "introspection_endpoint": &s.IntrospectionEndpoint,
	} {
		if at, ok := members.text(name); ok && checkBeside(issuer, at, "") == "" {
			*to = at
		}
	}
	s.RequirePAR = string(body["require_pushed_authorization_requests"]) == "true"
	s.DPoP = len(body.list("dpop_signing_alg_values_supported")) > 0
	s.IssInRedirect = string(body["authorization_response_iss_parameter_supported"]) == "true"
	s.AssertionAlgs = body.list("token_endpoint_auth_signing_alg_values_supported")
	if slices.Contains(body.list("scopes_supported"), offlineAccess) {
		s.SessionScope = []string{offlineAccess}
		// without it the scope is ignored (OpenID Connect Core §11)
		s.AuthorizeParams = map[string]string{"prompt": "consent"}
	}
	if slices.Contains(body.list("scopes_supported"), scopeOpenID) {
		s.PersonScope = []string{scopeOpenID}
	}
	s.Grants = s.offered(body)
	if s.RequirePAR && s.PAREndpoint == "" {
		return "wants pushed authorization requests, but names no endpoint for them that can be used"
	}
	return ""
}

const offlineAccess = "offline_access"

// offered returns the grants that a document offers. Where it lists none, its endpoints imply them, and client
// credentials are always worth a try. A password is the last of all: it is used where a person names that grant.
func (s *Server) offered(body object) []Kind {
	listed := body.list("grant_types_supported")
	var kinds []Kind
	for _, k := range []struct {
		kind    Kind
		name    string
		implied bool
		needs   string
	}{
		{ByAuthorizationCode, "authorization_code", true, s.AuthorizeEndpoint},
		{ByDeviceCode, deviceGrant, true, s.DeviceEndpoint},
		{ByClientCredentials, "client_credentials", true, s.TokenEndpoint},
		{ByJWTBearer, bearerGrant, false, s.TokenEndpoint},
		{ByTokenExchange, exchangeGrant, false, s.TokenEndpoint},
		{ByPassword, "password", true, s.TokenEndpoint},
	} {
		if k.needs != "" && (slices.Contains(listed, k.name) || listed == nil && k.implied) {
			kinds = append(kinds, k.kind)
		}
	}
	return kinds
}

func misdescribed(a Answer, reason string) *Error {
	return &Error{Class: Misconfigured, Status: a.Status, Reason: reason}
}

// checkBeside checks an address that a document names. A server that is reached by https must not lead to http, not
// even on this machine.
func checkBeside(issuer, endpoint, what string) (flaw string) {
	if err := origin.CheckURL(endpoint, what); err != nil {
		return err.Error()
	}
	if strings.HasPrefix(origin.Of(issuer), "https:") && !strings.HasPrefix(origin.Of(endpoint), "https:") {
		return what + " must begin with https://"
	}
	return ""
}

// chooseMethod chooses a method of token_endpoint_auth_methods_supported: wanted where it is not empty.
func chooseMethod(body object, wanted Method) (chosen Method, flaw string) {
	const member = "token_endpoint_auth_methods_supported"
	var supported []Method
	if missing(body[member]) {
		if wanted != "" {
			return wanted, ""
		}
		return ClientSecretBasic, "" // RFC 8414 §2: the default where it is left out
	}
	if json.Unmarshal(body[member], &supported) != nil {
		return "", "does not say in a readable way how a client authenticates"
	}
	candidates := []Method{ClientSecretBasic, ClientSecretPost, ClientSecretJWT, None}
	if wanted == None {
		return None, "" // a public client has nothing to authenticate with, and servers that have them rarely list that
	}
	if wanted != "" {
		candidates = []Method{wanted}
	}
	for _, m := range candidates {
		if slices.Contains(supported, m) {
			return m, ""
		}
	}
	var names []string
	for _, m := range supported {
		names = append(names, string(m))
	}
	return "", "supports other client authentication only: " + quoted(strings.Join(names, " "))
}
