package sandbox

import "time"

// CopernicusTokenPath is the path of the token endpoint of Copernicus' realm (documentation.dataspace.copernicus.eu,
// APIs/Token).
const CopernicusTokenPath = "/auth/realms/CDSE/protocol/openid-connect/token"

// copernicusRealm is the Keycloak of the Copernicus Data Space Ecosystem. Its pages "Token" and "Quotas" say: a
// person's password, with the parameter totp where the account has a second factor; a token is good for 10 minutes, and
// can be refreshed within 60 minutes.
func copernicusRealm() *realm {
	const idle = 60 * time.Minute
	m := keycloakAt("/auth/realms/CDSE")
	m.grants = append(m.grants, grantPassword)
	m.audiences, m.life, m.refreshes, m.code = nil, 10*time.Minute, true, "totp"
	m.dress = func(body map[string]any, i *issue) {
		keycloakMembers(body, i)
		if i.refresh != "" {
			body["refresh_expires_in"] = int64(idle / time.Second)
		}
		if i.family != nil { // forum.dataspace.copernicus.eu, topic 331
			body["scope"] = "AUDIENCE_PUBLIC email profile user-context"
		}
	}
	return m
}
