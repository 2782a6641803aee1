package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/protocol"
)

var statusNow = time.Unix(1790000000, 0)

// everyState is a profile in each state, and with each thing that may be said of one.
func everyState() *statusJSON {
	held := func(name string, more func(*protocol.ProfileStatus)) protocol.ProfileStatus {
		p := protocol.ProfileStatus{Profile: name, Issuer: "https://login.example.org", State: "fresh",
			ExpiresAt: statusNow.Unix() + 839, ExpiresIn: 839, Lifetime: 900, RenewIn: 512, Requests: 3, Tokens: 1}
		more(&p)
		return p
	}
	none := func(name, state, message, hint string) protocol.ProfileStatus {
		return protocol.ProfileStatus{Profile: name, Issuer: "https://auth.example.com:443/realms/earth", State: state,
			Blocked: protocol.Kind(state), Message: message, Hint: hint}
	}
	r := &statusJSON{StatusResult: protocol.StatusResult{
		Release: "1.2.3", PID: 4711, StartedAt: statusNow.Unix() - 3*3600 - 125, Socket: "/run/user/1000/groat/agent.sock",
		Keystore: protocol.KeystoreResult{Use: "sealed", Key: "file", State: "ok"},
		Place:    &protocol.PlaceStatus{Usual: true},
		Network: &protocol.NetworkResult{
			Proxy: &protocol.NetworkSetting{Value: "http://proxy.example:3128", From: "environment: HTTPS_PROXY"}},
		Profiles: []protocol.ProfileStatus{
			{Profile: "climate", Provider: "climateengine", Issuer: "https://auth.example.com", State: "idle"},
			held("spatiafi", func(p *protocol.ProfileStatus) {
				p.Account, p.SessionEndsAt = "ann@example.com", statusNow.Unix()+5*24*3600
				p.SessionIdleEndsAt = statusNow.Unix() + 3600
			}),
			held("half", func(p *protocol.ProfileStatus) { p.ExpiresIn, p.RenewIn = 440, 0 }),
			held("narrow", func(p *protocol.ProfileStatus) { p.Narrows, p.ScopeLost = "noticed", "write" }),
			held("late", func(p *protocol.ProfileStatus) { p.EndsEarlier, p.ClockOffset = "refused", 3600 }),
			held("last", func(p *protocol.ProfileStatus) { p.Last, p.RenewIn = true, 0 }),
			held("last-of-all", func(p *protocol.ProfileStatus) {
				p.Last, p.RenewIn, p.ExpiresIn, p.SessionEndsSoon = true, 0, 500, true
			}),
			held("ending", func(p *protocol.ProfileStatus) {
				p.SessionEndsAt, p.SessionEndsSoon = statusNow.Unix()+7200, true
			}),
			{Profile: "key", Issuer: "https://api.example.net", State: "fresh", Static: true, Tokens: 1},
			held("refused", func(p *protocol.ProfileStatus) {
				p.Blocked, p.Message, p.Hint = "login_required",
					"login.example.org has ended the session (HTTP 400, invalid_grant)", "groat login refused"
				p.RenewIn, p.RetryIn = 0, 3600
			}),
			none("out", "login_required", `profile "out" is not signed in`, "groat login out"),
			none("sealed-1", "locked", "the keystore is locked", "groat unlock"),
			none("sealed-2", "locked", "the keystore is locked", "groat unlock"),
			none("store", "keystore_unavailable", "there is no D-Bus session", "groat keystore"),
			none("odd", "config", "the configuration is\nno \x1b[31mgood hint: groat logout odd --yes",
				"${EDITOR:-vi} '/home/ann/a directory with a long name/.config/groat/profiles.d/odd.toml'"),
			none("bug", "internal", "runtime error", "groat status"),
			none("later", "something_new", "of a newer groatd", "groat login later"),
			held("memory", func(p *protocol.ProfileStatus) {
				p.Degraded, p.Hint = true, "groat unlock"
				p.Message = "the newest credential is in groatd's memory only: the keystore is locked"
			}),
			held("renewing", func(p *protocol.ProfileStatus) {
				p.Blocked, p.Message = protocol.Temporary, "login.example.org is not available (HTTP 503)"
				p.RetryIn, p.RenewIn, p.Hint = 30, 0, "groat network"
			}),
			none("a-name-of-the-greatest-length-that-the-configuration-takes-64-ch", "temporary",
				"auth.example.com is not available (HTTP 503)",
				"groat status a-name-of-the-greatest-length-that-the-configuration-takes-64-ch"),
		},
	}}
	last := &r.Profiles[len(r.Profiles)-1]
	last.RetryIn, last.Account = 37, "someone.with.a.very.long.name+and.a.tag@a.department.of.a.university.example.edu"
	last.SessionIdleEndsAt = statusNow.Unix() + 3600
	return r
}

func TestStatusForPeople(t *testing.T) {
	const unbounded = 0
	for _, width := range []int{unbounded, 40, 80, 200} {
		for _, s := range []screen{{}, {utf8: true}, {styled: true}, {utf8: true, styled: true}} {
			s.width = width
			name := "status.txt" // where there is no terminal
			switch {
			case width == unbounded && s != screen{}:
				continue
			case width > 0:
				name = fmt.Sprintf("status-%d-utf8=%t-styled=%t.txt", width, s.utf8, s.styled)
			}
			got := string(textStatus(s, everyState(), statusNow))
			checkStatus(t, name, s, got)
			if width == unbounded || width == 80 || s == (screen{width: width, utf8: true}) {
				golden(t, name, got)
			}
		}
	}
}

// checkStatus holds what must be true of every form.
func checkStatus(t *testing.T, name string, s screen, got string) {
	t.Helper()
	shown := strings.NewReplacer("\x1b[1m", "", "\x1b[1;33m", "", "\x1b[34m", "", "\x1b[0m", "").Replace(got)
	if strings.Contains(shown, "\x1b") || !s.styled && shown != got {
		t.Errorf("%s: a terminal would obey %q", name, got)
	}
	if ascii := !strings.ContainsFunc(shown, func(r rune) bool { return r > '~' && r != '\ufffd' }); ascii == s.utf8 {
		t.Errorf("%s: UTF-8 is %t, and ASCII %t", name, s.utf8, ascii)
	}
	paragraph := strings.Join(strings.Fields(shown), " ")
	for _, p := range everyState().Profiles {
		if !strings.Contains(shown, "\n"+p.Profile+" ") && !strings.Contains(shown, "\n"+p.Profile+"\n") {
			t.Errorf("%s: no line begins with %s", name, p.Profile)
		}
	}
	for _, command := range []string{"groat login refused", "groat unlock", "groat login last-of-all", "groat login ending",
		"${EDITOR:-vi} '/home/ann/a directory with a long name/.config/groat/profiles.d/odd.toml'"} {
		if !strings.Contains(shown, "  hint: "+command+"\n") {
			t.Errorf("%s: %s is not on a line of its own", name, command)
		}
	}
	for line := range strings.Lines(shown) {
		line = strings.TrimSuffix(line, "\n")
		if strings.TrimRight(line, " ") != line {
			t.Errorf("%s: blanks end %q", name, line)
		}
		broken := s.width > 0 && columns(line) > s.width
		if long := strings.Contains(line, "hint: ") || len(strings.Fields(line)) == 1; broken && !long {
			t.Errorf("%s: %d columns: %s", name, columns(line), line)
		}
	}
	for _, words := range []string{"11 of 20 profiles need you", "login required", "good for 13m59s", "ends soon",
		"sign-in ends in 5d", "retry in 30s"} {
		if !strings.Contains(paragraph, words) {
			t.Errorf("%s does not say: %s", name, words)
		}
	}
	for _, words := range []string{"retry in 1h", "hint: groat status\n", "hint: groat status renewing", ":443",
		"\n  hint: groat logout"} {
		if strings.Contains(shown, words) {
			t.Errorf("%s says: %s", name, words)
		}
	}
	if strings.LastIndex(shown, "login required") > strings.Index(shown, "climate") {
		t.Errorf("%s: what needs a person comes later", name)
	}
}

func TestStatusOfTheKeystore(t *testing.T) {
	for name, k := range map[string]protocol.KeystoreResult{
		"status-empty.txt":  {Use: "auto", State: "undecided", Message: "the first login chooses"},
		"status-nobus.txt":  {Use: "keychain", State: "unavailable", Message: "no D-Bus session"},
		"status-locked.txt": {Use: "sealed", Key: "passphrase", State: "locked", Message: "the keystore is locked"},
	} {
		r := &statusJSON{StatusResult: protocol.StatusResult{Release: "dev", PID: 1, StartedAt: statusNow.Unix() + 5,
			Keystore: k}}
		if k.State == "locked" { // which is said once, with the command
			for _, p := range everyState().Profiles {
				if p.State == "locked" || p.Profile == "half" {
					r.Profiles = append(r.Profiles, p)
				}
			}
		}
		golden(t, name, string(textStatus(screen{width: 80}, r, statusNow)))
	}
}

// A configuration that cannot be used as it is now is said first, with what to type; there may be no profiles then, and
// nobody is told to sign in.
func TestStatusNamesAConfigurationThatCannotBeUsed(t *testing.T) {
	r := &statusJSON{StatusResult: protocol.StatusResult{PID: 1, Socket: "/run/user/1/groat/agent.sock",
		Configuration: &protocol.Trouble{Message: "/c/config.toml:3: unknown key \"x\"", Hint: "${EDITOR:-vi} /c/config.toml"}}}
	got := string(textStatus(screen{}, r, statusNow))
	if !strings.HasPrefix(got, "configuration: not used as it is now: /c/config.toml:3: ") ||
		!strings.Contains(got, "\n  hint: ${EDITOR:-vi} /c/config.toml\n") || strings.Contains(got, "groat login") ||
		!strings.Contains(got, " at /run/user/1/groat/agent.sock") {
		t.Errorf("%s", got)
	}
}
