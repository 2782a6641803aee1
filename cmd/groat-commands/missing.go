package main

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/groat-dev/groat/protocol"
)

// maxAsked bounds how often a login is tried again with what a person has typed.
const maxAsked = 12

// loginAsking signs in. Where groatd says that something is missing, the person at the terminal is asked for it, and
// the login is tried again: groatd has sent nothing then.
//
// Each try has a connection of its own: groatd ends one on which nothing is asked for as long as a person may take.
func (a *app) loginAsking(ctx context.Context, o *loginOptions, v *loginUI) (result protocol.LoginResult, err error) {
	unlocked := false
	for range maxAsked {
		result, err = a.loginOnce(ctx, o, v)
		e, refused := errors.AsType[*protocol.Error](err)
		if !refused || e.Data == nil || !a.interactive() {
			return result, err
		}
		ask := func() error { return a.askMissing(ctx, o, e) }
		switch {
		case e.Kind() == protocol.Locked && !unlocked:
			unlocked = true
			ask = func() error { return a.openKeystore(ctx) }
		case len(e.Data.Missing) == 0:
			return result, err
		}
		v.wait(true)
		failed := ask()
		v.wait(false)
		if failed != nil {
			return result, failed
		}
	}
	return result, err
}

func (a *app) loginOnce(ctx context.Context, o *loginOptions, v *loginUI) (result protocol.LoginResult, err error) {
	c, _, err := a.openClient(ctx)
	if err != nil {
		return result, err
	}
	defer c.Close()
	return c.Login(ctx, o.params, v.answer)
}

// askMissing asks for one of the parameters that e names.
func (a *app) askMissing(ctx context.Context, o *loginOptions, e *protocol.Error) error {
	lacks := func(name string) bool { return slices.Contains(e.Data.Missing, name) }
	a.printNote(textNotice(e.Message))
	p := &o.params
	switch {
	case lacks("keystore"):
		return a.askKeystore(ctx)
	case lacks("profile"):
		was := p.Profile
		err := a.askFor(ctx, askOtherName, &p.Profile)
		if i := slices.Index(a.typed, was); i >= 0 && err == nil { // no hint repeats it
			a.typed = slices.Clone(a.typed)
			a.typed[i] = p.Profile
		}
		return err
	case lacks("provider"):
		return a.askServer(ctx, p)
	case lacks("username") && lacks("client_id"):
		var err error
		if p.Username, err = a.askText(ctx, askUserOrClient); err != nil || p.Username != "" {
			return err
		}
		return a.askFor(ctx, askClient, &p.ClientID)
	case lacks("username"):
		return a.askFor(ctx, askUser, &p.Username)
	case lacks("client_id"):
		return a.askFor(ctx, askClient, &p.ClientID)
	case lacks("backend"):
		return a.askFor(ctx, askBackend, &p.Backend)
	case lacks("key"):
		return a.askFile(ctx, askKey, &p.Key)
	case lacks("certificate"):
		return a.askFile(ctx, askCertificate, &p.Certificate)
	}
	return e
}

// askServer asks for a provider or an issuer.
func (a *app) askServer(ctx context.Context, p *protocol.LoginParams) error {
	answer, err := a.askText(ctx, askProvider)
	switch {
	case err != nil:
		return err
	case answer == "":
		return a.errNothingTyped()
	case strings.Contains(answer, "://"):
		p.Provider, p.Issuer = "", answer
	default:
		p.Provider, p.Issuer = strings.ToLower(answer), ""
	}
	return nil
}

// askKnownServer is askServer until one of the providers or an issuer is typed: a profile is not named by a slip.
func (a *app) askKnownServer(ctx context.Context, p *protocol.LoginParams, known []protocol.ProviderInfo) error {
	for range maxAsked {
		if err := a.askServer(ctx, p); err != nil {
			return err
		}
		is := func(i protocol.ProviderInfo) bool { return i.Provider == p.Provider }
		if p.Issuer != "" || slices.ContainsFunc(known, is) {
			return nil
		}
		a.printNote(textNotListed(p.Provider))
	}
	return nil // groatd refuses it
}

// askText asks a question and returns what was typed, which may be empty.
func (a *app) askText(ctx context.Context, question string) (string, error) {
	line, err := a.askLine(ctx, question, false)
	switch {
	case errors.Is(err, errNoTTY):
		return "", a.errNothingTyped()
	case errors.Is(err, io.EOF):
		return "", nil
	}
	return strings.TrimSpace(string(line)), err
}

// askFor asks for what may not be empty.
func (a *app) askFor(ctx context.Context, question string, to *string) (err error) {
	if *to, err = a.askText(ctx, question); err == nil && *to == "" {
		err = a.errNothingTyped()
	}
	return err
}

// askFile asks for a file.
func (a *app) askFile(ctx context.Context, question string, to *string) error {
	if err := a.askFor(ctx, question, to); err != nil {
		return err
	}
	path, err := filepath.Abs(*to)
	if err != nil {
		return errWorkingDirectory(err)
	}
	*to = path
	return nil
}

// guide shows the providers, and at a terminal asks for one, and for a name: what "groat login" alone does.
func (a *app) guide(cmd *cobra.Command, o *loginOptions) error {
	known, err := a.providers(cmd, o.json)
	if err != nil || o.json || !a.interactive() {
		return err
	}
	a.printNote("\n")
	if err := a.askKnownServer(cmd.Context(), &o.params, known.Providers); err != nil {
		return err
	}
	offered := o.params.Provider
	if offered == "" {
		offered = defaultName
	}
	name, err := a.askText(cmd.Context(), askName(offered))
	if err != nil {
		return err
	}
	if o.params.Profile = name; name == "" {
		o.params.Profile = offered
	}
	return a.login(cmd.Context(), o)
}

// askKeystore asks where credentials are to be kept. Where the answer is none of them it asks again, a few times.
func (a *app) askKeystore(ctx context.Context) error {
	words := []string{"passphrase", "key-file", "memory", "keychain"}
	for slips := 1; ; slips++ {
		answer, err := a.askText(ctx, askKeystore)
		switch {
		case err != nil:
			return err
		case answer == "":
			return a.errNothingTyped()
		}
		if n := strings.Index("123", answer); len(answer) == 1 && n >= 0 {
			answer = words[n]
		}
		if slices.Contains(words, answer) || slips == maxSlips {
			return a.chooseKeystore(ctx, answer)
		}
		a.printNote("groat: " + msgNoKeystore(answer) + "\n")
	}
}

// chooseKeystore makes the choice that a word of --keystore stands for.
func (a *app) chooseKeystore(ctx context.Context, word string) error {
	params, secret := protocol.KeystoreParams{Use: "sealed"}, protocol.LoginSecret{}
	switch word {
	case "passphrase":
		params.Key = "passphrase"
		if !a.interactive() {
			return errKeystoreUnasked()
		}
		var err error
		if secret, err = a.newPassphrase(ctx, promptNewPassphrase, false); err != nil {
			return err
		}
	case "key-file":
		params.Key = "file"
	case "memory":
		params.Use = "memory"
	case "keychain":
		params.Use = "keychain"
	default:
		return errUsage(msgNoKeystore(word), "groat login")
	}
	return a.callSecrets(ctx, protocol.MethodKeystore, params, passphraseOnly(secret), new(protocol.KeystoreResult))
}

// openKeystore unlocks the keystore as "groat unlock" does.
func (a *app) openKeystore(ctx context.Context) error {
	secret, err := a.unlockSecret(ctx, false)
	if err != nil {
		return err
	}
	return a.callSecrets(ctx, protocol.MethodUnlock, struct{}{}, passphraseOnly(secret), new(protocol.KeystoreResult))
}
