package origin

import "testing"

// Which addresses are the origin that a profile lists, https://example.com, and which only look like it. The numbers
// are those of the catalogue of bad inputs.
func TestWhatOnlyLooksLikeTheOrigin(t *testing.T) {
	const listed = "https://example.com:443"
	for _, tt := range []struct {
		name, raw string
		same      bool
	}{
		{"B10 http", "http://example.com/", false},
		{"B11 the scheme in capitals", "HTTPS://example.com/", true},
		{"B12 ssh", "ssh://example.com/", false},
		{"B12 ext", "ext::sh -c id", false},
		{"B13 the scheme's own port", "https://example.com:443/", true},
		{"B14 another port", "https://example.com:8443/", false},
		{"B14 port 0", "https://example.com:0/", false},
		{"B14 port 99999", "https://example.com:99999/", false},
		{"B14 a port with a letter", "https://example.com:443x/", false},
		{"B14 an empty port", "https://example.com:/", false},
		{"B15 the host in capitals", "https://EXAMPLE.COM/", true},
		{"B16 a trailing dot", "https://example.com./", false},
		{"B17 as a beginning", "https://example.com.evil.example/", false},
		{"B17 as an end", "https://evilexample.com/", false},
		{"B17 a host below", "https://sub.example.com/", false},
		{"B18 a letter of another script", "https://exаmple.com/", false},
		{"B18 the same in Punycode", "https://xn--exmple-4nf.com/", false},
		{"B18 full width", "https://ｅxample.com/", false},
		{"B19 a name before the host", "https://user@example.com/", false},
		{"B19 as a name", "https://example.com@evil.example/", false},
		{"B19 as a name and password", "https://example.com:443@evil.example/", false},
		{"B19 behind a backslash", `https://evil.example\@example.com/`, false},
		{"B20 an address", "https://[::1]:443/", false},
		{"B20 a short one", "https://127.1/", false},
		{"B20 brackets around a name", "https://[example.com]/", false},
		{"B20 a bracket by itself", "https://example.com]/", false},
		{"B17 a comma and another host", "https://example.com,evil.example/", false},
		{"B21 a path that climbs is a path", "https://example.com/../%2e%2e//a%2Fb", true},
		{"B32 only in the query", "https://evil.example/?https://example.com/", false},
		{"B32 only in the fragment", "https://evil.example/#https://example.com/", false},
		{"B32 no scheme", "example.com/", false},
		{"B32 no slashes", "https:example.com/", false},
		{"B32 one slash", "https:/example.com/", false},
		{"B32 a line feed", "https://example.com/\nhost=evil.example", false},
		{"B32 a space", "https://example.com /", false},
		{"B32 an encoded host", "https://ex%61mple.com/", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := WithPort(tt.raw); (err == nil && got == listed) != tt.same {
				t.Errorf("%q has the origin %q, %v", tt.raw, got, err)
			}
		})
	}
}
