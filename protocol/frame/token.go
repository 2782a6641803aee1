package frame

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/groat-dev/groat/protocol/strictjson"
)

// The bounds of a request for a token; package protocol explains them.
const (
	DefaultWait = 20 * time.Second
	MaxWait     = 120 * time.Second
	MaxMinTTL   = 366 * 24 * time.Hour
)

// TokenParams are the parameters of "token"; [protocol.TokenParams] explains them.
type TokenParams struct {
	Profile  string
	Target   string
	Username string
	MinTTL   *int64
	Scope    string
	Audience string
	Wait     *int64
	TokenUse string // UseID for an ID token; empty or UseAccess for an access token
}

// The values of [TokenParams.TokenUse] and [Token.TokenUse].
const (
	UseAccess = "access"
	UseID     = "id"
)

// ErrUse means that groatd answered with another kind of token than was asked for, as one does that knows access tokens
// only.
var ErrUse = errors.New("groatd answered with another kind of token than was asked for")

// Token is the result of "token" and "reject"; [protocol.TokenResult] explains it. It is a secret of the caller's.
type Token struct {
	AccessToken string
	TokenType   string
	ExpiresAt   int64
	ExpiresIn   int64
	Scope       string
	Profile     string
	API         string // that the token was asked for by a target; empty without one

	UsernameUnknown bool // the user name that came with the target is nobody's that the profile is known to be

	Header string

	SessionIdleEndsAt int64
	SessionEndsAt     int64
	SessionWarning    bool

	Static bool

	TokenChars string // VisibleChars where AccessToken is no b64token

	IDToken  string // only where an ID token was asked for, and then in the place of AccessToken
	TokenUse string // UseID there
}

// Token asks for a token of the kind that params name. A refusal of groatd's is an [*Error].
func (c *Conn) Token(params TokenParams) (Token, error) {
	return c.token("token", params.TokenUse, params.AppendJSON(c.params[:0]))
}

// Reject says that an API refused a token of the kind that params name, and asks for a better one.
func (c *Conn) Reject(params TokenParams, refused string) (Token, error) {
	p := params.AppendJSON(c.params[:0])
	p = p[:len(p)-1]
	if len(p) > len("{") {
		p = append(p, ',')
	}
	if params.TokenUse == UseID {
		p = append(p, `"id_token":`...)
	} else {
		p = append(p, `"access_token":`...)
	}
	p = strictjson.AppendString(p, strings.ToValidUTF8(refused, "\ufffd"))
	return c.token("reject", params.TokenUse, append(p, '}'))
}

func (c *Conn) token(method, use string, params []byte) (Token, error) {
	raw, err := c.ask(method, params)
	if err != nil {
		return Token{}, err
	}
	defer func() { c.answer = Token{} }()
	if err := c.answer.DecodeJSON(raw); err != nil {
		return Token{}, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	t := c.answer
	if !t.IsFor(use) {
		return Token{}, ErrUse
	}
	return t, nil
}

// IsFor reports whether the token is of the kind that was asked for by use, and of no other.
func (t *Token) IsFor(use string) bool {
	if use == UseID {
		return t.TokenUse == UseID && t.IDToken != "" && t.AccessToken == ""
	}
	return t.TokenUse != UseID && t.IDToken == ""
}

// Hello makes sure that a groatd answers here, and that it is the one of the place given to [Conn.At].
func (c *Conn) Hello() error {
	_, err := c.ask("hello", nil)
	return err
}

// ask makes one request and returns its result, which holds until the next one.
func (c *Conn) ask(method string, params []byte) ([]byte, error) {
	c.id++
	id := strconv.FormatInt(c.id, 10)
	line := AppendRequest(c.request[:0], id, method, c.place, params)
	defer clear(line)
	if len(line) > MaxLine {
		return nil, ErrLineTooLong
	}
	if err := c.write(line); err != nil {
		return nil, closed(err)
	}
	for {
		line, err := c.r.ReadLine()
		if err == ErrLineTooSlow && c.deadline.Before(c.line) {
			err = os.ErrDeadlineExceeded
		}
		if err != nil {
			return nil, closed(err)
		}
		result, refused, err := readReply(line, id)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%w: %w", ErrAnswer, err)
		case refused != nil:
			return nil, refused
		case result != nil:
			return result, nil
		}
	}
}

// AppendRequest appends the line of a request. The method and the place's id need no quoting; params is an object, or
// nil.
func AppendRequest(dst []byte, id, method, place string, params []byte) []byte {
	dst = append(dst, `{"jsonrpc":"2.0","id":`...)
	dst = append(dst, id...)
	dst = append(dst, `,"method":"`...)
	dst = append(dst, method...)
	dst = append(dst, '"')
	if place != "" {
		dst = append(dst, `,"place":"`...)
		dst = append(dst, place...)
		dst = append(dst, '"')
	}
	if params != nil {
		dst = append(dst, `,"params":`...)
		dst = append(dst, params...)
	}
	return append(dst, '}', '\n')
}

// readReply reads a line of groatd's. All results are nil for a notification.
func readReply(line []byte, id string) (result []byte, refused *Error, err error) {
	if err := strictjson.Check(line); err != nil {
		return nil, nil, err
	}
	var got, method []byte
	err = decodeObject(line, func(name string) any {
		switch name {
		case "id":
			return &got
		case "method":
			return &method
		case "result":
			return &result
		case "error":
			refused = new(Error)
			return refused.decode
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, nil, err
	case method != nil:
		return nil, nil, nil // a notification of a later version: not for us
	case string(got) != id && (got != nil || refused == nil):
		return nil, nil, errOtherRequest
	case refused != nil:
		return nil, refused, nil
	case result == nil || !strictjson.IsObject(result):
		return nil, nil, errNoResult
	}
	return result, nil, nil
}

// AppendJSON appends the parameters as a JSON object. Text that is not UTF-8 is made so.
func (p TokenParams) AppendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	first := len(dst)
	name := func(n string) {
		if len(dst) > first {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = append(dst, n...)
		dst = append(dst, '"', ':')
	}
	text := func(n, value string) {
		if value != "" {
			name(n)
			dst = strictjson.AppendString(dst, strings.ToValidUTF8(value, "\ufffd"))
		}
	}
	number := func(n string, value *int64) {
		if value != nil {
			name(n)
			dst = strconv.AppendInt(dst, *value, 10)
		}
	}
	text("profile", p.Profile)
	text("target", p.Target)
	text("username", p.Username)
	number("min_ttl", p.MinTTL)
	text("scope", p.Scope)
	text("audience", p.Audience)
	number("wait", p.Wait)
	text("token_use", p.TokenUse)
	return append(dst, '}')
}

// DecodeJSON reads a result that [strictjson.Check] has passed, as part of its line.
func (t *Token) DecodeJSON(raw []byte) error {
	return decodeObject(raw, func(name string) any {
		switch name {
		case "access_token":
			return &t.AccessToken
		case "token_type":
			return &t.TokenType
		case "expires_at":
			return &t.ExpiresAt
		case "expires_in":
			return &t.ExpiresIn
		case "scope":
			return &t.Scope
		case "profile":
			return &t.Profile
		case "api":
			return &t.API
		case "username_unknown":
			return &t.UsernameUnknown
		case "header":
			return &t.Header
		case "static":
			return &t.Static
		case "token_chars":
			return &t.TokenChars
		case "session_idle_ends_at":
			return &t.SessionIdleEndsAt
		case "session_ends_at":
			return &t.SessionEndsAt
		case "session_warning":
			return &t.SessionWarning
		case "id_token":
			return &t.IDToken
		case "token_use":
			return &t.TokenUse
		}
		return nil
	})
}
