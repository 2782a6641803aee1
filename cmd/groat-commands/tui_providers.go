package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/groat-dev/groat/protocol"
)

// ways are the kinds of sign-in, as people give them to --grant, and what they are and need.
var ways = [][2]string{
	{"authorization_code", "in a browser, on this machine or on another one"},
	{"device_code", "in a browser on any device, with a code that groat shows"},
	{"client_credentials", "with a client's id and its secret or key (--client-id ID)"},
	{"jwt_bearer", "with a key file, such as a service account's (--key FILE)"},
	{"token_exchange", "with another server's token"},
	{"password", "with your user name and password (--username YOU)"},
	{"app_credentials", "with your user name and password, once, to create App\nCredentials (--username YOU)"},
	{"api_key", "with an API key or a token that you have"},
	{"key_login", "with your user name and password, once, to get a key or\ntoken (--username YOU)"},
}

// grants are the words that --grant takes.
func grants() []string {
	var names []string
	for _, w := range ways {
		names = append(names, w[0])
	}
	return names
}

const (
	// listWidth is how wide the list of providers may be: a terminal of the usual size.
	listWidth = 80
	// ownMark stands behind a way for which a person needs a client of their own.
	ownMark = "*"
)

// textProviders shows the presets, one a line with its ways to sign in, what those words mean, what is to be known of
// some presets, and how any other server is used.
func textProviders(r *protocol.ProvidersResult) []byte {
	var rows [][]string
	var b, notes bytes.Buffer
	offered := map[string]bool{}
	for _, p := range r.Providers {
		var by []string
		for i, g := range p.Grants {
			mark := ""
			if ownClient(p, i) {
				offered[ownMark], mark = true, ownMark
			}
			by, offered[g] = append(by, g+mark), true
		}
		rows = append(rows, []string{p.Provider, strings.Join(by, ", ")})
		notes.WriteString(providerNotes(p))
	}
	b.Write(table([]string{"PROVIDER", "SIGNS IN BY (the first is the default)"}, rows))
	b.WriteByte('\n')
	for _, w := range append(slices.Clone(ways), [2]string{ownMark, "with a client of your own (--client-id ID)"}) {
		if offered[w[0]] {
			fmt.Fprintf(&b, "  %-18s  %s\n", w[0], strings.ReplaceAll(w[1], "\n", "\n"+strings.Repeat(" ", 22)))
		}
	}
	if notes.Len() > 0 {
		fmt.Fprintf(&b, "\n%s", &notes)
	}
	b.WriteString(textHowToLogin)
	return b.Bytes()
}

const textHowToLogin = `
sign in:           groat login NAME --provider PROVIDER   (choose any NAME)
in another way:    groat login NAME --provider PROVIDER --grant WAY
any other server:  groat login NAME --issuer URL --client-id ID
without discovery: groat login NAME --token-url URL --client-id ID
`

// ownClient reports whether a person needs a client of their own for a provider's i-th way, where the way itself does
// not say so.
func ownClient(p protocol.ProviderInfo, i int) bool {
	need := ""
	switch {
	case i < len(p.NeedsBy):
		need = p.NeedsBy[i]
	case i == 0: // an older groatd
		need = p.Needs
	}
	return need == "client_id" && p.Grants[i] != "client_credentials"
}

// providerNotes are sentences about a preset that its line has no room for.
func providerNotes(p protocol.ProviderInfo) string {
	var notes []string
	if p.Needs == "backend" {
		notes = append(notes, "--backend URL says which one.")
	}
	if p.Deprecated != "" {
		notes = append(notes, "deprecated. "+p.Deprecated)
	}
	if len(p.Unconfirmed) > 0 {
		notes = append(notes, "no source confirms its "+strings.Join(p.Unconfirmed, ", ")+" for everybody; "+
			"groat profile set NAME KEY VALUE changes it.")
	}
	var b strings.Builder
	for _, n := range notes {
		b.WriteString(wrapped(clean(p.Provider) + ": " + clean(n)))
	}
	return b.String()
}

// wrapped breaks a text into lines of at most listWidth columns, the second and further ones indented.
func wrapped(text string) string {
	var b strings.Builder
	column := 0
	for _, word := range strings.Fields(text) {
		width := len([]rune(word))
		switch {
		case column == 0:
		case column+1+width > listWidth:
			b.WriteString("\n  ")
			column = 2
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += width
	}
	b.WriteByte('\n')
	return b.String()
}
