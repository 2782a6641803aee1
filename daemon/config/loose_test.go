package config

import (
	"slices"
	"strings"
	"testing"
)

// What can be read of a profile that cannot be used says which APIs it lists; where that cannot be read it may be any.
func TestWhatAWrongProfileMayList(t *testing.T) {
	const any = "any"
	const own, wrong = "provider = \"spatiafi\"\nresources = [\"https://a.example/x\", \"https://b.example\"]\n", "x = 1\n"
	const listed = "https://a.example:443/x https://b.example:443"
	for name, c := range map[string]struct{ file, table, want string }{
		"its own":         {own + wrong, "", listed},
		"in a table":      {"", own + wrong, listed},
		"a value's fault": {"", own + "basic = \"x\"\n", listed},
		"other letters": {strings.ToUpper(own[:1]) + strings.Replace(own[1:], "resources", "RESOURCES", 1) + wrong, "",
			listed},
		"twice in a way": {own + "Resources = []\n" + wrong, "", any},
		"both places": {own, "provider = \"spatiafi\"\nresources = [\"https://c.example\"]\n",
			listed + " https://c.example:443"},
		"both, one unknown": {own, wrong, any},
		"a text, no list":   {"provider = \"spatiafi\"\nresources = \"https://a.example\"\n", "", "https://a.example:443"},
		"a number in it":    {"provider = \"spatiafi\"\nresources = [7]\n", "", any},
		"another key": {"token_endpoint = \"https://t.example\"\napis = [\"https://a.example\"]\n", "",
			"https://a.example:443"},
		"none": {"token_endpoint = \"https://t.example\"\n" + wrong, "", ""},
		"a back end": {"token_endpoint = \"https://t.example\"\nbackend = \"https://a.example\"\n" + wrong, "",
			"https://a.example:443"},
		"a back end that is none": {"token_endpoint = \"https://t.example\"\nbackend = 1\n", "", any},
		"the preset's": {"provider = \"github\"\n" + wrong, "",
			"https://api.github.com:443 https://github.com:443"},
		"another host of it": {"provider = \"gitlab\"\nauth_server = \"https://a.example\"\n" + wrong, "",
			"https://a.example:443"},
		"a host that is none": {"provider = \"gitlab\"\nauth_server = 1\n", "", any},
		"no provider":         {"scope = \"x\"\n", "", any},
		"a provider's number": {"provider = 1\n", "", any},
		"no TOML":             {own + "=", "", any},
		"no table":            {"[profiles.bad]\n" + own, "", any},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{}
			if c.file != "" {
				files["profiles.d/bad.toml"] = c.file
			}
			if c.table != "" {
				files["config.toml"] = "[profiles.bad]\n" + c.table
			}
			all, err := place(t, files).Load()
			if err != nil || all.Broken["bad"] == nil {
				t.Fatalf("%v, %v", err, all)
			}
			apis, known := all.MayList["bad"]
			slices.Sort(apis)
			got := strings.Join(apis, " ")
			if !known {
				got = any
			}
			if got != c.want {
				t.Errorf("it lists %s, want %s", got, c.want)
			}
		})
	}
}
