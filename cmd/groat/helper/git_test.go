package helper

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/protocol/frame"
)

// daemon answers as groatd would that knows one server.
type daemon struct {
	target string // what it knows; "" knows everything
	token  frame.Token
	err    error
	method string
	params any
}

// rejected is what the daemon is told by Reject.
type rejected struct {
	frame.TokenParams
	AccessToken string
}

func (d *daemon) Token(params frame.TokenParams) (frame.Token, error) {
	d.method, d.params = "token", params
	return d.token, d.refuses(params)
}

func (d *daemon) Reject(params frame.TokenParams, accessToken string) error {
	d.method, d.params = "reject", rejected{params, accessToken}
	return d.refuses(params)
}

func (d *daemon) refuses(params frame.TokenParams) error {
	if d.err == nil && d.target != "" && params.Target != d.target {
		return &frame.Error{Kind: frame.UnknownProfile, Message: "no profile lists it", Hint: "groat list"}
	}
	return d.err
}

var bearer = frame.Token{AccessToken: "tok-1", TokenType: "Bearer", ExpiresAt: 1790000000, Profile: "work"}

func TestGitGet(t *testing.T) {
	const basic = "username=oauth2\npassword=tok-1\npassword_expiry_utc=1790000000\n"
	const modern = "capability[]=authtype\nauthtype=Bearer\ncredential=tok-1\nephemeral=1\n" +
		"password_expiry_utc=1790000000\n"
	for _, tt := range []struct{ name, in, target, out string }{
		{"git 2.39", "protocol=https\nhost=h\n", "https://h/", basic},
		{"an empty line", "protocol=https\nhost=h\n\nhost=other\n", "https://h/", basic},
		{"no last newline", "protocol=https\nhost=h", "https://h/", basic},
		{
			"git 2.47", "capability[]=authtype\ncapability[]=state\nprotocol=https\nhost=h:8443\npath=git/r.git\n" +
				"wwwauth[]=Bearer realm=\"git\"\nwwwauth[]=Basic realm=\"x\"\n",
			"https://h:8443/git/r.git", modern,
		},
		{"Basic alone", "capability[]=authtype\nprotocol=https\nhost=h\nwwwauth[]=basic realm=\"GitHub\"\n", "https://h/",
			basic},
		{"Basic twice", "capability[]=authtype\nprotocol=https\nhost=h\nwwwauth[]=Basic\nwwwauth[]=Basic realm=x\n",
			"https://h/", basic},
		{"challenges taken back", "capability[]=authtype\nprotocol=https\nhost=h\nwwwauth[]=Basic\nwwwauth[]=\n",
			"https://h/", modern},
		{"another challenge", "capability[]=authtype\nprotocol=https\nhost=h\nwwwauth[]=Negotiate\nwwwauth[]=Basic\n",
			"https://h/", modern},
		{"Bearer and an older git", "protocol=https\nhost=h\nwwwauth[]=Bearer\n", "https://h/", basic},
		{"capability of something else", "capability[]=state\nprotocol=https\nhost=h\n", "https://h/", basic},
		{"capability taken back", "capability[]=authtype\ncapability[]=\nprotocol=https\nhost=h\n", "https://h/",
			basic},
		{"user name in the URL", "protocol=https\nhost=h\nusername=alice\n", "https://h/",
			strings.Replace(basic, "oauth2", "alice", 1)},
		{"empty user name", "protocol=https\nhost=h\nusername=\n", "https://h/", basic},
		{"unknown members", "protocol=https\nhost=h\nfuture=x=y\nfuture[]=1\nfuture[]=2\n", "https://h/", basic},
		{"path that needs escaping", "protocol=https\nhost=h\npath=a b?c#d%é\n", "https://h/a%20b%3Fc%23d%25%C3%A9",
			basic},
		{"loopback", "protocol=http\nhost=127.0.0.1:8080\n", "http://127.0.0.1:8080/", basic},
		{"loopback 6", "protocol=http\nhost=[::1]:8080\n", "http://[::1]:8080/", basic},
		{"loopback name", "protocol=http\nhost=localhost:80\n", "http://localhost:80/", basic},

		{"plain http", "protocol=http\nhost=h\n", "", ""},
		{"looks like loopback", "protocol=http\nhost=localhost.evil.example\n", "", ""},
		{"looks like loopback too", "protocol=http\nhost=127.0.0.1.evil.example\n", "", ""},
		{"no host", "protocol=https\n", "", ""},
		{"no protocol", "host=h\n", "", ""},
		{"nothing", "", "", ""},
		{"ssh", "protocol=ssh\nhost=h\n", "", ""},
		{"host with a path", "protocol=https\nhost=evil/@h\n", "", ""},
		{"host with a user", "protocol=https\nhost=h@evil\n", "", ""},
		{"host with a fragment", "protocol=https\nhost=evil#h\n", "", ""},
		{"host with a backslash", "protocol=https\nhost=evil\\h\n", "", ""},
		{"host in another script", "protocol=https\nhost=exаmple.com\n", "", ""},
	} {
		d := &daemon{target: tt.target, token: bearer}
		var out bytes.Buffer
		if err := Git(d, []string{"--of", "the-config", "get"}, strings.NewReader(tt.in),
			&out); err != nil || out.String() != tt.out {
			t.Errorf("%s: %v, %q", tt.name, err, out.String())
		}
		if asked := d.method != ""; asked != (tt.target != "") {
			t.Errorf("%s: the daemon was asked: %v %+v", tt.name, asked, d.params)
		}
	}
}

// Where the user name is known to be nobody's, git is answered and the person is told whose the token is.
func TestGitGetSaysWhoseItIs(t *testing.T) {
	d := &daemon{token: bearer}
	d.token.UsernameUnknown = true
	var out bytes.Buffer
	err := Git(d, []string{"get"}, strings.NewReader("protocol=https\nhost=h\nusername=gone\n"), &out)
	if o, ok := errors.AsType[*OtherUser](err); !ok || *o != (OtherUser{"https://h", "gone", "work"}) {
		t.Errorf("got %v", err)
	}
	if !strings.HasPrefix(out.String(), "username=gone\npassword=tok-1\n") {
		t.Errorf("git is told %q", out.String())
	}
}

func TestGitGetSaysNothing(t *testing.T) {
	const request = "protocol=https\nhost=h\n"
	bad := bearer
	bad.AccessToken = "a\nb"
	other := bearer
	other.TokenType = "DPoP"
	for _, tt := range []struct {
		name    string
		d       *daemon
		in      string
		tells   bool // the person gets a line
		request bool
	}{
		{"server of no profile", &daemon{target: "https://known/", token: bearer}, request, false, true},
		{"not signed in", &daemon{err: &frame.Error{Kind: frame.LoginRequired}}, request, true, true},
		{"denied", &daemon{err: &frame.Error{Kind: frame.Denied}}, request, true, true},
		{"no daemon", &daemon{err: errors.New("no daemon")}, request, true, true},
		{"bad token", &daemon{token: bad}, request, true, true},
		{"no bearer token", &daemon{token: other}, request, true, true},
		{"no token", &daemon{}, request, true, true},
		{"host twice", &daemon{token: bearer}, request + "host=h\n", true, false},
		{"protocol twice", &daemon{token: bearer}, request + "protocol=https\n", true, false},
		{"unknown member twice", &daemon{token: bearer}, request + "x=1\nx=2\n", true, false},
		{"carriage return", &daemon{token: bearer}, "protocol=https\nhost=h\r\n", true, false},
		{"NUL", &daemon{token: bearer}, "protocol=https\nhost=h\x00.evil\n", true, false},
		{"tab", &daemon{token: bearer}, request + "path=a\tb\n", true, false},
		{"no equals sign", &daemon{token: bearer}, request + "quit\n", true, false},
		{"no key", &daemon{token: bearer}, request + "=x\n", true, false},
		{"too long", &daemon{token: bearer}, request + "path=" + strings.Repeat("x", maxGitRequest) + "\n", true,
			false},
		{"too many lines", &daemon{token: bearer}, request + strings.Repeat("a[]=1\n", maxGitRequest/5), true, false},
	} {
		var out bytes.Buffer
		err := Git(tt.d, []string{"get"}, strings.NewReader(tt.in), &out)
		if out.Len() > 0 || (err != nil) != tt.tells || (tt.d.method != "") != tt.request {
			t.Errorf("%s: %q, %v, asked %q", tt.name, out.String(), err, tt.d.method)
		}
	}
}

// groatd is told the user name that git has, unless an answer has invented it. What chooses a profile is no name for the
// server.
func TestGitUsername(t *testing.T) {
	for said, want := range map[string]struct{ asked, answered string }{
		"":                    {"", "oauth2"},
		"username=\n":         {"", "oauth2"},
		"username=oauth2\n":   {"", "oauth2"},
		"username=work\n":     {"work", "oauth2"}, // the profile's
		"username=a@b.c d\n":  {"a@b.c d", "a@b.c d"},
		"username=x-access\n": {"x-access", "x-access"},
	} {
		d := &daemon{token: bearer}
		var out bytes.Buffer
		err := Git(d, []string{"get"}, strings.NewReader("protocol=https\nhost=h\n"+said), &out)
		if got := d.params.(frame.TokenParams).Username; err != nil || got != want.asked ||
			!strings.HasPrefix(out.String(), "username="+want.answered+"\npassword=tok-1\n") {
			t.Errorf("%q: asked for %q, answered %q, %v", said, got, &out, err)
		}
		erase := strings.NewReader("protocol=https\nhost=h\npassword=tok-1\n" + said)
		if err := Git(d, []string{"erase"}, erase, &out); err != nil || d.params.(rejected).Username != want.asked {
			t.Errorf("%q: %+v, %v", said, d.params, err)
		}
	}
}

// If more than one profile lists the server git gets nothing, and the person hears which and what git said.
func TestGitUndecided(t *testing.T) {
	refused := &frame.Error{Kind: frame.UnknownProfile, Message: "more than one",
		Choices: []frame.Choice{{Profile: "home", Resource: "https://h"}, {Profile: "work", Resource: "https://h"}}}
	var out bytes.Buffer
	err := Git(&daemon{err: refused}, []string{"get"},
		strings.NewReader("protocol=https\nhost=H:8443\nusername=u\npath=a/b\n"), &out)
	u, ok := errors.AsType[*Undecided](err)
	if !ok || out.Len() > 0 || u.Cause != refused || !errors.Is(err, error(refused)) ||
		u.Server != "https://h:8443" || u.Username != "u" || u.Path != "a/b" {
		t.Errorf("%+v, %v, %q", u, err, &out)
	}
	if err := Git(&daemon{err: refused}, []string{"erase"},
		strings.NewReader("protocol=https\nhost=h\npassword=tok-1\n"), &out); err != nil || out.Len() > 0 {
		t.Errorf("erase: %v, %q", err, &out)
	}
}

// What git passes on to its helpers to keep may be a token only where it is a password, of a request that is whole.
func TestGitPassesOn(t *testing.T) {
	const request = "protocol=https\nhost=H:8443\npath=a/b\nusername=oauth2\npassword=tok-1\n"
	got := PassedOn([]string{"--x", "store"}, []byte(request))
	if got == nil || got.Target != "https://H:8443/a/b" || got.Server != "https://h:8443" || got.Path != "a/b" ||
		got.Username != "" || !got.Is("tok-1") || got.Is("tok-2") {
		t.Errorf("%+v", got)
	}
	for _, c := range []struct{ operation, in string }{
		{"get", request}, {"erase", request}, {"", request}, {"store", ""}, {"store", request + "password=x\n"},
		{"store", "protocol=https\nhost=h\nusername=u\n"}, {"store", "protocol=ssh\nhost=h\npassword=tok-1\n"},
		{"store", "protocol=https\nhost=h\npassword=two words\n"},
		{"store", "protocol=https\nhost=h\nauthtype=Bearer\ncredential=tok-1\nephemeral=1\n"},
		{"store", request + "credential=tok-1\n"},
	} {
		if got := PassedOn([]string{c.operation}, []byte(c.in)); got != nil {
			t.Errorf("%s %q: %+v", c.operation, c.in, got)
		}
	}
	if PassedOn(nil, []byte(request)) != nil {
		t.Error("without an operation")
	}
}

func TestGitErase(t *testing.T) {
	var none int64
	for _, tt := range []struct {
		name, in string
		want     any
	}{
		{
			"password", "protocol=https\nhost=h\nusername=oauth2\npassword=tok-0\n",
			rejected{TokenParams: frame.TokenParams{Target: "https://h/", Wait: &none}, AccessToken: "tok-0"},
		},
		{
			"credential", "capability[]=authtype\nauthtype=Bearer\ncredential=tok-0\nephemeral=1\n" +
				"protocol=https\nhost=h\nwwwauth[]=Bearer\nwwwauth[]=x\n",
			rejected{TokenParams: frame.TokenParams{Target: "https://h/", Wait: &none}, AccessToken: "tok-0"},
		},
		{"no token of ours", "protocol=https\nhost=h\npassword=pass word\n", nil},
		{"no token", "protocol=https\nhost=h\n", nil},
		{"no host", "protocol=https\npassword=tok-0\n", nil},
	} {
		for _, err := range []error{nil, &frame.Error{Kind: frame.UnknownProfile},
			&frame.Error{Kind: frame.Temporary}} {
			d := &daemon{token: bearer, err: err}
			var out bytes.Buffer
			if err := Git(d, []string{"erase"}, strings.NewReader(tt.in), &out); err != nil ||
				out.Len() > 0 {
				t.Errorf("%s: %v, %q", tt.name, err, &out)
			}
			if !cmp.Equal(d.params, tt.want) || tt.want != nil && d.method != "reject" {
				t.Errorf("%s: %s %+v", tt.name, d.method, d.params)
			}
		}
	}
}

// An operation that a later git may add is no error, and nothing is read for it: the pipe may stay open.
func TestGitOtherOperations(t *testing.T) {
	for _, args := range [][]string{nil, {"get", "later"}, {""}, {"GET"}} {
		var out bytes.Buffer
		d := &daemon{token: bearer}
		if err := Git(d, args, iotest.ErrReader(errors.New("stdin was read")), &out); err != nil ||
			out.Len() > 0 || d.method != "" {
			t.Errorf("%q: %v, %q, %s", args, err, &out, d.method)
		}
	}
	var out bytes.Buffer
	err := Git(&daemon{}, []string{"capability"}, iotest.ErrReader(errors.New("stdin was read")), &out)
	if want := "version 0\ncapability authtype\n"; err != nil || out.String() != want {
		t.Errorf("capability: %v, %q", err, &out)
	}
	d := &daemon{token: bearer}
	in := strings.NewReader("protocol=https\nhost=h\nusername=u\npassword=tok-1\n")
	if err := Git(d, []string{"store"}, in, io.Discard); err != nil || in.Len() > 0 || d.method != "" {
		t.Errorf("store: %v, %d bytes unread, %s", err, in.Len(), d.method)
	}
}

func TestGitStdinStaysOpen(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	go w.Write([]byte("protocol=https\nhost=h\n\n"))
	var out bytes.Buffer
	if err := Git(&daemon{token: bearer}, []string{"get"}, r, &out); err != nil || out.Len() == 0 {
		t.Errorf("after an empty line: %v, %q", err, &out)
	}
	if err := Git(&daemon{}, []string{"get"}, iotest.ErrReader(io.ErrClosedPipe),
		io.Discard); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("broken stdin: %v", err)
	}
}

// For every input, the URL names the host that git said and no other, and the answer has only groat's own lines.
func FuzzGitGet(f *testing.F) {
	f.Add([]byte("protocol=https\nhost=h\n"))
	f.Add([]byte("capability[]=authtype\nprotocol=https\nhost=h:1\npath=a/b\nusername=u\n"))
	f.Add([]byte("protocol=http\nhost=localhost\n\n"))
	f.Add([]byte("protocol=https\nhost=a@b\nhost=c\r\n\x00"))
	f.Fuzz(func(t *testing.T, in []byte) {
		d := &daemon{token: bearer}
		var out bytes.Buffer
		err := Git(d, []string{"get"}, bytes.NewReader(in), &out)
		if err != nil && out.Len() > 0 {
			t.Fatalf("an error and an answer: %v, %q", err, &out)
		}
		if out.Len() == 0 {
			return
		}
		target := d.params.(frame.TokenParams).Target
		scheme, rest, _ := strings.Cut(target, "://")
		host, path, ok := strings.Cut(rest, "/")
		if !ok || scheme != "https" && scheme != "http" || strings.ContainsAny(host, "@?#\\ ") ||
			strings.ContainsAny(path, "?#\\ \n") {
			t.Fatalf("the target is %q", target)
		}
		if !bytes.Contains(in, []byte("host="+host)) || !bytes.Contains(in, []byte("protocol="+scheme)) {
			t.Fatalf("%q is about %q", in, target)
		}
		for line := range strings.Lines(out.String()) {
			key, _, ok := strings.Cut(line, "=")
			switch key {
			case "capability[]", "authtype", "credential", "ephemeral", "username", "password", "password_expiry_utc":
			default:
				ok = false
			}
			if !ok || !strings.HasSuffix(line, "\n") {
				t.Fatalf("%q is answered with %q", in, out.String())
			}
		}
	})
}
