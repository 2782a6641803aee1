package grant

// Kind is a way to sign in. Its value is what a configuration and a stored item call it.
type Kind string

// The kinds, in the order in which they are offered where a provider has no order of its own.
const (
	// ByAuthorizationCode is RFC 6749 §4.1 with PKCE: a browser on this machine.
	ByAuthorizationCode Kind = "authorization_code"
	// ByDeviceCode is RFC 8628: a browser anywhere.
	ByDeviceCode Kind = "device_code"
	// ByClientCredentials is RFC 6749 §4.4: no person.
	ByClientCredentials Kind = "client_credentials"
	// ByJWTBearer is RFC 7523 §2.1: a key that speaks for somebody, such as a service account's.
	ByJWTBearer Kind = "jwt_bearer"
	// ByTokenExchange is RFC 8693: another server's token.
	ByTokenExchange Kind = "token_exchange"
	// ByPassword is RFC 6749 §4.3; only where a preset asks for it.
	ByPassword Kind = "password"
	// ByAppCredentials is a person's password that creates a client, which then signs in by [ByClientCredentials].
	ByAppCredentials Kind = "app_credentials"
	// ByAPIKey is a key that is sent as it is.
	ByAPIKey Kind = "api_key"
	// ByKeyLogin is a person's password that is answered with such a key.
	ByKeyLogin Kind = "key_login"
)

// Kinds returns every kind, in the order above.
func Kinds() []Kind {
	return []Kind{
		ByAuthorizationCode, ByDeviceCode, ByClientCredentials, ByJWTBearer, ByTokenExchange, ByPassword, ByAppCredentials,
		ByAPIKey, ByKeyLogin,
	}
}

// Stored returns the kind under which a credential that was had by k is kept.
func (k Kind) Stored() Kind {
	switch k {
	case ByAppCredentials:
		return ByClientCredentials
	case ByKeyLogin:
		return ByAPIKey
	}
	return k
}

// Session reports whether what is kept is a session: a refresh token that the next access tokens are had with.
func (k Kind) Session() bool {
	return k.Interactive() || k == ByPassword || k == ByTokenExchange
}

// Interactive reports whether a person must do something in a browser.
func (k Kind) Interactive() bool { return k == ByAuthorizationCode || k == ByDeviceCode }

// StaticKey reports whether nothing is ever asked of a token endpoint.
func (k Kind) StaticKey() bool { return k == ByAPIKey || k == ByKeyLogin }
