package broker_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
)

// busy is an answer with a wish.
func busy(status int, header ...string) sandbox.Fault {
	f := sandbox.Busy(status, "")
	for i := 0; i < len(header); i += 2 {
		f.Header.Set(header[i], header[i+1])
	}
	return f
}

// about is a wish as it is kept: with up to a tenth more.
func about(wish time.Duration) [2]time.Duration { return [2]time.Duration{wish, wish + wish/10} }

func refusals() []answerCase {
	rows := []answerCase{
		{
			name: "C29 invalid_grant", fault: sandbox.Refuse(400, "invalid_grant"), class: grant.Refused,
			action: grant.Park, says: "has ended the session",
		},
		{
			name: "C29 a blocked user at Auth0", rig: block, dialect: sandbox.Auth0, class: grant.Refused,
			action: grant.Park, says: "HTTP 403, invalid_grant",
		},
		{
			name: "C29 invalid_grant under 503", fault: sandbox.Refuse(503, "invalid_grant"), class: grant.Refused,
			action: grant.Park,
		},
		{
			name: "C30 invalid_client", fault: sandbox.Refuse(401, "invalid_client"), machine: true,
			class: grant.InvalidClient, action: grant.ConfirmThenPark, wait: confirmed,
		},
		{
			name: "C30 invalid_client for a session", fault: sandbox.Refuse(401, "invalid_client"),
			class: grant.InvalidClient, action: grant.ConfirmThenPark, wait: confirmed,
		},
		{
			name: "C30 a framework's word for it", fault: raw(401, "application/json", `{"detail":"Unauthorized"}`),
			machine: true, class: grant.InvalidClient, action: grant.ConfirmThenPark, wait: confirmed,
		},
		{
			name: "C31 invalid_request", fault: sandbox.Refuse(400, "invalid_request"), class: grant.Misconfigured,
			action: grant.ParkDoubtful,
		},
		{
			name: "C31 unsupported_grant_type", fault: sandbox.Refuse(400, "unsupported_grant_type"),
			class: grant.Misconfigured, action: grant.Park,
		},
		{
			name: "C31 unauthorized_client", fault: sandbox.Refuse(400, "unauthorized_client"),
			class: grant.Misconfigured, action: grant.ParkDoubtful,
		},
		{
			name: "C31 invalid_scope", fault: sandbox.Refuse(400, "invalid_scope"), class: grant.Misconfigured,
			action: grant.ParkRequest,
		},
		{
			name: "C32 use_dpop_nonce, without a DPoP key", fault: nonce(), class: grant.Misconfigured,
			action: grant.Park, says: "use_dpop_nonce",
		},
		{
			name: "C33 a firewall's plain text", fault: raw(403, "text/plain", "Forbidden by rule 942100"),
			class: grant.TransientSlow, action: grant.RetrySeldom, wait: slow,
			says: "may have ended, or a proxy or firewall",
		},
		{
			name: "C33 JSON without an error", fault: raw(403, "application/json", `{"blocked":true}`),
			class: grant.TransientSlow, action: grant.RetrySeldom, wait: slow,
		},
		{
			name: "an unknown code", fault: sandbox.Refuse(400, "full_moon"), class: grant.TransientSlow,
			action: grant.RetrySeldom, wait: slow,
		},
		{
			name: "slow_down", fault: sandbox.Refuse(400, "slow_down"), class: grant.Transient,
			action: grant.RetrySlowly, wait: slow,
		},
	}
	for _, status := range []int{400, 401, 403} {
		rows = append(rows,
			answerCase{
				name: fmt.Sprintf("C33 a firewall's page under %d", status), fault: sandbox.HTML(status),
				class: grant.TransientSlow, action: grant.RetrySeldom, wait: slow,
				says: "may have ended, or a proxy or firewall",
			})
	}
	for _, status := range []int{404, 405, 410, 421} {
		rows = append(rows,
			answerCase{
				name: fmt.Sprintf("C34 %d", status), fault: raw(status, "application/json", `{"detail":"no"}`),
				class: grant.TransientSlow, action: grant.RetrySeldom, wait: slow,
			})
	}
	for _, status := range []int{408, 425, 500, 502, 503, 504} {
		rows = append(rows,
			answerCase{
				name: fmt.Sprintf("C35 %d", status), fault: sandbox.HTML(status), class: grant.Transient,
				action: grant.Retry, wait: soon,
			})
	}
	for _, r := range []struct {
		name  string
		fault sandbox.Fault
		wait  [2]time.Duration
	}{
		{"C36 429, seconds", busy(429, "Retry-After", "17"), about(17 * time.Second)},
		{"C36 503, seconds", busy(503, "Retry-After", "17"), about(17 * time.Second)},
		{
			"C37 503, a date by a server whose clock is an hour fast",
			sandbox.Fault{Status: 503, Body: "{}", RetryAt: 90 * time.Second},
			[2]time.Duration{89 * time.Second, 99 * time.Second},
		},
		{"C38 a date in the past", sandbox.Fault{Status: 429, Body: "{}", RetryAt: -time.Minute}, about(time.Second)},
		{"C39 negative", busy(429, "Retry-After", "-5"), about(time.Minute)},
		{"C39 garbage", busy(503, "Retry-After", "soon"), about(time.Minute)},
		{"C40 a day", busy(429, "Retry-After", "86400"), about(time.Hour)},
		{"C41 429 without", busy(429), about(time.Minute)},
		{
			"a client's quota at Auth0",
			busy(429, "Auth0-Client-Quota-Limit", "b=per_hour;q=10;r=0;t=600,b=per_day;q=100;r=50;t=80000"),
			about(10 * time.Minute),
		},
		{
			"a limit of all clients", busy(429, "RateLimit-Remaining", "0", "RateLimit-Reset", "33"),
			about(33 * time.Second),
		},
	} {
		c := answerCase{name: r.name, fault: r.fault, class: grant.Transient, action: grant.Retry, wait: r.wait}
		if strings.Contains(r.name, "clock") {
			fault := r.fault
			fault.Times = -1
			c.fault, c.rig = sandbox.Fault{}, func(t *testing.T, p *place) {
				p.box.SetSkew(time.Hour)
				p.box.Script(p.box.TokenPath(), fault)
			}
		}
		rows = append(rows, c)
	}
	for _, status := range []int{301, 302, 303, 307, 308} {
		for where, url := range map[string]string{"another host": "https://evil.example/token",
			"http": "http://evil.example/token", "itself": ""} {
			rows = append(rows, redirect(status, where, url))
		}
	}
	return rows
}

func block(_ *testing.T, p *place) { p.box.BlockUser(person, true) }

func nonce() sandbox.Fault {
	f := sandbox.Refuse(400, "use_dpop_nonce")
	f.Header = http.Header{"Dpop-Nonce": {"n-0S6_WzA2Mj"}}
	return f
}

// redirect is C7. Its target, whatever that is, gets no request.
func redirect(status int, where, url string) answerCase {
	c := answerCase{
		name:  fmt.Sprintf("C7 %d to %s", status, where),
		class: grant.Misconfigured, action: grant.RetrySeldom, wait: slow, says: "redirect, which is not followed",
	}
	c.rig = func(t *testing.T, p *place) {
		to := url
		if to == "" {
			to = p.endpoint.Server().TokenEndpoint
		}
		p.box.Script(p.box.TokenPath(), sandbox.Fault{Times: -1, Status: status, Header: http.Header{"Location": {to}}})
	}
	c.check = func(t *testing.T, p *place) {
		p.mu.Lock()
		defer p.mu.Unlock()
		for addr := range p.dialed {
			if strings.HasPrefix(addr, "evil") {
				t.Errorf("%s was called", addr)
			}
		}
	}
	return c
}
