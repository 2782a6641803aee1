package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A sign-in ends soon. Whoever sits at a terminal is told once, by whichever of these commands comes first, the short
// way to a token too. Where the output goes into a pipe, or stderr elsewhere, nobody is told and nothing is asked.
func TestAPersonIsToldThatASignInEnds(t *testing.T) {
	ends := time.Now().Add(50*time.Hour + 30*time.Minute).Unix()
	for _, args := range [][]string{{"get", "work"}, {"list"}, {"status"}, {"get", "work", "--json"}} {
		var told atomic.Bool
		f := newFakeDaemon(t, func(r request) string {
			switch r.Method {
			case "warnings":
				sessions := ""
				if !told.Swap(true) {
					sessions = fmt.Sprintf(`{"profile":"work","ends_at":%d}`, ends)
				}
				return `"result":{"sessions":[` + sessions + `]}`
			case "token":
				if told.Load() {
					return tokenResult
				}
				return strings.Replace(tokenResult, `,"profile":`, `,"session_warning":true,"profile":`, 1)
			case "profiles":
				return `"result":{"profiles":[]}`
			}
			return `"result":{"release":"x","pid":1,"started_at":1,"socket":"s","profiles":[]}`
		})
		env := []string{"GROAT_NO_AUTOSTART=1", "GROAT_SOCKET=" + f.socket, "HOME=/nonexistent"}
		for name, redirect := range map[string]func(*exec.Cmd){
			"a pipe":        func(c *exec.Cmd) { c.Stdout = new(strings.Builder) },
			"a log":         func(c *exec.Cmd) { c.Stderr = new(strings.Builder) },
			"the null file": func(c *exec.Cmd) { c.Stderr = nil },
		} {
			x := newTerminal(t, 100).slave
			c := exec.CommandContext(t.Context(), filepath.Join(bin, "groat"), args...)
			c.Env, c.Stdin, c.Stdout, c.Stderr = append(env, runtimeEnv...), x, x, x
			redirect(c)
			if err := c.Run(); err != nil || told.Load() {
				t.Errorf("%v, with %s: %v, asked for warnings: %t", args, name, err, told.Load())
			}
		}
		first := startOnTerminal(t, env, args...)
		first.expect("groat: the sign-in of profile work ends in 2d2h, whatever is renewed: groat login work\n")
		first.end(0)
		again := startOnTerminal(t, env, args...)
		again.end(0)
		if text := again.shown(); strings.Contains(text, "sign-in of profile") {
			t.Errorf("%v: told twice: %q", args, text)
		}
		if args[0] == "get" && !strings.Contains(first.shown(), "abc.DEF-123_~+/==") {
			t.Errorf("%v: the token is not printed: %q", args, first.shown())
		}
	}
}
