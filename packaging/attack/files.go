package attack

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// maxOpenFile bounds what is read of one file, in bytes.
const maxOpenFile = 1 << 20

// OpenFiles looks into the files that programs have open while something happens.
type OpenFiles struct {
	secret []byte
	until  chan struct{}
	ended  sync.WaitGroup
	looked int
	found  []string
}

// WatchOpenFiles looks for a secret in every file, and every piece of memory that is passed as one (memfd_create(2)),
// that a process with one of the names has open, a hundred times a second until [OpenFiles.Stop]. Root sees those of
// processes that hide from their own user, too.
func WatchOpenFiles(secret string, names ...string) *OpenFiles {
	o := &OpenFiles{secret: []byte(secret), until: make(chan struct{})}
	o.ended.Go(func() {
		ticks := time.NewTicker(10 * time.Millisecond)
		defer ticks.Stop()
		for {
			o.look(names)
			select {
			case <-o.until:
				return
			case <-ticks.C:
			}
		}
	})
	return o
}

// Stop returns where the secret was, and how many files were read.
func (o *OpenFiles) Stop() (found []string, looked int) {
	close(o.until)
	o.ended.Wait()
	return o.found, o.looked
}

func (o *OpenFiles) look(names []string) {
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range processes {
		text, _ := os.ReadFile(filepath.Join(dir, "comm"))
		name := strings.TrimSpace(string(text))
		named := false
		for _, n := range names {
			named = named || n == name
		}
		if !named {
			continue
		}
		descriptors, _ := os.ReadDir(filepath.Join(dir, "fd"))
		for _, d := range descriptors {
			path := filepath.Join(dir, "fd", d.Name())
			if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
				continue // a pipe or a socket, which cannot be read without taking what is in it
			}
			f, err := os.Open(path)
			if err != nil {
				continue
			}
			content, _ := io.ReadAll(io.LimitReader(f, maxOpenFile))
			f.Close()
			o.looked++
			if bytes.Contains(content, o.secret) {
				to, _ := os.Readlink(path)
				o.found = append(o.found, name+" has "+to)
			}
		}
	}
}
