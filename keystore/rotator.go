package keystore

import (
	"context"
	"errors"
)

// Why a session's refresh token may be used up although it is the newest that is known. A server's refusal of it is then
// explained by these; none of them is a reason not to try it once.
var (
	// ErrUnanswered: it was sent before, and the answer, which may have carried its successor, never came.
	ErrUnanswered = errors.New("the answer to an earlier request with this session's refresh token never arrived")
	// ErrRolledBack: the store is an older copy of what this machine has seen; a newer token existed.
	ErrRolledBack = errors.New("the stored credentials are an older copy: this machine has seen newer ones")
	// ErrNewestDamaged: the newest record cannot be read, and the one before it took its place.
	ErrNewestDamaged = errors.New("the newest copy of this session's refresh token is damaged")
)

// Rotator is a [Store] of sessions whose refresh tokens are used up one by one. It remembers across a crash that one was
// sent, so that the process that comes after knows to ask again at once, while a server's grace may still last, and can say
// why a refusal came.
type Rotator interface {
	Store
	// Present notes, before a profile's refresh token is sent, that it will be. From then on the token counts as maybe used
	// up, until Settle or the next Set or Delete of the profile. doubt is why it may have been used up before this call, one
	// of the errors above, or nil. err says that the note was not written, and so most likely the answer could not be stored
	// either; ErrNotFound that nothing is stored for the profile.
	Present(ctx context.Context, profile string) (doubt, err error)
	// Settle notes that the server's answer has come and that the presented token is not replaced by another.
	Settle(ctx context.Context, profile string) error
	// Unsettled lists, in order, the profiles that were presented and neither settled, set nor deleted since.
	Unsettled(ctx context.Context) ([]string, error)
}
