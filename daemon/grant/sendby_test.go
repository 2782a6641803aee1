package grant_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// A process that is paused between its decision to send and the sending sends no refresh token when it goes on too
// late: the pause is put before the connection, and between the connection and the body.
func TestALateRequestIsNotSent(t *testing.T) {
	const limit = 3 * time.Second
	for name, c := range map[string]struct {
		before, connecting time.Duration // the pauses
		late               bool
	}{
		"no pause":                             {0, 0, false},
		"a pause before the connection":        {limit, 0, true},
		"a pause while it connects":            {0, limit, true},
		"pauses that together are long enough": {limit / 2, limit / 2, true},
		"a pause that ends in time":            {0, limit - 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			var handled atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.ParseForm() == nil && r.PostForm.Get("refresh_token") != "" {
					handled.Add(1)
				}
				w.Header().Set("Content-Type", "application/json")
				w.Write([]byte(`{"access_token":"at","token_type":"Bearer","expires_in":900,"refresh_token":"rt2"}`))
			}))
			defer server.Close()
			var boot atomic.Int64
			now := func() clock.Instant { return clock.Instant{Wall: time.Now(), Boot: time.Duration(boot.Load())} }
			client := grant.NewHTTPClient(new(grant.Network))
			transport := client.Transport.(*http.Transport)
			dial := transport.DialContext
			transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := dial(ctx, network, address)
				boot.Add(int64(c.connecting))
				return conn, err
			}
			s := grant.Server{Issuer: server.URL, TokenEndpoint: server.URL + "/token", ClientAuth: grant.None}
			endpoint := grant.NewEndpoint(s, client, now)
			item := s.NewItem("client", grant.ByDeviceCode)
			item.RefreshToken = keystore.SecretString("rt1")

			ctx := grant.SendBy(t.Context(), limit)
			boot.Add(int64(c.before))
			_, successor, err := endpoint.Refresh(ctx, item, grant.Request{})
			switch {
			case c.late && (!errors.Is(err, grant.ErrLate) || handled.Load() != 0 || endpoint.Requests() != 0):
				t.Errorf("%d refresh tokens sent, %d requests counted, %v", handled.Load(), endpoint.Requests(), err)
			case !c.late && (err != nil || handled.Load() != 1 || successor.Reveal() != "rt2"):
				t.Errorf("%d refresh tokens sent, %v", handled.Load(), err)
			}
		})
	}
}
