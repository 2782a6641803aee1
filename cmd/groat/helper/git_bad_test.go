package helper

import (
	"bytes"
	"strings"
	"testing"
)

// What git can be made to say by another person's repository or URL. The numbers are those of the catalogue
// of bad inputs; what groatd makes of the address that is asked about is in package config's tests.
func TestGitIsMadeToSay(t *testing.T) {
	const request = "protocol=https\nhost=example.com\n"
	for _, tt := range []struct {
		name, in string
		asked    string // what groatd is asked about; "" is not asked
	}{
		{"B1 only the protocol, as after a carriage return in the host", "protocol=https\n", ""},
		{"B2 no host", "protocol=https\npath=x\n", ""},
		{"B2 an empty host", "protocol=https\nhost=\n", ""},
		{"B3 no protocol", "host=example.com\n", ""},
		{"B3 an empty protocol", "protocol=\nhost=example.com\n", ""},
		{"B4 the end without an empty line", strings.TrimSuffix(request, "\n"), "https://example.com/"},
		{"B5 a line feed that became a line", "protocol=https\nhost=a.example\nhost=example.com\n", ""},
		{"B5 another protocol that became a line", "protocol=https\nprotocol=http\nhost=example.com\n", ""},
		{"B6 a carriage return", "protocol=https\nhost=example.com\r\n", ""},
		{"B6 a carriage return inside", request + "path=a\rb\n", ""},
		{"B7 NUL", "protocol=https\nhost=example.com\x00.evil.example\n", ""},
		{"B8 an escape sequence", request + "path=\x1b[2Jx\n", ""},
		{"B8 DEL", request + "username=a\x7f\n", ""},
		{"B8 a C1 control in the host", "protocol=https\nhost=example.com\u0085\n", ""},
		{"B9 a bidirectional override in the host", "protocol=https\nhost=\u202eexample.com\n", ""},
		{"B9 a zero-width space in the host", "protocol=https\nhost=exa\u200bmple.com\n", ""},
		{"B10 http", "protocol=http\nhost=example.com\n", ""},
		{"B11 capitals", "protocol=HTTPS\nhost=example.com\n", "https://example.com/"},
		{"B12 ssh", "protocol=ssh\nhost=example.com\n", ""},
		{"B12 ftp", "protocol=ftp\nhost=example.com\n", ""},
		{"B12 file", "protocol=file\nhost=example.com\n", ""},
		{"B12 ext", "protocol=ext\nhost=example.com\n", ""},
		{"B12 cert", "protocol=cert\nhost=\npath=/home/me/key\n", ""},
		{"B17 a name that ends alike", "protocol=https\nhost=evilexample.com\n", "https://evilexample.com/"},
		{"B18 another script", "protocol=https\nhost=exаmple.com\n", ""},
		{"B18 full width", "protocol=https\nhost=ｅxample.com\n", ""},
		{"B19 a name before the host", "protocol=https\nhost=user@example.com\n", ""},
		{"B19 the host in the name", "protocol=https\nhost=evil.example\nusername=example.com\n",
			"https://evil.example/"},
		{"B19 a backslash", "protocol=https\nhost=evil.example\\\nusername=x\n", ""},
		{"B20 a short loopback over http", "protocol=http\nhost=127.1\n", ""},
		{"B20 a hexadecimal one", "protocol=http\nhost=0x7f000001\n", ""},
		{"B20 a decimal one", "protocol=http\nhost=2130706433\n", ""},
		{"B21 a path that climbs", request + "path=../x\n", "https://example.com/../x"},
		{"B21 an encoded slash stays one", request + "path=a%2Fb\n", "https://example.com/a%252Fb"},
		{"B23 lists without end", request + strings.Repeat("wwwauth[]=x\n", 5000), "https://example.com/"},
		{"B23 more than 64 KiB", request + strings.Repeat("state[]=xxxxxxxx\n", 5000), ""},
		{"B24 a URL instead", "url=https://example.com/\n", ""},
		{"B24 a URL beside the rest", request + "url=https://evil.example/\n", ""},
		{"B25 no answer is wanted", request + "quit=1\n", ""},
		{"B25 a password is there", request + "username=me\npassword=p\n", ""},
		{"B32 a query in the host", "protocol=https\nhost=example.com?x\n", ""},
		{"B32 a fragment in the host", "protocol=https\nhost=example.com#x\n", ""},
		{"B32 a query in the path is none", request + "path=x?y#z\n", "https://example.com/x%3Fy%23z"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := &daemon{target: tt.asked, token: bearer}
			var out bytes.Buffer
			err := Git(d, []string{"get"}, strings.NewReader(tt.in), &out)
			if asked := d.method != ""; asked != (tt.asked != "") || asked == (out.Len() == 0) {
				t.Errorf("asked about %+v, answered %q, %v", d.params, &out, err)
			}
		})
	}
}

// This machine is meant only by a name that no parser reads as another one.
func TestLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "LocalHost:8080": true, "127.0.0.1": true, "127.0.0.1:80": true, "127.255.0.9": true,
		"[::1]": true, "[::1]:8080": true,
		"": false, "localhost.example.com": false, "localhost:80x": false, "localhost:99999": false, "127.1": false,
		"127.0.0.1.example.com": false, "127.0.0.256": false, "127.0.0.01": false, "0x7f.0.0.1": false, "127.0.0.+1": false,
		"126.0.0.1": false, "::1": false, "[::1": false, "[::1]x": false, "[::1]:": false, "[::1]:0x50": false, "[::2]": false,
		"[::ffff:127.0.0.1]": false, "2130706433": false, "0": false, "0.0.0.0": false,
	} {
		if isLoopback(host) != want {
			t.Errorf("%q: %v", host, !want)
		}
	}
}
