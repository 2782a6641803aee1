package grant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/groat-dev/groat/daemon/origin"
)

// OpenEO is what an openEO back end publishes about itself (openEO API 1.2.0, https://api.openeo.org). All of it is the
// back end's word.
type OpenEO struct {
	// API is the address of the API of version 1, without a slash at its end.
	API string
	// Providers are where people sign in, the default first; there is at least one.
	Providers []OpenEOProvider
}

// OpenEOProvider is an OpenID provider whose tokens a back end takes.
type OpenEOProvider struct {
	// ID stands before a token that the back end is sent: letters, digits, '_', '-' and '.', at most 64.
	ID string
	// Issuer is the provider's issuer identifier.
	Issuer string
	// Scopes are those that a sign-in must ask for, 4 KiB with the blanks between them at most.
	Scopes []string
	// Clients are public clients of the back end's own.
	Clients []OpenEOClient
}

// OpenEOClient is a public client that anybody may sign in with.
type OpenEOClient struct {
	ID string
	// Grants are openEO's words: OAuth grant types, with "+pkce" where the client uses RFC 7636 with it.
	Grants []string
	// Redirects are the redirect URIs that it is registered with.
	Redirects []string
}

// OpenEOTokenPrefix is what stands before an access token that a back end is sent, as its bearer token (openEO API,
// GET /credentials/oidc).
func (p OpenEOProvider) OpenEOTokenPrefix() string { return "oidc/" + p.ID + "/" }

const (
	maxProviders    = 32 // of a back end
	maxVersions     = 64
	maxOpenEO       = 64 // bytes of an id
	pkceSuffix      = "+pkce"
	openEOWellKnown = "/.well-known/openeo"
)

// DiscoverOpenEO reads where people sign in to a back end: the newest production version 1 of its API, as
// /.well-known/openeo lists it (or the address itself, where there is no such list), and that API's
// /credentials/oidc. Both requests carry nothing. The error is an [*Error], or [origin.CheckURL]'s.
func DiscoverOpenEO(ctx context.Context, client *http.Client, backend string) (OpenEO, error) {
	if err := origin.CheckURL(backend, "the back end"); err != nil {
		return OpenEO{}, err
	}
	if strings.Contains(backend, "?") {
		return OpenEO{}, errors.New("the back end's address must not have a query")
	}
	backend = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(backend, "/"), openEOWellKnown), "/")
	found := OpenEO{API: backend}
	a, document := getDocument(ctx, client, backend+openEOWellKnown)
	switch verdict := Classify(a, Nothing); {
	case verdict.Class == OK:
		body, _ := a.object()
		var flaw string
		if found.API, flaw = newestAPI(body, backend); flaw != "" {
			return OpenEO{}, misdescribed(a, flaw).withServer(document)
		}
	case verdict.Status == 0:
		return OpenEO{}, verdict.withServer(document)
	}
	a, document = getDocument(ctx, client, found.API+"/credentials/oidc")
	if verdict := Classify(a, Nothing); verdict.Class != OK {
		if verdict.Class == TransientSlow && verdict.Status != 0 {
			verdict.Reason = "does not list where people sign in (openEO API, GET /credentials/oidc)"
		}
		return OpenEO{}, verdict.withServer(document)
	}
	body, _ := a.object()
	var list []object
	if json.Unmarshal(body["providers"], &list) != nil || len(list) > maxProviders {
		return OpenEO{}, misdescribed(a, "does not list in a readable way where people sign in").withServer(document)
	}
	for _, one := range list {
		if p, ok := readProvider(one, found.API); ok {
			found.Providers = append(found.Providers, p)
		}
	}
	if len(found.Providers) == 0 {
		return OpenEO{}, misdescribed(a, "lists no OpenID provider to sign in at that can be used").withServer(document)
	}
	return found, nil
}

// newestAPI chooses among the versions that a back end lists: the newest of version 1 that is in production, else the
// newest of version 1.
func newestAPI(body object, backend string) (url, flaw string) {
	var list []object
	if json.Unmarshal(body["versions"], &list) != nil || len(list) > maxVersions {
		return "", "does not list its versions in a readable way"
	}
	var best [3]int
	inProduction := false
	for _, v := range list {
		at, _ := v.text("url")
		text, _ := v.text("api_version")
		version, ok := semver(text)
		production := string(v["production"]) != "false"
		at = strings.TrimSuffix(at, "/")
		if !ok || version[0] != 1 || checkBeside(backend, at, "") != "" || strings.Contains(at, "?") {
			continue
		}
		newer := slices.Compare(version[:], best[:]) > 0
		if url == "" || production && !inProduction || production == inProduction && newer {
			url, best, inProduction = at, version, production
		}
	}
	if url == "" {
		return "", "lists no openEO API of version 1 that can be used"
	}
	return url, ""
}

// semver reads the numbers of a version (https://semver.org). What follows them, a pre-release or a build, counts for
// nothing.
func semver(text string) (v [3]int, ok bool) {
	text, _, _ = strings.Cut(text, "+")
	text, _, _ = strings.Cut(text, "-")
	parts := strings.Split(text, ".")
	if len(parts) != len(v) {
		return v, false
	}
	for i, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil || n < 0 || len(p) > 6 {
			return v, false
		}
		v[i] = n
	}
	return v, true
}

// readProvider reads one entry of the list; ok is false for one that cannot be used.
func readProvider(body object, api string) (p OpenEOProvider, ok bool) {
	p.ID, _ = body.text("id")
	p.Issuer, _ = body.text("issuer")
	if !isProviderID(p.ID) || checkBeside(api, p.Issuer, "") != "" {
		return p, false
	}
	bytes := 0
	for _, scope := range body.list("scopes") {
		if bytes += len(scope) + 1; bytes > maxScope {
			return p, false
		}
		if !isVSCHAR([]byte(scope)) || strings.ContainsAny(scope, " \"\\") { // RFC 6749 §3.3
			return p, false
		}
		p.Scopes = append(p.Scopes, scope)
	}
	var clients []object
	if json.Unmarshal(body["default_clients"], &clients) != nil {
		return p, true
	}
	for _, c := range clients[:min(len(clients), maxProviders)] {
		id, _ := c.text("id")
		if isVSCHAR([]byte(id)) {
			p.Clients = append(p.Clients, OpenEOClient{ID: id, Grants: c.list("grant_types"),
				Redirects: c.list("redirect_urls")})
		}
	}
	return p, true
}

func isProviderID(id string) bool {
	for _, c := range []byte(id) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("_-.", c) >= 0:
		default:
			return false
		}
	}
	return id != "" && len(id) <= maxOpenEO
}

// Client returns one of the provider's default clients that can sign in by a kind, and what it needs for that: pkce is
// whether a device's sign-in uses PKCE, and redirect the redirect URI on this machine that a browser's comes back to.
func (p OpenEOProvider) Client(kind Kind) (c OpenEOClient, pkce bool, redirect string, ok bool) {
	grantType := map[Kind]string{ByDeviceCode: deviceGrant, ByAuthorizationCode: "authorization_code"}[kind]
	if grantType == "" {
		return c, false, "", false
	}
	for _, pkce := range []bool{true, false} {
		name := grantType
		if pkce {
			name += pkceSuffix
		}
		for _, c := range p.Clients {
			if !slices.Contains(c.Grants, name) {
				continue
			}
			if kind == ByDeviceCode {
				return c, pkce, "", true
			}
			for _, r := range c.Redirects {
				if _, err := loopback(r); err == nil {
					return c, pkce, r, true
				}
			}
		}
	}
	return c, false, "", false
}

// Named returns the provider of an issuer, or an error that lists those that there are.
func (o OpenEO) Named(issuer string) (OpenEOProvider, error) {
	var there []string
	for _, p := range o.Providers {
		if strings.TrimSuffix(p.Issuer, "/") == strings.TrimSuffix(issuer, "/") {
			return p, nil
		}
		there = append(there, shown(p.Issuer))
	}
	return OpenEOProvider{}, fmt.Errorf("%s does not list %s; there are %s", shown(o.API), shown(issuer),
		strings.Join(there, ", "))
}
