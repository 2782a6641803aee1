package protocol

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/protocol/frame"
)

const patience = 2 * time.Minute

// scripted returns a client whose requests are answered by script, called with each request line; what it returns is
// sent, and an error ends the connection.
func scripted(t *testing.T, script func(request string) (string, error)) *Client {
	t.Helper()
	here, there := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer there.Close()
		r := bufio.NewReader(there)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			answer, err := script(line)
			io.WriteString(there, answer)
			if err != nil {
				return
			}
		}
	}()
	c := NewClient(here)
	t.Cleanup(func() { c.Close(); <-done })
	return c
}

func idOf(t *testing.T, request string) string {
	t.Helper()
	var q struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
	}
	if err := json.Unmarshal([]byte(request), &q); err != nil {
		t.Errorf("%q: %v", request, err)
	}
	return string(q.ID)
}

// replyVector is a line of testdata/replies.jsonl; PROTOCOL.md says what its members mean.
type replyVector struct {
	Name    string   `json:"name"`
	Lines   []string `json:"lines"`
	Base64  string   `json:"base64"`
	Parts   [][2]any `json:"parts"`
	Newline *bool    `json:"newline"`
	Expect  struct {
		Result json.RawMessage `json:"result"`
		Broken bool            `json:"broken"`
		Error  *struct {
			Code       int    `json:"code"`
			Kind       Kind   `json:"kind"`
			Hint       string `json:"hint"`
			RetryAfter int64  `json:"retry_after"`
			MaxMinTTL  int64  `json:"max_min_ttl"`
		} `json:"error"`
	} `json:"expect"`
}

func (v replyVector) bytes(t *testing.T, id string) string {
	var b strings.Builder
	for i, line := range v.Lines {
		b.WriteString(strings.ReplaceAll(line, "$ID", id))
		if i < len(v.Lines)-1 || v.Newline == nil || *v.Newline {
			b.WriteByte('\n')
		}
	}
	raw, err := base64.StdEncoding.DecodeString(v.Base64)
	if err != nil {
		t.Fatal(err)
	}
	b.Write(raw)
	for _, p := range v.Parts {
		b.WriteString(strings.Repeat(p[0].(string), int(p[1].(float64))))
	}
	return b.String()
}

func TestReplyVectors(t *testing.T) {
	file, err := os.ReadFile("testdata/replies.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(file) {
		var v replyVector
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&v); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		t.Run(v.Name, func(t *testing.T) { v.play(t) })
	}
}

func (v replyVector) play(t *testing.T) {
	c := scripted(t, func(request string) (string, error) { return v.bytes(t, idOf(t, request)), io.EOF })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var result map[string]any
	err := c.Call(ctx, MethodHello, nil, &result)
	e, isError := errors.AsType[*Error](err)
	switch want := v.Expect; {
	case want.Broken:
		if err == nil || isError || ctx.Err() != nil {
			t.Fatalf("%v, %v", result, err)
		}
		if again := c.Call(ctx, MethodHello, nil, &result); again != err {
			t.Errorf("after %v: %v", err, again)
		}
	case want.Error != nil:
		if !isError {
			t.Fatal(err)
		}
		data := ErrorData{Kind: want.Error.Kind, Hint: want.Error.Hint, RetryAfter: want.Error.RetryAfter,
			MaxMinTTL: want.Error.MaxMinTTL}
		if e.Data == nil {
			e.Data = &ErrorData{}
		}
		if diff := cmp.Diff(data, *e.Data); diff != "" || e.Code != want.Error.Code || e.Message == "" {
			t.Errorf("%+v %s", e, diff)
		}
	default:
		var expected map[string]any
		if err := json.Unmarshal(want.Result, &expected); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(expected, result); diff != "" || err != nil {
			t.Error(err, diff)
		}
	}
}

func TestErrorsAreTheirSentinels(t *testing.T) {
	for _, test := range []struct {
		answer string
		want   error
	}{
		{"", ErrClosed},
		{"nonsense\n", ErrAnswer},
		{`{"jsonrpc":"2.0","id":77,"result":{}}` + "\n", ErrAnswer},
		{strings.Repeat("x", MaxLine+1), ErrLineTooLong},
	} {
		c := scripted(t, func(string) (string, error) { return test.answer, io.EOF })
		if err := c.Call(t.Context(), MethodHello, nil, nil); !errors.Is(err, test.want) {
			t.Errorf("%.40q: %v, want %v", test.answer, err, test.want)
		}
	}
}

// A daemon that begins to answer and stops does not hold its client for ever, even if the caller set no limit.
func TestAnswerThatStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		go func() {
			bufio.NewReader(there).ReadString('\n')
			io.WriteString(there, `{"jsonrpc":`)
		}()
		c := NewClient(here)
		begin := time.Now()
		if err := c.Call(t.Context(), MethodHello, nil, nil); !errors.Is(err, frame.ErrLineTooSlow) ||
			time.Since(begin) != LineTimeout {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		there.Close()
	})
}

func TestContextEndsACall(t *testing.T) {
	for name, silent := range map[string]func(net.Conn){
		"no answer": func(c net.Conn) { io.Copy(io.Discard, c) },
		"not read":  func(net.Conn) {},
		"half read": func(c net.Conn) { c.Read(make([]byte, 1)) },
		"only chatter": func(c net.Conn) {
			go io.Copy(io.Discard, c)
			for {
				if _, err := io.WriteString(c, `{"jsonrpc":"2.0","method":"later"}`+"\n"); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				here, there := net.Pipe()
				go silent(there)
				c := NewClient(here)
				ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
				defer cancel()
				begin := time.Now()
				if err := c.Call(ctx, MethodHello, nil, nil); err != context.DeadlineExceeded ||
					time.Since(begin) != 7*time.Second {
					t.Errorf("%v after %v", err, time.Since(begin))
				}
				// A request of which all was written, or nothing, leaves the connection as it was; half a one ends it.
				again, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				begin = time.Now()
				err := c.Call(again, MethodHello, nil, nil)
				if half := name == "half read"; half && !errors.Is(err, ErrClosed) || !half &&
					(err != context.DeadlineExceeded || time.Since(begin) != 2*time.Second) {
					t.Errorf("then %v after %v", err, time.Since(begin))
				}
				c.Close()
				there.Close()
				time.Sleep(time.Minute)
			})
		})
	}
}

// A context that has ended before the call costs nothing: no request is made, and the connection goes on.
func TestAnEndedContext(t *testing.T) {
	c := scripted(t, func(request string) (string, error) {
		return `{"jsonrpc":"2.0","id":` + idOf(t, request) + `,"result":{}}` + "\n", nil
	})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 * MaxInFlight {
		if err := c.Call(ended, MethodHello, nil, nil); err != context.Canceled {
			t.Error(err)
		}
	}
	if err := c.Call(t.Context(), MethodHello, nil, nil); err != nil {
		t.Error(err)
	}
}

// Each of a hundred concurrent calls gets its own answer.
func TestConcurrentCalls(t *testing.T) {
	c := scripted(t, func(request string) (string, error) {
		id := idOf(t, request)
		return `{"jsonrpc":"2.0","id":` + id + `,"result":{"pid":` + id + "}}\n", nil
	})
	seen := make(chan int, 100)
	for range cap(seen) {
		go func() {
			var r HelloResult
			if err := c.Call(t.Context(), MethodHello, nil, &r); err != nil {
				t.Error(err)
			}
			seen <- r.PID
		}()
	}
	pids := map[int]bool{}
	for range cap(seen) {
		pids[<-seen] = true
	}
	if len(pids) != cap(seen) {
		t.Errorf("%d different answers", len(pids))
	}
}

func TestRequestsAsTheyLeave(t *testing.T) {
	ttl := int64(0)
	for _, test := range []struct {
		method string
		params any
		want   string
	}{
		{MethodHello, nil, `{"jsonrpc":"2.0","id":1,"method":"hello"}`},
		{MethodToken, TokenParams{}, `{"jsonrpc":"2.0","id":1,"method":"token","params":{}}`},
		{MethodToken, TokenParams{Profile: "work", MinTTL: &ttl},
			`{"jsonrpc":"2.0","id":1,"method":"token","params":{"profile":"work","min_ttl":0}}`},
		{MethodReject, RejectParams{TokenParams: TokenParams{Profile: "work"}, AccessToken: "t"},
			`{"jsonrpc":"2.0","id":1,"method":"reject","params":{"profile":"work","access_token":"t"}}`},
		{MethodReject, RejectParams{TokenParams: TokenParams{Profile: "work", TokenUse: UseID}, IDToken: "t"},
			`{"jsonrpc":"2.0","id":1,"method":"reject","params":{"profile":"work","token_use":"id","id_token":"t"}}`},
	} {
		var got string
		c := scripted(t, func(request string) (string, error) { got = request; return "", io.EOF })
		c.Call(t.Context(), test.method, test.params, nil)
		if got != test.want+"\n" {
			t.Errorf("%s, want %s", got, test.want)
		}
	}
}

func TestTooLongARequestIsNotSent(t *testing.T) {
	c := scripted(t, func(string) (string, error) { t.Error("something was sent"); return "", io.EOF })
	if err := c.Call(t.Context(), MethodToken, TokenParams{Scope: strings.Repeat("s", MaxLine)}, nil); !errors.Is(err,
		ErrLineTooLong) {
		t.Error(err)
	}
}

func TestLoginPrompts(t *testing.T) {
	var sent []string
	c := scripted(t, func(request string) (string, error) {
		sent = append(sent, request)
		prompt := func(kind PromptKind) string {
			return `{"jsonrpc":"2.0","method":"prompt","params":{"login_id":"L","kind":"` + string(kind) +
				`","text":"T","later":1}}` + "\n"
		}
		switch len(sent) {
		case 1:
			return prompt(PromptNotice) + prompt(PromptSecret), nil
		case 2: // the answer to the input may come before or after what follows it
			return `{"jsonrpc":"2.0","id":2,"result":{}}` + "\n" + prompt(PromptSecret), nil
		}
		return `{"jsonrpc":"2.0","id":1,"result":{"profile":"work","outcome":"signed_in"}}` + "\n", nil
	})
	var texts []string
	var given []LoginSecret
	r, err := c.Login(t.Context(), LoginParams{Profile: "work"},
		func(_ context.Context, p Prompt) (LoginSecret, error) {
			texts = append(texts, string(p.Kind)+" "+p.Text+" "+p.LoginID)
			s := NewLoginSecret([]byte("p\"\\\n\x01ä" + strconv.Itoa(len(texts))))
			given = append(given, s)
			return s, nil
		})
	if err != nil || r.Outcome != SignedIn {
		t.Fatal(r, err)
	}
	if diff := cmp.Diff([]string{"notice T L", "secret T L", "secret T L"}, texts); diff != "" {
		t.Error(diff)
	}
	if want := `{"jsonrpc":"2.0","id":2,"method":"login_input",` +
		`"params":{"login_id":"L","value":"p\"\\\u000a\u0001ä2"}}` + "\n"; sent[1] != want {
		t.Errorf("%s, want %s", sent[1], want)
	}
	for _, s := range given {
		if s.bytes() != nil {
			t.Error("a secret was not wiped")
		}
	}
}

// While a question is open the login goes on: the browser may come back by itself, or another participant answers.
func TestLoginGoesOnWhileItAsks(t *testing.T) {
	const done = `{"jsonrpc":"2.0","id":1,"result":{"outcome":"signed_in"}}` + "\n"
	waits := func(ctx context.Context, p Prompt) (LoginSecret, error) {
		if p.IsQuestion() {
			<-ctx.Done()
			return NewLoginSecret([]byte("too late")), nil // and so not sent
		}
		return NewLoginSecret([]byte("ignored")), nil
	}
	nothing := func(context.Context, Prompt) (LoginSecret, error) { return LoginSecret{}, nil }
	stop := errors.New("the person left")
	for _, test := range []struct {
		name   string
		script []string // what follows each request
		answer AnswerFunc
		fails  error
	}{
		{"it comes back", []string{prompt(PromptBrowser) + prompt(PromptNotice) + done}, waits, nil},
		{"another participant types it", []string{prompt(PromptSecret) + prompt(PromptNotice) + done}, waits, nil},
		{"something else is shown", []string{prompt(PromptSecret) + prompt(PromptDevice) + prompt(PromptBrowser) +
			done}, waits, nil},
		{"there is nothing to paste", []string{prompt(PromptBrowser) + prompt(PromptNotice) + prompt("later") + done},
			nothing, nil},
		{"the person leaves", []string{prompt(PromptBrowser)},
			func(context.Context, Prompt) (LoginSecret, error) { return LoginSecret{}, stop }, stop},
	} {
		t.Run(test.name, func(t *testing.T) {
			sent := 0
			c := scripted(t, func(string) (string, error) {
				sent++
				return test.script[sent-1], nil
			})
			r, err := c.Login(t.Context(), LoginParams{Profile: "work"}, test.answer)
			if !errors.Is(err, test.fails) || (err == nil) != (r.Outcome == SignedIn) || sent != len(test.script) {
				t.Errorf("%+v, %v, %d requests", r, err, sent)
			}
		})
	}
}

func prompt(kind PromptKind) string {
	return `{"jsonrpc":"2.0","method":"prompt","params":{"login_id":"L","kind":"` + string(kind) +
		`","text":"T","url":"https://as.example"}}` + "\n"
}

// What was pasted first is not it; a notice says so, and another paste may follow.
func TestLoginPastesTwice(t *testing.T) {
	var sent []string
	c := scripted(t, func(request string) (string, error) {
		sent = append(sent, request)
		switch len(sent) {
		case 1:
			return prompt(PromptBrowser), nil
		case 2:
			return prompt(PromptNotice) + `{"jsonrpc":"2.0","id":2,"result":{}}` + "\n", nil
		}
		return `{"jsonrpc":"2.0","id":3,"result":{}}` + "\n" +
			`{"jsonrpc":"2.0","id":1,"result":{"outcome":"signed_in"}}` + "\n", nil
	})
	pastes := 0
	r, err := c.Login(t.Context(), LoginParams{Profile: "work"},
		func(_ context.Context, p Prompt) (LoginSecret, error) {
			if p.Kind != PromptBrowser {
				return LoginSecret{}, nil
			}
			pastes++
			return NewLoginSecret([]byte("paste " + strconv.Itoa(pastes))), nil
		})
	if err != nil || r.Outcome != SignedIn || len(sent) != 3 {
		t.Fatalf("%+v, %v, %q", r, err, sent)
	}
	for i, want := range []string{"paste 1", "paste 2"} {
		if !strings.Contains(sent[i+1], `"value":"`+want+`"`) {
			t.Errorf("%s, want %s", sent[i+1], want)
		}
	}
}

func TestLoginGivenUp(t *testing.T) {
	c := scripted(t, func(string) (string, error) {
		return `{"jsonrpc":"2.0","method":"prompt","params":{"login_id":"L","kind":"secret","text":"T"}}` + "\n", nil
	})
	stop := errors.New("the person left")
	if _, err := c.Login(t.Context(), LoginParams{Profile: "work"}, func(context.Context, Prompt) (LoginSecret, error) {
		return LoginSecret{}, stop
	}); !errors.Is(err, stop) {
		t.Error(err)
	}
}

// An interrupted login ends its question.
func TestLoginInterrupted(t *testing.T) {
	asked := make(chan struct{})
	c := scripted(t, func(string) (string, error) { return prompt(PromptBrowser), nil })
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	_, err := c.Login(ctx, LoginParams{Profile: "work"}, func(ctx context.Context, _ Prompt) (LoginSecret, error) {
		close(asked)
		<-ctx.Done()
		return LoginSecret{}, errors.New("never told")
	})
	if err != context.Canceled {
		t.Error(err)
	}
}

func TestCallSecrets(t *testing.T) {
	var got string
	c := scripted(t, func(request string) (string, error) {
		got = request
		return `{"jsonrpc":"2.0","id":1,"result":{}}` + "\n", nil
	})
	secrets := []Member{{"content", NewLoginSecret([]byte("a\"b"))}, {"environment", NewLoginSecret([]byte("{}"))}}
	if err := c.CallSecrets(t.Context(), MethodImport, ImportParams{Take: []string{"1"}}, secrets, nil); err != nil {
		t.Fatal(err)
	}
	if want := `{"jsonrpc":"2.0","id":1,"method":"import",` +
		`"params":{"take":["1"],"content":"a\"b","environment":"{}"}}` + "\n"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for _, s := range secrets {
		if s.Value.bytes() != nil {
			t.Error("a secret was not wiped")
		}
	}
}

func TestPages(t *testing.T) {
	pages := map[string]string{
		"": `{"release":"r","keystore":{"use":"memory","state":"ok"},"profiles":[{"profile":"a"},{"profile":"b"}],` +
			`"next":"b"}`,
		"b": `{"release":"r","profiles":[{"profile":"c"}],"next":"c"}`,
		"c": `{"release":"r","profiles":[{"profile":"d"}]}`,
		"x": `{"profiles":[],"next":"x"}`,
	}
	first := ""
	c := scripted(t, func(request string) (string, error) {
		var q struct {
			Params struct {
				After string `json:"after"`
			} `json:"params"`
		}
		if err := json.Unmarshal([]byte(request), &q); err != nil {
			t.Error(err)
		}
		page := pages[q.Params.After]
		if q.Params.After == "" {
			page = pages[first]
		}
		return `{"jsonrpc":"2.0","id":` + idOf(t, request) + `,"result":` + page + "}\n", nil
	})
	st, err := c.Status(t.Context(), "")
	if err != nil || len(st.Profiles) != 4 || st.Profiles[3].Profile != "d" || st.Keystore.Use != "memory" ||
		st.Next != "" {
		t.Errorf("%+v, %v", st, err)
	}
	ps, err := c.Profiles(t.Context())
	if err != nil || len(ps.Profiles) != 4 || ps.Next != "" {
		t.Errorf("%+v, %v", ps, err)
	}
	first = "x"
	if _, err := c.Profiles(t.Context()); !errors.Is(err, ErrAnswer) {
		t.Error("a listing that goes round:", err)
	}
	for _, malformed := range []string{`{"profiles":1}`, `{"profiles":[],"next":1}`} {
		pages["m"], first = malformed, "m"
		if _, err := c.Profiles(t.Context()); !errors.Is(err, ErrAnswer) {
			t.Errorf("%s: %v", malformed, err)
		}
		if _, err := c.Status(t.Context(), ""); !errors.Is(err, ErrAnswer) {
			t.Errorf("%s: %v", malformed, err)
		}
	}
	first = ""
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Status(ctx, ""); !errors.Is(err, context.Canceled) {
		t.Error("a listing that nobody waits for:", err)
	}
}
