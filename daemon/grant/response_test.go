package grant

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
)

// jwtWith returns an unsigned token with these claims.
func jwtWith(claims string) string {
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(`{"typ":"JWT","alg":"RS256"}`)) + "." + enc([]byte(claims)) + "." + enc([]byte("signature"))
}

func TestLifetime(t *testing.T) {
	const unset = "-"
	t0 := noon.Unix()
	abs := func(d int64) string { return fmt.Sprint(t0 + d) }
	for _, c := range []struct {
		name   string
		in     string // members beside access_token
		exp    string // of the JWT; unset: the token is opaque
		local  time.Duration
		noDate bool
		want   time.Duration // 0: malformed
		flag   bool
	}{
		{name: "SpatiaFi", in: `"expires_at":` + abs(840) + `,"expires_in":839`, exp: abs(900),
			want: 839 * time.Second},
		{name: "SpatiaFi, our clock an hour ahead", in: `"expires_at":` + abs(840) + `,"expires_in":839`, exp: abs(900),
			local: time.Hour, want: 839 * time.Second},
		{name: "SpatiaFi, our clock an hour behind", in: `"expires_at":` + abs(840) + `,"expires_in":839`,
			exp: abs(900), local: -time.Hour, want: 839 * time.Second},
		{name: "expires_in only", in: `"expires_in":900`, exp: unset, want: 900 * time.Second},
		{name: "expires_at only", in: `"expires_at":` + abs(840), exp: unset, want: 839 * time.Second},
		{name: "expires_at only, our clock an hour off", in: `"expires_at":` + abs(840), exp: unset, local: time.Hour,
			want: 839 * time.Second},
		{name: "expires_at only, no Date", in: `"expires_at":` + abs(840), exp: unset, noDate: true,
			want: 840 * time.Second},
		{name: "exp only", in: ``, exp: abs(900), want: 899 * time.Second},
		{name: "exp only, no Date", in: ``, exp: abs(900), noDate: true, want: 900 * time.Second},
		{name: "exp is the shortest", in: `"expires_in":3600`, exp: abs(900), want: 899 * time.Second},
		{name: "exp as a float", in: ``, exp: abs(900) + ".75", want: 899 * time.Second},
		{name: "exp as a string says nothing", in: `"expires_in":10`, exp: `"` + abs(5) + `"`, want: 10 * time.Second},
		{name: "expires_at as a string", in: `"expires_at":"` + abs(840) + `"`, exp: unset, want: 839 * time.Second},
		{name: "expires_at as a float", in: `"expires_at":` + abs(840) + `.9`, exp: unset, want: 839 * time.Second},
		{name: "expires_at as a date says nothing", in: `"expires_at":"2026-01-02T12:14:00Z"`, exp: unset,
			want: lifetimeAssumed, flag: true},

		{name: "C11 nothing", in: ``, exp: unset, want: lifetimeAssumed, flag: true},
		{name: "C11 a JWT without exp", in: `"scope":"a"`, exp: "", want: lifetimeAssumed, flag: true},
		{name: "C12 null", in: `"expires_in":null`, exp: unset, want: lifetimeAssumed, flag: true},
		{name: "C12 empty", in: `"expires_in":""`, exp: unset, want: lifetimeAssumed, flag: true},
		{name: "C12 true", in: `"expires_in":true`, exp: unset, want: lifetimeAssumed, flag: true},
		{name: "C12 list", in: `"expires_in":[]`, exp: unset, want: lifetimeAssumed, flag: true},
		{name: "C12 object", in: `"expires_in":{}`, exp: unset, want: lifetimeAssumed, flag: true},
		{name: "C12 text", in: `"expires_in":"soon"`, exp: unset, want: lifetimeAssumed, flag: true},
		{name: "C12 null, but exp", in: `"expires_in":null`, exp: abs(900), want: 899 * time.Second},
		{name: "C13 string", in: `"expires_in":"900"`, exp: unset, want: 900 * time.Second},
		{name: "C13 string of ten digits", in: `"expires_in":"9999999999"`, exp: unset, want: lifetimeMost},
		{name: "C13 string of eleven digits", in: `"expires_in":"99999999999"`, exp: unset,
			want: lifetimeAssumed, flag: true},
		{name: "C14 900.0", in: `"expires_in":900.0`, exp: unset, want: 900 * time.Second},
		{name: "C14 900.9", in: `"expires_in":900.9`, exp: unset, want: 900 * time.Second},
		{name: "C14 9e2", in: `"expires_in":9e2`, exp: unset, want: 900 * time.Second},
		{name: "C15 zero", in: `"expires_in":0`, exp: unset, want: lifetimeAssumed, flag: true},
		{name: "C15 zero, but exp", in: `"expires_in":0`, exp: abs(900), want: 899 * time.Second},
		{name: "C15 negative", in: `"expires_in":-5`, exp: unset},
		{name: "C15 half a second", in: `"expires_in":0.5`, exp: unset},
		{name: "C15 zero as a string", in: `"expires_in":"0"`, exp: unset, want: lifetimeAssumed, flag: true},
		{name: "C15 negative beyond all", in: `"expires_in":-1e999`, exp: unset},
		{name: "C16 1", in: `"expires_in":1`, exp: unset, want: time.Second},
		{name: "C16 5", in: `"expires_in":5`, exp: unset, want: 5 * time.Second},
		{name: "C16 29", in: `"expires_in":29`, exp: unset, want: 29 * time.Second},
		{name: "C17 2^31", in: `"expires_in":2147483648`, exp: unset, want: lifetimeMost},
		{name: "C17 2^63-1", in: `"expires_in":9223372036854775807`, exp: unset, want: lifetimeMost},
		{name: "C17 1e30", in: `"expires_in":1e30`, exp: unset, want: lifetimeMost},
		{name: "C17 1e999", in: `"expires_in":1e999`, exp: unset, want: lifetimeMost},
		{name: "C17 NaN as text", in: `"expires_in":"NaN"`, exp: unset, want: lifetimeAssumed, flag: true},
		{name: "C18 expires_at in the past", in: `"expires_in":900,"expires_at":1`, exp: unset,
			want: 900 * time.Second},
		{name: "C18 without Date", in: `"expires_in":900,"expires_at":` + abs(-60), exp: unset, noDate: true,
			want: 900 * time.Second},
		{name: "C18 nothing else", in: `"expires_at":` + abs(-60), exp: unset},
		{name: "C18 negative", in: `"expires_in":900,"expires_at":-1`, exp: unset, want: 900 * time.Second},
		{name: "C18 expires_at beyond all", in: `"expires_in":900,"expires_at":1e300`, exp: unset,
			want: 900 * time.Second},
		{name: "exp in the past by every clock, but expires_in", in: `"expires_in":900`, exp: abs(-60),
			want: 900 * time.Second},
		{name: "exp in the past by our clock, no Date", in: `"expires_in":900`, exp: abs(900), local: time.Hour,
			noDate: true, want: 900 * time.Second},
		{name: "exp in the past, no Date and nothing else", in: ``, exp: abs(-60), noDate: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			access := "opaque.token.~+/-_="
			switch c.exp {
			case unset:
			case "":
				access = jwtWith(`{"iat":1}`)
			default:
				access = jwtWith(`{"iat":1,"exp":` + c.exp + `}`)
			}
			in := `{"access_token":"` + access + `","token_type":"bearer"`
			if c.in != "" {
				in += "," + c.in
			}
			a := said(200, in+"}")
			if c.noDate {
				a.Header.Del("Date")
			}
			got, err := parseToken(a, clock.Instant{Wall: noon.Add(c.local)}, nil, noteWider)
			if c.want == 0 {
				e, ok := errors.AsType[*Error](err)
				if !ok || e.Class != Malformed {
					t.Fatalf("got %v, %v", got.Lifetime, err)
				}
				return
			}
			if err != nil || got.Lifetime != c.want || got.LifetimeAssumed != c.flag {
				t.Errorf("got %v, assumed %v, %v", got.Lifetime, got.LifetimeAssumed, err)
			}
		})
	}
}

func TestParseToken(t *testing.T) {
	long := strings.Repeat("a", maxToken)
	for _, c := range []struct {
		name  string
		body  string
		asked []string
		rule  scopeRule
		class Class // OK: accepted
		scope string
		wider string
	}{
		{name: "plain", body: `{"access_token":"abc","token_type":"Bearer","expires_in":9}`},
		{name: "unknown members",
			body: `{"access_token":"abc","expires_in":9,"not-before-policy":0,"refresh_expires_in":0,"x":{"y":[1]}}`},
		{name: "C3 without a token", body: `{"token_type":"Bearer"}`, class: Malformed},
		{name: "C3 empty token", body: `{"access_token":""}`, class: Malformed},
		{name: "C3 null token", body: `{"access_token":null}`, class: Malformed},
		{name: "C3 token that is a number", body: `{"access_token":1}`, class: Malformed},
		{name: "C3 token under another case", body: `{"Access_Token":"abc"}`, class: Malformed},
		{name: "C3 detail under 200", body: `{"detail":"Unauthorized"}`, class: Malformed},
		{name: "C19 type missing", body: `{"access_token":"abc"}`},
		{name: "C19 type null", body: `{"access_token":"abc","token_type":null}`},
		{name: "C19 bearer", body: `{"access_token":"abc","token_type":"bearer"}`},
		{name: "C19 BEARER", body: `{"access_token":"abc","token_type":"BEARER"}`},
		{name: "C19 mac", body: `{"access_token":"abc","token_type":"mac"}`, class: Malformed},
		{name: "C19 DPoP", body: `{"access_token":"abc","token_type":"DPoP"}`, class: Malformed},
		{name: "C19 empty", body: `{"access_token":"abc","token_type":""}`},
		{name: "C19 blank", body: `{"access_token":"abc","token_type":" "}`},
		{name: "C19 padded", body: `{"access_token":"abc","token_type":" Bearer "}`},
		{name: "C19 BearerToken", body: `{"access_token":"abc","token_type":"BearerToken"}`},
		{name: "C19 two words", body: `{"access_token":"abc","token_type":"Bearer Token"}`, class: Malformed},
		{name: "C19 number", body: `{"access_token":"abc","token_type":1}`, class: Malformed},
		{name: "C20 LF", body: `{"access_token":"abc\nhost=evil"}`, class: Malformed},
		{name: "C20 CR", body: `{"access_token":"abc\r"}`, class: Malformed},
		{name: "C20 NUL", body: `{"access_token":"abc\u0000"}`, class: Malformed},
		{name: "C20 space", body: `{"access_token":"a b"}`, class: Malformed},
		{name: "C20 quote", body: `{"access_token":"a\"b"}`, class: Malformed},
		{name: "C20 not ASCII", body: `{"access_token":"é"}`, class: Malformed},
		{name: "C20 padding only", body: `{"access_token":"=="}`, class: Malformed},
		{name: "C20 padding inside", body: `{"access_token":"a=b"}`},
		{name: "C20 Salesforce", body: `{"access_token":"00D!AQ|x:y"}`},
		{name: "C20 a dollar sign", body: `{"access_token":"a$b"}`, class: Malformed},
		{name: "C20 a backtick", body: "{\"access_token\":\"a`b\"}", class: Malformed},
		{name: "C20 an apostrophe", body: `{"access_token":"a'b"}`, class: Malformed},
		{name: "C20 a backslash", body: `{"access_token":"a\\b"}`, class: Malformed},
		{name: "C20 every character", body: `{"access_token":"azAZ09-._~+/=="}`},
		{name: "C20 escaped but allowed", body: `{"access_token":"\u0061\/b"}`},
		{name: "C20 16 KiB", body: `{"access_token":"` + long + `"}`},
		{name: "C20 more", body: `{"access_token":"` + long + `a"}`, class: Malformed},
		{name: "C27 same scope", body: `{"access_token":"abc","scope":"b a"}`, asked: []string{"a", "b"}, scope: "b a"},
		{name: "C27 narrower", body: `{"access_token":"abc","scope":"a"}`, asked: []string{"a", "b"}, scope: "a"},
		{name: "C27 not said", body: `{"access_token":"abc"}`, asked: []string{"a", "b"}, scope: "a b"},
		{name: "C27 wider", body: `{"access_token":"abc","scope":"a b c"}`, asked: []string{"a", "b"},
			rule: refuseWider, class: Misconfigured},
		{name: "C27 wider, noted", body: `{"access_token":"abc","scope":"a b c d"}`, asked: []string{"a", "b"},
			scope: "a b c d", wider: "c d"},
		{name: "C27 commas", body: `{"access_token":"abc","scope":"repo,gist"}`, asked: []string{"gist", "repo"},
			rule: refuseWider, scope: "repo gist"},
		{name: "C27 commas and blanks", body: `{"access_token":"abc","scope":" repo, gist,"}`,
			asked: []string{"gist", "repo"}, rule: refuseWider, scope: "repo gist"},
		{name: "C27 a comma that was asked for", body: `{"access_token":"abc","scope":"a,b"}`, asked: []string{"a,b"},
			rule: refuseWider, scope: "a,b"},
		{name: "C27 commas, wider", body: `{"access_token":"abc","scope":"repo,admin"}`, asked: []string{"repo"},
			rule: refuseWider, class: Misconfigured},
		{name: "C27 openid added", body: `{"access_token":"abc","scope":"openid a"}`, asked: []string{"a"},
			rule: refuseWider, scope: "openid a"},
		{name: "C27 another spelling of a URI",
			body:  `{"access_token":"abc","scope":"https://API.example.com:443/r%65ad/"}`,
			asked: []string{"https://api.example.com/read"}, rule: refuseWider,
			scope: "https://API.example.com:443/r%65ad/"},
		{name: "C27 another URI", body: `{"access_token":"abc","scope":"https://api.example.com/Read"}`,
			asked: []string{"https://api.example.com/read"}, rule: refuseWider, class: Misconfigured},
		{name: "C27 Microsoft Graph, in full",
			body:  `{"access_token":"abc","scope":"https://graph.microsoft.com/User.Read"}`,
			asked: []string{"User.Read"}, rule: refuseWider, scope: "https://graph.microsoft.com/User.Read"},
		{name: "C27 .default", body: `{"access_token":"abc","scope":"api://x/A api://x/B"}`,
			asked: []string{"api://x/.default"}, rule: refuseWider, scope: "api://x/A api://x/B"},
		{name: "C27 wider, allowed", body: `{"access_token":"abc","scope":"a b c"}`, asked: []string{"a", "b"},
			rule: anyScope, scope: "a b c"},
		{name: "C27 the server's default, nothing was asked", body: `{"access_token":"abc","scope":"email profile"}`,
			scope: "email profile"},
		{name: "a JWT that is none", body: `{"access_token":"a.b.c"}`},
		{name: "a JWT with odd claims", body: `{"access_token":"` + jwtWith(`{"exp":{}}`) + `"}`},
		{name: "a JWT with ambiguous claims", body: `{"access_token":"` + jwtWith(`{"exp":1,"exp":2}`) + `"}`},
		{name: "a JWT of a list", body: `{"access_token":"` + jwtWith(`[1]`) + `"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			sent := clock.Instant{Wall: noon, Boot: 7}
			got, err := parseToken(said(200, c.body), sent, c.asked, c.rule)
			if c.class != OK {
				e, ok := errors.AsType[*Error](err)
				if !ok || e.Class != c.class || !got.Access.IsZero() || strings.Contains(err.Error(), "abc") {
					t.Fatalf("got %v, %v", got, err)
				}
				return
			}
			if err != nil || got.Access.IsZero() || got.Type != "Bearer" || got.Scope != c.scope ||
				strings.Join(got.Wider, " ") != c.wider || got.Sent != sent {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func FuzzParseTokenNeverGivesAnUnsafeToken(f *testing.F) {
	f.Add(`{"access_token":"abc","token_type":"bearer","expires_in":839,"expires_at":1767355200}`)
	f.Add(`{"access_token":"` + jwtWith(`{"exp":1767355300}`) + `","expires_in":"9e9"}`)
	f.Fuzz(func(t *testing.T, body string) {
		got, err := parseToken(said(200, body), clock.Instant{Wall: noon}, nil, noteWider)
		if err != nil {
			return
		}
		if !IsVisibleToken([]byte(got.Access.Reveal())) ||
			got.Visible == IsB64Token([]byte(got.Access.Reveal())) || got.Lifetime <= 0 || got.Lifetime > lifetimeMost {
			t.Errorf("%q, %v", got.Access.Reveal(), got.Lifetime)
		}
	})
}
