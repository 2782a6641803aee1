package main

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// compared are the experiments that stand at the top of the page, the other agents beside groat.
var compared = []string{"half-open", "hang-up", "crowd", "memory", "slow"}

// noSecrets is the name under which a test logs how many secrets were found where none may be.
const noSecrets = "secrets found where none may be"

// document returns all of FIGURES.md.
func (f figures) document() []byte {
	var b bytes.Buffer
	b.WriteString("# Figures\n\nWritten by `make figures`, which measures it anew, and takes from " +
		"[RESULTS.md](../bench/RESULTS.md) how fast groat is; people do not edit it. " +
		"The README has the first lines.\n\n")
	b.WriteString(opening)
	for _, line := range f.brief() {
		fmt.Fprintf(&b, "- %s\n", line)
	}
	b.WriteString(closing)
	fmt.Fprintf(&b, "\nMeasured on this machine: %s.\n\n", f.machine)
	b.WriteString("| what | measured | beside |\n|---|---|---|\n")
	for _, r := range f.own() {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(r[:], " | "))
	}
	b.WriteString("\nThe same bad clients, turned on groat and on other agents that people trust, " +
		"in the versions of this machine:\n\n")
	f.table(&b, func(id string) bool { return slices.Contains(compared, id) })
	b.WriteString("\n## What else was measured\n\n| what | measured | beside |\n|---|---|---|\n")
	for _, r := range f.others() {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(r[:], " | "))
	}
	b.WriteString("\n## Every experiment\n\n")
	f.table(&b, func(string) bool { return true })
	b.WriteString("\n" + notes)
	return b.Bytes()
}

// brief returns the README's five lines, without those that were not measured.
func (f figures) brief() []string {
	lines := []string{
		fmt.Sprintf("`groat get` takes %s, %s times as long as a Go program that does nothing.",
			millis(f.speed.groat), f.speed.over),
		fmt.Sprintf("A hundred programs want a token at once: the provider gets %s request.",
			f.peers.cell("together", 0)),
	}
	if rows := f.suite.incident(); len(rows) > 0 {
		lines = append(lines, fmt.Sprintf("832 workers ask for four hours for a user who is blocked: "+
			"%s token request. Without groat it was %s.", rows[0][1], incidentRequests))
	}
	for _, line := range f.faults {
		if strings.HasPrefix(line, "kill -9") {
			lines = append(lines, fault(line)+".")
		}
	}
	if found, ok := f.suite.said[noSecrets]; ok {
		searched := said("", f.suite.said["secrets searched for"])[1]
		places := said("", f.suite.said["places searched for them"])[1]
		lines = append(lines, fmt.Sprintf("%s secrets were searched for in %s places: %s were found.",
			searched, places, found))
	}
	return lines
}

// own returns groat's own figures, as rows of three cells: what, measured, beside.
func (f figures) own() [][3]string {
	s := f.speed
	rows := [][3]string{
		{"`groat get`, a new process each time", millis(s.groat),
			fmt.Sprintf("%s x a Go program that does nothing (%s)", s.over, millis(s.empty))},
		{"a token over an open connection", fmt.Sprintf("%.1f x", s.ratio),
			"an echo of the same bytes over a Unix socket"},
		{"requests for a token that a hundred clients want at once", f.peers.cell("together", 0), "at the provider"},
		{"bad inputs and faults of a numbered list that the tests go through",
			fmt.Sprint(f.suite.total()), f.suite.byKind()},
		{"fuzzing in this run", f.fuzz, "0 failures"},
	}
	rows = append(rows, f.suite.incident()...)
	if len(f.faults) > 0 {
		rows = append(rows, [3]string{"faults", fault(f.faults[0]), fault(strings.Join(f.faults[1:], "; "))})
	}
	if value, ok := f.suite.said[noSecrets]; ok {
		rows = append(rows, said(noSecrets, value))
	}
	return rows
}

// others returns the figures of the second table.
func (f figures) others() [][3]string {
	s := f.speed
	rows := [][3]string{
		{"a token over a new connection", fmt.Sprintf("%.2f ms", s.dial.Seconds()*1000), ""},
		{"a token inside groatd", fmt.Sprintf("%.2f µs, allocations: %s", float64(s.inside)/1e3, s.allocs),
			fmt.Sprintf("reading the clocks: %.2f µs", float64(s.clock)/1e3)},
		{"tests that pass, of the packages whose tests have numbers or figures", thousands(f.suite.passed), ""},
	}
	rows = append(rows, f.suite.resume()...)
	for _, name := range slices.Sorted(maps.Keys(f.suite.said)) {
		if name != noSecrets {
			rows = append(rows, said(name, f.suite.said[name]))
		}
	}
	return rows
}

var (
	seed = regexp.MustCompile(`, seed \d+`)
	long = regexp.MustCompile(`\d{4,}`)
)

// fault returns a line of "make faults" without the seed that repeats the run.
func fault(line string) string {
	return long.ReplaceAllStringFunc(seed.ReplaceAllString(line, ""), grouped)
}

var apart = regexp.MustCompile(`[,;:] (and )?`)

// said returns the row of what a test has logged: a number, and what stands behind the first mark after it.
func said(name, value string) [3]string {
	measured, beside := value, ""
	if at := apart.FindStringIndex(value); at != nil {
		measured, beside = value[:at[0]], value[at[1]:]
	}
	measured, beside = long.ReplaceAllStringFunc(measured, grouped), long.ReplaceAllStringFunc(beside, grouped)
	return [3]string{name, spaced(measured), beside}
}

// incidentRequests is how many token requests a server got in the incident that TestTheIncident replays.
const incidentRequests = "351,735"

// incident returns the row of that replay.
func (s suite) incident() (rows [][3]string) {
	for test, a := range s.attrs {
		if strings.HasSuffix(test, "TestTheIncident/a_blocked_user") {
			rows = append(rows, [3]string{
				"832 workers, a user whom the server blocks, four hours: token requests",
				grouped(a["incident.requests"]),
				fmt.Sprintf("%s in the incident that this replays; here %s calls were answered, each within %s",
					incidentRequests, grouped(a["incident.calls"]), spaced(a["incident.longest-wait"])),
			})
		}
	}
	return rows
}

// resume returns the row of how many requests a server gets after a suspend.
func (s suite) resume() (rows [][3]string) {
	for _, a := range s.attrs {
		if a["resume.peak-per-second"] != "" {
			rows = append(rows, [3]string{
				grouped(a["resume.profiles"]) + " profiles come due together: token requests a second",
				a["resume.peak-per-second"] + " at most",
				fmt.Sprintf("%s requests in %s s, %s at once at most",
					grouped(a["resume.requests"]), grouped(a["resume.seconds"]), a["resume.at-once"]),
			})
		}
	}
	return rows
}

// grouped writes a whole number with commas, and returns any other text as it is.
func grouped(text string) string {
	if n, err := strconv.Atoi(text); err == nil {
		return thousands(n)
	}
	return text
}

// spaced puts a space before the unit of a duration that Go has written.
func spaced(text string) string {
	if _, err := time.ParseDuration(text); err != nil {
		return text
	}
	i := strings.IndexFunc(text, unicode.IsLetter)
	if i < 0 || strings.ContainsAny(text[i:], "0123456789") { // none, or more than one
		return text
	}
	return text[:i] + " " + text[i:]
}

// cell returns the result of an experiment for a program, "" where it was not carried out.
func (r report) cell(id string, program int) string {
	for _, row := range r.Rows {
		if row.ID == id && program < len(row.Cells) {
			return row.Cells[program]
		}
	}
	return ""
}

// table writes the experiments that are wanted, with a column for each program.
func (f figures) table(b *bytes.Buffer, wanted func(id string) bool) {
	b.WriteString("| |")
	for _, p := range f.peers.Programs {
		fmt.Fprintf(b, " %s |", title(p.Name, p.Version))
	}
	b.WriteString("\n|---" + strings.Repeat("|---", len(f.peers.Programs)) + "|\n")
	for _, r := range f.peers.Rows {
		if !wanted(r.ID) {
			continue
		}
		fmt.Fprintf(b, "| %s |", r.What)
		for _, cell := range r.Cells {
			if cell == "" {
				cell = "–"
			}
			fmt.Fprintf(b, " %s |", cell)
		}
		b.WriteString("\n")
	}
}

// title returns a column's head: the name, and the version without the name in it.
func title(name, version string) string {
	for _, word := range []string{"groat ", "git version ", "oidc-agent ", "OpenSSH_"} {
		version = strings.TrimPrefix(version, word)
	}
	version, _, _ = strings.Cut(version, ",")
	return name + " " + version
}

// notes is what a reader must know to compare.
const notes = `– means that there is nothing to try: ssh-agent and git-credential-cache ask no server for anything.

What to bear in mind:

- The versions are those of this machine's system. Debian 12's oidc-agent is 4.2.6; later ones, by their source,
  bound the time of a request to a server, and still answer one client after the other.
- The programs hold different things: ssh-agent keys, git-credential-cache a password, oidc-agent and groat a
  long-lived credential from which tokens are had. What one of them loses may be had again more easily than what
  another does.
- groat keeps what it is given in its sealed file with the key beside it, which is how it has after a crash what it
  had before; oidc-agent has an encrypted file too, whose password a person types again. On a Debian system
  ssh-agent runs with a group of its own, which is what keeps its memory closed there.
- Each experiment is carried out once, by the same code (packaging/attack, packaging/figures/peers), on a program
  that was started for it, as an ordinary user, with a limit of 1,024 descriptors where no other is named. How many
  idle connections are too many depends on that limit.
- "Not in 3 s" is a client that gave up after that time; whether it would have been answered later is not measured.
- "Refused" is an exit code; "refused by the kernel" means that /proc/PID/mem cannot be opened by another program of
  the same user. It says nothing about a program that asks over the socket, which all of them answer.
- A time is that of one answer or a median of nine, on a machine that may have been busy; only orders of magnitude
  compare.
`
