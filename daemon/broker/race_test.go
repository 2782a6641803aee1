//go:build race

package broker

// Raced: every call costs several times as much, and a test that makes very many makes fewer.
const Raced = true
