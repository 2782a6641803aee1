package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

// Sentences of taking over what other programs keep.

const msgImportJSON = "--json goes with --dry-run or --yes: there would be questions in between"

const (
	msgNothingToTrust  = "--trust names a server, and nothing here would be sent to an unusual one"
	msgNothingToChoose = "--provider chooses one of two, and nothing here could be for more than one provider"
)

func errUntrusted(origin string, o *importOptions) *report.Failure {
	hint := "groat import"
	if o.from != "" {
		hint += " --from " + visible.Word(o.from)
	}
	if o.provider != "" {
		hint += " --provider " + visible.Word(o.provider)
	}
	if o.yes {
		hint += " --yes"
	}
	for _, t := range append(slices.Clone(o.trust), origin) {
		hint += " --trust " + visible.Word(t)
	}
	return &report.Failure{Code: report.ExitUsage, Message: "not imported: what would be sent to " + clean(origin) +
		", which is not its provider's usual server", Hint: clean(hint)}
}

// questionTrust asks about a credential that goes to a server which only a file names.
func questionTrust(f protocol.ImportFound) string {
	return fmt.Sprintf("%s would be sent to %s, which is not %s's usual server. Send it there, as profile %s? [y/N] ",
		credentialWords(f), clean(f.Destination), clean(f.System), clean(f.Profile))
}

func textUntrusted(f protocol.ImportFound) string {
	return fmt.Sprintf("groat: left out, since it would be sent to %s, which is not %s's usual server: %s (--trust "+
		"%s)\n",
		clean(f.Destination), clean(f.System), credentialWords(f), visible.Word(f.Destination))
}

func errImports(failed, taken int, first *report.Failure) *report.Failure {
	return &report.Failure{Code: first.Code,
		Message: fmt.Sprintf("%d of %d could not be imported; nothing of them was kept",
			failed, taken), Hint: first.Hint, Cause: first}
}

func questionImport(f protocol.ImportFound) string {
	if f.Confirm != "" {
		return fmt.Sprintf("%s: %s. Import it as profile %s? [y/N] ", credentialWords(f),
			strings.TrimRight(sentence(f.Confirm), "."), sentence(f.Profile))
	}
	return fmt.Sprintf("Import %s as profile %s? [y/N, a for all] ", credentialWords(f), sentence(f.Profile))
}

func questionEither(f protocol.ImportFound) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Which provider is %s for?\n", credentialWords(f))
	for i, p := range f.Either {
		fmt.Fprintf(&b, "  %d  %s\n", i+1, sentence(p))
	}
	b.WriteString("Provider: ")
	return b.String()
}

func textLeftOut(f protocol.ImportFound) string {
	return fmt.Sprintf("groat: left out, since you must be asked about it: %s\n", credentialWords(f))
}

func textNoProvider(f protocol.ImportFound) string {
	return fmt.Sprintf("groat: left out, since no provider was chosen: %s (--provider %s)\n", credentialWords(f),
		sentence(strings.Join(f.Either, " or ")))
}

// credentialWords names a credential: "SpatiaFi App Credentials, client c-1".
func credentialWords(f protocol.ImportFound) string {
	s := sentence(f.System + " " + f.What)
	if f.ClientID != "" {
		s += ", client " + nameOf(f.ClientID)
	}
	return s
}

// textFound lists what there is.
func textFound(r *protocol.ImportResult) []byte {
	var b bytes.Buffer
	if len(r.Found) == 0 {
		return []byte("found nothing to import\nnext: groat login\n")
	}
	for _, f := range r.Found {
		switch {
		case f.Reason != "":
			fmt.Fprintf(&b, "cannot be imported: %s: %s\n", credentialWords(f), sentence(f.Reason))
		case len(f.Either) > 0:
			fmt.Fprintf(&b, "found: %s, for %s\n", credentialWords(f), sentence(strings.Join(f.Either, " or ")))
		case f.Provider != "":
			fmt.Fprintf(&b, "found: %s, for %s\n", credentialWords(f), sentence(f.Provider))
		default:
			fmt.Fprintf(&b, "found: %s\n", credentialWords(f))
		}
		switch {
		case f.Unusual:
			fmt.Fprintf(&b, "  for the server %s, which is NOT %s's usual one\n", clean(f.Destination), clean(f.System))
		case f.Destination != "":
			fmt.Fprintf(&b, "  for the server %s\n", clean(f.Destination))
		}
		for _, c := range f.Copies {
			fmt.Fprintf(&b, "  in %s\n", copyWords(c))
		}
		for _, w := range f.Warnings {
			fmt.Fprintf(&b, "  warning: %s\n", sentence(w))
		}
		if len(f.NotCarried) > 0 {
			fmt.Fprintf(&b, "  not carried over: %s\n", sentence(strings.Join(f.NotCarried, ", ")))
		}
		if f.Fresh != "" {
			fmt.Fprintf(&b, "  better, a sign-in of its own: %s\n", sentence(f.Fresh))
		}
		if f.Hint != "" {
			fmt.Fprintf(&b, "  hint: %s\n", sentence(f.Hint))
		}
	}
	return b.Bytes()
}

// copyWords says where a copy is, and who can read it: "/home/…/x.json (client secret; in plaintext, mode 0644)".
func copyWords(c protocol.ImportCopy) string {
	where := sentence(c.Source)
	if len(c.Variables) > 0 {
		where = "the environment: " + sentence(strings.Join(c.Variables, ", "))
	}
	var about []string
	if len(c.Holds) > 0 {
		about = append(about, sentence(strings.Join(c.Holds, ", ")))
	}
	if c.Plaintext {
		about = append(about, "in plaintext")
	} else {
		about = append(about, "encrypted")
	}
	if c.Mode != "" {
		about = append(about, "mode "+sentence(c.Mode))
	}
	return where + " (" + strings.Join(about, "; ") + ")"
}

// textImported says what came of it: what is here now, what is left of it elsewhere, and how it is used.
func textImported(r *protocol.ImportResult, taken int) []byte {
	var b, next bytes.Buffer
	importable := false
	for _, f := range r.Found {
		importable = importable || f.Reason == ""
		switch {
		case f.Imported:
			fmt.Fprintf(&b, "imported: %s, as profile %s\n", credentialWords(f), sentence(f.Profile))
			fmt.Fprintf(&next, "next: groat get %s%s\n", sentence(f.Profile), headerOnly(f.Grant))
		case f.Error != nil:
			fmt.Fprintf(&b, "not imported: %s: %s\n", credentialWords(f), sentence(f.Error.Message))
		}
	}
	if taken == 0 && importable {
		return []byte("nothing was imported\n")
	}
	left := false
	for _, f := range r.Found {
		for _, c := range f.Copies {
			if !f.Imported || !c.Plaintext {
				continue
			}
			if !left {
				b.WriteString("\nstill there, for whoever can read it:\n")
				left = true
			}
			b.WriteString(textLeft(c))
		}
	}
	if left {
		b.WriteByte('\n')
	}
	b.Write(next.Bytes())
	return b.Bytes()
}

// textLeft is one copy that stays behind.
func textLeft(c protocol.ImportCopy) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  %s\n", copyWords(c))
	if len(c.ReadBy) > 0 {
		fmt.Fprintf(&b, "    still read by: %s\n", sentence(strings.Join(c.ReadBy, ", ")))
	}
	if c.Remove != "" {
		fmt.Fprintf(&b, "    remove it with: %s\n", sentence(c.Remove))
	}
	if c.Note != "" {
		fmt.Fprintf(&b, "    note: %s\n", sentence(c.Note))
	}
	return b.String()
}

// headerOnly is what an API key needs beside its profile's name.
func headerOnly(grant string) string {
	if grant == "api_key" || grant == "key_login" {
		return " --output header"
	}
	return ""
}
