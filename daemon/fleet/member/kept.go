package member

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/groat-dev/groat/keystore/ownfile"
	"github.com/groat-dev/groat/protocol/ownpath"
)

// keptLog is the file that has the log as this machine has seen it. The entries are sealed as they are in the engine.
type keptLog struct {
	Version int      `json:"version"`
	Entries [][]byte `json:"entries"`
}

// maxKept bounds the file: [maxLog] entries of 1 kB.
const maxKept = 16 << 20

func keptPath(stateDir, fleet string) string {
	return filepath.Join(stateDir, "fleet-"+fleet+"-machines.json")
}

// Forget deletes what a machine has kept in stateDir of the log of a fleet that it has left.
func Forget(stateDir, fleet string) error {
	if stateDir == "" {
		return nil
	}
	err := os.Remove(keptPath(stateDir, fleet))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// keepLog writes the file. Where that fails the log is in memory, and only a machine that runs can put it back.
func (m *Member) keepLog() {
	if m.StateDir == "" {
		return
	}
	m.mu.Lock()
	now := m.log.clone()
	m.mu.Unlock()
	kept := keptLog{Version: 1}
	for i, text := range now.texts {
		value, err := m.keys.Seal(entryKey(now.fleet, int64(i+1)), kindLog, text)
		if err != nil {
			return
		}
		kept.Entries = append(kept.Entries, value)
	}
	path := keptPath(m.StateDir, now.fleet)
	text, err := json.Marshal(kept)
	if err == nil {
		err = ownfile.Replace(path, ownfile.Beside(path), ownpath.OwnSecret, text)
	}
	if err != nil {
		m.Warn(fmt.Errorf("what this machine has seen of the fleet's machines is not kept: %w", err))
	}
}

// readLog takes the log from the file, if that is whole and the one that this machine has seen. Without it the engine's
// is read.
func (m *Member) readLog() {
	if m.StateDir == "" {
		return
	}
	path := keptPath(m.StateDir, m.keys.Fleet())
	text, err := ownfile.Read(path, ownpath.OwnSecret, maxKept)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	kept, l := keptLog{}, newLog(m.keys.Fleet())
	if err == nil {
		err = json.Unmarshal(text, &kept)
	}
	for i, value := range kept.Entries {
		if err != nil {
			break
		}
		plain, _, failed := m.keys.Open(entryKey(l.fleet, int64(i+1)), kindLog, value)
		if err = failed; err == nil {
			err = l.add(plain.AppendTo(nil))
		}
	}
	hash, known := l.hashes[m.pinned.Index]
	if err == nil && (known && hash != m.pinned.Hash || l.epoch > m.keys.Epoch()) {
		err = errEntry
	}
	if err != nil {
		m.Warn(fmt.Errorf("what this machine had kept of the fleet's machines is not used: %w", err))
		return
	}
	m.log = l
}
