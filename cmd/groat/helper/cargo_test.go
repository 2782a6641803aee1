package helper

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/groat-dev/groat/protocol/frame"
)

const cargoGet = `{"v":1,"registry":{"index-url":"sparse+https://h.example/index/","name":"work",` +
	`"headers":["WWW-Authenticate: Cargo login_url=\"https://h.example/me\""]},"kind":"get","operation":"read","args":[]}`

// explainCargo is what a person would be told.
func explainCargo(err error) (message, hint string) { return err.Error(), "groat list" }

func TestCargo(t *testing.T) {
	const hello = `{"v":[1]}` + "\n"
	const token = `{"Ok":{"kind":"get","token":"Bearer tok-1","cache":"expires","expiration":1790000000,` +
		`"operation_independent":true}}` + "\n"
	const unsupported = `{"Err":{"kind":"operation-not-supported"}}` + "\n"
	says := func(message string) string {
		return `{"Err":{"kind":"other","message":"` + message + `","caused-by":["groat list"]}}` + "\n"
	}
	ours := sent("https://h.example/index")
	static := ours
	static.Static = true
	const target = "https://h.example/index/"
	replaced := func(old, with string) string { return strings.Replace(cargoGet, old, with, 1) + "\n" }
	for _, tt := range []struct {
		name, in string
		d        daemon
		out      string
		fails    bool
	}{
		{"nothing", "", daemon{}, "", false},
		{"get", cargoGet + "\n", daemon{target: target, token: ours}, token, false},
		{"get twice", cargoGet + "\n" + cargoGet + "\n", daemon{target: target, token: ours}, token + token, false},
		{"an index of git's", replaced("sparse+", "registry+"), daemon{target: target, token: ours}, token, false},
		{"a later cargo", replaced(`"v":1`, `"later":{"v":2},"v":1`), daemon{token: ours}, token, false},
		{"a profile", replaced("[]", `["work"]`), daemon{token: ours}, token, false},
		{"two", replaced("[]", `["work","home"]`), daemon{token: ours}, says(errCargoArgs.Error()), false},
		{"an argument that is no text", replaced("[]", `[1]`), daemon{token: ours}, says(errCargoRequest.Error()), false},
		{"another registry", cargoGet + "\n", daemon{target: "https://other/"},
			`{"Err":{"kind":"url-not-supported"}}` + "\n", false},
		{"another one for the profile", replaced("[]", `["work"]`), daemon{target: "https://other/"},
			says("no profile lists it"), false},
		{"not signed in", cargoGet + "\n", daemon{err: &frame.Error{Kind: frame.LoginRequired, Message: "sign in"}},
			says("sign in"), false},
		{"an API key", cargoGet + "\n", daemon{token: static},
			says("the profile of this server has an API key, which cargo cannot send"), false},
		{"login", replaced(`"kind":"get"`, `"kind":"login","token":"t"`), daemon{token: ours}, unsupported, false},
		{"logout", replaced(`"kind":"get"`, `"kind":"logout"`), daemon{token: ours}, unsupported, false},
		{"another version", replaced(`"v":1`, `"v":2`), daemon{token: ours}, says(errCargoRequest.Error()), false},
		{"no registry", `{"v":1,"kind":"get"}` + "\n", daemon{token: ours}, says(errCargoRequest.Error()), false},
		{"no object", "[]\n", daemon{token: ours}, says(errCargoRequest.Error()), false},
		{"a name twice", replaced(`"v":1`, `"v":1,"v":1`), daemon{token: ours}, says(errCargoRequest.Error()), false},
		{"B6 a control character", replaced("h.example", "h.\rexample"), daemon{token: ours},
			says(errCargoRequest.Error()), false},
		{"B1 half a line", cargoGet[:60], daemon{token: ours}, says(errCargoRequest.Error()), true},
		{"B32 64 KiB", strings.Repeat(" ", maxCargoRequest), daemon{token: ours}, says(errCargoTooLong.Error()), true},
	} {
		var out bytes.Buffer
		if err := Cargo(&tt.d, strings.NewReader(tt.in), &out, explainCargo); (err != nil) != tt.fails ||
			out.String() != hello+tt.out {
			t.Errorf("%s: %v, %s", tt.name, err, &out)
		}
	}
}

// The token is asked for what the configuration names.
func TestCargoAsksForTheProfile(t *testing.T) {
	d := &daemon{token: sent("https://h.example")}
	err := Cargo(d, strings.NewReader(strings.Replace(cargoGet, "[]", `["work"]`, 1)+"\n"), io.Discard, explainCargo)
	if p, ok := d.params.(frame.TokenParams); err != nil || !ok || p.Profile != "work" {
		t.Errorf("%v, %+v", err, d.params)
	}
}
