package credential

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/groat-dev/groat/keystore/ownfile"
)

// errKilled is what a killed process gets from its disk and its network: nothing that it still does has an effect.
var errKilled = errors.New("killed")

// disk is the operating system's disk as one process sees it, with a fault that begins at one moment and stays. A full
// disk still gives a file the room that it has reserved; after a power cut only what was synced is left.
type disk struct {
	ownfile.Disk
	harness *crashHarness

	mu       sync.Mutex
	dead     bool
	full     bool
	failing  bool // Sync
	open     []*diskFile
	reserved map[uint64]int64  // :: inode → how far its room goes
	durable  map[uint64][]byte // :: inode → what was synced of it
	names    map[string]uint64 // :: path → inode, as they were last synced
}

func newDisk(t *crashHarness) *disk {
	d := &disk{
		Disk: ownfile.System, harness: t, reserved: map[uint64]int64{}, durable: map[uint64][]byte{},
		names: map[string]uint64{},
	}
	d.syncNames(t.dir)
	for path, inode := range d.names { // whatever an earlier process has left is on the disk by now
		d.durable[inode], _ = os.ReadFile(path)
	}
	return d
}

func inode(info fs.FileInfo) uint64 { return info.Sys().(*syscall.Stat_t).Ino }

func (d *disk) syncNames(dir string) {
	clear(d.names)
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			d.names[filepath.Join(dir, e.Name())] = inode(info)
		}
	}
}

// begin lets the harness's fault begin.
func (d *disk) begin(f fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch f {
	case kill, powerCut:
		d.dead = true
	case diskFull, bareFull:
		d.full = true
	case badSync, bareBadSync:
		d.failing = true
	}
}

// kill ends the process that uses the disk, and a power cut also undoes what was not synced.
func (d *disk) kill(f fault) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead = true
	for _, file := range d.open {
		file.File.Close() // and its lock with it
	}
	if f != powerCut {
		return nil
	}
	for _, dir := range []string{d.harness.dir, d.harness.spare} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	for path, inode := range d.names {
		if err := os.WriteFile(path, d.durable[inode], 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (d *disk) isDead() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dead
}

func (d *disk) Open(path string, flags int) (ownfile.File, error) {
	if d.isDead() {
		return nil, errKilled
	}
	f, err := d.Disk.Open(path, flags)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	file := &diskFile{File: f, disk: d, inode: inode(info)}
	d.open = append(d.open, file)
	return file, nil
}

func (d *disk) Rename(from, to string) error {
	if to == d.harness.sealed() {
		d.harness.at(d.harness.compaction(compactions[2]))
	}
	if d.isDead() {
		return errKilled
	}
	return d.Disk.Rename(from, to)
}

func (d *disk) Remove(path string) error {
	if d.isDead() {
		return errKilled
	}
	return d.Disk.Remove(path)
}

func (d *disk) SyncDirectory(path string) error {
	if path == d.harness.dir {
		d.harness.at(d.harness.compaction(compactions[3]))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.dead:
		return errKilled
	case path != d.harness.dir:
		return nil
	case d.failing:
		return syscall.EIO
	}
	d.syncNames(path)
	return nil
}

// diskFile is an open file of a disk.
type diskFile struct {
	ownfile.File
	disk  *disk
	inode uint64
}

// fresh reports whether it is the file that a compaction writes.
func (f *diskFile) fresh() bool { return f.Name() == f.disk.harness.sealed()+".new" }

// elsewhere reports whether it is on the other disk, which has no fault.
func (f *diskFile) elsewhere() bool { return filepath.Dir(f.Name()) != f.disk.harness.dir }

func (f *diskFile) ReadAt(b []byte, offset int64) (int, error) {
	if f.disk.isDead() {
		return 0, errKilled
	}
	return f.File.ReadAt(b, offset)
}

// WriteAt writes b whole or as much of it as the harness's fault lets it.
func (f *diskFile) WriteAt(b []byte, offset int64) (int, error) {
	t := f.disk.harness
	if n := t.torn(f.fresh(), len(b)); n >= 0 && !f.elsewhere() {
		f.File.WriteAt(b[:n], offset)
		t.begin()
		if f.disk.isDead() {
			return n, errKilled
		}
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.dead {
		return 0, errKilled
	}
	if f.disk.full && !f.elsewhere() {
		room := max(0, f.room()-offset)
		if room < int64(len(b)) {
			n, _ := f.File.WriteAt(b[:room], offset)
			return n, syscall.ENOSPC
		}
	}
	return f.File.WriteAt(b, offset)
}

// room is how large the file can get on a full disk, in bytes. The disk's lock is held.
func (f *diskFile) room() int64 {
	info, err := f.File.Stat()
	if err != nil {
		return 0
	}
	return max(info.Size(), f.disk.reserved[f.inode])
}

func (f *diskFile) Truncate(size int64) error {
	if f.disk.isDead() {
		return errKilled
	}
	return f.File.Truncate(size)
}

func (f *diskFile) Reserve(offset, size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	switch {
	case f.disk.dead:
		return errKilled
	case f.disk.harness.fault.bare():
		return errors.ErrUnsupported
	case f.disk.full && !f.elsewhere() && f.room() < offset+size:
		return syscall.ENOSPC
	}
	f.disk.reserved[f.inode] = max(f.disk.reserved[f.inode], offset+size)
	return nil
}

// Sync does not sync the real disk; it remembers what would be left after a power cut.
func (f *diskFile) Sync() error {
	t := f.disk.harness
	if f.elsewhere() {
		return f.sync()
	}
	t.at(t.beforeSync(f.fresh()))
	if err := f.sync(); err != nil {
		return err
	}
	if !f.fresh() && t.sentAlready() {
		t.at(readBack)
	}
	if f.disk.isDead() {
		return errKilled
	}
	return nil
}

func (f *diskFile) sync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	switch {
	case f.disk.dead:
		return errKilled
	case f.elsewhere():
		return nil
	case f.disk.failing:
		return syscall.EIO
	}
	info, err := f.File.Stat()
	if err != nil {
		return err
	}
	b := make([]byte, info.Size())
	if _, err := f.File.ReadAt(b, 0); err != nil {
		return err
	}
	f.disk.durable[f.inode] = b
	return nil
}

func (f *diskFile) Lock() error {
	if f.disk.isDead() {
		return errKilled
	}
	return f.File.Lock()
}
