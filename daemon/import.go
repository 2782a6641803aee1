package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/importer"
	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/jsonrpc"
	"github.com/groat-dev/groat/protocol/strictjson"
	"github.com/groat-dev/groat/protocol/visible"
)

// importTime bounds an import: what is taken is proven, one exchange each.
const importTime = 2 * time.Minute

// importForeign answers "import". Looking and taking are two requests that look twice: between them nothing is kept of the
// secrets of other programs.
func importForeign(c *conn, params []byte) (any, error) {
	var p protocol.ImportParams
	if err := jsonrpc.DecodeParams(params, &p); err != nil {
		return nil, err
	}
	for _, t := range p.Trust {
		if _, err := origin.Parse(t, "what to trust"); err != nil {
			return nil, protocol.InvalidParams("%s", err)
		}
	}
	ctx, cancel := context.WithTimeout(c.ctx, importTime)
	defer cancel()
	found, err := c.d.lookAround(ctx, p, params)
	if err != nil {
		return nil, err
	}
	r := protocol.ImportResult{Found: make([]protocol.ImportFound, 0, len(found)), Variables: importer.Variables()}
	rows := make([]protocol.ImportFound, len(found))
	for i := range found {
		defer found[i].Wipe()
		rows[i] = describeFound(&found[i])
	}
	if err := allThere(p.Take, rows); err != nil {
		return nil, err
	}
	for i := range found {
		f, row := &found[i], rows[i]
		if provider, taken := wanted(p.Take, row.ID); taken {
			if provider != "" && slices.Contains(f.Target.Either, provider) {
				f.Target.Provider, row.Provider = provider, provider
				row.Destination, row.Unusual = f.Target.Destination()
			}
			if err := c.d.take(ctx, f, p.Trust); err != nil {
				row.Error = c.d.wire(err, f.Name)
				if more, ok := strings.CutPrefix(row.Error.Hint(), "groat import --trust "); ok {
					row.Error.Data.Hint = importCommand(p) + " --trust " + more
				}
			} else {
				row.Imported = true
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

// wanted reports whether an ID is among those to take, and the provider that was chosen for it.
func wanted(take []string, id string) (provider string, ok bool) {
	for _, t := range take {
		if name, provider, _ := strings.Cut(t, "="); name == id {
			return provider, true
		}
	}
	return "", false
}

// allThere refuses to take anything where one of the IDs is not there (any more): an ID stands for a credential, its destination
// and its grant, so that what a file says now is what a person has agreed to.
func allThere(take []string, rows []protocol.ImportFound) error {
	for _, t := range take {
		id, _, _ := strings.Cut(t, "=")
		if !slices.ContainsFunc(rows, func(r protocol.ImportFound) bool { return r.ID == id && r.Reason == "" }) {
			return protocol.NewError(protocol.Config,
				"what was chosen is not there any more as it was shown: nothing was imported, and nothing was sent", "groat import")
		}
	}
	return nil
}

// lookAround finds what there is, in the person's environment and not in the daemon's.
func (d *Daemon) lookAround(ctx context.Context, p protocol.ImportParams, params []byte) ([]importer.Candidate, error) {
	variables, err := environment(params)
	if err != nil {
		return nil, err
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, err
	}
	env := importer.Env{
		Home: home, Getenv: func(name string) string { return variables[name] },
		Taken: func(name string) bool { return d.profiles.Named(name) != nil },
	}
	content, err := jsonrpc.SecretParam(params, "content")
	if err != nil {
		return nil, err
	}
	defer clear(content)
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

// environment reads the variables that the client sent.
func environment(params []byte) (map[string]string, error) {
	sent, err := secretParam(params, "environment")
	if err != nil || sent.IsZero() {
		return nil, err
	}
	defer sent.Wipe()
	text := sent.AppendTo(nil)
	defer clear(text)
	variables := map[string]string{}
	if strictjson.Check(text) != nil || json.Unmarshal(text, &variables) != nil {
		return nil, protocol.InvalidParams("environment must be the text of a JSON object of strings")
	}
	return variables, nil
}

// describeFound is what a person is shown.
func describeFound(f *importer.Candidate) protocol.ImportFound {
	row := protocol.ImportFound{
		System: f.System, What: f.What, Profile: f.Name, Provider: f.Target.Provider, Either: f.Target.Either, Grant: f.Target.Grant,
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
			Source: c.Path, Variables: c.Variables, Plaintext: c.Plain, Holds: c.Holds, ReadBy: c.Readers, Remove: c.Remove, Note: c.Note,
		}
		if c.Path == "" {
			cp.Source = "environment"
		} else {
			cp.Mode = fmt.Sprintf("%04o", c.Mode.Perm())
		}
		fmt.Fprintf(name, "%q %q\n", cp.Source, c.Variables)
		row.Copies = append(row.Copies, cp)
	}
	row.ID = hex.EncodeToString(name.Sum(nil))[:32] // half of it: nobody makes a file whose ID is that of another
	return row
}

// take makes a profile of what was found: a login whose credential is there already. It is proven before it is stored. An
// address that stands in a file is nothing that a person has named: trusted are those whom it may be sent to beside the
// provider's own server.
func (d *Daemon) take(ctx context.Context, f *importer.Candidate, trusted []string) error {
	t := f.Target
	if why := f.Contradiction(); why != "" {
		return protocol.NewError(protocol.Config, why+": nothing was sent", "groat import --dry-run")
	}
	origin, unusual := t.Destination()
	if unusual && !named(trusted, origin) {
		return untrusted(origin, "the file of "+f.System+"'s program")
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
	if t.Header != nil {
		p.Header, p.Prefix = t.Header.Name, &t.Header.Prefix
	}
	l := d.newLogin(p)
	l.alone, l.trusted = true, append(slices.Clone(trusted), origin)
	l.ctx, l.cancel = context.WithCancel(ctx)
	defer l.cancel()
	over, err := d.begin(l)
	if err != nil {
		return err
	}
	defer over()
	if d.profiles.Named(f.Name) != nil {
		return protocol.NewError(protocol.Temporary, fmt.Sprintf("profile %q has come while this was looked for", f.Name), "groat import")
	}
	return l.found(f.Item)
}

// named reports whether an origin is among those that a person has named.
func named(trusted []string, at string) bool {
	return at != "" && slices.ContainsFunc(trusted, func(t string) bool { return origin.Of(t) == at })
}

// untrusted refuses to send a credential where its provider does not say.
func untrusted(origin, by string) error {
	e := protocol.InvalidParams("it would be sent to %s, which nobody but %s names: nothing was sent", origin, by)
	e.Data = &protocol.ErrorData{Hint: "groat import --trust " + visible.Word(origin)}
	return e
}

// begin makes l the login of its profile until over is called, one that nobody joins: the proof of what was found may use it
// up, and whoever proves it at the same time has the server end the session.
func (d *Daemon) begin(l *login) (over func(), err error) {
	name := l.params.Profile
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closing:
		return nil, d.wire(broker.ErrStopped, name)
	case d.logins[name] != nil:
		return nil, underWay(name)
	case len(d.logins) >= maxLogins:
		return nil, tooMany(maxLogins, "of groatd", name)
	}
	d.logins[name] = l
	d.living.Add(1)
	return func() {
		d.mu.Lock()
		delete(d.logins, name)
		d.mu.Unlock()
		d.living.Done()
	}, nil
}

// found is the way of an import.
func (l *login) found(secrets keystore.Item) error {
	if err := l.configure(); err != nil {
		return err
	}
	if err := l.d.profiles.CheckSave(l.profile); err != nil {
		return err
	}
	if err := l.store().Probe(l.ctx); err != nil { // before it is looked into: it may be what chooses the keystore
		return err
	}
	switch held, err := l.held(); {
	case err != nil:
		return err
	case held != nil:
		defer held.Wipe()
		if l.permanent(held) {
			return protocol.NewError(protocol.Config, fmt.Sprintf("the keystore holds %s under the name %s, and an import does not take its place",
				l.what(held), l.params.Profile), "groat login "+l.params.Profile)
		}
	}
	here := l.profile.Endpoint.Server().NewItem(secrets.ClientID, l.kind)
	item := secrets.Clone()
	defer func() { item.Wipe() }()
	item.Issuer, item.TokenEndpoint, item.ClientAuth = here.Issuer, here.TokenEndpoint, here.ClientAuth
	item.RevocationEndpoint, item.Grant = here.RevocationEndpoint, here.Grant
	l.seal(&item)
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
	unstored := l.keep(ctx, item) // held in memory where it cannot be stored
	if err != nil {
		return err
	}
	if _, err := l.adopt(item, t, protocol.SignedIn); err != nil {
		return err
	}
	return unstored
}
