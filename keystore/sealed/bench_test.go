package sealed_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/sealed"
)

// A rotation as the daemon does it, with its intent record and an item of the size that sessions have, beside what a
// bare append and fsync of as many bytes costs on the same disk.
func BenchmarkRotation(b *testing.B) {
	for _, others := range []int{0, 10_000} {
		b.Run(fmt.Sprint("beside ", others), func(b *testing.B) {
			s, err := sealed.Open(filepath.Join(b.TempDir(), "sealed"), testKey)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			for n := range others {
				if err := s.Set(b.Context(), fmt.Sprint("p", n), version("p", n)); err != nil {
					b.Fatal(err)
				}
			}
			item := version("work", 1)
			item.RefreshToken = keystore.SecretString(strings.Repeat("r", 1800))
			for b.Loop() {
				if _, err := s.MarkSent(b.Context(), "work"); err != nil && !errors.Is(err, keystore.ErrNotFound) {
					b.Fatal(err)
				}
				if err := s.Set(b.Context(), "work", item); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("append and fsync alone", func(b *testing.B) {
		f, err := os.OpenFile(filepath.Join(b.TempDir(), "bare"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		record := make([]byte, 2200)
		for b.Loop() {
			if _, err := f.Write(record); err != nil {
				b.Fatal(err)
			}
			if err := f.Sync(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
