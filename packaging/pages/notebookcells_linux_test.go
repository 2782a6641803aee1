package pages

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"rsc.io/qr"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
)

// testTyped does what else a person does in a notebook, in the kernel of one that is signed in as climate.
func testTyped(t *testing.T, k *kernel, s servers) {
	t.Run("what fails is two lines", func(t *testing.T) { testTwoLines(t, k) })
	t.Run("an interrupted sign-in leaves nothing", func(t *testing.T) { testInterrupted(t, k, s) })
	t.Run("a sign-in in two cells", func(t *testing.T) { testTwoCells(t, k, s) })
	t.Run("a browser on another machine", func(t *testing.T) { testPastedAddress(t, k, s) })
}

// testTwoLines wants the two lines that help of each cell, without a stack, and no secret asked for where it could be
// saved.
func testTwoLines(t *testing.T, k *kernel) {
	for _, tt := range []struct {
		source  string
		answers []string
		fails   string
		hint    string
	}{
		{`groat.token("nowhere")`, nil, `there is no profile "nowhere"`, "%groat list"},
		{`groat.login("other", provider="spatiafi", username="you@example.com")`, []string{"a wrong password"},
			"auth.spatiafi.com does not accept", "%groat login other --provider spatiafi --username you@example.com"},
		{`groat.login("other", provider="spatiafi", username="you@example.com")`, []string{""},
			"nothing was typed", "%groat login other --provider spatiafi --username you@example.com"},
		{`groat.login("other", provider="spatiafi", username="you@example.com")`, []string{" pasted "},
			"what was typed begins or ends with a blank",
			"%groat login other --provider spatiafi --username you@example.com"},
		{`groat.login("other", issuer="\ud800")`, nil, "the request is refused: JSON that is refused", ""},
		{`groat.login("other", provider="spatiafi", username="you@example.com", password="dummy")`, nil,
			"a secret does not belong in a cell, which is saved: leave it out, and it is asked for", ""},
		{`groat.login("other", provider="spatiafi", secret="dummy")`, nil, "a secret does not belong in a cell", ""},
		{`groat.login_finish("other")`, nil, "groat.login_start has not begun a sign-in of profile other",
			"%groat login other"},
		{`%groat backup`, nil, "%groat knows status, list, whoami, login", "%groat status"},
		{`%groat login other --secret-stdin`, nil, "%groat login does not know '--secret-stdin'",
			"%groat login --help"},
	} {
		_, failure := k.types(tt.source, tt.answers...)
		first, second, _ := strings.Cut(failure, "\n")
		want := ""
		if tt.hint != "" {
			want = "groat: hint: " + tt.hint
		}
		if !strings.HasPrefix(first, "groat: error: "+tt.fails) || second != want {
			t.Errorf("%s: %q", tt.source, failure)
		}
	}
	// As where a program runs the notebook.
	k.do(map[string]any{"nobody": true})
	_, failure := k.types(`groat.login("other", provider="spatiafi", username="you@example.com")`)
	if failure != "groat: error: Password of you@example.com, for auth.spatiafi.com: nobody can type it here\n"+
		"groat: hint: groat login other --provider spatiafi --username you@example.com" {
		t.Errorf("%q", failure)
	}
	_, failure = k.types(`groat.login("quake", provider="earthscope")`)
	if !strings.HasSuffix(failure, ": nobody can do that while a program runs this\n"+
		"groat: hint: groat login quake --provider earthscope") {
		t.Errorf("%q", failure)
	}
	k.do(map[string]any{"nobody": false})
	for source, want := range map[string]string{
		`groat.ready("climate"), groat.ready("nowhere")`: "(True, False)",
		"%groat login climate":                           "already signed in: profile climate",
		"%groat status climate":                          "auth.climateengine.com</td>",
		"%groat list":                                    "<td>api.climateengine.net</td>",
		"%groat whoami climate":                          "<td>you@example.com</td>",
		"%groat login":                                   "sign in:           groat login NAME",
		"%groat unlock":                                  "keystore: sealed (key: file), ok",
	} {
		if text, failure := k.types(source); failure != "" || !strings.Contains(text, want) {
			t.Errorf("%s: %s, %s", source, text, failure)
		}
	}
}

var userCode = regexp.MustCompile(`<code style=\\"font-size: 150%\\">([^<]+)</code>`)

func testInterrupted(t *testing.T, k *kernel, s servers) {
	s.earthscope.SetConsent(sandbox.ConsentForm)
	k.do(map[string]any{"type": `groat.login("quake", provider="earthscope")`})
	shown := k.shows("<code")
	k.do(map[string]any{"interrupt": true})
	e := k.finish()
	if e.Error == nil || *e.Error != "KeyboardInterrupt: the sign-in was given up" || userCode.MatchString(e.Text) ||
		!userCode.MatchString(shown) {
		t.Errorf("the cell ended with %v: %s", e.Error, e.Text)
	}
	// Another sign-in of the profile, with other parameters, would be refused beside one that is under way.
	text, failure := k.types(`groat.login_start("quake", provider="earthscope", scope="openid offline_access")
groat.status()["unsaved"], groat.login_finish.__name__`)
	if failure != "" || strings.Count(text, "under way") != 1 {
		t.Errorf("%s, %s", text, failure)
	}
}

// testTwoCells begins a sign-in anew in one cell and ends it in another. The QR code is that of the address with the
// code in it, drawn by another hand.
func testTwoCells(t *testing.T, k *kernel, s servers) {
	k.do(map[string]any{"type": `groat.login_start("quake", provider="earthscope")`})
	shown := k.shows("<code")
	if e := k.finish(); e.Error != nil {
		t.Fatal(*e.Error)
	}
	code := userCode.FindStringSubmatch(shown)[1]
	picture := regexp.MustCompile(`<path d=\\"([^"]*)\\"/></svg>`).FindStringSubmatch(shown)
	drawn, err := qr.Encode("https://login.earthscope.org/activate?user_code="+code, qr.L)
	if err != nil || picture == nil {
		t.Fatalf("%v, no picture in %s", err, shown)
	}
	dark := map[[2]int]bool{}
	for _, run := range regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-\d+z`).FindAllStringSubmatch(picture[1], -1) {
		x, _ := strconv.Atoi(run[1])
		y, _ := strconv.Atoi(run[2])
		n, _ := strconv.Atoi(run[3])
		for i := range n {
			dark[[2]int{x + i, y}] = true
		}
	}
	const border = 2
	for y := -border; y < drawn.Size+border; y++ {
		for x := -border; x < drawn.Size+border; x++ {
			if dark[[2]int{x + border, y + border}] != drawn.Black(x, y) {
				t.Fatalf("the module at %d, %d of the QR code is wrong", x, y)
			}
		}
	}
	if err := s.earthscope.ApproveDevice(code); err != nil {
		t.Fatal(err)
	}
	text, failure := k.types(`groat.login_finish().profile`)
	if failure != "" || !strings.Contains(text, "'quake'") || strings.Contains(k.page(), code) ||
		!strings.Contains(k.page(), "signed in: profile quake at https://login.earthscope.org/") {
		t.Errorf("%s, %s, the code is still shown: %v", text, failure, strings.Contains(k.page(), code))
	}
}

func testPastedAddress(t *testing.T, k *kernel, s servers) {
	k.do(map[string]any{"type": `groat.login("lab", issuer="https://login.example.org", client_id="lab-app",
    client_auth="none", grant="authorization_code", resources="https://git.example.org", paste=True)`})
	shown := k.shows("<a href=")
	address := strings.ReplaceAll(regexp.MustCompile(`href=\\"([^"\\]*)`).FindStringSubmatch(shown)[1], "&amp;", "&")
	visit := httptest.NewRecorder()
	s.lab.ServeHTTP(visit, httptest.NewRequest(http.MethodGet, address, nil))
	back := visit.Header().Get("Location")
	if !strings.HasPrefix(back, "http://127.0.0.1:") {
		t.Fatalf("%s leads to %d %q", address, visit.Code, back)
	}
	if e := k.finish("https://elsewhere.example/?code=dummy", back); e.Error != nil || !strings.Contains(e.Text, "signed in: profile lab") {
		t.Errorf("%v, %s", e.Error, e.Text)
	}
	if strings.Contains(k.page(), back) {
		t.Error("what was pasted was saved")
	}
}
