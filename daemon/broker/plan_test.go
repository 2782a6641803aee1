package broker

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestResidualWindow computes the estimate that ROTATION.md gives.
func TestResidualWindow(t *testing.T) {
	document, err := os.ReadFile("../credential/ROTATION.md")
	if err != nil {
		t.Fatal(err)
	}
	mean := (earliestRenewal + latestRenewal) / 2
	p := 0.1 / (mean * 900)
	years := 1 / p / 365
	text := strings.Join(strings.Fields(string(document)), " ")
	for _, want := range []string{
		fmt.Sprintf("at %g of its life in the mean", mean), fmt.Sprintf("a probability of %.2ge", p*1e4) + "-4", fmt.Sprintf("in %d years", int(years)),
	} {
		if !strings.Contains(text, want) {
			t.Errorf("ROTATION.md does not say %q", want)
		}
	}
}
