package protocol

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
)

// LoginParams starts a login; the reply comes when it is over, prompts in between are [Prompt] notifications.
type LoginParams struct {
	Profile    string `json:"profile"`
	Provider   string `json:"provider,omitempty"`    // a preset's name
	Issuer     string `json:"issuer,omitempty"`      // RFC 8414 / OpenID Connect discovery
	TokenURL   string `json:"token_url,omitempty"`   // no discovery
	AuthServer string `json:"auth_server,omitempty"` // another host with the preset's paths
	// The server's other endpoints, if they are not those of the preset or of the server's metadata.
	// Backend is an openEO back end, which names where to sign in; Issuer chooses among several.
	Backend               string `json:"backend,omitempty"`
	AuthorizationEndpoint string `json:"authorization_endpoint,omitempty"`
	DeviceEndpoint        string `json:"device_endpoint,omitempty"` // RFC 8628
	PAREndpoint           string `json:"par_endpoint,omitempty"`    // RFC 9126
	RevocationEndpoint    string `json:"revocation_endpoint,omitempty"`
	UserinfoEndpoint      string `json:"userinfo_endpoint,omitempty"`
	// PAR is "always" or "never"; empty is wherever the server has an endpoint for pushed authorization requests.
	PAR string `json:"par,omitempty"`
	// Grant is a way to sign in ("device_code", "authorization_code", …); empty means the provider's first that fits.
	Grant      string `json:"grant,omitempty"`
	ClientAuth string `json:"client_auth,omitempty"`
	// Basic is how id and secret stand in HTTP Basic: "form" or "raw"; empty is as the provider's preset says, else
	// "form".
	Basic    string `json:"basic,omitempty"`
	ClientID string `json:"client_id,omitempty"`
	Username string `json:"username,omitempty"`
	// Key and Certificate are paths of PEM files (or a service account's JSON), which the daemon reads.
	Key         string `json:"key,omitempty"`
	Certificate string `json:"certificate,omitempty"`
	// KeyAlg and KeyID are an assertion's alg and kid (RFC 7515 §4.1), if the server wants others than the key's own
	// and none.
	KeyAlg string `json:"key_alg,omitempty"`
	KeyID  string `json:"key_id,omitempty"`
	// AssertionAudience is an assertion's aud: "issuer", "endpoint" (the token endpoint), "called" (the one that is
	// called) or a URI; empty is as the provider's preset says, "issuer" for a client of a server that Issuer names,
	// and else "endpoint".
	AssertionAudience string `json:"assertion_audience,omitempty"`
	// AssertionFile is the path of a file with an assertion that another program keeps fresh (workload identity), which
	// the daemon reads for each request: the client's, or with the grant "jwt_bearer" the grant's.
	AssertionFile string `json:"assertion_file,omitempty"`
	// Subject is whom an assertion speaks for (RFC 7523 §3).
	Subject string `json:"subject,omitempty"`
	// Redirect is the loopback redirect URI that the client is registered with; empty means any port of 127.0.0.1.
	Redirect string `json:"redirect,omitempty"`
	// NoBrowser: there is none on this machine.
	NoBrowser bool `json:"no_browser,omitempty"`
	// Header and Prefix are how an API key is sent, if not as the provider's preset says.
	Header string  `json:"header,omitempty"`
	Prefix *string `json:"prefix,omitempty"`
	// Ephemeral keeps the profile in the daemon's memory only.
	Ephemeral bool `json:"ephemeral,omitempty"`
	// Fleet makes the profile one of the fleet that this machine is in: all its machines have it.
	Fleet    bool   `json:"fleet,omitempty"`
	Scope    string `json:"scope,omitempty"`
	Audience string `json:"audience,omitempty"`
	// ResourceIndicator is the URI of the API that tokens are for (RFC 8707).
	ResourceIndicator string `json:"resource_indicator,omitempty"`
	// TargetAudience is whom the ID token of a service account is for.
	TargetAudience string `json:"target_audience,omitempty"`
	// WiderScope takes a token that may do more than was asked for without a notice; StrictScope refuses it.
	WiderScope  bool `json:"wider_scope,omitempty"`
	StrictScope bool `json:"strict_scope,omitempty"`
	// Set is other keys of the profile, those that have no parameter here, and their values.
	Set map[string]string `json:"set,omitempty"`
	// Resources are origins that may be sent a token. They are added to those that the profile has.
	Resources []string `json:"resources,omitempty"`
	// Trust are origins that may be sent what the sign-in and the profile need, although the server is on another.
	Trust     []string `json:"trust,omitempty"`
	NewClient bool     `json:"new_client,omitempty"`
	// Secret: the client has a secret at hand (a password, client secret, API key, token or a key's password). The
	// sign-in asks for one and does not just prove what is stored; one that asks for none is refused.
	Secret bool `json:"secret,omitempty"`
	// Replace gives up the credential that the profile has, also one that cannot be had again.
	Replace bool `json:"replace,omitempty"`
	// Confirm: the client can ask a person a [PromptConfirm]. Without it, what would be asked is refused.
	Confirm bool `json:"confirm,omitempty"`
}

// PromptKind says what a prompt wants.
type PromptKind string

const (
	// PromptNotice is a sentence to show; it wants no answer.
	PromptNotice PromptKind = "notice"
	// PromptSecret wants a login_input with something that must not be echoed.
	PromptSecret PromptKind = "secret"
	// PromptConfirm asks whether to go on; it wants a login_input, where "yes" is a yes and everything else a no.
	PromptConfirm PromptKind = "confirm"
	// PromptBrowser shows a URL to open. What the browser comes back with may be sent as login_input by a person whose
	// browser is on another machine: the address that it ended at, or the code.
	PromptBrowser PromptKind = "browser"
	// PromptDevice shows a URL and a code to type there, on any device; it wants no answer.
	PromptDevice PromptKind = "device"
)

// Prompt is the parameters of a "prompt" notification.
type Prompt struct {
	LoginID string     `json:"login_id"`
	Kind    PromptKind `json:"kind"`
	Text    string     `json:"text"`
	// Question numbers the prompts that want an answer, which names it; 0 for the others.
	Question int64 `json:"question,omitempty"`
	// Optional: an empty answer to a PromptSecret means that there is none.
	Optional bool `json:"optional,omitempty"`
	// Further: another PromptSecret follows the answer to this one. A client that reads from a pipe takes one line for
	// each.
	Further bool `json:"further,omitempty"`
	// URL is for PromptBrowser and PromptDevice; Code is what to type there, QR the URL with the code in it, drawn in
	// characters, and ExpiresIn how many seconds there are.
	URL       string `json:"url,omitempty"`
	Code      string `json:"code,omitempty"`
	QR        string `json:"qr,omitempty"`
	ExpiresIn int64  `json:"expires_in,omitempty"`
}

// LoginInputParams answers a prompt; beside them stands "value", which is what was typed.
type LoginInputParams struct {
	LoginID string `json:"login_id"`
	// Question is the prompt's; an answer to an earlier one is refused. 0 answers whichever was asked last.
	Question int64 `json:"question,omitempty"`
}

// LoginResult says what a login came to.
type LoginResult struct {
	Profile string `json:"profile"`
	// Outcome is "signed_in" (a credential was stored) or "already_signed_in" (the stored one was proven, nothing
	// changed).
	Outcome  string `json:"outcome"`
	Grant    string `json:"grant"`
	ClientID string `json:"client_id"`
	Created  bool   `json:"created"`           // a new client exists at the provider now
	Untried  bool   `json:"untried,omitempty"` // an API key or token that was typed: no server was asked about it
	Changed  bool   `json:"changed,omitempty"` // the profile's configuration is another one than before
	Provider string `json:"provider,omitempty"`
	Issuer   string `json:"issuer"`
	Keystore string `json:"keystore"`
	// Resources are the profile's API origins, if some were named or are new; Added are the new ones.
	Resources []string `json:"resources,omitempty"`
	Added     []string `json:"added,omitempty"`
	ExpiresAt int64    `json:"expires_at"` // of the first token, Unix seconds
	ExpiresIn int64    `json:"expires_in"`
}

// Outcomes of a login.
const (
	SignedIn        = "signed_in"
	AlreadySignedIn = "already_signed_in"
)

// AnswerFunc shows a prompt to a person. What it returns for a [PromptSecret] or a [PromptConfirm] is sent, and so is
// what it returns for a [PromptBrowser], unless that is empty. For other kinds it is ignored. All of it is wiped. An
// error gives the login up.
//
// Those three kinds are questions. While a question is open the login goes on: the browser may come back by itself, and
// another participant may answer. Then the question's context ends, and the function must return; what it returns so
// late is not sent. A question is asked in a goroutine of its own, so that notices are shown meanwhile; one is asked at
// a time.
type AnswerFunc = func(context.Context, Prompt) (LoginSecret, error)

// Login runs one login, and waits for a person as long as ctx allows; groatd gives a login up after half an hour.
// answer is called for each prompt. For a [PromptBrowser] it is called once more after each notice that follows an
// answer: the answer was not the right one, and the login goes on waiting. A login that is given up, by ctx or by
// answer, is ended at groatd, and so is the connection of a client that cannot connect again. One login of a client
// runs at a time; the next one waits for it.
func (c *Client) Login(ctx context.Context, params LoginParams, answer AnswerFunc) (LoginResult, error) {
	select {
	case c.login <- struct{}{}:
	case <-ctx.Done():
		return LoginResult{}, ctx.Err()
	}
	defer func() { <-c.login }()
	l, err := c.linkForLogin(ctx)
	if err != nil {
		return LoginResult{}, err
	}
	if c.dial != nil {
		defer l.fail(net.ErrClosed)
	}
	var result LoginResult
	d := &dialogue{link: l, answer: answer}
	err = d.end(l.do(ctx, &exchange{method: MethodLogin, params: params, result: &result, login: d}))
	if _, ok := errors.AsType[*Error](err); err != nil && !ok {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		l.fail(errGivenUp)
	}
	return result, err
}

// linkForLogin returns the connection for a login. It is one of its own if this client can connect: a login that is
// given up ends its connection, and with it what other callers wait for.
func (c *Client) linkForLogin(ctx context.Context) (*link, error) {
	if c.dial != nil {
		return c.dialInto(ctx, &c.loginLink)
	}
	l, _, err := c.current(ctx)
	return l, err
}

// errGivenUp is what the other calls on a connection get after a login that was given up.
var errGivenUp = fmt.Errorf("%w: a login on it was given up", ErrClosed)

// dialogue is the prompts of one login and what was answered. Without a remark, a field belongs to the goroutine that
// reads.
type dialogue struct {
	link   *link
	answer AnswerFunc

	question Prompt             // the one that is open; its Kind is empty if there is none
	stop     context.CancelFunc // ends it
	asking   sync.WaitGroup     // the goroutine that asks it

	mu       sync.Mutex
	answered bool  // what was asked last
	failed   error // why the person gave up
}

// prompted deals with one prompt.
func (d *dialogue) prompted(ctx context.Context, params json.RawMessage) error {
	var p Prompt
	if err := json.Unmarshal(params, &p); err != nil {
		return fmt.Errorf("%w: a prompt: %w", ErrAnswer, err)
	}
	if p.IsQuestion() {
		d.settle()
		d.pose(ctx, p)
		return nil
	}
	if p.Kind != PromptNotice {
		d.settle() // the login has gone on to something else
	}
	ignored, err := d.answer(ctx, p)
	ignored.Wipe()
	if err == nil && d.question.Kind == PromptBrowser && d.wasAnswered() {
		again := d.question
		d.settle()
		d.pose(ctx, again)
	}
	return err
}

// IsQuestion reports whether the prompt wants a login_input.
func (p Prompt) IsQuestion() bool {
	return p.Kind == PromptSecret || p.Kind == PromptConfirm || p.Kind == PromptBrowser
}

// pose asks a question while the reading goes on.
func (d *dialogue) pose(ctx context.Context, p Prompt) {
	ctx, stop := context.WithCancel(ctx)
	d.question, d.stop, d.answered = p, stop, false
	d.asking.Go(func() {
		if err := d.ask(ctx, p); err != nil && ctx.Err() == nil {
			d.mu.Lock()
			d.failed = err
			d.mu.Unlock()
			d.link.fail(err) // which ends the login
		}
	})
}

// settle ends the question that is open, if there is one.
func (d *dialogue) settle() {
	if d.stop != nil {
		d.stop()
		d.asking.Wait()
		d.question, d.stop = Prompt{}, nil
	}
}

// ask passes a question on and sends the answer.
func (d *dialogue) ask(ctx context.Context, p Prompt) error {
	secret, err := d.answer(ctx, p)
	defer secret.Wipe()
	if err != nil || ctx.Err() != nil || p.Kind == PromptBrowser && len(secret.bytes()) == 0 {
		return err
	}
	d.mu.Lock()
	d.answered = true
	d.mu.Unlock()
	// No caller waits for the reply: the login's own says more.
	return d.link.send(ctx, &exchange{
		method: MethodLoginInput, params: LoginInputParams{p.LoginID, p.Question}, secrets: []Member{{"value", secret}},
	})
}

func (d *dialogue) wasAnswered() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.answered
}

// end ends what is still asked, and returns why the login ended.
func (d *dialogue) end(err error) error {
	d.settle()
	if d.failed != nil {
		return d.failed
	}
	return err
}
