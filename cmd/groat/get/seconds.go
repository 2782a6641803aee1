package get

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// Seconds is a flag that takes a Go duration or a plain number of seconds.
type Seconds struct {
	N *int64 // nil if the flag was not given
}

// or returns the flag's value, or d if it was not given.
func (s Seconds) or(d time.Duration) time.Duration {
	if s.N == nil {
		return d
	}
	return time.Duration(*s.N) * time.Second
}

// ErrSeconds means that a flag is no time, or is too long.
var ErrSeconds = errors.New("no such time")

// Set reads what was typed, which may be at most limit. A fraction of a second counts as a whole one, since both flags
// ask for "at least". Its error is [ErrSeconds].
func (s *Seconds) Set(v string, limit time.Duration) error {
	plain := !strings.ContainsFunc(v, func(r rune) bool { return r < '0' || r > '9' })
	if plain {
		v += "s"
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 || d > limit {
		return ErrSeconds
	}
	n := int64((d + time.Second - 1) / time.Second)
	s.N = &n
	return nil
}

func (s *Seconds) String() string {
	if s.N == nil {
		return ""
	}
	return strconv.FormatInt(*s.N, 10) + "s"
}
