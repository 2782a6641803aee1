package engine

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

const goodHeader = `"header":{"cluster_id":"7","revision":"5","raft_term":"2"}`

// open returns an engine that is closed with the test.
func open(t testing.TB, o Options) *Etcd {
	t.Helper()
	e, err := NewEtcd(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// standIn is a node that answers what a test wants.
func standIn(t *testing.T, answer http.HandlerFunc) *Etcd {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return open(t, Options{Endpoints: []string{server.URL}})
}

func says(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, text)
	}
}

// An answer that is not etcd's is no answer: nothing of it is believed.
func TestAnswersThatAreNotEtcds(t *testing.T) {
	// "L2E=" is /a, "MQ==" is 1.
	entry := func(key, value string) string {
		return `{` + goodHeader + `,"kvs":[{"key":"` + key + `","value":"` + value + `","mod_revision":"5"}]}`
	}
	entries, state, err := standIn(t, says(200, entry("L2E=", "MQ=="))).Read(t.Context(), "/a")
	if err != nil || text(entries) != "/a=1" || state.Revision != 5 || state.Cluster != 7 || state.Now.IsZero() {
		t.Fatalf("the good one: %q, %+v, %v", text(entries), state, err)
	}
	for name, body := range map[string]string{
		"no JSON":              `<html>`,
		"nothing":              ``,
		"no header":            `{}`,
		"revision 0":           strings.Replace(entry("L2E=", "MQ=="), `"5","raft`, `"0","raft`, 1),
		"a number too large":   strings.Replace(entry("L2E=", "MQ=="), `"5","raft`, `"9223372036854775808","raft`, 1),
		"a name twice":         `{` + goodHeader + `,"kvs":[],"kvs":[]}`,
		"another key":          entry("L2I=", "MQ=="),
		"no base64":            entry("L2E=", "M"),
		"a line end in base64": entry("L2E=", `MQ\n==`),
		"bits that are left":   entry("L2E=", "MR=="),
		"URLs' base64":         entry("L2E=", "_w=="),
		"a value too long":     entry("L2E=", strings.Repeat("AAAA", MaxValue/3+1)),
		"no revision":          strings.Replace(entry("L2E=", "MQ=="), `,"mod_revision":"5"`, "", 1),
		"the same key again": `{` + goodHeader + `,"kvs":[{"key":"L2E=","mod_revision":"5"},` +
			`{"key":"L2E=","mod_revision":"5"}]}`,
		"more without any": `{` + goodHeader + `,"more":true}`,
		"too much":         `{` + goodHeader + strings.Repeat(" ", maxAnswer) + `}`,
	} {
		e := standIn(t, says(200, body))
		if entries, _, err := e.Read(t.Context(), "/a"); err == nil || entries != nil || !strings.Contains(err.Error(),
			"answer") {
			t.Errorf("%s: %q, %v", name, text(entries), err)
		}
	}
}

// After what a node may have begun, nobody can say that it was not done.
func TestWhetherAChangeWasMade(t *testing.T) {
	refused := func(code int, message string) string { return fmt.Sprintf(`{"code":%d,"message":%q}`, code, message) }
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   error
	}{
		"made":              {says(200, `{`+goodHeader+`,"succeeded":true}`), nil},
		"no leader":         {says(503, refused(14, "etcdserver: no leader")), ErrUnavailable},
		"too many requests": {says(429, refused(8, "etcdserver: too many requests")), ErrUnavailable},
		"no space":          {says(429, refused(8, "etcdserver: mvcc: database space exceeded")), ErrUnavailable},
		"not allowed":       {says(403, refused(7, "etcdserver: permission denied")), ErrRefused},
		"no gateway":        {says(404, "404 page not found"), ErrUnavailable},
		"timed out":         {says(503, refused(14, "etcdserver: request timed out")), ErrUnknown},
		"a proxy's error":   {says(502, "<html>"), ErrUnknown},
		"unreadable":        {says(200, `{`), ErrUnknown},
		"no answer":         {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, ErrUnknown},
	} {
		swapped, _, err := standIn(t, test.answer).Swap(t.Context(), nil, []Change{{"/a", []byte("1")}})
		if !errors.Is(err, test.want) || swapped != (test.want == nil) ||
			errors.Is(err, ErrUnknown) != (test.want == ErrUnknown) {
			t.Errorf("%s: swapped = %v, %v", name, swapped, err)
		}
	}
}

// A change is sent once, also where the connection ends before an answer.
func TestAChangeIsSentOnce(t *testing.T) {
	var requests atomic.Int64
	e := standIn(t, func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) > 1 {
			panic(http.ErrAbortHandler)
		}
		says(200, `{`+goodHeader+`,"succeeded":true}`)(w, r) // the next one has this connection
	})
	swap(t, e, nil, Change{"/a", []byte("1")})
	if _, _, err := e.Swap(t.Context(), nil, []Change{{"/a", []byte("2")}}); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
	if n := requests.Load(); n != 2 {
		t.Errorf("%d requests for two changes", n)
	}
}

// The password goes to the endpoints and nowhere else, and is in no error.
func TestThePasswordStaysThere(t *testing.T) {
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	const password = "correct horse"
	for _, status := range []int{301, 302, 303, 307, 308} {
		e := standIn(t, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if !strings.Contains(string(body), password) {
				t.Errorf("the node was asked for %s without the password", r.URL.Path)
			}
			w.Header().Set("Location", other.URL)
			says(status, string(body))(w, r)
		})
		e.user, e.password = "groat", keystore.SecretString(password)
		_, _, err := e.Read(t.Context(), "/a")
		if !errors.Is(err, ErrUnavailable) || strings.Contains(err.Error(), password) {
			t.Errorf("HTTP %d: %v", status, err)
		}
	}
	if n := elsewhere.Load(); n > 0 {
		t.Errorf("%d redirects were followed", n)
	}
	for _, endpoint := range []string{"http://10.0.0.1:2379", "ftp://127.0.0.1", "https://u:p@h:1", "https://h/path", ""} {
		if _, err := NewEtcd(Options{Endpoints: []string{endpoint}}); err == nil {
			t.Errorf("%s is taken", endpoint)
		}
	}
	if _, err := NewEtcd(Options{Endpoints: []string{"https://h"}, User: "groat"}); err == nil {
		t.Error("a user without a password is taken")
	}
}

// A watch that is answered with something else than changes ends, and says why.
func TestMessagesThatAreNotEtcds(t *testing.T) {
	event := func(key string, revision int) string {
		return fmt.Sprintf(`{"kv":{"key":"%s","value":"MQ==","mod_revision":"%d"}}`, key, revision)
	}
	message := func(events ...string) string {
		return `{"result":{` + goodHeader + `,"events":[` + strings.Join(events, ",") + `]}}` + "\n"
	}
	times := func(n int, event string) string { return strings.Repeat(event+",", n-1) + event }
	large := strings.Replace(event("L2E=", 6), "MQ==", strings.Repeat("AAAA", MaxValue/3), 1)
	for name, test := range map[string]struct {
		messages string
		want     error
		told     int
	}{
		"changes, then an end":  {message(event("L2E=", 6), event("L2E=", 7)), ErrUnavailable, 2},
		"what was told already": {message(event("L2E=", 5)), ErrUnavailable, 0},
		"out of order":          {message(event("L2E=", 7), event("L2E=", 6)), ErrUnavailable, 0},
		"another key":           {message(event("L2I=", 6)), ErrUnavailable, 0},
		"an unknown kind":       {message(strings.Replace(event("L2E=", 6), `{`, `{"type":"MOVE",`, 1)), ErrUnavailable, 0},
		"an error":              {`{"error":{"grpc_code":14,"message":"etcdserver: no leader"}}` + "\n", ErrUnavailable, 0},
		"compacted":             {`{"result":{"canceled":true,"compact_revision":"6"}}` + "\n", ErrCompacted, 0},
		"not allowed": {`{"result":{"canceled":true,"cancel_reason":"rpc error: code = PermissionDenied desc = ` +
			`etcdserver: permission denied"}}` + "\n", ErrRefused, 0},
		"many changes":       {message(times(20_000, event("L2E=", 6))), ErrUnavailable, 1},
		"too many changes":   {message(times(maxPart/entryCost, event("L2E=", 6))), ErrCompacted, 0},
		"too large changes":  {message(times(65, large)), ErrCompacted, 0},
		"a line without end": {strings.Repeat(" ", maxAnswer+1), ErrUnavailable, 0},
	} {
		e := standIn(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v3/watch" {
				says(200, `{`+goodHeader+`}`)(w, r)
				return
			}
			io.WriteString(w, test.messages)
		})
		told := 0
		err := e.Watch(t.Context(), "/a", State{Revision: 5}, func(entries []Entry, _ State) {
			if entries != nil {
				told++
			}
		})
		if !errors.Is(err, test.want) || told != test.told {
			t.Errorf("%s: told %d, %v", name, told, err)
		}
	}
}

// A watch whose node reads, and tells nothing of what a read sees, is left.
func TestAWatchThatIsSilent(t *testing.T) {
	tier.Long(t, "it waits 7 s for a node")
	t.Parallel()
	asked := 0
	e := standIn(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v3/watch" {
			io.WriteString(w, `{"result":{`+goodHeader+`,"created":true}}`+"\n")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return
		}
		if asked++; asked == 1 {
			says(200, `{`+goodHeader+`}`)(w, r)
			return
		}
		says(200, `{"header":{"cluster_id":"7","revision":"6","raft_term":"2"},`+
			`"kvs":[{"key":"L2E=","mod_revision":"6"}]}`)(w, r)
	})
	began := time.Now()
	err := e.Watch(t.Context(), "/a", State{Revision: 5}, func([]Entry, State) {})
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), errSilent.Error()) {
		t.Error(err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
}
