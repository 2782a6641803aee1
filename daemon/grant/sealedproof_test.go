package grant_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/preset"
	"github.com/groat-dev/groat/keystore"
)

// A client proves itself by the methods that its credential is sealed for and by no other, whichever of the two an
// edited configuration names, at every endpoint: nothing leaves.
func TestF43TheClientProvesItselfAsSealed(t *testing.T) {
	for _, first := range grant.Methods() {
		for _, refresh := range append(grant.Methods(), "") {
			server := serverOf("http://127.0.0.1:1", first)
			server.RefreshAuth = refresh
			item := server.NewItem("c", grant.ByDeviceCode)
			item.RefreshToken, item.ClientSecret = keystore.SecretString("dummy-refresh"), keystore.SecretString("dummy")
			item.PrivateKey, item.Certificate = certified(t)
			for _, edited := range append(grant.Methods(), "") {
				at := newCounting(t)
				s := server
				s.RefreshAuth, s.RevocationEndpoint = edited, at.URL+"/revoke"
				item.RevocationEndpoint, item.Origins = s.RevocationEndpoint, []string{at.URL}
				same := edited == refresh || edited == "" && refresh == first || edited == first && refresh == ""
				err := endpoint(s).Revoke(t.Context(), item)
				if errors.Is(err, grant.ErrEndpointChanged) == same || len(at.received()) > 0 && !same {
					t.Errorf("%s and %q, edited to %q: %v, %d requests", first, refresh, edited, err,
						len(at.received()))
				}
			}
		}
	}
}

// A credential from before the method for refreshing was sealed goes on at its preset, and only with what the preset
// says.
func TestF44ACredentialOfBeforeKeepsItsPresetsMethod(t *testing.T) {
	for _, name := range preset.Names() {
		p, _ := preset.Lookup(name)
		for _, kind := range p.Grants {
			server, err := grant.FromPreset(p, "", grant.Kind(kind))
			if err != nil || server.TokenEndpoint == "" {
				continue
			}
			item := server.NewItem("c", grant.Kind(kind))
			if item.RefreshAuth != "" || item.AssertionAudience != "" {
				t.Errorf("%s is sealed for %q and %q", name, item.RefreshAuth, item.AssertionAudience)
			}
			sealed := server.SealedMethods(item)[1]
			if want := server.RefreshAuth; want != "" && sealed != want || want == "" && sealed != server.ClientAuth {
				t.Errorf("%s refreshes by %q", name, sealed)
			}
			item.RefreshToken, server.RevocationEndpoint = keystore.SecretString("dummy-refresh"), server.TokenEndpoint
			item.RevocationEndpoint = server.RevocationEndpoint
			for _, edited := range grant.Methods() {
				if server.RefreshAuth = edited; edited == sealed {
					continue
				}
				if err := endpoint(server).Revoke(t.Context(), item); !errors.Is(err, grant.ErrEndpointChanged) {
					t.Errorf("%s, edited to %s: %v", name, edited, err)
				}
			}
		}
	}
}

// An assertion that is good at another server is signed for none but the one that the credential is sealed for.
func TestF45AnEditedAudience(t *testing.T) {
	for _, sealed := range []grant.Audience{"", grant.AudienceCalled, "https://sealed.example/token"} {
		for _, edited := range []grant.Audience{"", grant.AudienceIssuer, grant.AudienceEndpoint, grant.AudienceCalled,
			"ISSUER", "TOKEN", "https://sealed.example/token", "https://bank.example/token"} {
			at := newCounting(t)
			server := serverOf(at.URL, grant.ClientSecretJWT)
			server.AssertionAudience = sealed
			item := server.NewItem("c", grant.ByClientCredentials)
			item.ClientSecret = keystore.SecretString("dummy")
			good := edited == sealed || !strings.Contains(string(edited), ".example")
			switch edited {
			case "ISSUER":
				edited = grant.Audience(server.Issuer)
			case "TOKEN":
				edited = grant.Audience(server.TokenEndpoint)
			}
			server.AssertionAudience = edited
			_, err := endpoint(server).ClientCredentials(t.Context(), item, grant.Request{})
			if errors.Is(err, grant.ErrEndpointChanged) == good || len(at.received()) > 0 != good {
				t.Errorf("sealed for %q, edited to %q: %v, %d requests", sealed, edited, err, len(at.received()))
			}
		}
	}
}
