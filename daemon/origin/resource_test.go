package origin

import (
	"net/url"
	"path"
	"strings"
	"testing"
)

func TestResource(t *testing.T) {
	for raw, want := range map[string]string{
		"https://Git.Example.org":              "https://git.example.org:443",
		"https://git.example.org/":             "https://git.example.org:443",
		"https://git.example.org/team":         "https://git.example.org:443/team",
		"https://git.example.org:443/team/":    "https://git.example.org:443/team",
		"HTTPS://GIT.example.org/Team/a.b-c_~": "https://git.example.org:443/Team/a.b-c_~",
		"https://git.example.org:8443/a/b":     "https://git.example.org:8443/a/b",
		"http://127.0.0.1:80/x":                "http://127.0.0.1:80/x",
		"http://[::1]:8080/x":                  "http://[::1]:8080/x",
		"https://git.example.org/@me:x":        "https://git.example.org:443/@me:x",
		"https://git.example.org//":            "",
		"https://git.example.org//team":        "",
		"https://git.example.org/team//":       "",
		"https://git.example.org/a//b":         "",
		"https://git.example.org/.":            "",
		"https://git.example.org/a/../b":       "",
		"https://git.example.org/a/..":         "",
		"https://git.example.org/a/./b":        "",
		"https://git.example.org/a%2fb":        "",
		"https://git.example.org/%74eam":       "",
		"https://git.example.org/team;x":       "",
		`https://git.example.org/a\b`:          "",
		"https://git.example.org/a b":          "",
		"https://git.example.org/tеam":         "", // a Cyrillic letter
		"https://git.example.org/{team}":       "",
		"https://git.example.org/team?x":       "",
		"https://git.example.org/team#x":       "",
		"https://git.example.org?":             "",
		"https://me@git.example.org/team":      "",
		"https://git.example.org./team":        "",
		"https://git.example.org:/team":        "",
		"http://git.example.org/team":          "",
		"git.example.org/team":                 "",
		"":                                     "",
	} {
		got, err := Resource(raw)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v, want %q", raw, got, err, want)
		}
		if err != nil {
			continue
		}
		if again, err := Resource(got); err != nil || again != got {
			t.Errorf("%s is %s, which is %s, %v", raw, got, again, err)
		}
		short := WithoutPort(got)
		if again, err := Resource(short); err != nil || again != got {
			t.Errorf("%s is %s for people, which is %s, %v", raw, short, again, err)
		}
	}
	for long, short := range map[string]string{
		"https://h:443/a:443": "https://h/a:443", "https://h:80/": "https://h:80/",
		"http://127.0.0.1:80/x": "http://127.0.0.1/x",
	} {
		if got := WithoutPort(long); got != short {
			t.Errorf("%s is %s for people", long, got)
		}
	}
}

// A request is under a prefix exactly if every program that reads its path finds the prefix's segments there.
func TestB21OnlyThePathItselfIsUnderAPrefix(t *testing.T) {
	const resource = "https://git.example.org:443/team"
	for raw, want := range map[string]bool{
		"https://git.example.org/team":                    true,
		"https://git.example.org/team/":                   true,
		"HTTPS://GIT.EXAMPLE.ORG:443/team/a/b.git":        true,
		"https://git.example.org/team?x":                  true,
		"https://git.example.org/team/a%20b":              true,
		"https://git.example.org/team/?/../x":             true,
		"https://git.example.org":                         false,
		"https://git.example.org/":                        false,
		"https://git.example.org/teamx":                   false,
		"https://git.example.org/team.git":                false,
		"https://git.example.org/Team/a":                  false,
		"https://git.example.org/tea%6d/a":                false,
		"https://git.example.org//team/a":                 false,
		"https://git.example.org/./team/a":                false,
		"https://git.example.org/x/team/a":                false,
		"https://git.example.org/?/team":                  false,
		"https://git.example.org/team/../home":            false,
		"https://git.example.org/team/..":                 false,
		"https://git.example.org/team/.":                  false,
		"https://git.example.org/team/%2e%2e/home":        false,
		"https://git.example.org/team/{.,x}{.,x}/home":    false, // curl asks for all that it stands for
		"https://git.example.org/team/[.-.]./home":        false,
		"https://git.example.org/team/%7Bid%7D":           true,
		"https://git.example.org/team/.%2E/home":          false,
		"https://git.example.org/team/..;/home":           false,
		"https://git.example.org/team/..;x=1/home":        false,
		"https://git.example.org/team/..%3b/home":         false,
		"https://git.example.org/team/..%2fhome":          false,
		"https://git.example.org/team/..%5Chome":          false,
		"https://git.example.org/team/%252e%252e/x":       false,
		"https://git.example.org/team/..%00/home":         false,
		"https://git.example.org/team/..%20/home":         false,
		"https://git.example.org/team/%20../home":         false,
		"https://git.example.org/team/.%20./home":         false,
		"https://git.example.org/team/%20/home":           false,
		"https://git.example.org/team/.../home":           false,
		"https://git.example.org/team/..%3f/home":         false,
		"https://git.example.org/team/..%23/home":         false,
		"https://git.example.org/team/..%c0%af/home":      false, // overlong UTF-8
		"https://git.example.org/team/%c0%ae%c0%ae/":      false,
		"https://git.example.org/team/x%ff":               false,
		"https://git.example.org/team/%ef%bc%8e/x":        false, // U+FF0E
		"https://git.example.org/team/a%ef%bc%8fb":        false, // U+FF0F
		"https://git.example.org/team/%e2%80%a5/x":        false, // U+2025
		"https://git.example.org/team/a%e2%88%95b":        false, // U+2215
		"https://git.example.org/team/%e2%84%80":          false, // U+2100, which is a/c
		"https://git.example.org/team/x%c2%85":            false, // a control character
		"https://git.example.org/team/x%c2%a0":            false, // a blank
		"https://git.example.org/team/%c3%a4%20b":         true,
		"https://git.example.org/team/%e6%97%a5%e2%80%93": true,
		"https://git.example.org/team/.git/..x/a..":       true,
		"https://git.example.org/team/C%23/a%3Fb":         true,
		"https://git.example.org/team//x":                 false,
		"https://git.example.org/team;x/home":             false,
		"https://git.example.org:8443/team":               false,
		"https://git.example.org:4430/team":               false,
		"http://127.0.0.1:443/team":                       false,
		"https://git.example.org.evil.example/team/":      false,
	} {
		target, err := ParseTarget(raw)
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		if got := target.Under(resource); got != want {
			t.Errorf("%s is under %s: %v", raw, resource, got)
		}
		if own := strings.HasPrefix(target.String(), "https://git.example.org/") ||
			target.String() == "https://git.example.org"; target.Under("https://git.example.org:443") != own {
			t.Errorf("%s, %s is of the origin: %v", raw, target, !own)
		}
	}
	if _, err := ParseTarget(`https://git.example.org/team\..\home`); err == nil {
		t.Error("a backslash was taken")
	}
	if (Target{}).Under(resource) {
		t.Error("no request is under a prefix")
	}
}

func TestCovers(t *testing.T) {
	const whole, team = "https://h:443", "https://h:443/team"
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{whole, whole, true}, {whole, team, true}, {team, team, true}, {team, team + "/a", true}, {team, whole, false},
		{team, team + "x", false}, {whole, "https://h:4430", false}, {whole, "https://h:4430/team", false},
	} {
		if Covers(c.a, c.b) != c.want {
			t.Errorf("%s covers %s: %v", c.a, c.b, !c.want)
		}
	}
	if got := OfResource(team); got != whole || OfResource(whole) != whole {
		t.Error(got)
	}
}

// FuzzUnder: a request that is under a prefix is under it for net/url and for package path too, which resolves what
// climbs; and a resource is its own canonical form.
func FuzzUnder(f *testing.F) {
	for _, target := range []string{"https://h/team/a", "https://h/team/../x", "https://h/team/%2e%2e/x",
		"https://h//team",
		"https://h/team;a/..;/b", "https://h:4430/team", "https://h/team%2f..", "https://h/team?/.."} {
		f.Add("https://h/team", target)
	}
	f.Add("https://h", "https://h")
	f.Fuzz(func(t *testing.T, resource, target string) {
		r, err := Resource(resource)
		if err != nil {
			return
		}
		if again, err := Resource(WithoutPort(r)); err != nil || again != r {
			t.Errorf("%s is %s, then %s, %v", resource, r, again, err)
		}
		to, err := ParseTarget(target)
		if err != nil || !to.Under(r) {
			return
		}
		u, err := url.Parse(target)
		if err != nil {
			t.Fatalf("%s: %v", target, err)
		}
		prefix := strings.TrimPrefix(r, OfResource(r))
		for _, p := range []string{u.Path, u.EscapedPath()} {
			if p = path.Clean("/" + p); prefix != "" && p != prefix && !strings.HasPrefix(p, prefix+"/") {
				t.Errorf("%s is under %s, but its path is %s", target, r, p)
			}
		}
		if o, err := WithPort(target); err != nil || o != OfResource(r) {
			t.Errorf("%s is under %s, but its origin is %s, %v", target, r, o, err)
		}
	})
}
