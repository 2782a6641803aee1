package sandbox

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"time"
)

// jwt is a JSON Web Token in compact form (RFC 7519 §3, RFC 7515 §7.1), taken apart and not yet believed.
type jwt struct {
	header, claims map[string]json.RawMessage
	signed         string // what the signature is over
	signature      []byte
}

var errJWT = errors.New("not a JSON Web Token")

func parseJWT(compact string) (*jwt, error) {
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		return nil, errJWT
	}
	var raw [3][]byte
	for i, p := range parts {
		b, err := base64.RawURLEncoding.Strict().DecodeString(p) // RFC 7515 §2: no padding, no white space
		if err != nil || strings.ContainsAny(p, "\r\n") {
			return nil, errJWT
		}
		raw[i] = b
	}
	j := &jwt{signed: parts[0] + "." + parts[1], signature: raw[2]}
	var err error
	if j.header, err = object(raw[0]); err != nil {
		return nil, errJWT
	}
	if j.claims, err = object(raw[1]); err != nil {
		return nil, errJWT
	}
	if _, ok := j.header["crit"]; ok { // RFC 7515 §4.1.11: no extension is understood here
		return nil, errJWT
	}
	return j, nil
}

// object reads one JSON object and refuses repeated names (RFC 7515 §4, RFC 7519 §4).
func object(data []byte) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errJWT
	}
	members := map[string]json.RawMessage{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		key, _ := name.(string)
		if _, twice := members[key]; twice {
			return nil, errJWT
		}
		members[key] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, errJWT
	}
	return members, nil
}

func (j *jwt) alg() string {
	var alg string
	json.Unmarshal(j.header["alg"], &alg)
	return alg
}

// typ returns the type that the header names, in lower case and without "application/" (RFC 7515 §4.1.9).
func (j *jwt) typ() string {
	var typ string
	json.Unmarshal(j.header["typ"], &typ)
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}

// text returns a string claim, or "".
func (j *jwt) text(name string) string {
	var v string
	json.Unmarshal(j.claims[name], &v)
	return v
}

// audience returns aud, a string or a list of strings (RFC 7519 §4.1.3).
func (j *jwt) audience() []string {
	if one := j.text("aud"); one != "" {
		return []string{one}
	}
	var list []string
	json.Unmarshal(j.claims["aud"], &list)
	return list
}

// date returns a NumericDate (RFC 7519 §2): seconds since 1970, maybe with a fraction.
func (j *jwt) date(name string) (t time.Time, present bool, err error) {
	raw, present := j.claims[name]
	if !present {
		return time.Time{}, false, nil
	}
	var v float64
	if err := json.Unmarshal(raw, &v); err != nil || string(raw) == "null" || math.Abs(v) > 1<<40 {
		return time.Time{}, true, errJWT
	}
	return time.UnixMilli(int64(v * 1000)), true, nil
}

// signRSA makes an RS256 token of a header and claims.
func signRSA(key *rsa.PrivateKey, header, claims any) string {
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	signed := part(header) + "." + part(claims)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}
