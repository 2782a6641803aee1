package sandbox

// The paths of the generic server, below its issuer's path.
const (
	genericToken = "/token"
	genericKeys  = "/keys"
	oauthMeta    = "/.well-known/oauth-authorization-server"
	oidcMeta     = "/.well-known/openid-configuration"
	keyID        = "sandbox-1"
)

// genericRealm follows the RFCs and OpenID Connect without quirks, and allows what they make optional.
func genericRealm(base string) *realm {
	return &realm{
		name:   "generic",
		issuer: base,
		metadata: []string{
			oauthMeta + base, // RFC 8414 §3.1: inserted between host and path
			base + oidcMeta,  // OpenID Connect Discovery §4: appended to the issuer
		},
		token: base + genericToken, keys: base + genericKeys, authorize: base + "/authorize",
		device: base + "/device/code",
		par:    base + "/par", revoke: base + "/revoke", introspect: base + "/introspect", userinfo: base + "/userinfo",
		interact: base + "/interaction", activate: base + "/device",
		grants:    []string{grantCode, grantRefresh, grantClient, grantDevice, grantExchange, grantJWT},
		life:      defaultLifetime,
		namesSelf: true,
		mint:      mintJWT,
	}
}

// mintJWT makes an RFC 9068 access token. Without an audience it is for this server's own API.
func mintJWT(s *Server, m *realm, r *request, i *issue, exp int64) string {
	claims := map[string]any{
		"iss": s.issuerOf(m), "sub": i.subject(), "client_id": i.client.ID, "aud": i.audience,
		"iat": r.now.Unix(), "exp": exp, "jti": newUUID(),
	}
	if i.audience == "" {
		claims["aud"] = s.URL()
	}
	if i.scope != "" {
		claims["scope"] = i.scope
	}
	return signRSA(s.key, map[string]string{"typ": "at+jwt", "alg": "RS256", "kid": keyID}, claims)
}
