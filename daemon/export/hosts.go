package export

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// hostFile is a form of a file with an entry for each API that the token is sealed for, and for no other.
type hostFile struct {
	// entry returns what the file calls an https API, or "" where it cannot name exactly this one.
	entry func(api *url.URL) string
	// line is an entry: before the token and behind it.
	line func(entry string) (before, after string)
	// only says of which APIs there can be entries.
	only string
}

// netrc is read by curl --netrc-file, git and Python's requests, which send user name and password by HTTP Basic
// (https://www.gnu.org/software/inetutils/manual/html_node/The-_002enetrc-file.html). An entry is for a host, whatever
// the port, the path and the scheme: there is one only where the whole host at its standard port is the API.
var netrc = hostFile{
	only: "a host without a port and a path",
	entry: func(api *url.URL) string {
		if api.Port() != "443" || api.Path != "" {
			return ""
		}
		return api.Hostname()
	},
	line: func(entry string) (string, string) { return "machine " + entry + " login oauth2 password ", "\n" },
}

// npmrc is read by npm, pnpm and yarn, which send the token as RFC 6750 §2.1 says to what is below the address
// (https://docs.npmjs.com/cli/v11/configuring-npm/npmrc#auth-related-configuration).
var npmrc = hostFile{
	only: "an address with a plain path",
	entry: func(api *url.URL) string {
		if strings.ContainsFunc(api.Path, notInNpmrc) {
			return ""
		}
		return strings.TrimSuffix(api.Host, ":443") + api.Path
	},
	line: func(entry string) (string, string) { return "//" + entry + "/:_authToken=", "\n" },
}

// notInNpmrc reports what may mean something else in an npmrc, which is an ini file with variables, than in a path.
func notInNpmrc(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("/-._~@", r)
}

// entries returns the entries of a token's APIs, sorted, and the APIs that have none.
func (f hostFile) entries(t grant.Token) (all, left []string) {
	var apis []string
	if t.Destinations != nil {
		apis = t.Destinations.APIs
	}
	for _, api := range apis {
		u, err := url.Parse(api)
		entry := ""
		if err == nil && u.Scheme == "https" && !strings.Contains(u.Host, "[") {
			entry = f.entry(u)
		}
		if entry == "" {
			left = append(left, origin.WithoutPort(api))
		} else {
			all = append(all, entry)
		}
	}
	slices.Sort(all)
	slices.Sort(left)
	return slices.Compact(all), slices.Compact(left)
}

func (f hostFile) render(profile string, t grant.Token) (keystore.Secret, error) {
	if !bearer(t) {
		return keystore.Secret{}, headerOnly(profile)
	}
	all, _ := f.entries(t)
	if len(all) == 0 {
		return keystore.Secret{}, protocol.NewError(protocol.Config,
			fmt.Sprintf("the credential of profile %s is sealed for no API that such a file can name: https, and %s",
				profile, f.only), "groat profile show "+profile)
	}
	size := 0
	for _, entry := range all {
		before, after := f.line(entry)
		size += len(before) + t.Access.Len() + len(after)
	}
	b := make([]byte, 0, size)
	for _, entry := range all {
		before, after := f.line(entry)
		b = append(t.Access.AppendTo(append(b, before...)), after...)
	}
	return keystore.NewSecret(b), nil
}

func (f hostFile) flaw(t grant.Token) string {
	_, left := f.entries(t)
	if len(left) == 0 {
		return ""
	}
	return fmt.Sprintf("not in the file: %s; an entry is for https and %s", strings.Join(left, ", "), f.only)
}
