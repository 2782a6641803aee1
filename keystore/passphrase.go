package keystore

import (
	"slices"
	"strings"
)

// shortPassphrase is the length, in characters, below which every passphrase is weak: twelve random letters are 56
// bits.
const shortPassphrase = 12

// common are what most passwords that were ever published are made of.
var common = []string{
	"password", "passwort", "passphrase", "secret", "qwerty", "qwertz", "azerty", "asdf", "letmein", "welcome", "admin",
	"iloveyou", "monkey",
	"dragon", "changeme", "default", "login", "master", "groat", "abcdefghijklmnopqrstuvwxyz", "01234567890",
	"9876543210",
}

// Weakness says, in a few words, why a passphrase is easy to guess, or is empty. It knows few reasons: that it says
// nothing does not make a passphrase good.
func Weakness(passphrase Secret) string {
	text := strings.ToLower(passphrase.Reveal()) // a copy that cannot be wiped, as its lower case is one
	letters := []rune(text)
	different := slices.Compact(slices.Sorted(slices.Values(letters)))
	switch {
	case len(letters) == 0:
		return ""
	case len(letters) < shortPassphrase:
		return "it is short: use at least 12 characters, better four words that do not belong together"
	case len(different) < 5:
		return "it is made of very few different characters"
	case strings.Trim(text, "0123456789 -./") == "":
		return "it is made of digits only"
	case usual(text):
		return "it is a common password with little added"
	}
	return ""
}

// usual reports whether less than eight characters are left when what is common is taken away.
func usual(text string) bool {
	rest := strings.NewReplacer("@", "a", "4", "a", "3", "e", "1", "i", "!", "i", "0", "o", "$", "s", "5",
		"s").Replace(text)
	least := len(rest)
	for _, variant := range []string{rest, text} {
		for _, word := range common {
			variant = strings.ReplaceAll(variant, word, "")
			for n := len(word) - 1; n >= 6; n-- { // a part of a row of keys, letters or digits
				variant = strings.ReplaceAll(variant, word[:n], "")
			}
		}
		least = min(least, len(strings.Trim(variant, "0123456789 !?.-_*#")))
	}
	return least < 8 && least < len(text)*2/3
}
