package grant

import (
	"strings"
	"testing"
)

// What servers say of a wrong secret, and of a session that has ended. Either is a reason to sign in again, and nothing
// else is.
func TestDialects(t *testing.T) {
	for _, c := range []struct {
		server string
		answer Answer
		proof  Presented
		class  Class
	}{
		{"GitHub: secret",
			said(200, `{"error":"incorrect_client_credentials","error_description":"The client_id and/or `+
				`client_secret passed are incorrect."}`), Code, InvalidClient},
		{"GitHub: session", said(200, `{"error":"bad_refresh_token","error_description":"The refresh token passed is `+
			`incorrect or expired."}`), RefreshToken, Refused},
		{"GitHub: code", said(200, `{"error":"bad_verification_code"}`), Code, Refused},
		{"GitHub: redirect", said(200, `{"error":"redirect_uri_mismatch"}`), Code, Misconfigured},
		{"Salesforce: client",
			said(400, `{"error":"invalid_client_id","error_description":"client identifier invalid"}`),
			ClientCredential, InvalidClient},
		{"Salesforce: secret", said(400, `{"error":"invalid_client","error_description":"invalid client credentials"}`),
			ClientCredential, InvalidClient},
		{"Salesforce: session",
			said(400, `{"error":"invalid_grant","error_description":"expired access/refresh token"}`),
			RefreshToken, Refused},
		{"Salesforce: user",
			said(400, `{"error":"inactive_user","error_description":"user is inactive"}`), RefreshToken,
			Refused},
		{"Azure: client",
			said(400, `{"error":"unauthorized_client","error_description":"AADSTS700016: Application with `+
				`identifier 'x' was not found in the directory 'y'.","error_codes":[700016]}`),
			ClientCredential, InvalidClient},
		{"Azure: secret",
			said(401, `{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret `+
				`provided."}`), ClientCredential, InvalidClient},
		{"Azure: session",
			said(400, `{"error":"invalid_grant","error_description":"AADSTS700082: The refresh token has `+
				`expired due to inactivity."}`), RefreshToken, Refused},
		{"Azure: second factor", said(400, `{"error":"interaction_required","error_description":"AADSTS50076: ..."}`),
			RefreshToken, Refused},
		{"Auth0: secret", said(401, `{"error":"access_denied","error_description":"Unauthorized"}`), ClientCredential,
			Refused},
		{"Auth0: session",
			said(403, `{"error":"invalid_grant","error_description":"Unknown or invalid refresh token."}`),
			RefreshToken, Refused},
		{"Okta: client", said(401, `{"errorCode":"invalid_client","errorSummary":"Invalid value for 'client_id' `+
			`parameter.","errorLink":"invalid_client"}`), ClientCredential, InvalidClient},
		{"Okta: session", said(400, `{"error":"invalid_grant","error_description":"The refresh token is invalid or `+
			`expired."}`), RefreshToken, Refused},
		{"Keycloak: secret", said(401, `{"error":"unauthorized_client","error_description":"Invalid client or Invalid `+
			`client credentials"}`), ClientCredential, InvalidClient},
		{"Keycloak before 18: secret", said(400, `{"error":"unauthorized_client","error_description":"Invalid client `+
			`secret"}`), RefreshToken, InvalidClient},
		{"Keycloak: session",
			said(400, `{"error":"invalid_grant","error_description":"Session not active"}`), RefreshToken,
			Refused},
		{"Keycloak: not allowed",
			said(401, `{"error":"unauthorized_client","error_description":"Client not enabled to `+
				`retrieve service account"}`), ClientCredential, InvalidClient},
		{"Cognito: secret", said(400, `{"error":"invalid_client","error_description":"invalid_client_secret"}`),
			ClientCredential, InvalidClient},
		{"Cognito: session", said(400, `{"error":"invalid_grant"}`), RefreshToken, Refused},
		{"Google: client",
			said(401, `{"error":"invalid_client","error_description":"The OAuth client was not found."}`),
			RefreshToken, InvalidClient},
		{"Google: client gone",
			said(401, `{"error":"deleted_client","error_description":"The OAuth client was deleted."}`),
			RefreshToken, InvalidClient},
		{"Google: session",
			said(400, `{"error":"invalid_grant","error_description":"Token has been expired or revoked."}`),
			RefreshToken, Refused},
		{"Slack: secret", said(200, `{"ok":false,"error":"bad_client_secret"}`), Code, InvalidClient},
		{"Slack: session", said(200, `{"ok":false,"error":"invalid_refresh_token"}`), RefreshToken, Refused},
		{"Dropbox: secret", said(400, `{"error":"invalid_client: Invalid client_id or client_secret"}`), Code,
			InvalidClient},
		{"HubSpot: session", said(400, `{"status":"BAD_REFRESH_TOKEN","message":"missing or invalid refresh token"}`),
			RefreshToken, Refused},
		{"HubSpot: something", said(400, `{"status":"error","message":"no"}`), RefreshToken, TransientSlow},
		{"Fitbit: session", said(400, `{"errors":[{"errorType":"invalid_grant","message":"Refresh token invalid: x"}],`+
			`"success":false}`), RefreshToken, Refused},
		{"Apigee: client", said(401, `{"ErrorCode":"invalid_client","Error":"ClientId is Invalid"}`), ClientCredential,
			InvalidClient},
		{"Apigee: client, in a fault", said(401, `{"fault":{"faultstring":"Invalid client identifier {0}","detail":`+
			`{"errorcode":"oauth.v2.InvalidClientIdentifier"}}}`), ClientCredential, InvalidClient},
		{"Bitbucket: secret", said(400, `{"error":"unauthorized_client","error_description":"Requests must be `+
			`authenticated using OAuth client credentials"}`), ClientCredential, InvalidClient},
		{"Bitbucket: session", said(400, `{"error":"invalid_request","error_description":"Invalid refresh_token"}`),
			RefreshToken, Refused},
		{"Atlassian: session",
			said(403, `{"error":"unauthorized_client","error_description":"refresh_token is invalid"}`),
			RefreshToken, Refused},
		{"Earthdata: password",
			said(401, `{"error":"invalid_credentials","error_description":"Invalid user credentials"}`),
			Password, Refused},
		{"Spring: secret",
			said(401, `{"error":"unauthorized","error_description":"Bad credentials"}`), ClientCredential,
			InvalidClient},

		{"not allowed is not unknown", said(400, `{"error":"unauthorized_client","error_description":"Grant type `+
			`'client_credentials' not allowed for the client."}`), ClientCredential, Misconfigured},
		{"another request's trouble", said(400, `{"error":"invalid_request","error_description":"refresh_token is `+
			`invalid"}`), ClientCredential, Misconfigured},
		{"a page that says it", page(401), RefreshToken, TransientSlow},
		{"text that says it", said(400, `{"error":"invalid_grant"}`, "Content-Type", "text/plain"), RefreshToken,
			TransientSlow},
		{"nothing", said(403, ``), ClientCredential, TransientSlow},
		{"a gateway's word", said(401, `{"message":"Unauthorized"}`), ClientCredential, TransientSlow},
		{"a colon in an unknown error", said(400, `{"error":"moon: full"}`), ClientCredential, TransientSlow},
	} {
		t.Run(c.server, func(t *testing.T) {
			got := Classify(c.answer, c.proof)
			if got.Class != c.class {
				t.Errorf("class %s, want %s: %v", got.Class, c.class, &got)
			}
			if got.Class == TransientSlow && got.Code == "" && !strings.Contains(got.Reason, "may ") {
				t.Errorf("the credential is not named as a possible cause: %v", &got)
			}
		})
	}
}
