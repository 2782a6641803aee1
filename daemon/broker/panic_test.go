package broker_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/broker"
)

// The error says of which type a panic's value was and where it happened, and nothing of the value.
func TestAPanicHoldsNoValue(t *testing.T) {
	const canary = "canary-5521-in-a-panic"
	var none map[string]string
	for kind, provoke := range map[string]func(){
		"string":                      func() { panic(canary) },
		"[]uint8":                     func() { panic([]byte(canary)) },
		"*errors.errorString":         func() { panic(errors.New(canary)) },
		"*fmt.wrapError":              func() { panic(fmt.Errorf("%s: %w", canary, errors.New(canary))) },
		"map[string]string":           func() { panic(map[string]string{canary: canary}) },
		"*runtime.TypeAssertionError": func() { _ = any(canary).(fmt.Stringer) },
		"runtime.boundsError":         func() { _ = []byte(canary)[len(canary)+1] },
		"runtime.plainError":          func() { none[canary] = canary },
		"*runtime.PanicNilError":      func() { panic(nil) },
	} {
		t.Run(kind, func(t *testing.T) {
			b := caught(provoke)
			if b == nil {
				t.Fatal("it did not panic")
			}
			text := fmt.Sprintf("%s %+v %#v", b, *b, b)
			if strings.Contains(text, canary[:8]) {
				t.Errorf("the value is in %s", text)
			}
			if b.Kind != kind || !strings.HasPrefix(b.Where, "broker_test.TestAPanicHoldsNoValue.func") ||
				!strings.Contains(b.Where, "panic_test.go:") {
				t.Errorf("it says %q", b)
			}
		})
	}
}

func caught(f func()) (b *broker.Panic) {
	defer func() {
		if v := recover(); v != nil {
			b = broker.Recovered(v)
		}
	}()
	f()
	return nil
}
