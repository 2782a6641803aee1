package login

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/importer"
	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

// importTime bounds an import: what is taken is proven, one exchange each.
const importTime = 2 * time.Minute

// Import finds the credentials that other programs keep, and makes profiles of those that p.Take names. content is what
// p.From would name, where the client sends it, and variables are those of the person's environment; both stay the
// caller's. Looking and taking are two requests that look twice: between them nothing is kept of the secrets of other
// programs.
func (s *Logins) Import(ctx context.Context, p protocol.ImportParams, content []byte, variables map[string]string) (
	protocol.ImportResult, error,
) {
	r := protocol.ImportResult{Variables: importer.Variables()}
	for _, t := range p.Trust {
		if _, err := origin.Parse(t, "what to trust"); err != nil {
			return r, protocol.InvalidParams("%s", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, importTime)
	defer cancel()
	found, err := s.findCandidates(ctx, p, content, variables)
	if err != nil {
		return r, err
	}
	r.Found = make([]protocol.ImportFound, 0, len(found))
	rows := make([]protocol.ImportFound, len(found))
	for i := range found {
		defer found[i].Wipe()
		rows[i] = describeFound(&found[i])
	}
	if err := checkChosen(p.Take, rows); err != nil {
		return r, err
	}
	for i := range found {
		f, row := &found[i], rows[i]
		if provider, taken := choice(p.Take, row.ID); taken {
			if provider != "" && slices.Contains(f.Target.Either, provider) {
				f.Target.Provider, row.Provider = provider, provider
				row.Destination, row.Unusual = f.Target.Destination()
			}
			if err := s.importOne(ctx, f, p); err != nil {
				row.Error = s.Wire(err, f.Name)
			} else {
				row.Imported = true
				s.Log.Info("a credential was imported", zap.String("profile", f.Name))
			}
		}
		r.Found = append(r.Found, row)
	}
	return r, nil
}

// importCommand asks for the same import again.
func importCommand(p protocol.ImportParams) string {
	command := "groat import"
	if p.From != "" {
		command += " --from " + visible.Word(p.From)
	}
	for _, t := range p.Trust {
		command += " --trust " + visible.Word(t)
	}
	return command
}

// choice reports whether an ID is among those to take, and the provider that was chosen for it.
func choice(take []string, id string) (provider string, ok bool) {
	for _, t := range take {
		if name, provider, _ := strings.Cut(t, "="); name == id {
			return provider, true
		}
	}
	return "", false
}

// checkChosen refuses to take anything where one of the IDs is not there (any more): an ID stands for a credential, its
// destination and its grant, so that what a file says now is what a person has agreed to.
func checkChosen(take []string, rows []protocol.ImportFound) error {
	for _, t := range take {
		id, _, _ := strings.Cut(t, "=")
		if !slices.ContainsFunc(rows, func(r protocol.ImportFound) bool { return r.ID == id && r.Reason == "" }) {
			return protocol.NewError(protocol.Config,
				"what was chosen is not there any more as it was shown: nothing was imported, and nothing was sent",
				"groat import")
		}
	}
	return nil
}

// findCandidates finds what there is, by the variables of the person's environment and not of the daemon's.
func (s *Logins) findCandidates(ctx context.Context, p protocol.ImportParams, content []byte,
	variables map[string]string) ([]importer.Candidate, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, err
	}
	env := importer.Env{
		Home: home, Getenv: func(name string) string { return variables[name] },
		Taken: func(name string) bool { return s.Profiles.Snapshot().Knows(name) },
	}
	var found []importer.Candidate
	switch {
	case p.From != "" && len(content) > 0:
		return nil, protocol.InvalidParams("name a file or send its content, not both")
	case len(content) > 0:
		found, err = importer.Parse(ctx, env, content)
	case p.From != "":
		found, err = importer.Read(ctx, env, p.From)
	default:
		found, err = importer.Find(ctx, env)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, protocol.NewError(protocol.Config, p.From+" does not exist", "groat import")
	}
	if err != nil && ctx.Err() == nil {
		return nil, protocol.InvalidParams("%s", err)
	}
	return found, err
}

// describeFound is what a person is shown.
func describeFound(f *importer.Candidate) protocol.ImportFound {
	row := protocol.ImportFound{
		System: f.System, What: f.What, Profile: f.Name, Provider: f.Target.Provider, Either: f.Target.Either,
		Grant:    f.Target.Grant,
		ClientID: f.Item.ClientID, Reason: f.Reason, Hint: f.Hint, Confirm: f.Confirm, Fresh: f.Fresh,
		Warnings: f.Warnings, NotCarried: f.Lost, Copies: make([]protocol.ImportCopy, 0, len(f.Copies)),
	}
	if f.Importable() {
		row.Destination, row.Unusual = f.Target.Destination()
	}
	name := sha256.New()
	fmt.Fprintf(name, "%q %q %q %q\n", f.System, f.What, f.Item.ClientID, f.Target.Where())
	for _, c := range f.Copies {
		cp := protocol.ImportCopy{
			Source: c.Path, Variables: c.Variables, Plaintext: c.Plain, Holds: c.Holds, ReadBy: c.Readers,
			Remove: c.Remove, Note: c.Note,
		}
		if c.Path == "" {
			cp.Source = "environment"
		} else {
			cp.Mode = fmt.Sprintf("%04o", c.Mode.Perm())
		}
		fmt.Fprintf(name, "%q %q\n", cp.Source, c.Variables)
		row.Copies = append(row.Copies, cp)
	}
	row.ID = hex.EncodeToString(name.Sum(nil))[:32] // 128 bits: no file can be made to have the ID of another
	return row
}

// importOne makes a profile of what was found: a login whose credential is there already. It is proven before it is
// stored. An address that stands in a file is nothing that a person has named: a credential is sent to the provider's
// own server and to what asked.Trust names, and nowhere else.
func (s *Logins) importOne(ctx context.Context, f *importer.Candidate, asked protocol.ImportParams) error {
	t := f.Target
	if why := f.Contradiction(); why != "" {
		return protocol.NewError(protocol.Config, why+": nothing was sent", "groat import --dry-run")
	}
	at, unusual := t.Destination()
	if unusual && !isTrusted(asked.Trust, at) {
		return untrustedError(at, importCommand(asked), "the file of "+f.System+"'s program")
	}
	p := protocol.LoginParams{
		Profile: f.Name, Provider: t.Provider, AuthServer: t.AuthServer, Grant: t.Grant, ClientAuth: t.ClientAuth,
		Scope: t.Scope, Audience: t.Audience, Redirect: t.Redirect,
	}
	switch {
	case t.Provider != "":
	case t.TokenEndpoint != "":
		p.TokenURL = t.TokenEndpoint
	default:
		p.Issuer = t.Issuer
	}
	if t.ClientAuth == string(grant.PrivateKeyJWT) && t.Provider == "" {
		p.AssertionAudience = string(grant.AudienceCalled) // as Planet's library has it, the only one with such files
	}
	if t.Header != nil {
		p.Header, p.Prefix = t.Header.Name, &t.Header.Prefix
	}
	l := s.newLogin(p)
	l.importing, l.trusted = importCommand(asked), append(slices.Clone(asked.Trust), at)
	l.ctx, l.cancel = context.WithCancel(ctx)
	defer l.cancel()
	over, err := s.startAlone(l)
	if err != nil {
		return err
	}
	defer over()
	if s.Profiles.Snapshot().Knows(f.Name) {
		return protocol.NewError(protocol.Temporary, fmt.Sprintf("profile %q has come while this was looked for",
			f.Name), "groat import")
	}
	return l.runImport(f.Item)
}

// isTrusted reports whether an origin is among those that a person has named.
func isTrusted(trusted []string, at string) bool {
	return at != "" && slices.ContainsFunc(trusted, func(t string) bool { return origin.Of(t) == at })
}

// untrustedError refuses to send a credential where its provider does not say.
func untrustedError(at, command, by string) error {
	e := protocol.InvalidParams("it would be sent to %s, which nobody but %s names: nothing was sent", at, by)
	e.Data = &protocol.ErrorData{Hint: command + " --trust " + visible.Word(at)}
	return e
}

// runImport is the way of an import.
func (l *Login) runImport(secrets keystore.Item) error {
	if err := l.configure(); err != nil {
		return err
	}
	if err := l.logins.Profiles.CheckSave(l.profile); err != nil {
		return err
	}
	if err := l.store().Probe(l.ctx); err != nil { // before it is looked into: it may be what chooses the keystore
		return err
	}
	switch held, err := l.existingCredential(); {
	case err != nil:
		return err
	case held != nil:
		defer held.Wipe()
		if l.isPermanent(held) {
			return protocol.NewError(protocol.Config,
				fmt.Sprintf("the keystore holds %s under the name %s, and an import does not take its place",
					l.describeCredential(held), l.params.Profile), "groat login "+l.params.Profile)
		}
	}
	here := l.profile.Endpoint.Server().NewItem(secrets.ClientID, l.kind)
	item := secrets.Clone()
	defer func() { item.Wipe() }()
	item.Issuer, item.TokenEndpoint, item.ClientAuth = here.Issuer, here.TokenEndpoint, here.ClientAuth
	item.RevocationEndpoint, item.Grant = here.RevocationEndpoint, here.Grant
	l.setDestinations(&item)
	// From here on it is finished even if the person leaves: a session may be rotated by its proof.
	ctx := context.WithoutCancel(l.ctx)
	t, rotated, err := l.profile.Endpoint.Renew(ctx, item, grant.Request{})
	if !rotated.IsZero() {
		item.RefreshToken.Wipe()
		item.RefreshToken = rotated
	}
	if err != nil && rotated.IsZero() {
		return err
	}
	unstored := l.storeOrHold(ctx, item) // held in memory where it cannot be stored
	if err != nil {
		return err
	}
	if _, err := l.finish(item, t, protocol.SignedIn); err != nil {
		return err
	}
	return unstored
}
