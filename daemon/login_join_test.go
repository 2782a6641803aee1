package daemon

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// typing types the same at every question.
func typing(text string) protocol.AnswerFunc {
	return func(context.Context, protocol.Prompt) (protocol.LoginSecret, error) {
		return protocol.NewLoginSecret([]byte(text)), nil
	}
}

// viewer takes part in a login: it tells of every question, and types what it is given.
type viewer struct {
	asked chan protocol.Prompt
	types chan string
	over  chan ended
	leave context.CancelFunc
}

// ended is what a login came to for one of its viewers.
type ended struct {
	result protocol.LoginResult
	err    error
}

// watch begins or joins a login.
func (h *env) watch(t *testing.T, params protocol.LoginParams) *viewer {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	v := &viewer{make(chan protocol.Prompt, 8), make(chan string), make(chan ended, 1), cancel}
	c := h.visit(t)
	go func() {
		r, err := c.Login(ctx, params, func(ctx context.Context, p protocol.Prompt) (protocol.LoginSecret, error) {
			if p.Kind == protocol.PromptNotice {
				return protocol.LoginSecret{}, nil
			}
			v.asked <- p
			if p.Kind == protocol.PromptDevice {
				return protocol.LoginSecret{}, nil
			}
			select {
			case text := <-v.types:
				return protocol.NewLoginSecret([]byte(text)), nil
			case <-ctx.Done():
				return protocol.LoginSecret{}, ctx.Err()
			}
		})
		v.over <- ended{r, err}
	}()
	return v
}

// Two programs ask for the same login: both are asked, either may answer, and both get the result.
func TestTheSameLoginIsJoined(t *testing.T) {
	for name, who := range map[string]int{"the first answers": 0, "the second answers": 1} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, sandbox.Options{}, func(t *testing.T, h *env, _ *faultyStore) {
				first := h.watch(t, h.ofMachine("p"))
				question := <-first.asked
				second := h.watch(t, h.ofMachine("p"))
				if joined := <-second.asked; joined != question {
					t.Errorf("who joined was shown %+v, the first %+v", joined, question)
				}
				[]*viewer{first, second}[who].types <- clientSecret
				one, two := <-first.over, <-second.over
				if one.err != nil || !reflect.DeepEqual(one, two) || one.result.Outcome != protocol.SignedIn {
					t.Errorf("%+v and %+v", one, two)
				}
				if n := h.server.Count(h.server.TokenPath()); n != 1 {
					t.Errorf("%d token requests", n)
				}
			})
		})
	}
}

// Another login of the same profile is refused at once: what is typed for one server must not go to another.
func TestAnotherLoginIsNotJoined(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *env, _ *faultyStore) {
		first := h.watch(t, h.ofMachine("p"))
		<-first.asked
		for name, change := range map[string]func(*protocol.LoginParams){
			"server": func(p *protocol.LoginParams) { p.Issuer += sandbox.KeycloakIssuerPath },
			"client": func(p *protocol.LoginParams) { p.ClientID = "other-machine" },
			"scope":  func(p *protocol.LoginParams) { p.Scope = "read" },
		} {
			params := h.ofMachine("p")
			change(&params)
			_, err := h.visit(t).Login(t.Context(), params, unasked(t))
			if e := wantError(t, err, protocol.Temporary); !strings.Contains(e.Message, "Ctrl-C") || e.Hint() != "groat login p --cancel" {
				t.Errorf("another %s: %q", name, e.Hint())
			}
		}
		first.types <- clientSecret
		if r := <-first.over; r.err != nil || r.result.ClientID != "machine" {
			t.Errorf("the first: %+v", r)
		}
	})
}

// A login that is cancelled ends for all who take part, leaves nothing behind, and another may begin at once. Logins of
// other profiles go on.
func TestALoginIsCancelled(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *env, store *faultyStore) {
		cancel := func() (r protocol.LoginCancelResult) {
			t.Helper()
			params := protocol.LoginCancelParams{Profile: "p"}
			if err := h.visit(t).Call(t.Context(), protocol.MethodLoginCancel, params, &r); err != nil {
				t.Error(err)
			}
			return r
		}
		if r := cancel(); r.Cancelled {
			t.Error("there is none")
		}
		first, second := h.watch(t, h.ofDevice("p")), h.watch(t, h.ofDevice("p"))
		other := h.watch(t, h.ofMachine("other"))
		<-first.asked
		<-second.asked
		<-other.asked
		if r := cancel(); !r.Cancelled {
			t.Error("it was not cancelled")
		}
		for _, v := range []*viewer{first, second} {
			r := <-v.over
			e := wantError(t, r.err, protocol.Temporary)
			if !strings.Contains(e.Message, "was ended by groat login --cancel") ||
				!strings.HasPrefix(e.Hint(), "groat login p ") || strings.Contains(e.Hint(), "--cancel") {
				t.Errorf("%q, %q", e.Message, e.Hint())
			}
		}
		if h.profiles.Named("p") != nil || stored(t, store, "p").ClientID != "" {
			t.Error("it left something behind")
		}
		if r := h.signIn(t, h.ofMachine("p")); r.Outcome != protocol.SignedIn {
			t.Errorf("%+v", r)
		}
		other.types <- clientSecret
		if r := <-other.over; r.err != nil {
			t.Errorf("the other profile's: %v", r.err)
		}
	})
}

// A login goes on while it has a viewer, and ends when the last one leaves: nothing is stored, and another may begin.
func TestALoginEndsWithItsLastViewer(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *env, store *faultyStore) {
		first, second := h.watch(t, h.ofDevice("p")), h.watch(t, h.ofDevice("p"))
		<-first.asked
		<-second.asked
		polls := func() int { return h.server.Count(h.server.TokenPath()) }
		first.leave()
		<-first.over
		time.Sleep(time.Minute)
		if polls() == 0 {
			t.Fatal("the login ended with the first of two")
		}
		second.leave()
		<-second.over
		synctest.Wait()
		before := polls()
		time.Sleep(time.Minute)
		if polls() != before {
			t.Error("the last viewer has left, and the login goes on")
		}
		if len(h.logins.Running()) != 0 || h.profiles.Named("p") != nil || stored(t, store, "p").ClientID != "" {
			t.Error("it left something behind")
		}
		if r := h.signIn(t, h.ofDevice("p")); r.Outcome != protocol.SignedIn {
			t.Errorf("%+v", r)
		}
	})
}

// A person takes ten minutes. Meanwhile other profiles are renewed, and their callers get tokens at once.
func TestALoginOfTenMinutes(t *testing.T) {
	inBubble(t, sandbox.Options{TokenLifetime: 5 * time.Minute}, func(t *testing.T, h *env, _ *faultyStore) {
		h.signIn(t, h.ofMachine("machine"))
		slow := h.watch(t, h.ofDevice("p"))
		prompt := <-slow.asked
		tokens := map[string]bool{}
		for begin := time.Now(); time.Since(begin) < 10*time.Minute; time.Sleep(20 * time.Second) {
			asked := time.Now()
			token, err := h.token(t, "machine")
			if err != nil || time.Since(asked) != 0 {
				t.Fatalf("after %s a token took %s: %v", time.Since(begin), time.Since(asked), err)
			}
			tokens[token.AccessToken] = true
		}
		if len(tokens) < 2 {
			t.Error("nothing was renewed in ten minutes")
		}
		if err := h.server.ApproveDevice(prompt.Code); err != nil {
			t.Fatal(err)
		}
		if r := <-slow.over; r.err != nil || r.result.Outcome != protocol.SignedIn {
			t.Errorf("%+v", r)
		}
		if _, err := h.token(t, "p"); err != nil {
			t.Error(err)
		}
	})
}
