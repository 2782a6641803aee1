//go:build !linux

package main

import "golang.org/x/sys/unix"

// harden forbids core dumps.
func harden() { unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}) }
