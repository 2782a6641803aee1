package fleet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"

	"github.com/groat-dev/groat/daemon/fleet/keyring"
	"github.com/groat-dev/groat/keystore/ownfile"
	"github.com/groat-dev/groat/protocol/ownpath"
	"github.com/groat-dev/groat/protocol/strictjson"
)

// memory is the newest record and configuration of each profile that this machine has seen or made, sealed as they are
// in the engine. An engine that shows older ones was put back, or a successor came too late to be written.
type memory struct {
	path string // empty: in memory only
	disk ownfile.Disk

	saving  sync.Mutex // held while the file is replaced; never asked for while mu is held
	mu      sync.Mutex
	configs map[string]keptConfig // :: name in the engine → the newest configuration
	newest  map[string]remembered // :: name in the engine → record
	signIns map[string]keptSignIn // :: name in the engine → what the engine did not take
	changed bool                  // the file is to be replaced
	failed  error                 // why it could not be
}

type remembered struct {
	Generation int64  `json:"generation"`
	Sealed     []byte `json:"sealed"`
}

type memoryFile struct {
	Version int                   `json:"version"`
	Configs map[string]keptConfig `json:"configs,omitempty"`
	Records map[string]remembered `json:"records"`
	SignIns map[string]keptSignIn `json:"sign_ins,omitempty"`
}

const maxMemory = 64 << 20 // bytes of the file, as it is written and as it is read

// openMemory reads the file of a fleet. One that is damaged is an error: with it goes what tells an older copy of the
// engine from the newest.
func openMemory(dir string, keys *keyring.Keyring) (*memory, error) {
	m := &memory{disk: ownfile.System, configs: map[string]keptConfig{}, newest: map[string]remembered{},
		signIns: map[string]keptSignIn{}}
	if dir == "" {
		return m, nil
	}
	m.path = memoryPath(dir, keys.Fleet())
	text, err := ownfile.Read(m.path, ownpath.OwnSecret, maxMemory)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return nil, err
	}
	var file memoryFile
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if strictjson.Check(text) != nil || d.Decode(&file) != nil || file.Version != 1 {
		return nil, fmt.Errorf("%s is not what groatd writes: what this machine has seen of the fleet is not known; "+
			"remove it to go on without", m.path)
	}
	if file.Configs != nil {
		m.configs = file.Configs
	}
	if file.Records != nil {
		m.newest = file.Records
	}
	if file.SignIns != nil {
		m.signIns = file.SignIns
	}
	return m, nil
}

// Forget deletes what a machine has kept in stateDir of a fleet that it has left.
func Forget(stateDir, fleet string) error {
	if stateDir == "" {
		return nil
	}
	err := os.Remove(memoryPath(stateDir, fleet))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func memoryPath(stateDir, fleet string) string {
	return filepath.Join(stateDir, "fleet-"+fleet+".json")
}

// of returns the newest record of a profile, and false where none was seen.
func (m *memory) of(id string) (remembered, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.newest[id]
	return r, ok
}

// keep remembers a record unless a newer one is known. Until [memory.save] it is in memory only.
func (m *memory) keep(id string, generation int64, sealed []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.newest[id]
	if generation >= old.Generation {
		m.newest[id] = remembered{generation, sealed}
	}
	if generation > old.Generation { // a change within a generation goes to the disk with the next
		m.changed = true
	}
}

// save replaces the file, if it is not current. The error says that it still is not; the next call tries again.
func (m *memory) save() error {
	m.saving.Lock()
	defer m.saving.Unlock()
	m.mu.Lock()
	if !m.changed || m.path == "" {
		m.mu.Unlock()
		return nil
	}
	file := memoryFile{Version: 1, Configs: maps.Clone(m.configs), Records: maps.Clone(m.newest),
		SignIns: maps.Clone(m.signIns)}
	m.changed = false
	m.mu.Unlock()
	err := m.replace(file)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changed, m.failed = m.changed || err != nil, err
	return err
}

// unsaved is why the file is not current, nil where it is.
func (m *memory) unsaved() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failed
}

// replace replaces the file, unless it would be one that openMemory does not take.
func (m *memory) replace(file memoryFile) error {
	text, err := json.Marshal(file)
	if err != nil {
		return err
	}
	if len(text) > maxMemory {
		return fmt.Errorf("what this machine has seen of the fleet takes more than %d MiB", maxMemory>>20)
	}
	return ownfile.ReplaceOn(m.disk, m.path, ownfile.Beside(m.path), ownpath.OwnSecret, text)
}
