package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/packaging/testing/parts"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

const root = "../.."

// The numbers of the README are those that make figures wrote into FIGURES.md.
func TestReadmeSaysWhatWasMeasured(t *testing.T) {
	document, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	want, got := section(document), section(readme)
	if want == nil || got == nil {
		t.Fatalf("the marks %q and %q are not there once each", opening, closing)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("the README differs from what make figures wrote:\n%s", diff)
	}
}

// The comparison with small numbers: every program has a result in each experiment that concerns it.
func TestPeersAnswer(t *testing.T) {
	tier.Needs(t, "oidc-agent-cli", "openssh-client", "git")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	r, err := runPeers(ctx, root, parts.Binaries(t), true)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Programs) != 4 || len(r.Rows) < 5 {
		t.Fatalf("%+v", r)
	}
	for _, p := range r.Programs {
		if p.Version == "" {
			t.Errorf("%s has no version", p.Name)
		}
	}
	for _, row := range r.Rows {
		if len(row.Cells) != 4 || row.Cells[0] == "" || row.Cells[3] == "" {
			t.Errorf("%s: %q", row.ID, row.Cells)
		}
	}
	f := figures{peers: r, suite: suite{ids: map[string]map[int]bool{}}}
	if text := f.document(); section(text) == nil || bytes.Count(text, []byte("half a request")) != 2 {
		t.Errorf("it would write\n%s", text)
	}
}

func TestNumbersAreCounted(t *testing.T) {
	const events = `{"Action":"run","Package":"p","Test":"TestX"}
{"Action":"pass","Package":"p","Test":"TestX/C20_every_character"}
{"Action":"pass","Package":"p","Test":"TestX/C20_more,_and_C21"}
{"Action":"pass","Package":"p","Test":"TestX/A41_is_none"}
{"Action":"pass","Package":"p","Test":"TestE7DoubleStart"}
{"Action":"pass","Package":"p","Test":"TestD7D8KeyFits"}
{"Action":"pass","Package":"p","Test":"FuzzX/B5-a-seed"}
{"Action":"output","Package":"p","Test":"TestX","Output":"    x_test.go:1: figure: requests = 37; 351,735 then\n"}
{"Action":"attr","Package":"p","Test":"TestTheIncident/a_blocked_user","Key":"incident.requests","Value":"1"}
{"Action":"pass","Package":"p"}
`
	s, failed, err := readSuite(strings.NewReader(events))
	if err != nil || len(failed) != 0 || s.total() != 5 || s.passed != 6 || s.said["requests"] != "37; 351,735 then" {
		t.Errorf("%+v, %q, %v", s, failed, err)
	}
	if rows := s.incident(); len(rows) != 1 || rows[0][1] != "1" {
		t.Errorf("%q", rows)
	}
	if got := s.byKind(); got != "2 of 53 about what token endpoints answer, 2 of 20 about the keystore, "+
		"1 of 25 about the process and time" {
		t.Error(got)
	}
	_, failed, err = readSuite(strings.NewReader(`{"Action":"fail","Package":"p","Test":"TestX/D9"}`))
	if err != nil || len(failed) != 1 {
		t.Errorf("%q, %v", failed, err)
	}
	pkgs, err := numberedPackages(root)
	if err != nil || !strings.Contains(strings.Join(pkgs, " "), "./daemon/grant") {
		t.Errorf("%q, %v", pkgs, err)
	}
}

func TestBenchmarksAreRead(t *testing.T) {
	const out = `BenchmarkRoundTrip-2 9356	 44940 ns/op	 9724 echo-ns	 1.294 ratio	 12579 token-ns	 2 allocs/op
BenchmarkClient/dial_for_each_request-2   	 2486	 125827 ns/op	 12016 B/op	 64 allocs/op
BenchmarkCacheHit-2   	 1267578	 92.4 ns/op	 0 B/op	 0 allocs/op
BenchmarkNow   	 1267578	 48.4 ns/op	 0 B/op	 0 allocs/op
`
	const cold = `           a process   median     10 %     90 %  x empty Go program  page faults  runs
     empty C program    717µs    635µs    974µs                0.43          170   500
    empty Go program  1.655ms  1.216ms  9.375ms                1.00          170   500
           groat get  3.129ms  2.027ms  4.751ms                1.89          170   500
    groat get --json  3.605ms   1.42ms  1.916ms                2.18          170   500
`
	s, err := readSpeed(out + cold)
	if err != nil {
		t.Fatal(err)
	}
	want := speed{
		groat: "3.129ms", empty: "1.655ms", over: "1.89", ratio: 1.294, dial: 125827,
		inside: 92, clock: 48, allocs: "0",
	}
	if s != want {
		t.Errorf("%+v, want %+v", s, want)
	}
	for _, broken := range []string{
		"", strings.Replace(out, "ratio", "rate", 1), strings.Replace(out, "CacheHit", "Other", 1),
	} {
		if _, err := readSpeed(broken + cold); err == nil {
			t.Errorf("a number is missing, and no error: %q", broken)
		}
	}
	if _, err := readSpeed(out); err == nil {
		t.Error("no cold start, and no error")
	}
}

func TestFaultsAreRead(t *testing.T) {
	got := fault("kill -9 while it renews: 1000 kills, 0 sessions lost, seed 1795329468028574121")
	if got != "kill -9 while it renews: 1,000 kills, 0 sessions lost" {
		t.Error(got)
	}
}

func TestWhatTestsSay(t *testing.T) {
	for value, want := range map[string][3]string{
		"0": {"n", "0", ""}, "135ms": {"n", "135 ms", ""}, "1m5s": {"n", "1m5s", ""},
		"21000, and 14 keys, each in 30 forms": {"n", "21,000", "14 keys, each in 30 forms"},
		"17: outputs, logs":                    {"n", "17", "outputs, logs"},
	} {
		if got := said("n", value); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
	f := figures{
		suite: suite{said: map[string]string{
			"secrets found where none may be": "0", "secrets searched for": "1347; others",
			"places searched for them": "25742: logs", "other": "5",
		}},
		faults: []string{"at the steps: 20 runs, seed 1", "kill -9 of groatd: 1000 kills, seed 2"},
	}
	text := f.document()
	for _, want := range []string{
		"- kill -9 of groatd: 1,000 kills.\n", "- 1,347 secrets were searched for in 25,742 places: 0 were found.\n",
	} {
		if !strings.Contains(string(section(text)), want) {
			t.Errorf("the README would not say %q:\n%s", want, section(text))
		}
	}
	for _, want := range []string{"| secrets found where none may be | 0 |", "| other | 5 |"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("it would not write %q:\n%s", want, text)
		}
	}
}

func TestIntoReadme(t *testing.T) {
	readme := filepath.Join(t.TempDir(), "README.md")
	if err := os.WriteFile(readme, []byte("before\n"+opening+"old\n"+closing+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := intoReadme(readme, []byte("# Figures\n"+opening+"new\n"+closing+"more\n")); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(readme); err != nil || string(text) != "before\n"+opening+"new\n"+closing+"after\n" {
		t.Errorf("%q, %v", text, err)
	}
	for _, text := range []string{"", opening, closing + opening, opening + closing + opening + closing} {
		if err := os.WriteFile(readme, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := intoReadme(readme, []byte(opening+closing)); err == nil {
			t.Errorf("%q has a place for the figures", text)
		}
	}
}
