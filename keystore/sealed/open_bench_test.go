package sealed

import (
	"os"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"
)

// The start with ten thousand profiles, as at the daemon's first read of the file, beside its floor: the same bytes read
// and decrypted, and nothing made of them. "first" is a machine that has not seen the profiles, "again" one that has.
// heap_peak_MB is what the heap had more than before at its greatest, as far as a goroutine that looks all the time
// sees it.
func BenchmarkOpen(b *testing.B) {
	path := writeLargeFile(b, 10_000)
	open := func(b *testing.B, seen func() string) {
		b.ReportAllocs()
		peak := 0.0
		for b.Loop() {
			b.StopTimer()
			files := Files{Path: path, RollbackDir: seen()}
			stop := watchHeap()
			b.StartTimer()
			s, err := files.Open(diskKey)
			if err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			peak = max(peak, stop())
			s.Close()
			b.StartTimer()
		}
		b.ReportMetric(peak/1e6, "heap_peak_MB")
	}
	b.Run("first", func(b *testing.B) { open(b, b.TempDir) })
	b.Run("again", func(b *testing.B) {
		dir := b.TempDir()
		open(b, func() string { return dir })
	})
	b.Run("decrypted_alone", func(b *testing.B) {
		k, err := newKeys(diskKey)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		buf := make([]byte, maxContent)
		for b.Loop() {
			data, err := os.ReadFile(path)
			if err != nil {
				b.Fatal(err)
			}
			for data = data[headerSize:]; len(data) > 0; {
				h, _ := parseHead(data)
				end := headSize + h.length
				if _, err := k.aead.Open(buf[:0], nil, data[headSize:end], data[:headSize]); err != nil {
					b.Fatal(err)
				}
				data = data[end:]
			}
		}
	})
}

// watchHeap collects garbage, and returns what reports by how many bytes the heap has grown since at most. It looks
// every millisecond.
func watchHeap() (stop func() float64) {
	runtime.GC()
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	read := func() uint64 {
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	before, most := read(), uint64(0)
	ask, answer := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(answer)
		for {
			most = max(most, read())
			select {
			case <-ask:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	return func() float64 {
		close(ask)
		<-answer
		return float64(max(most, read(), before) - before)
	}
}
