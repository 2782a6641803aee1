package wire

import (
	"strconv"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/jsonrpc"
	"github.com/groat-dev/groat/protocol/strictjson"
)

// AppendToken appends the reply that hands out a token of a profile. It is written by hand, so that no encoder keeps a copy of the
// token and nothing is allocated. A token that has expired since it was found does not leave: the machine may have slept, or the peer
// may not have read an earlier answer. The header is the one of the endpoint that issued the token, whatever the profile is by now.
func AppendToken(out, id []byte, t grant.Token, profile string, now clock.Instant) []byte {
	left := t.Remaining(now)
	if left <= 0 && !t.Static {
		e := protocol.NewError(protocol.Temporary, "the token expired before it could be handed out", "groat status "+profile)
		e.Data.RetryAfter = 1
		return jsonrpc.AppendError(out, id, e)
	}
	out = append(out, `{"jsonrpc":"2.0","id":`...)
	out = append(out, id...)
	out = append(out, `,"result":{"access_token":`...)
	if t.Static {
		out = strictjson.AppendString(out, t.Access.Reveal())
		out = append(out, `,"token_type":"","static":true`...)
	} else {
		out = append(out, '"')
		out = t.Access.AppendTo(out) // a b64token: nothing to escape
		out = append(out, `","token_type":`...)
		out = strictjson.AppendString(out, t.Type)
		out = append(out, `,"expires_at":`...)
		out = strconv.AppendInt(out, now.Wall.Add(left).Unix(), 10)
		out = append(out, `,"expires_in":`...)
		out = strconv.AppendInt(out, int64(left/time.Second), 10)
	}
	if t.Scope != "" {
		out = append(out, `,"scope":`...)
		out = strictjson.AppendString(out, t.Scope)
	}
	out = append(out, `,"profile":`...)
	out = strictjson.AppendString(out, profile)
	out = append(out, `,"header":`...)
	if t.Destinations == nil || t.Destinations.Header == nil {
		out = append(out, `"Authorization: Bearer `...)
		out = t.Access.AppendTo(out)
		out = append(out, '"')
	} else {
		name, value := t.Header()
		out = strictjson.AppendString(out, name+": "+value)
	}
	return append(out, "}}\n"...)
}
