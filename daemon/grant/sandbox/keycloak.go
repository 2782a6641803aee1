package sandbox

import (
	"net/http"
	"time"
)

// KeycloakIssuerPath is the path of the issuer of Planet's M2M server; no slash at its end.
const KeycloakIssuerPath = "/auth/realms/main"

// KeycloakTokenPath is the path of its token endpoint.
const KeycloakTokenPath = KeycloakIssuerPath + "/protocol/openid-connect/token"

// keycloakRealm is the authorization server of Planet's machines.
func keycloakRealm() *realm { return keycloakAt(KeycloakIssuerPath) }

// keycloakAt is a Keycloak whose issuer has a path.
func keycloakAt(issuer string) *realm {
	below := issuer + "/protocol/openid-connect"
	return &realm{
		name:     "keycloak",
		issuer:   issuer,
		metadata: []string{issuer + oidcMeta},
		token:    below + "/token", authorize: below + "/auth", device: below + "/auth/device",
		revoke:   below + "/revoke",
		userinfo: below + "/userinfo", keys: below + "/certs", par: below + "/ext/par/request",
		interact: issuer + "/login-actions/authenticate", activate: issuer + "/device",
		grants:    []string{grantCode, grantRefresh, grantClient, grantDevice},
		audiences: []string{"https://api.planet.com/"},
		life:      time.Hour,
		namesSelf: true,
		refusal:   keycloakRefusal,
		mint:      mintKeycloak,
		dress:     keycloakMembers,
	}
}

// keycloakRefusal: a known client with a wrong secret is unauthorized_client, with 401 as well.
func keycloakRefusal(e *oauthError, _ string) answer {
	shown := *e
	if e.code == "invalid_client" {
		shown.description = "Invalid client or Invalid client credentials"
		if e.known {
			shown.code = "unauthorized_client"
		}
		a := shown.answer()
		a.status = http.StatusUnauthorized
		return a
	}
	return shown.answer()
}

// keycloakMembers are those that no RFC knows.
func keycloakMembers(body map[string]any, i *issue) {
	body["not-before-policy"], body["refresh_expires_in"] = 0, 0
	if i.refresh != "" {
		body["refresh_expires_in"] = 1800
	}
	if i.family != nil {
		body["session_state"] = newUUID()
	}
	if i.scope == "" {
		body["scope"] = "email profile"
	}
}

func mintKeycloak(s *Server, m *realm, r *request, i *issue, exp int64) string {
	claims := map[string]any{
		"iss": s.issuerOf(m), "sub": i.subject(), "azp": i.client.ID, "client_id": i.client.ID, "aud": i.audience,
		"iat": r.now.Unix(), "exp": exp, "jti": newUUID(), "typ": "Bearer", "scope": "email profile",
	}
	if i.audience == "" {
		claims["aud"] = s.URL()
	}
	if i.scope != "" {
		claims["scope"] = i.scope
	}
	return signRSA(s.key, map[string]string{"typ": "JWT", "alg": "RS256", "kid": keyID}, claims)
}
