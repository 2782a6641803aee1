package grant

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/groat-dev/groat/keystore"
)

// assertionLife is how long a client assertion can be used. It is used once and at once: this covers the 15 s of an
// exchange, the 30 s by which a clock may be wrong before it is corrected, and as much again. The providers' own library
// says an hour, in which whoever gets hold of one could use it at a server that does not remember each jti.
const assertionLife = 2 * time.Minute

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" // RFC 7523 §2.2

// authenticate adds the client's credentials to a request at the token endpoint; at is the server's time.
func (s Server) authenticate(c *call, item keystore.Item, at time.Time) error {
	secret := item.ClientSecret.Reveal()
	c.carried = append(c.carried, item.ClientSecret, keystore.SecretString(url.QueryEscape(secret)))
	switch s.ClientAuth {
	case ClientSecretBasic:
		credentials, err := s.basic(item.ClientID, secret)
		if err != nil {
			return err
		}
		c.authorization = "Basic " + credentials
		c.carried = append(c.carried, keystore.SecretString(credentials))
	case ClientSecretPost:
		c.body = c.body.add("client_id", item.ClientID).add("client_secret", secret)
	case ClientSecretJWT:
		assertion, err := sign(s.assertion(item.ClientID, at), item.ClientSecret)
		if err != nil {
			return err
		}
		// No client_id and no Authorization beside it: the assertion's sub says who it is (RFC 7523 §3).
		c.body = c.body.add("client_assertion_type", assertionType).add("client_assertion", assertion)
		c.carried = append(c.carried, keystore.SecretString(assertion))
	default:
		return fmt.Errorf("client authentication %q is not supported", s.ClientAuth)
	}
	return nil
}

// basic encodes id and secret as RFC 6749 §2.3.1 wants them: form-encoded, then RFC 7617.
func (s Server) basic(id, secret string) (string, error) {
	if s.PlainBasic {
		if strings.Contains(id, ":") {
			return "", fmt.Errorf("a client id with a colon cannot be sent to this server by %s", ClientSecretBasic)
		}
		return basicCredentials(id, secret), nil
	}
	return basicCredentials(url.QueryEscape(id), url.QueryEscape(secret)), nil
}

func basicCredentials(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

// claims are those of a client assertion (RFC 7523 §3) in the order of the providers' own library; neither kid nor nbf.
type claims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"` // one string, never a list
	Expires  int64  `json:"exp"`
	Issued   int64  `json:"iat"`
	ID       string `json:"jti"`
}

func (s Server) assertion(clientID string, at time.Time) claims {
	audience := s.AssertionAudience
	if audience == "" {
		audience = s.TokenEndpoint
	}
	return claims{clientID, clientID, audience, at.Add(assertionLife).Unix(), at.Unix(), newID()}
}

// sign returns the compact form with HS256. The key is the secret's text as it stands: it looks like base64, but is not
// decoded. The header is written here because [jwt.Token] keeps it in a map and would put alg first.
func sign(c claims, secret keystore.Secret) (string, error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	enc := base64.RawURLEncoding
	input := enc.EncodeToString([]byte(`{"typ":"JWT","alg":"HS256"}`)) + "." + enc.EncodeToString(payload)
	key := secret.AppendTo(make([]byte, 0, secret.Len()))
	defer clear(key)
	signature, err := jwt.SigningMethodHS256.Sign(input, key)
	if err != nil {
		return "", err
	}
	return input + "." + enc.EncodeToString(signature), nil
}

// newID returns a fresh jti: 36 letters and digits, 214 bits.
func newID() string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	id := make([]byte, 0, 36)
	var random [64]byte
	for {
		rand.Read(random[:]) // never fails
		for _, b := range random {
			if b &= 63; int(b) < len(alphabet) { // 62 and 63 are drawn again, so that all letters are equally likely
				if id = append(id, alphabet[b]); len(id) == cap(id) {
					return string(id)
				}
			}
		}
	}
}
