package parts_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"github.com/groat-dev/groat/packaging/testing/parts"
)

// TestOIDCProviderPersons has a person sign in by a client that nobody here wrote, with a browser, and shows the
// server's rules for what follows: a refresh token is good once, and whoever uses it again ends the session for all.
func TestOIDCProviderPersons(t *testing.T) {
	t.Parallel()
	as := parts.OIDCProvider(t)
	browser := parts.StartBrowser(t)
	codes := make(chan string, 1)
	back := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/callback" {
			codes <- r.FormValue("code")
		}
	}))
	defer back.Close()
	config := oauth2.Config{
		ClientID: "none", RedirectURL: back.URL + "/callback", Scopes: []string{"openid", "offline_access"},
		Endpoint: oauth2.Endpoint{AuthURL: as.Issuer + "/auth", TokenURL: as.TokenEndpoint,
			AuthStyle: oauth2.AuthStyleInParams},
	}
	verifier := oauth2.GenerateVerifier()
	browser.Visit(t, parts.BrowserVisit{URL: config.AuthCodeURL("s", oauth2.S256ChallengeOption(verifier),
		oauth2.SetAuthURLParam("prompt", "consent"))})
	first, err := config.Exchange(t.Context(), <-codes, oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	refresh := func(ctx context.Context, old string) (*oauth2.Token, error) {
		return config.TokenSource(ctx, &oauth2.Token{RefreshToken: old}).Token()
	}
	second, err := refresh(t.Context(), first.RefreshToken)
	if err != nil || second.RefreshToken == first.RefreshToken {
		t.Fatalf("the refresh token was not rotated: %v", err)
	}
	if left := as.Sessions(t); len(left) != 1 || left[0].RefreshToken != second.RefreshToken {
		t.Errorf("there are %d sessions that could be refreshed, want the one", len(left))
	}
	for what, old := range map[string]string{"used": first.RefreshToken,
		"of a session that was ended": second.RefreshToken} {
		if _, err := refresh(t.Context(), old); err == nil || !strings.Contains(err.Error(), "invalid_grant") {
			t.Errorf("a refresh token %s: %v, want invalid_grant", what, err)
		}
	}
	if left := as.Sessions(t); len(left) != 0 {
		t.Errorf("%d sessions are left after a reuse", len(left))
	}
}

func TestOIDCProviderDenied(t *testing.T) {
	t.Parallel()
	as := parts.OIDCProvider(t)
	url := as.Issuer + "/auth?client_id=none&response_type=code&redirect_uri=http://127.0.0.1/callback&scope=openid" +
		"&code_challenge=" + oauth2.S256ChallengeFromVerifier("v") + "&code_challenge_method=S256"
	nobody := httptest.NewServer(http.NotFoundHandler())
	defer nobody.Close()
	url = strings.Replace(url, "http://127.0.0.1/", nobody.URL+"/", 1)
	end := parts.StartBrowser(t).Visit(t, parts.BrowserVisit{URL: url, Deny: true})
	if !strings.HasPrefix(end.URL, nobody.URL+"/callback?error=access_denied") {
		t.Errorf("the browser ended at %s", end.URL)
	}
}
