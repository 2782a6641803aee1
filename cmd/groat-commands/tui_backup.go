package main

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/ownpath"
	"github.com/groat-dev/groat/protocol/visible"
)

// What is said about a backup, a move and a passphrase.

const (
	promptOldPassphrase    = "Old passphrase"
	promptForBackup        = "Passphrase for the backup"
	promptBackupPassphrase = "Passphrase of the backup"
	questionRestore        = "Restore these credentials? [y/N] "
	textNothingRestored    = "nothing was restored\n"
)

func textWarning(why string) string {
	return "groat: warning: this passphrase is easy to guess: " + clean(why) + "\n"
}

func questionReplace(i protocol.RestoreItem) string {
	return fmt.Sprintf("Replace profile %s, which is here already? [y/N] ", clean(i.Profile))
}

func textLeftAsItIs(i protocol.RestoreItem) string {
	return fmt.Sprintf("groat: left as it is: %s (--replace %[1]s replaces it)\n", clean(i.Profile))
}

func errTwoPassphrases() *report.Failure {
	return &report.Failure{Code: report.ExitUsage,
		Message: "stdin must hold two lines, the old passphrase and the new one",
		Hint:    "groat keystore passphrase"}
}

func errNoPassphrase() *report.Failure {
	return &report.Failure{Code: report.ExitConfig,
		Message: "the keystore has no passphrase, so there is none to change",
		Hint:    "groat keystore move sealed --passphrase"}
}

func errBackupExists(path string) *report.Failure {
	return &report.Failure{Code: report.ExitConfig,
		Message: visible.Name(path) + " exists already, and nothing was written",
		Hint:    "groat backup " + visible.Word(path) + " --force"}
}

func errNoBackup(path string, cause error) *report.Failure {
	return &report.Failure{Code: report.ExitConfig,
		Message: visible.Name(path) + " does not exist", Hint: "ls -lt " + visible.Word(ownpath.Deepest(path)),
		Cause: cause}
}

func errNotInBackup(path, name string) *report.Failure {
	return &report.Failure{Code: report.ExitUsage,
		Message: fmt.Sprintf("the backup has no profile %q", name), Hint: "groat restore " + visible.Word(path)}
}

func errRestores(failed, all int, first *report.Failure) *report.Failure {
	return &report.Failure{Code: first.Code,
		Message: fmt.Sprintf("%d of %d were not restored: %s", failed, all, clean(first.Message)),
		Hint:    first.Hint, Cause: first}
}

// credentialRows are the columns that tell one credential from another.
func credentialRow(i protocol.BackupItem) []string {
	return []string{i.Profile, i.Grant, i.ClientID, i.Server, i.Issuer}
}

var credentialHead = []string{"PROFILE", "GRANT", "CLIENT", "IS SENT TO", "SERVER"}

func (s screen) notInIt(b *bytes.Buffer, all []protocol.BackupLeftOut) {
	if len(all) == 0 {
		return
	}
	b.WriteString("\nnot in it:\n")
	for _, l := range all {
		said := s.words(clean(l.Profile) + ": " + clean(l.Reason))
		if l.Hint != "" { // a command, which is not broken
			said[len(said)-1].text += "; there:"
			said = append(said, piece{text: clean(l.Hint)})
		}
		b.WriteString("  ")
		s.flow(b, 2, 4, said)
	}
}

func textBackup(s screen, r *protocol.BackupResult) []byte {
	var b bytes.Buffer
	if r.Incomplete != nil {
		s.flow(&b, 0, 2, s.words("the backup is not complete: "+clean(r.Incomplete.Message)))
	}
	fmt.Fprintf(&b, "written: %s\n\n", clean(r.Path))
	var rows [][]string
	for _, i := range r.Profiles {
		rows = append(rows, credentialRow(i))
	}
	b.Write(s.table(credentialHead, rows))
	for _, i := range r.Profiles {
		s.apisOf(&b, i)
	}
	textMore(&b, r.More)
	s.notInIt(&b, r.LeftOut)
	fmt.Fprintf(&b, "\nnext, on the other machine: groat restore FILE\n")
	return b.Bytes()
}

// apisOf says which requests a credential's tokens go with; a backup may be of another person.
func (s screen) apisOf(b *bytes.Buffer, i protocol.BackupItem) {
	if len(i.APIs) > 0 {
		s.flow(b, 0, 2, s.words(fmt.Sprintf("API origins of %s, which get its tokens: %s", clean(i.Profile),
			clean(strings.Join(i.APIs, ", ")))))
	}
}

func textMore(b *bytes.Buffer, more int) {
	if more > 0 {
		fmt.Fprintf(b, "and %d more\n", more)
	}
}

func textRestorable(s screen, r *protocol.RestoreResult) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "a backup of %s\n\n", time.Unix(r.Created, 0).Format("2006-01-02 15:04"))
	var rows [][]string
	for _, i := range r.Profiles {
		rows = append(rows, append(credentialRow(i.BackupItem), restorable(i)))
	}
	b.Write(s.table(append(append([]string{}, credentialHead...), "HERE"), rows))
	for _, i := range r.Profiles {
		s.apisOf(&b, i.BackupItem)
	}
	textMore(&b, r.More)
	s.notInIt(&b, r.LeftOut)
	for _, i := range r.Profiles {
		if i.Error != nil {
			fmt.Fprintf(&b, "\n%s: %s\n", clean(i.Profile), clean(i.Error.Message))
		}
	}
	b.WriteByte('\n')
	return b.Bytes()
}

func restorable(i protocol.RestoreItem) string {
	switch {
	case i.Error != nil:
		return "cannot be used"
	case i.Here == protocol.HereOther:
		return "another one"
	case i.Here == protocol.HereSame:
		return "the same"
	case i.Here == protocol.HereProfile:
		return "not signed in"
	}
	return "no"
}

func textRestored(r *protocol.RestoreResult) []byte {
	var b, next bytes.Buffer
	for _, i := range r.Profiles {
		switch {
		case i.Restored:
			fmt.Fprintf(&b, "restored: %s\n", clean(i.Profile))
			fmt.Fprintf(&next, "next: groat get %s%s\n", clean(i.Profile), headerOnly(i.Grant))
		case i.Error != nil:
			fmt.Fprintf(&b, "not restored: %s: %s\n", clean(i.Profile), clean(i.Error.Message))
		}
	}
	b.Write(next.Bytes())
	return b.Bytes()
}
