package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// speed is what the benchmarks say.
type speed struct {
	groat, empty, over string // of a process each, and the first divided by the second
	ratio              float64
	dial, inside       time.Duration
	allocs             string
	clock              time.Duration
}

// bench is one line of "go test -bench": its values by their units.
type bench map[string]string

var benchLine = regexp.MustCompile(`^(Benchmark\S+?)(-\d+)?\s+\d+\s+(.*)$`)

// readBench reads what "go test -bench" prints :: name → values.
func readBench(out string) map[string]bench {
	all := map[string]bench{}
	for lines := bufio.NewScanner(strings.NewReader(out)); lines.Scan(); {
		m := benchLine.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		values := bench{}
		fields := strings.Fields(m[3])
		for i := 0; i+1 < len(fields); i += 2 {
			values[fields[i+1]] = fields[i]
		}
		all[m[1]] = values
	}
	return all
}

// time returns a value in nanoseconds.
func (b bench) time(unit string) (time.Duration, error) {
	f, err := strconv.ParseFloat(b[unit], 64)
	if err != nil {
		return 0, fmt.Errorf("the benchmark has no %s: %v", unit, b)
	}
	return time.Duration(f), nil
}

// results is where the benchmarks have written what they say: "make bench".
const results = "packaging/bench/RESULTS.md"

// readResults reads how fast it is, so that two pages do not say two things of it.
func readResults(root string) (speed, error) {
	text, err := os.ReadFile(filepath.Join(root, results))
	if err != nil {
		return speed{}, err
	}
	s, err := readSpeed(string(text))
	if err != nil {
		err = fmt.Errorf("%s: %w; make bench writes it", results, err)
	}
	return s, err
}

func readSpeed(text string) (s speed, err error) {
	all := readBench(text)
	if s.ratio, err = strconv.ParseFloat(all["BenchmarkRoundTrip"]["ratio"], 64); err != nil {
		return s, errors.New("there is no ratio to an echo")
	}
	var err1, err2, err3 error
	s.dial, err1 = all["BenchmarkClient/dial_for_each_request"].time("ns/op")
	s.inside, err2 = all["BenchmarkCacheHit"].time("ns/op")
	s.clock, err3 = all["BenchmarkNow"].time("ns/op")
	s.allocs = all["BenchmarkCacheHit"]["allocs/op"]
	if err := errors.Join(err1, err2, err3); err != nil {
		return s, err
	}
	return s, s.readCold(text)
}

// readCold reads two rows of coldstart's table: the medians, and the ratio of "groat get" to an empty Go program.
func (s *speed) readCold(text string) error {
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		switch line := strings.TrimSpace(lines.Text()); {
		case strings.HasPrefix(line, "empty Go program") && len(fields) > 3:
			s.empty = fields[3]
		case strings.HasPrefix(line, "groat get ") && len(fields) >= 7 && fields[2][0] != '-':
			s.groat, s.over = fields[2], fields[5]
		}
	}
	if s.empty == "" || s.groat == "" {
		return errors.New("there are no medians of processes")
	}
	return nil
}

// millis rounds "2.741ms" to "2.7 ms".
func millis(text string) string {
	d, err := time.ParseDuration(text)
	if err != nil {
		return text
	}
	return fmt.Sprintf("%.1f ms", float64(d)/1e6)
}
