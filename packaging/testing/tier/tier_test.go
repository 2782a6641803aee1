package tier_test

import (
	"flag"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/tier"
)

// With -short the quick tests run and the others do not; without it all do.
func TestTiers(t *testing.T) {
	short := flag.Lookup("test.short")
	defer short.Value.Set(short.Value.String())
	for _, quick := range []bool{true, false} {
		short.Value.Set(map[bool]string{true: "true", false: "false"}[quick])
		if tier.Quick() != quick {
			t.Errorf("with -short=%v Quick is %v", quick, tier.Quick())
		}
		for what, f := range map[string]func(*testing.T){
			"needs": func(t *testing.T) { tier.Needs(t, "a browser", "a keychain") },
			"long":  func(t *testing.T) { tier.Long(t, "it does a thousand things") },
		} {
			ran := false
			t.Run(what, func(t *testing.T) {
				f(t)
				ran = true
			})
			if ran == quick {
				t.Errorf("with -short=%v a test that says %s ran: %v", quick, what, ran)
			}
		}
	}
}
