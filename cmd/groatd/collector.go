package main

import "runtime/debug"

const (
	// headroom is how many bytes of garbage there may be, about, before the collector runs: cached answers make none,
	// so that few are enough for ten profiles and for ten thousand.
	headroom = 4 << 20
	// profileBytes is what a profile that holds a token has in memory, and emptyBytes what there is without one.
	profileBytes = 4 << 10
	emptyBytes   = 3 << 20
	// least bounds how often the collector runs: each time it looks at all that is live.
	least = 10
)

// gcPercent is what [debug.SetGCPercent] is to be for a number of profiles. Without it ten thousand would take twice
// the memory that they fill.
func gcPercent(profiles int) int {
	live := emptyBytes + profiles*profileBytes
	return min(100, max(least, 100*headroom/live))
}

// reading is what it is while the configuration is read: nearly all of what that allocates is garbage at once, and what
// is live would otherwise be scattered over twice the memory.
const reading = 30

// readWithLittleGarbage fits the collector to a configuration that is about to be read.
func readWithLittleGarbage() { debug.SetGCPercent(reading) }

// tuneCollector fits the collector to the number of profiles.
func tuneCollector(profiles int) { debug.SetGCPercent(gcPercent(profiles)) }
