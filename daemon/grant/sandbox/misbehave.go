package sandbox

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	maxEndless     = 1 << 30
	maxHeaderBytes = 64 << 20
)

// misbehave answers a request, number n of the log, as the fault says.
func (s *Server) misbehave(w http.ResponseWriter, hr *http.Request, r *request, f Fault, n int) {
	// A slow or hanging answer may outlast the server's write timeout. Not every ResponseWriter can lift it.
	http.NewResponseController(w).SetWriteDeadline(time.Time{})
	var a answer
	switch {
	case f.Cut == Hang:
		s.pause(hr.Context(), time.Hour)
		panic(http.ErrAbortHandler)
	case f.Cut == CutAfterBody:
	case f.whole():
		a = answer{status: f.Status, header: http.Header{"Content-Type": {"application/json"}}, body: []byte(f.Body)}
		if a.status == 0 {
			a.status = http.StatusOK
		}
	default:
		a = s.handle(r)
	}
	if !s.wait(hr, r, f.Delay) {
		panic(http.ErrAbortHandler)
	}
	if f.Cut != "" {
		reset(w)
		return
	}
	s.log.setStatus(n, a.status)
	if f.Raw != "" {
		raw(w, f.Raw)
		return
	}
	s.spoil(hr.Context(), w, f, a)
}

// spoil writes an answer with the changes of the fault.
func (s *Server) spoil(ctx context.Context, w http.ResponseWriter, f Fault, a answer) {
	a.header = maps.Clone(a.header)
	maps.Copy(a.header, f.Header)
	if f.RetryAt != 0 {
		a.header.Set("Retry-After", s.now().Add(f.RetryAt).UTC().Format(http.TimeFormat))
	}
	a.body = setMembers(a.body, f.Set)
	setQuery(a.header, f.Set)
	s.header(w, a)
	filler := strings.Repeat("x", 1000)
	for i := range min(f.HeaderBytes, maxHeaderBytes) / 1000 {
		w.Header().Set("X-Filler-"+strconv.Itoa(i), filler)
	}
	switch {
	case f.Gunzipped > 0:
		w.Header().Set("Content-Encoding", "gzip")
		w.WriteHeader(a.status)
		bomb(w, f.Gunzipped)
	case f.Endless:
		w.WriteHeader(a.status)
		endless(w, a.body)
	default:
		w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
		w.WriteHeader(a.status)
		s.trickle(ctx, w, f, a.body)
	}
}

// setMembers changes a JSON object; anything else stays as it is.
func setMembers(body []byte, set map[string]any) []byte {
	members := map[string]any{}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if len(set) == 0 || d.Decode(&members) != nil {
		return body
	}
	for name, v := range set {
		if v == nil {
			delete(members, name)
		} else {
			members[name] = v
		}
	}
	changed, err := json.Marshal(members)
	if err != nil {
		panic(err) // the test's own value
	}
	return changed
}

// setQuery changes the parameters in the URL of a redirect: what an authorization endpoint says to a client.
func setQuery(h http.Header, set map[string]any) {
	u, err := url.Parse(h.Get("Location"))
	if err != nil || h.Get("Location") == "" || len(set) == 0 {
		return
	}
	q := u.Query()
	for name, v := range set {
		q.Del(name)
		if text, ok := v.(string); ok {
			q.Set(name, text)
		}
	}
	u.RawQuery = q.Encode()
	h.Set("Location", u.String())
}

// trickle writes the body at the fault's rate and breaks off where it says.
func (s *Server) trickle(ctx context.Context, w http.ResponseWriter, f Fault, body []byte) {
	flush := http.NewResponseController(w).Flush
	if f.Truncate > 0 {
		body = body[:min(f.Truncate, len(body))]
	}
	if f.Rate == 0 {
		w.Write(body)
	} else {
		flush()
		for i := range body {
			if !s.pause(ctx, time.Second/time.Duration(f.Rate)) {
				return
			}
			w.Write(body[i : i+1])
			flush()
		}
	}
	if f.Truncate > 0 {
		flush()
		panic(http.ErrAbortHandler)
	}
}

func endless(w io.Writer, unit []byte) {
	if len(unit) == 0 {
		unit = []byte(" ")
	}
	chunk := bytes.Repeat(unit, 1+(32<<10)/len(unit))
	for sent := 0; sent < maxEndless; sent += len(chunk) {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

func bomb(w io.Writer, size int64) {
	z := gzip.NewWriter(w)
	chunk := bytes.Repeat([]byte(" "), 32<<10)
	for ; size > 0; size -= int64(len(chunk)) {
		if _, err := z.Write(chunk[:min(size, int64(len(chunk)))]); err != nil {
			return
		}
	}
	z.Close()
}

// reset ends the connection with a TCP RST where there is TCP.
func reset(w http.ResponseWriter) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	c.Close()
}

// raw writes bytes in place of an HTTP answer.
func raw(w http.ResponseWriter, data string) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	c.SetWriteDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, data)
	c.Close()
}
