package sandbox

import "time"

// window counts requests in a time that begins with the first of them.
type window struct {
	ends time.Time
	n    int
}

func (w *window) gone(now time.Time) bool { return !now.Before(w.ends) }

// count counts one more of what, and returns how many there were in this window, and when it ends.
func (s *Server) count(what string, length time.Duration, now time.Time) (int, time.Time) {
	s.sess.mu.Lock()
	defer s.sess.mu.Unlock()
	w := s.sess.limits[what]
	if w == nil || w.gone(now) {
		if !room(s.sess.limits, maxOpen, now) {
			return 0, now
		}
		w = &window{ends: now.Add(length)}
		s.sess.limits[what] = w
	}
	w.n++
	return w.n, w.ends
}
