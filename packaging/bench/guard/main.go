//go:build linux

// Guard holds what a cold request and a token at hand cost to committed bounds. It counts what does not depend on how
// busy the machine is: bytes, instructions, system calls. "make bounds" measures anew, says what grew, and writes
// bounds.txt; the test in "make test" allows 2 % more than stands there.
//
// Instructions are valgrind's (callgrind), within one function and what it calls.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	root := flag.String("dir", ".", "the repository's `directory`")
	flag.Parse()
	if err := run(*root); err != nil {
		fmt.Fprintln(os.Stderr, "guard:", err)
		os.Exit(1)
	}
}

// run measures, shows the difference and writes the bounds.
func run(root string) error {
	s, err := newSubject(root)
	if err != nil {
		return err
	}
	defer s.close()
	var now figures
	for range 3 { // the greatest of them: what the runtime does within a function varies by a hundredth
		again, err := s.measure()
		if err != nil {
			return err
		}
		now = now.orMore(again)
	}
	old, err := readBounds(root)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	for _, f := range now {
		fmt.Printf("%-45s %12s, was %s\n", f.name, f.value, old.value(f.name))
		if f.where != "" && f.exceeds(old.value(f.name)) == nil {
			continue
		}
		if f.where != "" {
			fmt.Println(f.where)
		}
	}
	return writeBounds(root, now)
}
