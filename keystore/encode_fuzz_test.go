package keystore

import (
	"errors"
	"testing"
)

// FuzzDecodeItem: what stands in a keychain may be anything; what is read from it is written back as the same.
func FuzzDecodeItem(f *testing.F) {
	f.Add([]byte(`{"v":1,"issuer":"i","token_endpoint":"t","client_auth":"none",` +
		`"client_id":"c","client_secret":"s\u00e9"}`))
	f.Add([]byte(`{"v":2,"client_id":"c"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		item, err := DecodeItem(NewSecret(b))
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Error(err)
			}
			return
		}
		text, err := EncodeItem(item)
		if err != nil {
			t.Fatalf("%q was read but cannot be written: %v", b, err)
		}
		if again, err := DecodeItem(text); err != nil || !again.Equal(item) {
			t.Errorf("%q becomes %q: %v", b, text.Reveal(), err)
		}
	})
}
