package keystore

import "testing"

func TestK20AWeakPassphraseIsToldOf(t *testing.T) {
	for text, weak := range map[string]bool{
		"": false, "short": true, "hunter2": true, "aaaaaaaaaaaaaaaaaaa": true, "abababababababab": true,
		"123456789012345": true, "2026-11-28 2026": true,
		"password1234": true, "P@ssw0rd!2026": true, "qwertyqwerty12": true, "Passwort-Passwort": true,
		"letmeinletmein": true, "01234567890123456789abc": true,
		"correct horse battery": false, "correct horse battery staple": false, "k3vQ.ffN2-pzz7Xw": false,
		"größere Äpfel im Norden":        false,
		"my password is a long sentence": false, "vellum otter crane 7": false,
	} {
		if why := Weakness(SecretString(text)); (why != "") != weak {
			t.Errorf("%q: %q, want weak: %v", text, why, weak)
		}
	}
}
