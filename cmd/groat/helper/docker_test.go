package helper

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/protocol/frame"
)

func TestDockerGet(t *testing.T) {
	for _, tt := range []struct{ name, in, target, server, username string }{
		{"a name", "registry.example", "https://registry.example/", "registry.example", "oauth2"},
		{"a name and a port", "registry.example:5000", "https://registry.example:5000/", "registry.example:5000",
			"oauth2"},
		{"a name and a path", "registry.example/team", "https://registry.example/team", "registry.example/team",
			"oauth2"},
		{"an address", "https://index.docker.io/v1/", "https://index.docker.io/v1/", "https://index.docker.io/v1/",
			"oauth2"},
		{"in capitals", "HTTPS://Registry.example", "https://Registry.example/", "HTTPS://Registry.example", "oauth2"},
		{"white space around it", " registry.example\r\n", "https://registry.example/", "registry.example", "oauth2"},
		{"this machine, by https", "127.0.0.1:5000", "https://127.0.0.1:5000/", "127.0.0.1:5000", "oauth2"},
		{"this machine, by http", "127.0.0.1:5000", "http://127.0.0.1:5000/", "127.0.0.1:5000", "oauth2"},
		{"this machine, and http said", "http://localhost:5000", "http://localhost:5000/", "http://localhost:5000",
			"oauth2"},
		{"Google's", "europe-docker.pkg.dev", "https://europe-docker.pkg.dev/", "europe-docker.pkg.dev",
			"oauth2accesstoken"},
		{"Google's older", "https://EU.gcr.io:443/v2", "https://EU.gcr.io:443/v2", "https://EU.gcr.io:443/v2",
			"oauth2accesstoken"},
		{"not Google's", "gcr.io.example", "https://gcr.io.example/", "gcr.io.example", "oauth2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := &daemon{target: tt.target, token: bearer}
			var out bytes.Buffer
			if err := Docker(d, []string{"get"}, strings.NewReader(tt.in), &out); err != nil {
				t.Fatal(err)
			}
			var got map[string]string
			if err := json.Unmarshal(out.Bytes(), &got); err != nil {
				t.Fatalf("%v: %q", err, &out)
			}
			want := map[string]string{"ServerURL": tt.server, "Username": tt.username, "Secret": "tok-1"}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// What names no server, or one of nobody's, is answered in docker's words and without a token.
func TestDockerIsMadeToSay(t *testing.T) {
	long := strings.Repeat("a", 64<<10)
	for _, tt := range []struct {
		name, in string
		want     error
		asked    bool
	}{
		{"nothing", "", NoServer, false},
		{"white space", "\n \t", NoServer, false},
		{"another server", "registry.example", NoCredentials, true},
		{"http", "http://registry.example", NoCredentials, false},
		{"ftp", "ftp://registry.example", NoCredentials, false},
		{"a scheme alone", "https://", NoCredentials, false},
		{"a user", "https://me@registry.example", NoCredentials, false},
		{"a backslash", `evil.example\@registry.example`, NoCredentials, false},
		{"B32 a query", "registry.example/?x", NoCredentials, false},
		{"B32 a query without a path", "registry.example?x", NoCredentials, false},
		{"B32 a fragment", "registry.example/x#y", NoCredentials, false},
		{"B32 a newline", "registry.example\nevil.example", errDockerControl, false},
		{"B32 NUL", "registry.example\x00", errDockerControl, false},
		{"B32 an escape sequence", "registry.example/\x1b[2J", errDockerControl, false},
		{"B32 another script", "registry.exаmple", NoCredentials, false},
		{"B32 a direction of writing", "\u202eregistry.example", NoCredentials, false},
		{"B32 a short loopback by http", "http://127.1", NoCredentials, false},
		{"B32 64 KiB", long, NoCredentials, true}, // groatd takes no such address
		{"B32 more than 64 KiB", long + "a", errDockerTooLong, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, operation := range []string{"get", "erase"} {
				d := &daemon{target: "https://other.example/", token: bearer}
				var out bytes.Buffer
				err := Docker(d, []string{operation}, strings.NewReader(tt.in), &out)
				want := tt.want
				if operation == "erase" && want == NoCredentials {
					want = nil // nothing is there to be erased
				}
				if err != want || out.Len() != 0 || (d.method != "") != tt.asked || d.method == "reject" {
					t.Errorf("%s: %v, %q, asked %q", operation, err, &out, d.method)
				}
			}
		})
	}
	broken := iotest.ErrReader(io.ErrClosedPipe)
	for _, operation := range []string{"get", "store", "erase"} {
		if err := Docker(&daemon{}, []string{operation}, broken, io.Discard); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("broken stdin: %v", err)
		}
	}
}

// Docker gets no token that it could not send, and nothing of one whose letters break out of the answer.
func TestDockerGetsNoOtherToken(t *testing.T) {
	for _, token := range []frame.Token{
		{AccessToken: "k-e-y", Static: true},
		{AccessToken: "a!b", TokenType: "Bearer", TokenChars: frame.VisibleChars},
		{AccessToken: "a\nb", TokenType: "Bearer"},
		{AccessToken: `a","Username":"<token>`, TokenType: "Bearer"},
		{AccessToken: "abc", TokenType: "mac"},
		{},
	} {
		var out bytes.Buffer
		err := Docker(&daemon{token: token}, []string{"get"}, strings.NewReader("h.example"), &out)
		if err == nil || out.Len() != 0 || token.AccessToken != "" && strings.Contains(err.Error(), token.AccessToken) {
			t.Errorf("%+v: %v, %q", token, err, &out)
		}
	}
}

// What groatd says is passed on; which profile is meant is a person's to say.
func TestDockerHearsWhatIsWrong(t *testing.T) {
	for _, e := range []*frame.Error{
		{Kind: frame.LoginRequired, Message: "sign in"}, {Kind: frame.Temporary}, {Kind: frame.Locked},
		{Kind: frame.UnknownProfile, Choices: []frame.Choice{{Profile: "a"}, {Profile: "b"}}},
	} {
		var out bytes.Buffer
		err := Docker(&daemon{err: e}, []string{"get"}, strings.NewReader("h.example"), &out)
		if err != e || out.Len() != 0 {
			t.Errorf("%+v: %v, %q", e, err, &out)
		}
	}
}

func TestDockerErase(t *testing.T) {
	var none int64
	d := &daemon{target: "https://h.example/", token: bearer}
	if err := Docker(d, []string{"erase"}, strings.NewReader("h.example"), io.Discard); err != nil {
		t.Error(err)
	}
	want := rejected{frame.TokenParams{Target: "https://h.example/", Wait: &none}, "tok-1"}
	if diff := cmp.Diff(want, d.params); d.method != "reject" || diff != "" {
		t.Errorf("%s %s", d.method, diff)
	}
	for kind, fails := range map[frame.Kind]bool{frame.LoginRequired: false, frame.Temporary: false,
		frame.Locked: true} {
		d := &daemon{err: &frame.Error{Kind: kind}}
		if err := Docker(d, []string{"erase"}, strings.NewReader("h.example"), io.Discard); (err != nil) != fails {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// Docker stores what it has signed in with: groat's own token is taken in silence, nothing else is.
func TestDockerStore(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want error
	}{
		{`{"ServerURL":"h.example","Username":"oauth2","Secret":"tok-1"}` + "\n", nil},
		{`{"ServerURL":"h.example","Username":"me","Secret":"a password"}`, ErrDockerStore},
		{`{"ServerURL":"h.example","Username":"me","Secret":"tok-2"}`, ErrDockerStore},
		{`{"ServerURL":"other.example","Username":"me","Secret":"tok-1"}`, ErrDockerStore},
		{`{"ServerURL":"","Username":"me","Secret":"tok-1"}`, NoServer},
		{`{"Username":"me","Secret":"tok-1"}`, NoServer},
		{`{"ServerURL":"h.example","Username":"me"}`, errDockerJSON},
		{`{"ServerURL":"h.example","Secret":"tok-1"`, errDockerJSON},
		{`{"ServerURL":"h.example","ServerURL":"other.example","Secret":"tok-1"}`, errDockerJSON},
		{`["h.example"]`, errDockerJSON},
		{``, errDockerJSON},
		{`"` + strings.Repeat("x", 64<<10) + `"`, errDockerTooLong},
	} {
		d := &daemon{target: "https://h.example/", token: bearer}
		var out bytes.Buffer
		if err := Docker(d, []string{"store"}, strings.NewReader(tt.in), &out); err != tt.want || out.Len() != 0 {
			t.Errorf("%.80s: %v, %q", tt.in, err, &out)
		}
	}
}

// A list would make docker collect a token for each server that there is.
func TestDockerLists(t *testing.T) {
	var out bytes.Buffer
	d := &daemon{token: bearer}
	if err := Docker(d, []string{"list"}, strings.NewReader("unused"), &out); err != nil || out.String() != "{}\n" ||
		d.method != "" {
		t.Errorf("%v, %q, %s", err, &out, d.method)
	}
	for _, args := range [][]string{nil, {"later"}, {"version"}, {"get", "get"}, {""}} {
		if err := Docker(d, args, iotest.ErrReader(io.ErrClosedPipe), io.Discard); err != ErrDockerOperation {
			t.Errorf("%q: %v", args, err)
		}
	}
}

// For every input the answer is one object, and the URL that groatd is asked about has the host that docker named.
func FuzzDockerGet(f *testing.F) {
	for _, seed := range []string{"h", "h:1/x", "https://h/v1/", "http://localhost", "a@b", "h\n\x00",
		"127.0.0.1:5000"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		d := &daemon{token: bearer}
		var out bytes.Buffer
		err := Docker(d, []string{"get"}, bytes.NewReader(in), &out)
		if (err == nil) != (out.Len() > 0) {
			t.Fatalf("%v and %q", err, &out)
		}
		if err != nil {
			return
		}
		target := d.params.(frame.TokenParams).Target
		scheme, rest, _ := strings.Cut(target, "://")
		host, path, ok := strings.Cut(rest, "/")
		if !ok || scheme != "https" && scheme != "http" || strings.ContainsAny(host, "@?#\\ ") ||
			strings.ContainsAny(path, "?#\\ \n") || !bytes.Contains(in, []byte(host)) {
			t.Fatalf("%q is about %q", in, target)
		}
		var got struct{ ServerURL, Username, Secret string }
		if err := json.Unmarshal(out.Bytes(), &got); err != nil || got.Secret != "tok-1" || got.Username == "<token>" ||
			!bytes.Contains(in, []byte(got.ServerURL)) {
			t.Fatalf("%q is answered with %q", in, &out)
		}
	})
}
