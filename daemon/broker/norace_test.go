//go:build !race

package broker

const Raced = false
