package frame

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/groat-dev/groat/protocol/ownpath"
	"github.com/groat-dev/groat/protocol/strictjson"
)

// LockFile is the name of the lock in the state directory. The process that holds its flock(2) is the daemon of the
// directory and writes into it who it is.
const LockFile = "lock"

// LogFile is the name of the file in the state directory into which a daemon logs whose stderr is /dev/null. OlderLog
// is the ending of the file before it.
const (
	LogFile  = "groatd.log"
	OlderLog = ".1"
)

// Holder is what the daemon of a state directory writes into its lock: one JSON object, at most [MaxHolder] bytes. It
// means something only while the lock is held: it stays there when its daemon is killed.
type Holder struct {
	PID  int    `json:"pid"`
	Host string `json:"host"`
	// Boot tells one run of a host's kernel from another; empty if the system does not say.
	Boot  string `json:"boot,omitempty"`
	Place Place  `json:"place"`
	// Socket is empty until the daemon listens, and again when it has begun to end.
	Socket string `json:"socket,omitempty"`
	// Handover is where the daemon hands over to one that a service manager has started; empty if it does not.
	Handover string `json:"handover,omitempty"`
}

// MaxHolder bounds the record.
const MaxHolder = 32 << 10

// ErrNoHolder means that there is no record that can be read.
var ErrNoHolder = errors.New("the lock does not say who holds it")

// ReadHolder returns the record in a state directory. The directory must have been found to be this user's.
func ReadHolder(state string) (Holder, error) {
	f, err := ownpath.OpenFile(filepath.Join(state, LockFile), os.O_RDONLY, ownpath.OwnState)
	if _, refused := errors.AsType[*ownpath.Error](err); refused {
		return Holder{}, ErrNoHolder
	}
	if err != nil {
		return Holder{}, err
	}
	defer f.Close()
	// One read(2), since the record may be written anew meanwhile.
	text := make([]byte, MaxHolder)
	n, err := f.ReadAt(text, 0)
	if err != nil && err != io.EOF {
		return Holder{}, err
	}
	text = text[:n]
	var h Holder
	if strictjson.Check(text) != nil || h.decode(text) != nil || h.PID <= 0 || h.Host == "" {
		return Holder{}, ErrNoHolder
	}
	return h, nil
}

func (h *Holder) decode(raw []byte) error {
	var pid int64
	err := decodeObject(raw, func(name string) any {
		switch name {
		case "pid":
			return &pid
		case "host":
			return &h.Host
		case "boot":
			return &h.Boot
		case "place":
			return h.Place.decode
		case "socket":
			return &h.Socket
		case "handover":
			return &h.Handover
		}
		return nil
	})
	h.PID = int(pid)
	return err
}

// ThisHost returns the name and the boot id of this machine, as a [Holder] has them.
func ThisHost() (name, boot string) {
	name, err := os.Hostname()
	if err != nil || name == "" {
		name = "localhost"
	}
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return name, strings.TrimSpace(string(id))
}

// Here reports whether the daemon runs on this machine, and since it was last started.
func (h Holder) Here() bool {
	name, boot := ThisHost()
	return h.Host == name && h.Boot == boot
}
