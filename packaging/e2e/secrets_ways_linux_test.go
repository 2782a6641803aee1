package e2e_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
)

// mirrored is a sign-in at a [mirror]: what is typed, and what the arguments are for the name that says what comes
// back. The path is that of the request which is sent back.
type mirrored struct {
	name, stage string
	typed       func(*watchedEnv) string
	path        string
	args        func(v *watchedEnv, mark string) []string
	browser     bool
	after       []mirroredCommand // with the profile, once it is signed in
}

// mirroredCommand is a command that makes another request, which is sent back too.
type mirroredCommand struct {
	path string
	args []string
}

const appTokens = "/api/v1/auth/jwt/token"

// mirroredWays are all ways to sign in, and every request on each way.
var mirroredWays = []mirrored{
	byTheClient("client_secret_basic"), byTheClient("client_secret_post"), byTheClient("client_secret_jwt"),
	{"by discovery", "echo", (*watchedEnv).typedSecret, "/token", func(v *watchedEnv, mark string) []string {
		return []string{"--issuer", v.echo.URL, "--client-id", mark}
	}, false, nil},
	{"with a private key", "echo", (*watchedEnv).typedPassphrase, "/token", func(v *watchedEnv, mark string) []string {
		return []string{"--issuer", v.echo.URL, "--client-id", mark, "--client-auth", "private_key_jwt", "--key", v.key}
	}, false, nil},
	{"by an assertion", "echo", (*watchedEnv).typedPassphrase, "/token", func(v *watchedEnv, mark string) []string {
		return []string{"--issuer", v.echo.URL, "--client-id", mark, "--client-auth", "none", "--grant", "jwt_bearer",
			"--key", v.key}
	}, false, nil},
	{"by a token exchange", "echo", func(v *watchedEnv) string { return v.subject }, "/token",
		func(v *watchedEnv, mark string) []string {
			return []string{"--issuer", v.echo.URL, "--client-id", mark, "--client-auth", "none", "--grant",
				"token_exchange"}
		}, false, nil},
	byApps("spatiafi", "echo", appTokens+"/basic"), byApps("spatiafi", "late", "/api/v1/clients/"),
	byApps("spatiafi", "last", appTokens),
	byApps("climateengine", "echo", appTokens),
	{"by password and one-time code", "echo", func(v *watchedEnv) string { return v.password + "\n" + v.code },
		sandbox.CopernicusTokenPath, func(v *watchedEnv, mark string) []string {
			return []string{"--provider", "copernicus", "--auth-server", v.echo.URL, "--username", mark}
		}, false, nil},
	{"for an API key", "echo", (*watchedEnv).typedPassword, "/v0/auth/login",
		func(v *watchedEnv, mark string) []string {
			return []string{"--provider", "planet-legacy", "--auth-server", v.echo.URL, "--username", mark}
		}, false, nil},
	{"for Earthdata's token", "echo", (*watchedEnv).typedPassword, "/api/users/find_or_create_token",
		func(v *watchedEnv, mark string) []string {
			return []string{"--provider", "earthdata", "--auth-server", v.echo.URL, "--username", mark}
		}, false, nil},
	byDevice("echo", "/device"), byDevice("late", "/token"),
	byTheBrowser("echo"), byTheBrowser("late", mirroredCommand{"/userinfo", []string{"whoami"}},
		mirroredCommand{"/token", []string{"get", "--scope", "less"}}, mirroredCommand{"/revoke", []string{"logout"}}),
}

func byTheClient(method string) mirrored {
	return mirrored{method, "echo", (*watchedEnv).typedSecret, "/token", func(v *watchedEnv, mark string) []string {
		return []string{"--token-url", v.echo.URL + "/token", "--client-auth", method, "--client-id", mark}
	}, false, nil}
}

func byApps(provider, stage, path string) mirrored {
	return mirrored{provider, stage, (*watchedEnv).typedPassword, path, func(v *watchedEnv, mark string) []string {
		return []string{"--provider", provider, "--auth-server", v.echo.URL, "--username", mark}
	}, false, nil}
}

func byDevice(stage, path string) mirrored {
	return mirrored{"for a device", stage, nil, path, func(v *watchedEnv, mark string) []string {
		return []string{"--issuer", v.echo.URL, "--client-id", mark, "--client-auth", "none", "--grant", "device_code"}
	}, false, nil}
}

func byTheBrowser(stage string, after ...mirroredCommand) mirrored {
	return mirrored{"in a browser", stage, nil, "/token", func(v *watchedEnv, mark string) []string {
		return []string{"--issuer", v.echo.URL, "--client-id", mark, "--client-auth", "none", "--grant",
			"authorization_code", "--no-browser"}
	}, true, after}
}

func (v *watchedEnv) typedSecret() string     { return v.secret }
func (v *watchedEnv) typedPassword() string   { return v.password }
func (v *watchedEnv) typedPassphrase() string { return v.passphrase }

// Servers send back what they are sent, in every place of an answer. None of it is in what groat prints, in what groatd
// logs or stores, or in a reply over the socket.
func testServersThatSendBack(t *testing.T, v *watchedEnv) {
	v = v.in(t)
	room := make(chan struct{}, 6)
	var all sync.WaitGroup
	for w, way := range mirroredWays {
		for n, reflection := range reflections {
			all.Go(func() {
				if way.stage != "late" || way.path != "/token" { // those mostly wait
					room <- struct{}{}
					defer func() { <-room }()
				}
				v.mirrored(way, fmt.Sprintf("m%d-%d", w, n), fmt.Sprintf("%s-%02d", way.stage, n), reflection.name)
			})
		}
	}
	all.Wait()
	t.Logf("figure: answers of servers that send back what they were sent = %d, of %d kinds, on %d ways to sign in",
		v.echo.total(), len(reflections), len(mirroredWays))
}

// mirrored signs in one way and gets one reflection.
func (v *watchedEnv) mirrored(way mirrored, profile, mark, reflection string) {
	args := append([]string{"login", profile}, way.args(v, mark)...)
	what := fmt.Sprintf("%s, %s, %s", way.name, way.stage, reflection)
	wants := way.after == nil // to be refused
	var code int
	switch {
	case way.browser:
		code = v.throughTheBrowser(v.comeBack, args...)
	case way.typed != nil:
		code = v.run(way.typed(v)+"\n", append(args, "--secret-stdin")...).code
	default:
		code = v.run("", args...).code
	}
	if (code != 0) != wants {
		v.t.Errorf("%s: groat login ended with %d", what, code)
		return
	}
	if wants && v.echo.requests(way.path, mark) == 0 {
		v.t.Errorf("%s: %s was never asked, so nothing was sent back", what, way.path)
	}
	for _, c := range way.after {
		before := v.echo.requests(c.path, mark)
		v.run("", slices.Insert(slices.Clone(c.args), 1, profile)...)
		if v.echo.requests(c.path, mark) == before {
			v.t.Errorf("%s: groat %s asked %s for nothing", what, c.args[0], c.path)
		}
	}
}

var shownAddress = regexp.MustCompile(`(?m)^  (http://\S+)$`)

// throughTheBrowser runs groat login, and is the browser.
func (v *watchedEnv) throughTheBrowser(browse func(address string), args ...string) (code int) {
	v.t.Helper()
	c := exec.CommandContext(v.t.Context(), filepath.Join(bin, "groat"), args...)
	out := newLogbook()
	c.Env, c.Dir, c.SysProcAttr, c.Stdout, c.Stderr = v.environ(), "/", v.as(), out, out
	if err := c.Start(); err != nil {
		v.t.Error(err)
		return -1
	}
	p := &process{cmd: c, log: out, ended: make(chan struct{})}
	go func() { c.Wait(); close(p.ended) }()
	if err := p.waitLog(shownAddress); err != nil {
		v.t.Error(err)
	} else {
		text, _ := out.snapshot()
		browse(shownAddress.FindStringSubmatch(text)[1])
	}
	if _, err := p.wait(); err != nil {
		v.t.Error(err)
	}
	text, _ := out.snapshot()
	v.search(strings.Join(c.Args, " "), text, nothing)
	return c.ProcessState.ExitCode()
}

// visit opens an address, as somebody who has allowed everything before.
func (v *watchedEnv) visit(address string) {
	resp, err := http.Get(address)
	if err != nil {
		v.t.Error(err)
		return
	}
	resp.Body.Close()
}

// comeBack visits the redirect URI with a code of our own.
func (v *watchedEnv) comeBack(address string) {
	u, err := url.Parse(address)
	if err != nil {
		v.t.Error(err)
		return
	}
	code := "code." + random()
	v.add("an authorization code", code)
	q := url.Values{"code": {code}, "state": {u.Query().Get("state")}}
	v.visit(u.Query().Get("redirect_uri") + "?" + q.Encode())
}

// total returns how many requests were sent back.
func (m *echoServer) total() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for what, times := range m.asked {
		if !strings.HasPrefix(what, "unmarked") {
			n += times
		}
	}
	return n
}
