package sandbox

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"
)

var errSetting = errors.New("not a setting, or not a value it can have")

// settings are the fields of /sandbox/set, each with how it is set:
//
//	lifetime, latency, skew                     durations
//	consent                                     form, allow or deny
//	granted                                     a scope that persons grant, whatever is asked; empty: what is asked
//	refresh_always, rotate, until_used,
//	keep_family, end_access, narrow             true or false; overlap, idle, absolute: durations
//	device_lifetime, device_interval            durations; omit_interval, omit_complete: true or false
//	require_par                                 true or false
//	id_at_refresh                               true or false; id_lifetime: a duration; id_flaw: an IDFlaw
//	roll_key                                    keep or withdraw the old ones
func (s *Server) settings() map[string]func(string) error {
	return map[string]func(string) error{
		"lifetime": lifetime(s.SetTokenLifetime),
		"latency":  duration(s.SetLatency),
		"skew":     duration(s.SetSkew),
		"consent": func(v string) error {
			c, ok := map[string]Consent{"form": ConsentForm, "allow": ConsentAllow, "deny": ConsentDeny}[v]
			if !ok {
				return errSetting
			}
			s.SetConsent(c)
			return nil
		},
		"granted":     func(v string) error { s.SetGrantedScope(v); return nil },
		"require_par": truth(s.SetRequirePAR),

		"refresh_always": truth(func(v bool) { s.change(func() { s.sess.mode.Always = v }) }),
		"rotate":         truth(func(v bool) { s.change(func() { s.sess.mode.Rotate = v }) }),
		"until_used":     truth(func(v bool) { s.change(func() { s.sess.mode.UntilUsed = v }) }),
		"keep_family":    truth(func(v bool) { s.change(func() { s.sess.mode.KeepFamily = v }) }),
		"end_access":     truth(func(v bool) { s.change(func() { s.sess.mode.EndAccess = v }) }),
		"narrow":         truth(func(v bool) { s.change(func() { s.sess.mode.Narrow = v }) }),
		"overlap":        duration(func(d time.Duration) { s.change(func() { s.sess.mode.Overlap = d }) }),
		"idle":           duration(func(d time.Duration) { s.change(func() { s.sess.mode.Idle = d }) }),
		"absolute":       duration(func(d time.Duration) { s.change(func() { s.sess.mode.Absolute = d }) }),

		"id_at_refresh": truth(func(v bool) { s.change(func() { s.sess.id.omit = !v }) }),
		"id_lifetime":   duration(func(d time.Duration) { s.change(func() { s.sess.id.life = d }) }),
		"id_flaw": func(v string) error {
			if !slices.Contains(idFlaws, IDFlaw(v)) {
				return errSetting
			}
			s.change(func() { s.sess.id.flaw = IDFlaw(v) })
			return nil
		},
		"roll_key": func(v string) error {
			if v != "keep" && v != "withdraw" {
				return errSetting
			}
			s.RollKey(v == "withdraw")
			return nil
		},

		"device_lifetime": duration(func(d time.Duration) { s.change(func() { s.sess.device.Lifetime = d }) }),
		"device_interval": duration(func(d time.Duration) { s.change(func() { s.sess.device.Interval = d }) }),
		"omit_interval":   truth(func(v bool) { s.change(func() { s.sess.device.OmitInterval = v }) }),
		"omit_complete":   truth(func(v bool) { s.change(func() { s.sess.device.OmitComplete = v }) }),
	}
}

func (s *Server) change(f func()) {
	s.sess.mu.Lock()
	defer s.sess.mu.Unlock()
	f()
}

// set changes settings by name.
func (s *Server) set(form url.Values) error {
	known := s.settings()
	for name := range form {
		if known[name] == nil {
			return fmt.Errorf("%s: %w", name, errSetting)
		}
		if err := known[name](form.Get(name)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// Set changes one setting of the control path /sandbox/set, for programs that take settings as text.
func (s *Server) Set(name, value string) error { return s.set(url.Values{name: {value}}) }

func duration(set func(time.Duration)) func(string) error {
	return func(v string) error {
		d, err := time.ParseDuration(v)
		if err != nil {
			return errSetting
		}
		set(d)
		return nil
	}
}

func lifetime(set func(time.Duration)) func(string) error {
	return func(v string) error {
		d, err := time.ParseDuration(v)
		if err != nil || d < minLifetime || d%time.Second != 0 {
			return errSetting
		}
		set(d)
		return nil
	}
}

func truth(set func(bool)) func(string) error {
	return func(v string) error {
		b, err := strconv.ParseBool(v)
		if err != nil {
			return errSetting
		}
		set(b)
		return nil
	}
}
