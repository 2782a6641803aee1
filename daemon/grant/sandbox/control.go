package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// control answers the paths that drive the server from a shell or another language, for callers on loopback only:
//
//	GET  /sandbox/log                      every request; ?path=P&wait=N first waits, at most 50 s, for N of them
//	GET  /sandbox/devices                  the user codes that wait for a person
//	GET  /sandbox/refresh                  how often each refresh token was presented, by SHA-256
//	GET  /sandbox/ca                       the certificate of the server's authority, PEM
//	POST /sandbox/fault   path=P …         appends a fault; the fields are those of faultFromForm
//	POST /sandbox/clear                    forgets all faults
//	POST /sandbox/revoke  token=T          revokes an access token
//	POST /sandbox/client  id=I …           disabled=true|false, secret=S
//	POST /sandbox/user    name=U …         blocked=true|false, signed_out=true
//	POST /sandbox/device  code=C           allow=true|false; without code: the only one that waits
//	POST /sandbox/key     value=K          revokes an API key
//	POST /sandbox/set     …                lifetime=10s, latency=300ms, skew=1h; the others are in settings.go
//
// They are not in the log and know no faults.
func (s *Server) control(w http.ResponseWriter, hr *http.Request) {
	host, _, _ := net.SplitHostPort(hr.RemoteAddr)
	// A page in a browser on this machine is on loopback too, but says where it is from.
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() || hr.Header.Get("Origin") != "" {
		http.Error(w, "for programs on this machine only", http.StatusForbidden)
		return
	}
	hr.Body = http.MaxBytesReader(w, hr.Body, maxBody)
	if hr.Method == http.MethodGet && s.look(w, hr) {
		return
	}
	if hr.Method != http.MethodPost {
		http.Error(w, "unknown control path", http.StatusNotFound)
		return
	}
	if err := hr.ParseForm(); err != nil {
		http.Error(w, "bad form", http.StatusBadRequest)
		return
	}
	if err := s.turn(strings.TrimPrefix(hr.URL.Path, "/sandbox/"), hr.PostForm); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// look answers the control paths that change nothing.
func (s *Server) look(w http.ResponseWriter, hr *http.Request) bool {
	var v any
	switch hr.URL.Path {
	case "/sandbox/log":
		s.controlLog(w, hr)
		return true
	case "/sandbox/ca":
		w.Write(s.CA())
		return true
	case "/sandbox/devices":
		v = s.Devices()
	case "/sandbox/refresh":
		v = s.RefreshUses()
	default:
		return false
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
	return true
}

func (s *Server) controlLog(w http.ResponseWriter, hr *http.Request) {
	path := hr.URL.Query().Get("path")
	if n, err := strconv.Atoi(hr.URL.Query().Get("wait")); err == nil {
		ctx, cancel := context.WithTimeout(hr.Context(), 50*time.Second) // below the server's write timeout
		defer cancel()
		if err := s.WaitFor(ctx, path, n); err != nil {
			http.Error(w, err.Error(), http.StatusGatewayTimeout)
			return
		}
	}
	entries := []Entry{}
	for _, e := range s.Log() {
		if path == "" || e.Path == path {
			entries = append(entries, e)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"count": len(entries), "requests": entries})
}

// turn turns one knob.
func (s *Server) turn(knob string, form url.Values) error {
	switch knob {
	case "fault":
		f, err := faultFromForm(form)
		if err != nil {
			return err
		}
		s.Script(form.Get("path"), f)
	case "clear":
		s.ClearFaults()
	case "revoke":
		s.Revoke(form.Get("token"))
	case "client":
		if form.Has("disabled") {
			s.DisableClient(form.Get("id"), form.Get("disabled") == "true")
		}
		if form.Has("secret") {
			s.SetClientSecret(form.Get("id"), form.Get("secret"))
		}
	case "user":
		if form.Has("blocked") {
			s.BlockUser(form.Get("name"), form.Get("blocked") == "true")
		}
		if form.Get("signed_out") == "true" {
			s.EndSessions(form.Get("name"))
		}
	case "device":
		code := form.Get("code")
		if waiting := s.Devices(); code == "" && len(waiting) == 1 {
			code = waiting[0]
		}
		return s.decideDevice(code, form.Get("allow") != "false")
	case "key":
		s.RevokeAPIKey(form.Get("value"))
	case "set":
		return s.set(form)
	default:
		return fmt.Errorf("unknown control path %q", knob)
	}
	return nil
}

// faultFromForm reads a [Fault]: times, cut, delay, status, header ("Name: value", repeated), body, retry_at, set (a
// JSON object), truncate, rate, endless, gunzipped, header_bytes, raw.
func faultFromForm(form url.Values) (Fault, error) {
	f := Fault{
		Cut: Cut(form.Get("cut")), Body: form.Get("body"), Raw: form.Get("raw"), Header: http.Header{},
		Endless: form.Get("endless") == "true",
	}
	for _, h := range form["header"] {
		name, value, _ := strings.Cut(h, ":")
		f.Header.Add(name, strings.TrimSpace(value))
	}
	for name, into := range map[string]any{
		"times": &f.Times, "delay": &f.Delay, "status": &f.Status, "retry_at": &f.RetryAt, "set": &f.Set,
		"truncate": &f.Truncate, "rate": &f.Rate, "gunzipped": &f.Gunzipped, "header_bytes": &f.HeaderBytes,
	} {
		v := form.Get(name)
		if v == "" {
			continue
		}
		var err error
		if d, ok := into.(*time.Duration); ok {
			*d, err = time.ParseDuration(v)
		} else {
			err = json.Unmarshal([]byte(v), into)
		}
		if err != nil {
			return f, fmt.Errorf("%s: %w", name, err)
		}
	}
	return f, nil
}
