package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/tier"
)

// module writes a module of one package.
func module(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const head = "package p\n\nimport \"testing\"\n\n"

func TestEveryTargetIsRun(t *testing.T) {
	tier.Long(t, "it builds and runs fuzz targets")
	dir := module(t, map[string]string{
		"go.mod": "module example.org/m\n\ngo 1.26\n",
		"a_test.go": head + "func FuzzOne(f *testing.F) {\n\tf.Add(1)\n" +
			"\tf.Fuzz(func(t *testing.T, n int) {})\n}\n\n" +
			"func FuzzTwo(f *testing.F) { f.Fuzz(func(t *testing.T, b []byte) {}) }\n",
		"b_test.go": strings.Replace(head, "package p", "package p_test", 1) +
			"func FuzzThree(f *testing.F) { f.Fuzz(func(t *testing.T, s string) {}) }\n",
	})
	var out bytes.Buffer
	if err := run(t.Context(), dir, "50x", false, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"FuzzOne 5", "FuzzTwo 5", "FuzzThree 5", "fuzz: 3 targets, 15", "0 failures\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in:\n%s", want, &out)
		}
	}
	out.Reset()
	if err := run(t.Context(), dir, "300ms", true, &out); err != nil ||
		!strings.Contains(out.String(), "fuzz: 3 targets") {
		t.Errorf("for a while: %v\n%s", err, &out)
	}
}

func TestWhatBreaksATargetEndsTheRun(t *testing.T) {
	tier.Long(t, "it builds and runs fuzz targets")
	dir := module(t, map[string]string{
		"go.mod": "module example.org/m\n\ngo 1.26\n",
		"a_test.go": head + "func FuzzOne(f *testing.F) {\n\tf.Add(1)\n\tf.Fuzz(func(t *testing.T, n int) {\n\t\tif n != 1 {\n" +
			"\t\t\tt.Error(\"broken\")\n\t\t}\n\t})\n}\n",
	})
	var out bytes.Buffer
	err := run(t.Context(), dir, "5000x", false, &out)
	if err == nil || !strings.Contains(err.Error(), "broken") || strings.Contains(out.String(), "0 failures") {
		t.Fatalf("%v\n%s", err, &out)
	}
	if found, err := filepath.Glob(filepath.Join(dir, "testdata", "fuzz", "FuzzOne", "*")); err != nil ||
		len(found) != 1 {
		t.Errorf("the input is not kept: %q, %v", found, err)
	}
}

func TestATargetThatIsNotBuiltIsAnError(t *testing.T) {
	dir := module(t, map[string]string{
		"go.mod":            "module example.org/m\n\ngo 1.26\n",
		"a.go":              "package p\n",
		"a_windows_test.go": head + "func FuzzOne(f *testing.F) { f.Fuzz(func(t *testing.T, n int) {}) }\n",
	})
	if _, err := find(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "FuzzOne") {
		t.Errorf("%v", err)
	}
	if err := run(t.Context(),
		module(t, map[string]string{"go.mod": "module example.org/m\n\ngo 1.26\n", "a.go": "package p\n"}), "1x", false,
		&bytes.Buffer{}); err == nil {
		t.Error("nothing to run, and no error")
	}
}

// The module's own targets: whatever else is fuzzed, these are what reads from outside.
func TestWhatReadsFromOutsideIsFuzzed(t *testing.T) {
	pkgs, err := find(t.Context(), filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]int{}
	for _, p := range pkgs {
		all[p.path] = len(p.targets)
	}
	for path, least := range map[string]int{
		"daemon": 1, "daemon/config": 1, "daemon/origin": 1, "daemon/importer": 2, "daemon/grant": 8,
		"cmd/groat": 1, "cmd/groat/helper": 2, "keystore": 1,
		"keystore/sealed": 2,
		"protocol":        1, "protocol/frame": 2, "protocol/jsonrpc": 2, "protocol/strictjson": 2,
	} {
		if all[path] < least {
			t.Errorf("%s has %d targets, want %d at least", path, all[path], least)
		}
	}
}

func TestTheEndOfTheTimeIsNoFailure(t *testing.T) {
	const up = "fuzz: elapsed: 2s, execs: 46363 (22673/sec)\n" +
		"--- FAIL: FuzzX (2.05s)\n    context deadline exceeded\nFAIL\n"
	for out, want := range map[string]bool{
		up: true, "PASS\n": false, "FAIL\n": false,
		strings.Replace(up, "context deadline exceeded", "fuzzing process hung or terminated unexpectedly", 1): false,
		strings.Replace(up, "    context", "    --- FAIL: FuzzX (0.00s)\n    context", 1):                      false,
		strings.Replace(up, "exceeded\n", "exceeded\n    Failing input written to testdata/fuzz/FuzzX/1\n", 1): false,
	} {
		if onlyTime([]byte(out)) != want {
			t.Errorf("%q: %v", out, !want)
		}
	}
}
