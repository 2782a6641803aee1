package main

import (
	"strings"
	"testing"

	"github.com/groat-dev/groat/protocol"
)

func TestListFitsATerminal(t *testing.T) {
	const head, apis = "PROFILE  PROVIDER  ACCOUNT          SERVER            ", "https://data.example:443/team"
	r := &protocol.ProfilesResult{Profiles: []protocol.ProfileInfo{
		{Profile: "planet", Provider: "planet", Issuer: "https://login.planet.com", Account: "ann@example.com",
			Resources: []string{"https://api.planet.com:443", "https://tiles.planet.com:443", apis}},
		{Profile: "lab", Issuer: "http://127.0.0.1:80"},
	}}
	const lab = "lab      -         -                http://127.0.0.1  -\n"
	for _, tt := range []struct {
		width int
		want  string
	}{
		{0, head + "APIS\nplanet   planet    ann@example.com  login.planet.com  api.planet.com tiles.planet.com " +
			"data.example/team\n" + lab},
		{80, head + "APIS\nplanet   planet    ann@example.com  login.planet.com  api.planet.com\n" +
			strings.Repeat(" ", len(head)) + "tiles.planet.com\n" +
			strings.Repeat(" ", len(head)) + "data.example/team\n" + lab},
		{45, "planet\n  provider  planet\n  account   ann@example.com\n  server    login.planet.com\n" +
			"  apis      api.planet.com tiles.planet.com\n            data.example/team\nlab\n  server    http://127.0.0.1\n"},
	} {
		if got := string(textProfiles(screen{width: tt.width}, r)); got != tt.want {
			t.Errorf("%d columns:\n%s\nwant\n%s", tt.width, got, tt.want)
		}
	}
}

func TestNamesAreShortenedInTheMiddle(t *testing.T) {
	for _, tt := range []struct {
		s          screen
		name, want string
	}{
		{screen{}, strings.Repeat("a", 300), strings.Repeat("a", 300)},
		{screen{width: 80, utf8: true}, "ann@example.com", "ann@example.com"},
		{screen{width: 80, utf8: true}, "someone.else@department.example.edu", "someone.e…mple.edu"},
		{screen{width: 80}, "someone.else@department.example.edu", "someone....ple.edu"},
		{screen{width: 80, utf8: true}, strings.Repeat("東", 20), "東東東東…東東東東"},
	} {
		if got := tt.s.shorten(tt.name, 18); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.s, got, tt.want)
		}
	}
}
