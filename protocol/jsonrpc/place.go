package jsonrpc

import (
	"strconv"

	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/frame"
	"github.com/groat-dev/groat/protocol/strictjson"
)

// OtherPlace returns the error for a caller whose place has another id than the daemon's.
func OtherPlace(daemon frame.Place, caller string) *protocol.Error {
	e := protocol.NewError(protocol.Config,
		"this groatd is another place's: it serves "+daemon.String()+" (place "+daemon.ID()+
			"), and the request comes from place "+caller, "unset GROAT_SOCKET, then: groat status")
	e.Data.Place = &daemon
	return e
}

// PlaceID returns what a request's place says, for people: a JSON string as it stands in the line.
func PlaceID(raw []byte) string {
	id, ok := strictjson.Text(raw)
	if !ok || len(id) > 64 {
		return "of an unknown form"
	}
	return strconv.Quote(id)
}
