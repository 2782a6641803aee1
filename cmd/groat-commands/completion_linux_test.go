package main

import (
	"strings"
	"testing"
)

// A bash without the package bash-completion completes what a person types: commands, profiles while groatd runs, flags,
// and values, also behind the = and : where bash splits a line.
func TestCompletionInBash(t *testing.T) {
	f := newFakeDaemon(t, func(request) string {
		return `"result":{"profiles":[{"profile":"climate"},{"profile":"work"}]}`
	})
	env := append([]string{"PATH=" + bin + ":/usr/bin:/bin", "GROAT_SOCKET=" + f.socket, "PS1=$ ", "TERM=dumb",
		"INPUTRC=/dev/null"}, runtimeEnv...)
	x := startProgram(t, "/bin/bash", 200, env, "--norc", "--noprofile", "-i")
	x.expect("$ ")
	// What was completed is shown by echo, and tells the answer from what was typed.
	x.write("bind 'set bell-style none'; eval \"$(groat completion bash)\" && echo lo''aded\r")
	x.expect("loaded")
	for _, tt := range []struct{ typed, want string }{
		{"groat ge\t", "groat get"},
		{"groat get cl\t", "groat get climate"},
		{"groat get work --min\t", "groat get work --min-ttl"},
		{"groat get work --output js\t", "groat get work --output json"},
		{"groat get work --output=hea\t", "groat get work --output=header"},
		{"groat keystore use se\t", "groat keystore use sealed"},
		{"groat completion z\t", "groat completion zsh"},
	} {
		// ctrl-a goes to the front of the line, where echo is put before what was completed.
		x.write(tt.typed + "\x01echo '[' \x05 ']'\r")
		x.expect("\n[ " + tt.want)
	}
	x.write("groat get \t\t")
	x.expect("climate")
	x.expect("work")
	x.write("\x15exit\r")
	x.end(0)
	if strings.Contains(x.shown(), "command not found") {
		t.Errorf("bash says:\n%s", x.shown())
	}
}

// zsh and fish get a script, and without groatd nothing is started and nothing fails.
func TestCompletionScripts(t *testing.T) {
	for shell, begins := range map[string]string{"bash": "# bash completion V2 for groat", "zsh": "#compdef groat\n",
		"fish": "# fish completion for groat"} {
		if got := run(t, "/nonexistent/s", "", "completion", shell); got.code != 0 || got.stderr != "" ||
			!strings.HasPrefix(got.stdout, begins) {
			t.Errorf("%s: %+v", shell, got)
		}
	}
}
