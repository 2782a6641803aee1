package sealed

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/ownfile"
)

// frame is where a record stands, or what looks like one.
type frame struct {
	head
	offset     int64
	kind       byte
	inFallback []byte // the whole frame, where it is not in the file
}

func (f frame) size() int64 { return int64(headSize + f.length) }
func (f frame) end() int64  { return f.offset + f.size() }

// index is what a file holds: per profile, in the order of generations. A record is in it only if it opened: a head
// can be forged without the key.
type index struct {
	frames map[tag][]frame
	// :: tag in a head → the last frame with it that did not open; kept for a person to examine, used for nothing
	damage map[tag]frame
	names  map[tag]string
	// :: tag of an item → the intent record of the highest generation about it, the later one among equals
	intents map[tag]frame
	open    map[tag]struct{} // those whose newest item was sent and neither answered nor replaced
	end     int64            // behind the last whole record, where the next one goes
	size    int64            // of the file; more than end if it ends in damage
	live    int64            // bytes that a rewrite would copy
	lost    int              // damaged records and stretches
}

// scanFile reads an open file, a window at a time.
func scanFile(k *keys, f ownfile.File) (*index, error) {
	size, err := ownfile.Size(f, maxFile)
	if err != nil {
		return nil, unavailable(err)
	}
	return scanFrom(k, newWindow(f, size))
}

// scan is scanFile for what is in memory.
func scan(k *keys, data []byte) (*index, error) {
	return scanFrom(k, newWindow(bytes.NewReader(data), int64(len(data))))
}

// scanFrom reads a whole file. It changes nothing, and its error says that this file must not be written to either.
func scanFrom(k *keys, w *window) (*index, error) {
	x := &index{
		frames: make(map[tag][]frame), damage: make(map[tag]frame), names: make(map[tag]string),
		intents: make(map[tag]frame), open: make(map[tag]struct{}), size: w.size,
	}
	header := k.header()
	start := bytes.Clone(w.at(0, headerSize))
	if w.err != nil {
		return nil, unavailable(w.err)
	}
	if w.size < int64(headerSize) {
		// A file is complete from its first fsync on; before, it is a piece of the header and holds nothing.
		if !bytes.HasPrefix(header, start) {
			return nil, fmt.Errorf("%w: it does not begin like a sealed file", keystore.ErrCorrupt)
		}
		return x, nil
	}
	opened := x.records(k, w)
	if w.err != nil {
		return nil, unavailable(w.err)
	}
	// A header proves nothing, since it can be forged without the key. A record that opens does.
	if opened == 0 && !bytes.Equal(start, header) {
		if err := foreignHeader(start); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w: its header is damaged and no record opens with this key", keystore.ErrCorrupt)
	}
	x.dropDamage(k)
	for t, frames := range x.frames {
		slices.SortStableFunc(frames, func(a, b frame) int { return cmp.Compare(a.generation, b.generation) })
		x.reweigh(t, 0)
	}
	return x, nil
}

// foreignHeader tells a header that is whole, but another key's or a newer format's, from a damaged one of ours.
func foreignHeader(b []byte) error {
	sum := headerSize - 4
	if crc32.Checksum(b[:sum], castagnoli) != binary.BigEndian.Uint32(b[sum:]) {
		return nil
	}
	if !bytes.HasPrefix(b, []byte(magic)) {
		return fmt.Errorf("%w: it has a format that this groat does not know: upgrade groat", keystore.ErrCorrupt)
	}
	return ErrWrongKey
}

// records finds the records, wherever damage leaves one, and returns how many opened. It ends early where the window
// has an error.
func (x *index) records(k *keys, w *window) (opened int) {
	x.end = int64(headerSize)
	content := make([]byte, 0, maxContent) // of one record after the other
	defer func() { clear(content[:cap(content)]) }()
	for at := int64(headerSize); at < w.size; {
		h, ok := parseHead(w.at(at, headSize))
		if f := (frame{head: h, offset: at}); ok && f.end() <= w.size {
			r, item, err := k.openInto(content, h, w.at(at, int(f.size())))
			clear(item)
			f.kind = r.kind
			next := f.end()
			switch {
			case w.err != nil:
				return opened
			case err != nil:
				// Where it says that it ends means nothing: the next record is at the next marker, wherever that is.
				if i := w.find(marker, at+1); i >= 0 {
					next = i
				}
				x.lost++
				if _, known := x.damage[h.tag]; known || len(x.damage) < maxDamaged {
					x.damage[h.tag] = f
				}
			case r.isIntent():
				opened++
				x.addIntent(k.tag(r.profile), f)
			default:
				opened++
				x.names[h.tag] = r.profile
				x.frames[h.tag] = append(x.frames[h.tag], f)
			}
			x.end = max(x.end, f.end())
			at = next
			continue
		}
		next := w.find(marker, at+1)
		if next < 0 {
			break // the rest is a torn write, or damage without a known end
		}
		x.lost++
		at = next
	}
	return opened
}

// candidates returns the frames that may speak for a profile, the newest first: the newest, and the one directly before
// it in case that the newest does not open any more.
func (x *index) candidates(t tag) []frame {
	frames := x.frames[t]
	if len(frames) == 0 {
		return nil
	}
	newest := frames[len(frames)-1]
	out := []frame{newest}
	for i := len(frames) - 2; i >= 0 && len(out) < 2; i-- {
		// An equal generation is a second try after damage; a gap means that the one between is lost.
		if f := frames[i]; newest.generation-f.generation <= 1 {
			out = append(out, f)
		}
	}
	return out
}

// kept returns what a rewrite copies of a profile: its two newest records.
func kept(frames []frame) []frame {
	if len(frames) > 0 && frames[len(frames)-1].kind == kindDelete {
		return nil
	}
	return frames[max(0, len(frames)-2):]
}

// maxDamage bounds what a rewrite copies of what does not open, in bytes: that it may be read again does not make room
// for it.
const maxDamage = 1 << 20

// maxDamaged bounds how many tags are kept as damaged: heads can be forged by the million.
const maxDamaged = 1 << 14

// dropDamage forgets the damage that is of no use: an item that was stored again behind it, an intent record, and what
// is too much.
func (x *index) dropDamage(k *keys) {
	if len(x.damage) == 0 {
		return
	}
	for t := range x.names {
		if frames := x.frames[t]; x.damage[t].offset < frames[len(frames)-1].offset {
			delete(x.damage, t)
		}
	}
	for _, name := range x.names {
		delete(x.damage, k.intentTag(name))
	}
	room := int64(maxDamage)
	for t, f := range x.damage {
		if room -= f.size(); room < 0 {
			delete(x.damage, t)
			continue
		}
		x.live += f.size()
	}
}

// repaired forgets a profile's damage: a newer item is stored.
func (x *index) repaired(t tag) {
	if f, damaged := x.damage[t]; damaged {
		x.live -= f.size()
		delete(x.damage, t)
	}
}

// keptSize is how many bytes a rewrite would copy of a profile.
func (x *index) keptSize(t tag) (n int64) {
	for _, f := range kept(x.frames[t]) {
		n += f.size()
	}
	if _, open := x.open[t]; open {
		n += x.intents[t].size()
	}
	return n
}

// reweigh updates the index after a change of a profile's records, which were worth before bytes.
func (x *index) reweigh(t tag, before int64) {
	if x.inDoubt(t) {
		x.open[t] = struct{}{}
	} else {
		delete(x.open, t)
	}
	x.live += x.keptSize(t) - before
}

// garbage is how many bytes of the file a rewrite would drop.
func (x *index) garbage() int64 { return x.size - int64(headerSize) - x.live }

// newest is the highest generation of a profile's records, or 0.
func (x *index) newest(t tag) uint64 {
	if frames := x.frames[t]; len(frames) > 0 {
		return frames[len(frames)-1].generation
	}
	return 0
}

// stored is newest without what is not in the file.
func (x *index) stored(t tag) uint64 {
	for _, f := range slices.Backward(x.frames[t]) {
		if f.inFallback == nil {
			return f.generation
		}
	}
	return 0
}

// insert adds a record that is not in the file; it stands behind those of its generation.
func (x *index) insert(profile string, f frame) {
	before := x.keptSize(f.tag)
	frames := x.frames[f.tag]
	at := len(frames)
	for at > 0 && frames[at-1].generation > f.generation {
		at--
	}
	x.frames[f.tag] = slices.Insert(frames, at, f)
	x.names[f.tag] = profile
	x.reweigh(f.tag, before)
}

// add adds a record that is in the file now, behind all others; t is its profile's tag.
func (x *index) add(t tag, r record, f frame) {
	before := x.keptSize(t)
	if r.isIntent() {
		x.addIntent(t, f)
	} else {
		x.frames[t] = append(x.frames[t], f)
		x.names[t] = r.profile
		x.repaired(t)
	}
	x.reweigh(t, before)
	x.end, x.size = f.end(), f.end()
}
