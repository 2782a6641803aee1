package daemon

import (
	"testing"

	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/daemon/profile"
)

// The API that a token is said to be for is within what the file lists and within what the credential is sealed for: a
// file that was edited makes it no wider.
func TestTheAPIOfATargetIsTheNarrowerOne(t *testing.T) {
	const whole, team, deep = "https://h.example:443", "https://h.example:443/team", "https://h.example:443/team/a"
	for _, tt := range []struct {
		listed, sealed []string
		path, api      string // no api: refused
	}{
		{[]string{whole}, []string{whole}, "/team/a/x", whole},
		{[]string{whole}, []string{team}, "/team/a/x", team},
		{[]string{team}, []string{whole}, "/team/a/x", team},
		{[]string{whole, deep}, []string{whole, team}, "/team/a/x", deep},
		{[]string{whole, deep}, []string{whole, team}, "/team/b", team},
		{[]string{whole}, []string{team}, "/other", ""},
		{[]string{whole}, nil, "/team", ""},
	} {
		target := origin.Target{Origin: whole, Path: tt.path}
		p := &profile.Profile{Profile: config.Profile{Name: "work"}, APIs: tt.listed}
		api, err := checkTarget(p, target, &grant.Destinations{APIs: tt.sealed})
		if api != tt.api || (err != nil) != (tt.api == "") {
			t.Errorf("%v, sealed %v, %s: %q, %v", tt.listed, tt.sealed, tt.path, api, err)
		}
	}
	if api, err := checkTarget(&profile.Profile{}, origin.Target{}, nil); api != "" || err != nil {
		t.Errorf("without a target: %q, %v", api, err)
	}
}
