//go:build race

package daemon

// raced: every call costs ten times as much, and a test that counts hundreds of thousands makes fewer.
const raced = true
