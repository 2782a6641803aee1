// Package keystore says what groat keeps for a person, and what every place to keep it must do.
//
// One [Item] a profile: the long-lived credential together with the server that it may be sent to. The invariant: an
// item is either the one that the last successful Set stored, or an error says so; it is never half of it. What is not
// here: access tokens, which stay in the daemon's memory.
package keystore

import (
	"context"
	"errors"
	"fmt"
)

// Errors that callers branch on; a Store wraps them with the cause.
var (
	// ErrNotFound: nothing is stored under this profile.
	ErrNotFound = errors.New("nothing is stored for this profile")
	// ErrLocked: it is there, but a person must unlock the store first.
	ErrLocked = errors.New("the keystore is locked")
	// ErrUnavailable: the store does not answer (no D-Bus session, a stopped daemon, a deadline).
	ErrUnavailable = errors.New("the keystore is not available")
	// ErrForeignBus: the session bus that the keychain is to be reached by is not this user's. It is an ErrUnavailable.
	ErrForeignBus = fmt.Errorf("%w: the D-Bus session bus is another user's", ErrUnavailable)
	// ErrDeclined: the store acknowledged a change that it did not make, or did not acknowledge it in time: it may have
	// asked a person, who has not agreed, and to try again is to ask again. It is an ErrUnavailable.
	ErrDeclined = fmt.Errorf("%w: it did not make a change", ErrUnavailable)
	// ErrCorrupt: what is stored cannot be read back as an item.
	ErrCorrupt = errors.New("the stored credential is damaged")
	// ErrNewer: what is stored is whole, and of a format that a later groat writes. It is an ErrCorrupt.
	ErrNewer = errors.New("the stored credential is of a later groat")
	// ErrTooBig: the item is larger than this store can hold.
	ErrTooBig = errors.New("the credential is too big for this keystore")
	// ErrUndecided: no keystore works by itself on this machine and the person has not chosen one.
	ErrUndecided = errors.New("no keystore is chosen")
	// ErrUndecidedLocked: the keychain would be chosen if it were unlocked. It is an ErrUndecided, and no ErrLocked.
	ErrUndecidedLocked = fmt.Errorf("%w, and the keychain is locked", ErrUndecided)
	// ErrConflict: what is asked for contradicts the choice that is remembered, or what it is remembered in is broken.
	ErrConflict = errors.New("the choice of keystore cannot stand")
)

// Item is what a person's profile needs to obtain tokens, and the only place it may be sent to.
type Item struct {
	// Issuer is the authorization server's issuer identifier (RFC 8414 §2), or its origin where it has none.
	Issuer string
	// TokenEndpoint is compared before each use: an edited configuration cannot carry the secret to another host.
	TokenEndpoint string
	// ClientAuth is the token_endpoint_auth_method (RFC 7591 §2) the secret was proven with.
	ClientAuth string
	// ClientID is public in OAuth's sense, but kept here as the user asked: nothing of a credential is in the
	// configuration.
	ClientID     string
	ClientSecret Secret
	// Username is the account whose password brought the credential, where there was one; empty where that is not
	// known.
	Username string

	// Grant is how the profile was signed in ("device_code", "jwt_bearer", …); empty means client credentials.
	Grant string
	// RefreshToken is a session. Where the server rotates it, each is good for one request.
	RefreshToken Secret
	// IDSubject is the sub of the sign-in's ID token, which a renewal must not change (OpenID Connect Core §12.2).
	// Empty where there was none.
	IDSubject string
	// Account is what that ID token calls the person, for people to read: nothing is decided by it. Empty where it says
	// nothing.
	Account string
	// RevocationEndpoint is where the session may be ended, if that is on the token endpoint's origin or one of
	// Origins.
	RevocationEndpoint string
	// PrivateKey signs assertions or is the TLS client's own: PEM as it was given, with PrivateKeyPassword if it is
	// encrypted.
	PrivateKey         Secret
	PrivateKeyPassword Secret
	// KeyID and KeyAlg are an assertion's kid and alg (RFC 7515 §4.1); without KeyAlg the key's own is used.
	KeyID, KeyAlg string
	// Subject is the assertion's sub where that is not the client itself (RFC 7523 §3).
	Subject string
	// AssertionFile is the path of a file with an assertion that another program keeps fresh, in the place of a key. It
	// is sealed, so that an edited configuration cannot have another file sent.
	AssertionFile string
	// RefreshAuth is the method of client authentication for refreshing and revoking, where that is neither ClientAuth
	// nor the preset's. AssertionAudience is the aud of assertions, where it is a URI and not the server's own.
	RefreshAuth, AssertionAudience string
	// Certificate is the TLS client's chain, in PEM (RFC 8705 §2.1). It is no secret.
	Certificate string
	// APIKey is a key that is sent as it is and not exchanged for anything.
	APIKey Secret
	// KeyEnds is when APIKey ends, as RFC 3339 writes it; empty where that is not known.
	KeyEnds string

	// Origins are those beside the token endpoint's that the person agreed to: "https://host" or "https://host:port".
	// They may be sent anything of the credential. TokenOrigins may be sent access tokens and nothing else (userinfo
	// endpoints), and PageOrigins the request of a sign-in, which holds no secret.
	Origins, TokenOrigins, PageOrigins []string
	// APIs are the origins that may be sent the tokens that are had with this: "https://host:port", the port always
	// there, or what is below a path of one: "https://host:port/path". Each list is bounded by [MaxOrigins] and never
	// changed in place. An item that was stored before there were any has none.
	APIs []string
}

// MaxOrigins is how many entries each list of an item may have; each is at most 512 bytes long.
const MaxOrigins = 64

const maxOrigin = 512

// Wipe overwrites every secret of the item, for every copy that shares them.
func (i Item) Wipe() {
	for _, s := range secrets {
		s.of(&i).Wipe()
	}
}

// Absent reports whether an error of Get means that there is nothing which a new sign-in would lose: nothing is stored,
// or it cannot be read any more. What a later groat has written is whole, and not absent.
func Absent(err error) bool {
	return errors.Is(err, ErrNotFound) || errors.Is(err, ErrUndecided) ||
		errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNewer)
}

// Why a session's refresh token may be used up although it is the newest that is known. They explain a server's refusal
// of the token; the token is sent once all the same.
var (
	// ErrUnanswered: it was sent before, and the answer, which may have carried its successor, never arrived.
	ErrUnanswered = errors.New("the answer to an earlier request with this session's refresh token never arrived")
	// ErrRolledBack: the store is an older copy of what this machine has seen; a newer token existed.
	ErrRolledBack = errors.New("the stored credentials are an older copy: this machine has seen newer ones")
	// ErrNewestDamaged: the newest record cannot be read, and the one before it took its place.
	ErrNewestDamaged = errors.New("the newest copy of this session's refresh token is damaged")
)

// Store keeps one item a profile, and remembers across a crash which sessions' refresh tokens were sent: the next
// process then asks the server again at once, while its grace for a token that was used twice may still last, and can
// explain a refusal.
//
// A renewal of a session takes these steps: Get; MarkSent; the request; then Set with the new refresh token, or
// MarkAnswered where the server sent none. Each step names a profile only, so that a store which several machines share
// can stand behind them: its MarkSent writes the intent on condition that the item is still the one that its Get
// returned.
//
// Every method returns within its context's deadline, or the store's own one if that is shorter. Implementations are
// safe for concurrent use, except that two writes of one profile must not overlap ([PendingStore] sees to that).
type Store interface {
	// Get returns the item, whose secrets the caller owns, or an error that wraps one of the sentinels above.
	Get(ctx context.Context, profile string) (Item, error)
	// Set replaces the item and returns nil only after it was read back and found equal. The item stays the caller's.
	Set(ctx context.Context, profile string, item Item) error
	// Delete forgets the item; a missing one is no error.
	Delete(ctx context.Context, profile string) error
	// Probe proves that an item could be written, read and deleted now. It touches no profile's item.
	Probe(ctx context.Context) error

	// MarkSent notes, before a profile's refresh token is sent, that it will be. From then on the token counts as maybe
	// used up, until MarkAnswered or the next Set or Delete of the profile. doubt is why it may have been used up
	// before this call: ErrUnanswered, ErrRolledBack, ErrNewestDamaged, or nil. err means that the record was not
	// written, and so most likely the answer could not be stored either; it is ErrNotFound where nothing is stored for
	// the profile.
	MarkSent(ctx context.Context, profile string) (doubt, err error)
	// MarkAnswered notes that the server's answer has come and does not replace the refresh token that was sent.
	MarkAnswered(ctx context.Context, profile string) error
	// InDoubt lists, in order, the profiles with a MarkSent and no MarkAnswered, Set or Delete since.
	InDoubt(ctx context.Context) ([]string, error)
}

// Status is a store's state for people.
type Status struct {
	// Use is "keychain", "sealed" or "memory", or "auto" while nothing is decided.
	Use string
	// Key is where a sealed store's key comes from: "keychain", "credential", "file" or "passphrase"; else empty.
	Key string
	// State is "ok", "locked", "unavailable" or "undecided".
	State string
	// Message explains a State that is not "ok", or says what a person has left to do.
	Message string
}

// GoneError is an [ErrUnavailable]: what held credentials, or its key, is not there any more, or empty.
type GoneError struct {
	Said string
	// Next is the command by which a person goes on without what it held, and SignIn says that a login follows it. Next
	// may be empty then.
	Next   string
	SignIn bool
}

func (e *GoneError) Error() string { return ErrUnavailable.Error() + ": " + e.Said }
func (e *GoneError) Unwrap() error { return ErrUnavailable }

// VariableError is an [ErrConflict]: GROAT_KEYSTORE says what cannot be.
type VariableError struct{ Said string }

func (e *VariableError) Error() string { return ErrConflict.Error() + ": " + e.Said }
func (e *VariableError) Unwrap() error { return ErrConflict }

// LeftBehind is an [ErrConflict]: another keystore was chosen while this one holds a credential.
type LeftBehind struct {
	Profile, In string
	Move        string // the command that carries it along; empty where there is none
}

// Error names the profile.
func (l *LeftBehind) Error() string {
	s := fmt.Sprintf("%v: the credential of profile %q is in %q, and would be left behind", ErrConflict, l.Profile,
		l.In)
	if l.Move == "" {
		return s + "; a keystore that ends with groatd is no place to move it to"
	}
	return s + ": " + l.Move + " carries it along"
}

// Unwrap returns ErrConflict.
func (l *LeftBehind) Unwrap() error { return ErrConflict }
