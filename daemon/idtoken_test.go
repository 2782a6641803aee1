package daemon

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// idToken asks for a profile's ID token.
func (h *env) idToken(t *testing.T, profile string) (protocol.TokenResult, error) {
	t.Helper()
	return h.visit(t).Token(t.Context(), protocol.TokenParams{Profile: profile, TokenUse: protocol.UseID})
}

// goodID asks for a profile's ID token, and makes sure that it is one and nothing else.
func (h *env) goodID(t *testing.T, profile string) protocol.TokenResult {
	t.Helper()
	r, err := h.idToken(t, profile)
	if err != nil {
		t.Fatal(err)
	}
	claims := claimsOf(t, r.IDToken)
	if r.AccessToken != "" || r.TokenType != "" || r.Scope != "" || r.TokenUse != protocol.UseID ||
		r.Header != "Authorization: Bearer "+r.IDToken || r.Profile != profile || r.ExpiresIn <= 0 {
		t.Errorf("%+v", r)
	}
	if claims["aud"] != "app" || claims["iss"] != h.server.URL() {
		t.Errorf("%v", claims)
	}
	if name, value, err := r.Field(); err != nil || name != "Authorization" || value != "Bearer "+r.IDToken {
		t.Errorf("%s: %s, %v", name, value, err)
	}
	return r
}

func claimsOf(t *testing.T, token string) (claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no signed JWT", token)
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(text, &claims) != nil {
		t.Fatal(err)
	}
	return claims
}

// adjust changes settings of the env's server.
func (h *env) adjust(t *testing.T, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if err := h.server.Set(pairs[i], pairs[i+1]); err != nil {
			t.Fatal(err)
		}
	}
}

func openid(p protocol.LoginParams) protocol.LoginParams {
	p.Scope = "openid read"
	return p
}

// The ID token of a sign-in is handed out to who asks for it and never for the access token, from memory, and is renewed
// with the access token before it ends.
func TestAnIDTokenIsHandedOutWhereItIsAskedFor(t *testing.T) {
	inBubble(t, sandbox.Options{TokenLifetime: time.Hour}, func(t *testing.T, h *env, _ *faultyStore) {
		h.adjust(t, "id_lifetime", "10m")
		h.signIn(t, openid(h.ofDevice("p")))
		if n := h.server.Count(h.server.KeysPath()); n != 0 {
			t.Errorf("the keys were read %d times, and nobody has asked for an ID token", n)
		}
		access, err := h.token(t, "p")
		if err != nil || access.IDToken != "" || access.TokenUse != "" {
			t.Fatalf("%+v, %v", access, err)
		}
		first := h.goodID(t, "p")
		if again := h.goodID(t, "p"); again.IDToken != first.IDToken || first.IDToken == access.AccessToken {
			t.Error("another ID token at once")
		}
		if n := h.server.Count(h.server.KeysPath()); n != 1 {
			t.Errorf("the keys were read %d times", n)
		}
		// Its end counts from now on: somebody uses it, and a renewal comes before the access token needs one.
		renewals := h.statusOf(t, "p").Requests
		for range 60 {
			time.Sleep(time.Minute)
			synctest.Wait()
			if i, ok := h.broker.CachedID(broker.Query{Profile: "p", MinTTL: broker.Unset}); !ok || i.Remaining(h.Now()) < time.Minute {
				t.Fatal("the ID token was not renewed in time")
			}
		}
		if n := h.statusOf(t, "p").Requests - renewals; n < 7 || n > 11 {
			t.Errorf("%d renewals in an hour of ID tokens that live ten minutes", n)
		}
		if later := h.goodID(t, "p"); later.IDToken == first.IDToken {
			t.Error("the same ID token an hour later")
		}
		// Nobody uses it for hours: it is not renewed by itself any more.
		time.Sleep(3 * time.Hour)
		renewals = h.statusOf(t, "p").Requests
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if n := h.statusOf(t, "p").Requests - renewals; n != 0 {
			t.Errorf("%d renewals that nobody wants", n)
		}
	})
}

// What a client that knows access tokens only asks is answered as before, and one who asks for an ID token of a daemon
// that does not know them gets nothing.
func TestTheTwoKindsOfTokenAreNotMixedUp(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *env, _ *faultyStore) {
		h.signIn(t, openid(h.ofDevice("p")))
		id, access := h.goodID(t, "p"), protocol.TokenResult{}
		c := h.visit(t)
		params := protocol.TokenParams{Profile: "p", TokenUse: protocol.UseAccess}
		access, err := c.Token(t.Context(), params)
		if err != nil || access.AccessToken == "" {
			t.Fatalf("%v", err)
		}
		params.TokenUse = "refresh"
		if _, err := c.Token(t.Context(), params); wantError(t, err, "").Message != "token_use must be access or id" {
			t.Errorf("%v", err)
		}
		for _, bad := range []protocol.RejectParams{
			{TokenParams: protocol.TokenParams{TokenUse: protocol.UseID}, AccessToken: id.IDToken},
			{AccessToken: "", IDToken: id.IDToken},
			{AccessToken: access.AccessToken, IDToken: id.IDToken},
			{TokenParams: protocol.TokenParams{TokenUse: protocol.UseID}},
		} {
			if err := c.Call(t.Context(), protocol.MethodReject, bad, nil); err == nil {
				t.Errorf("%+v is taken", bad)
			}
		}
		// An ID token that is refused as an access token is none, and the other way round.
		before := h.statusOf(t, "p").Requests
		same, err := c.Reject(t.Context(), protocol.TokenParams{Profile: "p"}, id.IDToken)
		if err != nil || same.AccessToken != access.AccessToken {
			t.Errorf("%v", err)
		}
		still, err := c.Reject(t.Context(), protocol.TokenParams{Profile: "p", TokenUse: protocol.UseID}, access.AccessToken)
		if err != nil || still.IDToken != id.IDToken {
			t.Errorf("%v", err)
		}
		if n := h.statusOf(t, "p").Requests - before; n != 0 {
			t.Errorf("%d requests", n)
		}
	})
}

// A refused ID token is renewed once, at most once a minute, and the access token goes on meanwhile.
func TestARefusedIDTokenIsRenewedOnce(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *env, _ *faultyStore) {
		h.signIn(t, openid(h.ofDevice("p")))
		time.Sleep(2 * time.Second)          // or the next one is the same
		h.signIn(t, openid(h.ofDevice("p"))) // a renewal, which brings none forward after it
		time.Sleep(2 * time.Second)
		old := h.goodID(t, "p")
		c, params := h.visit(t), protocol.TokenParams{Profile: "p", TokenUse: protocol.UseID}
		before := h.statusOf(t, "p").Requests
		for range 3 {
			better, err := c.Reject(t.Context(), params, old.IDToken)
			if err != nil || better.IDToken == old.IDToken {
				t.Fatalf("%v", err)
			}
		}
		if n := h.statusOf(t, "p").Requests - before; n != 1 {
			t.Errorf("%d requests for a refused ID token", n)
		}
		newer := h.goodID(t, "p")
		_, err := c.Reject(t.Context(), params, newer.IDToken)
		if e := wantError(t, err, protocol.Temporary); e.Data.RetryAfter == 0 || e.Data.RetryAfter > 60 {
			t.Errorf("%+v", e.Data)
		}
		if _, err := h.token(t, "p"); err != nil {
			t.Errorf("the access token is gone: %v", err)
		}
		time.Sleep(time.Minute)
		if third := h.goodID(t, "p"); third.IDToken == newer.IDToken {
			t.Error("the refused ID token is handed out again")
		}
	})
}

// A server that issues the refused ID token once more is asked again a minute later, and no sooner.
func TestARefusedIDTokenThatComesAgain(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *env, _ *faultyStore) {
		h.signIn(t, openid(h.ofDevice("p")))
		old := h.goodID(t, "p")
		h.server.Script("/token", sandbox.Fault{Set: map[string]any{"id_token": old.IDToken}})
		c, params := h.visit(t), protocol.TokenParams{Profile: "p", TokenUse: protocol.UseID}
		before := h.statusOf(t, "p").Requests
		for range 3 {
			_, err := c.Reject(t.Context(), params, old.IDToken)
			if e := wantError(t, err, protocol.Temporary); !strings.Contains(e.Message, "the refused token again") {
				t.Errorf("%v", e)
			}
		}
		if n := h.statusOf(t, "p").Requests - before; n != 1 {
			t.Errorf("%d requests", n)
		}
		time.Sleep(time.Minute)
		if better := h.goodID(t, "p"); better.IDToken == old.IDToken {
			t.Error("the refused ID token is handed out")
		}
	})
}

// An ID token that is not right is not handed out, with the reason; the access token is. The next renewal's may be right.
func TestAnIDTokenThatIsNotRightIsNotHandedOut(t *testing.T) {
	for flaw, says := range map[sandbox.IDFlaw]string{
		sandbox.IDAudience:  "for another client",
		sandbox.IDIssuer:    "of another issuer: https://issuer.invalid",
		sandbox.IDSubject:   "about somebody else than who signed in",
		sandbox.IDExpired:   "has expired",
		sandbox.IDSignature: "is not signed by a key of the server's",
		sandbox.IDUnsigned:  "is not signed by a key of the server's",
	} {
		inBubble(t, sandbox.Options{}, func(t *testing.T, h *env, _ *faultyStore) {
			h.signIn(t, openid(h.ofDevice("p")))
			good := h.goodID(t, "p")
			h.adjust(t, "id_flaw", string(flaw))
			c, params := h.visit(t), protocol.TokenParams{Profile: "p", TokenUse: protocol.UseID}
			_, err := c.Reject(t.Context(), params, good.IDToken)
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v", flaw, err)
			}
			before := h.statusOf(t, "p").Requests
			if _, err := h.idToken(t, "p"); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%s, again: %v", flaw, err)
			}
			if access, err := h.token(t, "p"); err != nil || !h.taken(t, access.AccessToken) {
				t.Errorf("%s: the access token is lost: %v", flaw, err)
			}
			if n := h.statusOf(t, "p").Requests - before; n != 0 {
				t.Errorf("%s: %d requests, which would bring the same", flaw, n)
			}
			h.adjust(t, "id_flaw", "")
			h.signIn(t, openid(h.ofDevice("p"))) // proves the session by a renewal
			h.goodID(t, "p")
		})
	}
}

// A flawed ID token of a renewal does not take away the one before it, as long as that is good.
func TestAFlawedIDTokenTakesNoGoodOneAway(t *testing.T) {
	inBubble(t, sandbox.Options{TokenLifetime: 10 * time.Minute}, func(t *testing.T, h *env, _ *faultyStore) {
		h.adjust(t, "id_lifetime", "1h")
		h.signIn(t, openid(h.ofDevice("p")))
		good := h.goodID(t, "p")
		h.adjust(t, "id_flaw", "aud")
		for range 11 {
			time.Sleep(5 * time.Minute)
			if _, err := h.token(t, "p"); err != nil {
				t.Fatal(err)
			}
		}
		if same := h.goodID(t, "p"); same.IDToken != good.IDToken {
			t.Error("another ID token")
		}
		time.Sleep(6 * time.Minute)
		if _, err := h.idToken(t, "p"); err == nil || !strings.Contains(err.Error(), "for another client") {
			t.Errorf("%v", err)
		}
	})
}

// A server's new key is read when a token names it, and an unknown one does not have the keys read over and over.
func TestANewKeyOfTheServerIsFound(t *testing.T) {
	inBubble(t, sandbox.Options{TokenLifetime: 10 * time.Minute}, func(t *testing.T, h *env, _ *faultyStore) {
		h.signIn(t, openid(h.ofDevice("p")))
		h.goodID(t, "p")
		h.server.RollKey(true)
		time.Sleep(8 * time.Minute)
		h.goodID(t, "p")
		if n := h.server.Count(h.server.KeysPath()); n != 2 {
			t.Errorf("the keys were read %d times", n)
		}
		h.adjust(t, "id_flaw", "signature")
		time.Sleep(8 * time.Minute)
		for range 20 {
			h.idToken(t, "p")
		}
		if n := h.server.Count(h.server.KeysPath()); n != 3 {
			t.Errorf("the keys were read %d times for a signature that fits none", n)
		}
	})
}

// A server whose keys cannot be read: the ID token waits, the access token does not.
func TestKeysThatCannotBeRead(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *env, _ *faultyStore) {
		h.signIn(t, openid(h.ofDevice("p")))
		h.server.Script(h.server.KeysPath(), sandbox.Fault{Status: 503, Times: -1})
		_, err := h.idToken(t, "p")
		if e := wantError(t, err, protocol.Temporary); !strings.Contains(e.Message, "keys cannot be read") {
			t.Errorf("%v", e)
		}
		if _, err := h.token(t, "p"); err != nil {
			t.Error(err)
		}
		h.server.ClearFaults()
		time.Sleep(time.Minute)
		h.goodID(t, "p")
	})
}

// A server that sends no ID token at a renewal: the sign-in's is used until its end, and then the person is told that a
// new sign-in brings one, by a command that does.
func TestAServerThatSendsNoIDTokenAtARenewal(t *testing.T) {
	inBubble(t, sandbox.Options{TokenLifetime: 10 * time.Minute}, func(t *testing.T, h *env, _ *faultyStore) {
		h.adjust(t, "id_at_refresh", "false", "id_lifetime", "1h")
		h.signIn(t, openid(h.ofDevice("p")))
		first := h.goodID(t, "p")
		for range 11 {
			time.Sleep(5 * time.Minute)
			if _, err := h.token(t, "p"); err != nil {
				t.Fatal(err)
			}
		}
		if same := h.goodID(t, "p"); same.IDToken != first.IDToken {
			t.Error("another ID token")
		}
		time.Sleep(6 * time.Minute)
		h.token(t, "p")
		before := h.statusOf(t, "p").Requests
		_, err := h.idToken(t, "p")
		e := wantError(t, err, protocol.LoginRequired)
		if e.Hint() != "groat login p --replace" || !strings.Contains(e.Message, "sends no ID token when it renews") {
			t.Errorf("%v, %s", e, e.Hint())
		}
		if n := h.statusOf(t, "p").Requests - before; n != 0 {
			t.Errorf("%d requests, which bring none", n)
		}
		h.signIn(t, protocol.LoginParams{Profile: "p", Replace: true})
		h.goodID(t, "p")
	})
}

// Where nothing could bring an ID token, the reason is said, and what to do.
func TestWhereThereIsNoIDToken(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *env, _ *faultyStore) {
		machine := h.ofMachine("m")
		machine.ClientAuth = sandbox.ClientSecretPost
		h.signIn(t, machine)
		_, err := h.idToken(t, "m")
		if e := wantError(t, err, protocol.Config); !strings.Contains(e.Message, "as a client and not as a person") {
			t.Errorf("%v", e)
		}
		plain := h.ofDevice("p")
		plain.Scope = "read"
		h.signIn(t, plain)
		_, err = h.idToken(t, "p")
		e := wantError(t, err, protocol.Config)
		if !strings.Contains(e.Message, "not for openid") || e.Hint() != "groat login p --scope 'openid read'" {
			t.Errorf("%v, %s", e, e.Hint())
		}
		again := h.ofDevice("p")
		again.Scope = "openid read"
		h.signIn(t, again)
		h.goodID(t, "p")
		ttl := int64(86400)
		_, err = h.visit(t).Token(t.Context(), protocol.TokenParams{Profile: "p", TokenUse: protocol.UseID, MinTTL: &ttl})
		if e := wantError(t, err, ""); !strings.HasPrefix(e.Message, "a fresh ID token is good for ") ||
			e.Hint() != "groat get p --min-ttl 899s --id-token" {
			t.Errorf("%v, %s", e, e.Hint())
		}
	})
}

// A service account has an ID token for the audience that it names; it is renewed beside the access token, and never
// handed out for it. Without an audience the error says how to name one.
func TestTheIDTokenOfAServiceAccount(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *env, _ *faultyStore) {
		file, public := keyPair(t)
		h.server.AddClient(sandbox.Client{ID: "keyed", Key: public})
		robot := protocol.LoginParams{Profile: "p", Issuer: h.server.URL(), ClientID: "keyed", Key: file,
			ClientAuth: "none", Grant: "jwt_bearer"}
		h.signIn(t, robot)
		_, err := h.idToken(t, "p")
		if e := wantError(t, err, protocol.Config); !strings.Contains(e.Message, "groat login p --target-audience AUDIENCE") {
			t.Errorf("%v", e)
		}
		robot.TargetAudience = "an audience"
		_, err = h.visit(t).Login(t.Context(), robot, h.willing(t))
		if e := wantError(t, err, ""); !strings.Contains(e.Message, "--target-audience") {
			t.Errorf("%v", e)
		}
		robot.TargetAudience = "iap.example"
		h.signIn(t, robot)
		first, err := h.idToken(t, "p")
		if claims := claimsOf(t, first.IDToken); err != nil || claims["aud"] != "iap.example" || first.AccessToken != "" {
			t.Errorf("%+v, %v", claims, err)
		}
		access, err := h.token(t, "p")
		if err != nil || access.IDToken != "" || access.AccessToken == "" || access.AccessToken == first.IDToken {
			t.Errorf("an ID token %v, %v", access.IDToken != "", err)
		}
		for range 8 { // two lives and more
			time.Sleep(4 * time.Minute)
			if r, err := h.idToken(t, "p"); err != nil || r.ExpiresIn < 60 {
				t.Errorf("%d s are left, %v", r.ExpiresIn, err)
			}
		}
		if now, err := h.idToken(t, "p"); err != nil || now.IDToken == first.IDToken {
			t.Errorf("it was not renewed: %v", err)
		}
		elsewhere := h.ofMachine("m")
		elsewhere.TargetAudience = "iap.example"
		_, err = h.visit(t).Login(t.Context(), elsewhere, h.willing(t))
		if e := wantError(t, err, ""); !strings.Contains(e.Message, "asks for") {
			t.Errorf("%v", e)
		}
		person := h.ofDevice("p") // takes the place of the key, and keeps nothing of it
		person.Scope, person.Replace = "openid read", true
		h.signIn(t, person)
		h.goodID(t, "p")
	})
}

// A sign-in without a refresh token: its ID token is good until its end, and the access token outlives it.
func TestAnIDTokenWithoutARefreshToken(t *testing.T) {
	inBubble(t, sandbox.Options{TokenLifetime: time.Hour}, func(t *testing.T, h *env, _ *faultyStore) {
		h.adjust(t, "refresh_always", "false", "id_lifetime", "10m")
		h.signIn(t, openid(h.ofDevice("p")))
		h.goodID(t, "p")
		time.Sleep(11 * time.Minute)
		before := h.statusOf(t, "p").Requests
		_, err := h.idToken(t, "p")
		if e := wantError(t, err, protocol.LoginRequired); e.Hint() != "groat login p --replace" ||
			!strings.Contains(e.Message, "gave no refresh token") {
			t.Errorf("%v, %s", e, e.Hint())
		}
		if _, err := h.token(t, "p"); err != nil || h.statusOf(t, "p").Requests != before {
			t.Errorf("the access token is lost: %v", err)
		}
		h.signIn(t, protocol.LoginParams{Profile: "p", Replace: true})
		h.goodID(t, "p")
	})
}

// A renewal must not change who signed in, also where groatd was started anew since (OpenID Connect Core §12.2).
func TestARenewalDoesNotChangeWhoSignedIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &faultyStore{memory: memory{&keystore.Memory{}}}
		h := newBubbleEnv(t, sandbox.Options{}, store)
		client := h.HTTP
		h.signIn(t, openid(h.ofDevice("p")))
		h.goodID(t, "p")
		if item := stored(t, store, "p"); item.IDSubject == "" {
			t.Error("who signed in is not stored")
		}
		h.Close(t.Context())
		h.restart(t, store, client)
		h.goodID(t, "p")
		h.Close(t.Context())
		h.restart(t, store, client)
		h.adjust(t, "id_flaw", "sub")
		if _, err := h.idToken(t, "p"); err == nil || !strings.Contains(err.Error(), "somebody else") {
			t.Errorf("%v", err)
		}
		if _, err := h.token(t, "p"); err != nil {
			t.Error(err)
		}
	})
}
