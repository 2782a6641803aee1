//go:build !linux

package autostart

// keepDescriptors makes sure that a program we start inherits none of what our own caller left open.
func keepDescriptors() { markEach() }
