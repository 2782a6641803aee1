package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// The bill of this test's own program names Go's library and a module that the test imports, and every component that
// something depends on.
func TestBill(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := read("1.2.3", []string{self, self})
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]component{}
	for _, c := range b.Components {
		if _, twice := have[c.Ref]; twice || c.Name == "" || c.Version == "" {
			t.Errorf("%+v", c)
		}
		have[c.Ref] = c
	}
	found := ""
	for _, d := range b.Dependencies {
		for _, ref := range d.DependsOn {
			if _, ok := have[ref]; !ok {
				t.Errorf("%s depends on %s, which is no component", d.Ref, ref)
			}
			found += ref + "\n"
		}
	}
	if !strings.Contains(found, "pkg:golang/std@go") {
		t.Errorf("no library of Go in %s", found)
	}
	text, err := json.Marshal(b)
	if err != nil || !strings.HasPrefix(string(text), `{"bomFormat":"CycloneDX","specVersion":"1.5","version":1,`) {
		t.Errorf("%v %s", err, text)
	}
	if _, err := read("1", []string{"main.go"}); err == nil {
		t.Error("a file that is no program has a bill")
	}
}

func TestModule(t *testing.T) {
	c := module("example.com/m", "v1.2.3", "h1:abc=")
	if c.PURL != "pkg:golang/example.com/m@v1.2.3" || c.Ref != c.PURL || c.Type != "library" ||
		len(c.Properties) != 1 || c.Properties[0] != (property{"go:sum", "h1:abc="}) {
		t.Errorf("%+v", c)
	}
}
