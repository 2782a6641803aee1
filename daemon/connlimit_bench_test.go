package daemon

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"
)

// Evict among ten thousand connections that are idle, one of which takes the place of each that is closed.
func BenchmarkEvict(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			d := &Daemon{started: time.Now().Add(-time.Hour)}
			s := &server{d: d, most: n, conns: map[*conn]struct{}{}, told: time.Now().Add(time.Hour)}
			i := int64(0)
			fill := func() {
				for len(s.conns) < n {
					c := &conn{d: d, net: closedConn{}, cancel: func() {}, shut: func() {}, open: context.Background()}
					i++
					c.active.Store(i * 7919 % int64(n) * int64(time.Millisecond))
					s.conns[c] = struct{}{}
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				fill()
				b.StartTimer()
				if s.Evict() == 0 {
					b.Fatal("none was closed")
				}
			}
		})
	}
}

// closedConn is a connection that takes its closing.
type closedConn struct{ net.Conn }

func (closedConn) Close() error { return nil }
