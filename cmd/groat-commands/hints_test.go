package main

import (
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// hintTools are the programs and words of the shell, beside groat's own programs, that a hint may begin with.
var hintTools = []string{"ls", "chmod", "mv", "rm", "cp", "df", "kill", "ps", "fuser", "tail", "sed", "env", "git",
	"sudo", "systemctl", "journalctl", "loginctl", "export", "unset", "openssl", "kubectl", "go", "date", "type",
	"which", "command", "${EDITOR:-vi}", "curl", "rclone", "cd", "printf", "sops", "grep", "eval", "mkdir"}

// hintPlaceholders are the words in a hint that a person replaces by what only they know.
var hintPlaceholders = []string{"NAME", "FILE", "YOU", "HOST", "PORT", "URL", "URI", "ID"}

var (
	hintProse     = regexp.MustCompile(`, |: |(?:^|[^$])\(|…|\bor\b|\bthen\b|\btry again\b|/path/|/you\b`)
	hintCapitals  = regexp.MustCompile(`\$?\b[A-Z][A-Z-]+\b[=_]?`)
	hintVariable  = regexp.MustCompile(`^[A-Za-z_]+=`)
	hintSeparator = regexp.MustCompile(` (?:&&|\||;) |; `)
)

// TestEveryHintIsACommand: a hint is what to type next. Each form of one that the source has is a command line of the
// shell, of groat's own commands and flags or of a tool that is everywhere, without a word of prose, and with no
// placeholder but for what only the person knows.
func TestEveryHintIsACommand(t *testing.T) {
	hints := readHints(t)
	if len(hints) < 400 {
		t.Errorf("only %d forms of hints were found", len(hints))
	}
	root := (&app{}).rootCommand()
	var script strings.Builder
	for _, h := range hints {
		text := strings.ReplaceAll(strings.Trim(h.text, " "), "\x00", anyWord) // an importer's candidate's name
		if strings.Trim(text, anything) == "" || strings.HasSuffix(h.text, " ") {
			continue // of another place, or a beginning: the whole is looked at there
		}
		if strings.HasPrefix(text, "--") {
			text = "groat login X " + text
		}
		if strings.HasPrefix(h.text, " ") { // an end
			text = anyWord + h.text
		}
		for _, flaw := range hintFlaws(root, text) {
			t.Errorf("%s: %q: %s", h.at, h.text, flaw)
		}
		script.WriteString(strings.ReplaceAll(text, anything, anyWord) + "\n")
	}
	if out, err := exec.CommandContext(t.Context(), "sh", "-n", "-c", script.String()).CombinedOutput(); err != nil {
		t.Errorf("a shell does not read the hints: %v\n%s", err, out)
	}
}

// The check can say no, and knows a command when it sees one.
func TestWhatIsNoCommandIsNoHint(t *testing.T) {
	root := (&app{}).rootCommand()
	for _, text := range []string{"groat unlock, or to change it: groat keystore passphrase", "try again", "groat lst",
		"groat status --nope", "groat login PROFILE", "groat keystore use", "groatd --nope", "unset GROAT_CONFIG, then: x",
		"groat get --min-ttl", "install groatd beside groat", "groat status && frobnicate"} {
		if len(hintFlaws(root, text)) == 0 {
			t.Errorf("%q passes for a hint", text)
		}
	}
	for _, text := range []string{"groat login X --username YOU --new-client", "mv X X.lost && groat login X",
		"HOME=X groat status", "env -u GROAT_SOCKET groat status", "sudo -u X groat status", "groat export --stop X"} {
		if flaws := hintFlaws(root, text); len(flaws) > 0 {
			t.Errorf("%q: %q", text, flaws)
		}
	}
}

// hintFlaws says what in a hint is no command.
func hintFlaws(root *cobra.Command, text string) (flaws []string) {
	if prose := hintProse.FindString(text); prose != "" {
		flaws = append(flaws, fmt.Sprintf("%q is prose", prose))
	}
	for _, word := range hintCapitals.FindAllString(text, -1) {
		if !strings.HasPrefix(word, "$") && !strings.HasSuffix(word, "=") && !strings.HasSuffix(word, "_") &&
			!slices.Contains(hintPlaceholders, word) && !slices.Contains(hintNames, word) {
			flaws = append(flaws, word+" is a placeholder")
		}
	}
	for _, command := range hintSeparator.Split(text, -1) {
		command, _, _ = strings.Cut(command, " < ")
		if flaw := commandFlaw(root, strings.Fields(command)); flaw != "" {
			flaws = append(flaws, flaw)
		}
	}
	return flaws
}

// hintNames are words in capitals that are names.
var hintNames = []string{"KILL", "HUP", "EDITOR", "GOENV", "HOME"}

// commandFlaw says what is wrong with one command of a hint.
func commandFlaw(root *cobra.Command, words []string) string {
	for len(words) > 0 {
		switch {
		case hintVariable.MatchString(words[0]):
			words = words[1:]
		case (words[0] == "env" || words[0] == "sudo") && len(words) > 2 && words[1] == "-u":
			words = words[3:]
		default:
			goto command
		}
	}
command:
	switch {
	case len(words) == 0:
		return "it has no command"
	case strings.Contains(words[0], anything), words[0] == anyWord: // what was typed
		return ""
	case words[0] == "groatd":
		for _, word := range words[1:] {
			if !slices.Contains([]string{"--check", "--config", "FILE", "-h"}, word) {
				return "groatd has no " + word
			}
		}
		return ""
	case words[0] != "groat":
		if !slices.Contains(hintTools, words[0]) {
			return words[0] + " is no command"
		}
		return ""
	}
	// What is not known may be a word, several, or none.
	var with, without []string
	for _, word := range words[1:] {
		known := strings.ReplaceAll(word, anything, anyWord)
		if with = append(with, known); word != anything {
			without = append(without, known)
		}
	}
	flaw := argumentFlaw(root, with)
	if flaw != "" && len(with) != len(without) {
		return argumentFlaw(root, without)
	}
	return flaw
}

// argumentFlaw says what groat would refuse of its arguments.
func argumentFlaw(root *cobra.Command, args []string) string {
	if len(args) > 0 && args[0] == anyWord { // a command that is known when the program runs
		return ""
	}
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err.Error()
	}
	var words []string
	for i := 0; i < len(rest); i++ {
		name, _, given := strings.Cut(rest[i], "=")
		if !strings.HasPrefix(name, "-") || name == "-" {
			words = append(words, rest[i])
			continue
		}
		cmd.InitDefaultHelpFlag()
		f := cmd.Flags().Lookup(strings.TrimPrefix(name, "--"))
		switch {
		case f == nil && strings.HasSuffix(name, anyWord): // nor is it known what the flag takes
			return ""
		case f == nil:
			return cmd.CommandPath() + " has no flag " + name
		case f.NoOptDefVal == "" && !given:
			if i++; i == len(rest) {
				return name + " has no value"
			}
		}
	}
	if slices.Contains(rest, "--help") {
		return ""
	}
	if len(words) > 0 && words[0] == anyWord && cmd.HasSubCommands() {
		return ""
	}
	if !cmd.Runnable() {
		return cmd.CommandPath() + " is no command by itself"
	}
	if cmd.Args != nil {
		if err := cmd.Args(cmd, words); err != nil {
			return err.Error()
		}
	}
	return ""
}
