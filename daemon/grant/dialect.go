package grant

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// This file reads what servers say in words of their own instead of RFC 6749 §5.2's. Each entry names where the words
// are documented or were seen; a server is taken at its word only where that is plain.

// dialects are errors of servers :: the server's error → the RFC's error that it means.
var dialects = map[string]string{
	// https://docs.github.com/en/apps/oauth-apps: Troubleshooting OAuth app access token request errors
	"incorrect_client_credentials": "invalid_client",
	"bad_verification_code":        "invalid_grant",
	"redirect_uri_mismatch":        "invalid_redirect_uri",
	"unverified_user_email":        "access_denied",
	// https://docs.github.com/en/apps/creating-github-apps: Refreshing user access tokens
	"bad_refresh_token": "invalid_grant",
	// https://docs.github.com/en/apps/oauth-apps: Authorizing OAuth apps, error codes for the device flow
	"incorrect_device_code": "invalid_grant",
	"device_flow_disabled":  "unauthorized_client",
	"token_expired":         "expired_token",
	// https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_oauth_flow_errors.htm
	"invalid_client_id":          "invalid_client", // Slack's too
	"invalid_client_credentials": "invalid_client",
	"inactive_user":              "access_denied",
	"inactive_org":               "access_denied",
	// https://docs.slack.dev/reference/methods/oauth.v2.access
	"bad_client_secret":     "invalid_client",
	"invalid_code":          "invalid_grant",
	"invalid_refresh_token": "invalid_grant",
	// https://developers.google.com/identity/protocols/oauth2/web-server#authorization-errors
	"deleted_client":        "invalid_client",
	"admin_policy_enforced": "access_denied",
	"org_internal":          "access_denied",
	// "status" of https://developers.hubspot.com/docs/guides/api/app-management/oauth/tokens;
	// https://github.com/airbytehq/airbyte/issues/79592
	"BAD_CLIENT_ID":     "invalid_client",
	"BAD_CLIENT_SECRET": "invalid_client",
	"BAD_AUTH_CODE":     "invalid_grant",
	"BAD_REFRESH_TOKEN": "invalid_grant",
	// https://docs.cloud.google.com/apigee/docs/api-platform/reference/policies/oauth-http-status-code-reference
	"oauth.v2.InvalidClientIdentifier": "invalid_client",
}

// wrongClients are what a description says where unauthorized_client means that the client is unknown, or its secret
// wrong.
var wrongClients = []string{
	// Keycloak: https://github.com/code-specialist/fastapi-keycloak/issues/65,
	// https://github.com/keycloak/keycloak/issues/16923, https://github.com/Waziup/WaziCloud/issues/173
	"invalid client secret", "invalid client or invalid client", "unknown_client: client was not",
	// Bitbucket: https://github.com/p2/OAuth2/issues/96
	"authenticated using oauth client credential",
	// Azure: https://learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes
	"aadsts700016:", "aadsts70001:",
}

// endedSessions are what a description says where invalid_request or unauthorized_client means that the refresh token
// is no good.
var endedSessions = []string{
	"invalid refresh_token",    // Bitbucket, https://github.com/readthedocs/readthedocs.org/issues/2992
	"refresh_token is invalid", // Atlassian; DeviantArt, https://github.com/wix-incubator/DeviantArt-API/issues/58
	"refresh token is invalid", // TD, https://docs.pat.openbanking.amcb.developer.td.com/reference/token-errors
	"invalid token!",           // Zoom, https://developers.zoom.us/docs/integrations/oauth/
}

// meaning returns the error of an RFC that a server's error means, or the server's own where it means none.
func meaning(code, description string, status int, proof Presented) string {
	if means, ok := dialects[code]; ok {
		return means
	}
	says := func(words []string) bool {
		text := strings.ToLower(description)
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
	}
	switch code {
	case "unauthorized_client", "invalid_request":
		switch {
		case proof == RefreshToken && says(endedSessions):
			return "invalid_grant"
		case code == "unauthorized_client" && (status == http.StatusUnauthorized || says(wrongClients)):
			return "invalid_client" // under 401 it is Keycloak's word for a wrong secret
		}
	case "unauthorized", "invalid_credentials":
		// Spring Security's word, and Earthdata's (https://github.com/earthaccess-dev/earthaccess/issues/1121)
		switch {
		case status != http.StatusUnauthorized:
		case proof == Password:
			return "invalid_grant"
		case proof == ClientCredential:
			return "invalid_client"
		}
	}
	return code
}

// errorCode returns RFC 6749's "error" or a provider's form of it. said reports whether the answer is an error at all.
func (o object) errorCode() (code string, said bool) {
	for _, name := range []string{"error", "errorCode", "ErrorCode"} { // RFC 6749, Okta, Apigee
		if code, ok := o.text(name); ok && code != "" {
			code, _ = splitCode(code)
			return code, true
		}
	}
	if code, ok := o.text("status"); ok && dialects[code] != "" { // HubSpot
		return code, true
	}
	if code, ok := o.fitbit().text("errorType"); ok && code != "" {
		return code, true
	}
	if code, ok := o.member("fault").member("detail").text("errorcode"); ok && code != "" { // Apigee
		return code, true
	}
	raw := o["error"]
	return "", len(raw) > 0 && raw[0] == '{' // Google's APIs
}

// splitCode splits an error that has its description behind a colon, as Dropbox's
// (https://github.com/s-aska/dropbox-api-command/issues/41).
func splitCode(text string) (code, description string) {
	before, after, found := strings.Cut(text, ": ")
	if _, known := codes[before]; found && known {
		return before, after
	}
	return text, ""
}

// fitbit returns the first of Fitbit's errors (https://github.com/aarondcoleman/Fitbit.NET/issues/320).
func (o object) fitbit() (first object) {
	var all []object
	if raw := o["errors"]; len(raw) > 0 && raw[0] == '[' && json.Unmarshal(raw, &all) == nil && len(all) > 0 {
		first = all[0]
	}
	return first
}

// member returns a member that is an object, or nil.
func (o object) member(name string) (inner object) {
	if raw := o[name]; len(raw) > 0 && raw[0] == '{' && json.Unmarshal(raw, &inner) != nil {
		return nil
	}
	return inner
}

// description returns the server's explanation as it stands.
func (o object) description() string {
	for _, name := range []string{"error_description", "errorSummary", "message", "Error", "reason"} {
		if text, ok := o.text(name); ok && text != "" {
			return text
		}
	}
	if text, ok := o.detail(); ok {
		return text
	}
	if code, ok := o.text("error"); ok {
		_, text := splitCode(code)
		return text
	}
	for _, inner := range []object{o.member("error"), o.fitbit()} {
		if text, ok := inner.text("message"); ok {
			return text
		}
	}
	text, _ := o.member("fault").text("faultstring")
	return text
}
