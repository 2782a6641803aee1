//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// file is where the bounds stand, a line for each: what, a tab, how much.
const file = "packaging/bench/guard/bounds.txt"

// figure is something that is counted.
type figure struct {
	name, value string
	// where says which functions have the most of it.
	where string
}

type figures []figure

// value returns what stands for a name, or "".
func (all figures) value(name string) string {
	for _, f := range all {
		if f.name == name {
			return f.value
		}
	}
	return ""
}

// orMore returns the greater figure of each two that are numbers, and the other's of those that are not.
func (all figures) orMore(others figures) (most figures) {
	for _, f := range others {
		was, err1 := strconv.ParseInt(all.value(f.name), 10, 64)
		is, err2 := strconv.ParseInt(f.value, 10, 64)
		if err1 == nil && err2 == nil && was > is {
			f.value = all.value(f.name)
		}
		most = append(most, f)
	}
	return most
}

// slack is how much more than its bound a figure may be, in percent.
const slack = 2

// exceeds returns an error if a figure is more than its bound allows. A number may be 2 % more; a list of system calls
// is what it is.
func (f figure) exceeds(bound string) error {
	was, err1 := strconv.ParseInt(bound, 10, 64)
	is, err2 := strconv.ParseInt(f.value, 10, 64)
	switch {
	case err1 == nil && err2 == nil:
		if 100*is > (100+slack)*was {
			return fmt.Errorf("%s: %d, and at most %d %% more than %d is allowed", f.name, is, slack, was)
		}
	case f.value != bound:
		return fmt.Errorf("%s: %s, and it was %s", f.name, f.value, bound)
	}
	return nil
}

// toolchain is what the bounds depend on besides the code.
func toolchain() string { return runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH }

const toolchainName = "measured with"

func readBounds(root string) (all figures, err error) {
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		return nil, err
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		name, value, ok := strings.Cut(lines.Text(), "\t")
		if !ok {
			return nil, fmt.Errorf("%s: %q is no figure", file, lines.Text())
		}
		all = append(all, figure{name: name, value: value})
	}
	return all, nil
}

func writeBounds(root string, all figures) error {
	var b bytes.Buffer
	for _, f := range all {
		fmt.Fprintf(&b, "%s\t%s\n", f.name, f.value)
	}
	return os.WriteFile(filepath.Join(root, file), b.Bytes(), 0o644)
}
