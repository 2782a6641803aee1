package daemon

import (
	"sync"

	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/jsonrpc"
)

// page is a page of a listing: what stands around the profiles, and they, encoded already. It is sent once.
type page struct {
	around   any
	profiles []byte // a longBuffer
}

// profilesAround and statusAround are a result without its profiles.
type (
	profilesAround struct {
		protocol.ProfilesResult
		Profiles *struct{} `json:"profiles,omitempty"`
	}
	statusAround struct {
		protocol.StatusResult
		Profiles *struct{} `json:"profiles,omitempty"`
	}
)

// line returns the reply, in a longBuffer.
func (p page) line(id []byte) ([]byte, error) {
	defer giveBack(p.profiles)
	return jsonrpc.AppendPage(longBuffer(), id, p.around, "profiles", p.profiles)
}

// longBuffers are as long as a line. The listing of ten thousand profiles takes two for each of fifty pages, and a
// collector that has little headroom would run for them.
var longBuffers = sync.Pool{New: func() any { return new([protocol.MaxLine]byte) }}

func longBuffer() []byte { return longBuffers.Get().(*[protocol.MaxLine]byte)[:0] }

// giveBack takes a buffer for another answer, if it is a longBuffer. It is wiped before, where it held a secret.
func giveBack(b []byte) {
	if cap(b) == protocol.MaxLine {
		longBuffers.Put((*[protocol.MaxLine]byte)(b[:protocol.MaxLine]))
	}
}
