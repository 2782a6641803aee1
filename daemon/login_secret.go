package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// byClient signs in with a client that a person has: proven first, then stored.
func (l *login) byClient() (keystore.Item, grant.Token, error) {
	item, err := l.client()
	if err == nil {
		var t grant.Token
		if t, err = l.firstToken(item); err == nil {
			return item, t, nil
		}
	}
	item.Wipe()
	return keystore.Item{}, grant.Token{}, l.refused(err)
}

// refused is a refusal of what a person has just typed: typing it again is what helps.
func (l *login) refused(err error) error {
	e := l.d.wire(err, l.params.Profile)
	if e.Kind() != protocol.LoginRequired {
		return e
	}
	switch {
	case l.params.Username != "":
		e.Data.Hint = "groat login " + l.params.Profile + " --username " + l.params.Username
	case !l.kind.Interactive() && l.params.ClientID != "":
		e.Data.Hint = "groat login " + l.params.Profile + " --client-id " + l.params.ClientID
	}
	return e
}

// prepare gives an item what its client authenticates with: a secret that is asked for, a key or certificate from a file.
func (l *login) prepare(item *keystore.Item) (err error) {
	switch l.server().ClientAuth {
	case grant.None:
		return nil
	case grant.PrivateKeyJWT:
		return l.readKey(item)
	case grant.TLSClientAuth:
		if err := l.readKey(item); err != nil {
			return err
		}
		chain, err := readPrivate(l.params.Certificate, "the certificate", 0o022)
		item.Certificate = chain.Reveal()
		return err
	}
	item.ClientSecret, err = l.ask("Client secret of " + l.params.ClientID)
	return err
}

// readKey reads the private key, and asks for its password where it has one.
func (l *login) readKey(item *keystore.Item) (err error) {
	if l.params.Key == "" {
		return l.missing("name the private key's file with --key", "--key FILE")
	}
	if item.PrivateKey, err = readPrivate(l.params.Key, "the private key", 0o077); err != nil {
		return err
	}
	item.Subject = l.params.Subject
	_, err = grant.CheckKey(item.PrivateKey, keystore.Secret{})
	if errors.Is(err, grant.ErrKeyPassword) {
		if item.PrivateKeyPassword, err = l.ask("Password of " + l.params.Key); err != nil {
			return err
		}
		_, err = grant.CheckKey(item.PrivateKey, item.PrivateKeyPassword)
	}
	if err != nil {
		return protocol.NewError(protocol.Config, fmt.Sprintf("%s: %s", l.params.Key, err), "groat login "+l.params.Profile+" --key FILE")
	}
	return nil
}

// maxKeyFile bounds a file that a login reads.
const maxKeyFile = 64 << 10

// readPrivate reads a file of this user's that nobody else has the forbidden rights to.
func readPrivate(path, what string, forbidden fs.FileMode) (keystore.Secret, error) {
	refuse := func(message, hint string) (keystore.Secret, error) {
		return keystore.Secret{}, &config.Error{File: path, Message: what + " " + message, Hint: hint}
	}
	if path == "" {
		return keystore.Secret{}, protocol.InvalidParams("name %s's file", what)
	}
	if !filepath.IsAbs(path) {
		return keystore.Secret{}, protocol.InvalidParams("the path of %s must be absolute", what)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return refuse("cannot be read: "+errors.Unwrap(err).Error(), "ls -l "+path)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return refuse("cannot be examined", "ls -l "+path)
	case !info.Mode().IsRegular() || info.Size() > maxKeyFile:
		return refuse("is no file, or too long", "ls -l "+path)
	case int(info.Sys().(*syscall.Stat_t).Uid) != os.Geteuid():
		return refuse("belongs to another user", "ls -l "+path)
	case info.Mode().Perm()&forbidden != 0:
		return refuse(fmt.Sprintf("is open to others (mode %04o)", info.Mode().Perm()), "chmod 600 "+path)
	}
	text := make([]byte, info.Size())
	n, err := f.ReadAt(text, 0)
	if n != len(text) {
		return refuse("cannot be read: "+err.Error(), "ls -l "+path)
	}
	return keystore.NewSecret(text), nil
}

// byKeyFile is RFC 7523 §2.1: a service account's key file, or a private key and the client it belongs to.
func (l *login) byKeyFile() (item keystore.Item, t grant.Token, err error) {
	if l.params.ClientID == "" {
		var file keystore.Secret
		if file, err = readPrivate(l.params.Key, "the key file", 0o077); err != nil {
			return item, t, err
		}
		defer file.Wipe()
		if item, err = l.server().ServiceAccount(file); err != nil {
			return item, t, protocol.NewError(protocol.Config, fmt.Sprintf("%s: %s", l.params.Key, err), "groat login "+l.params.Profile+" --key FILE")
		}
		item.Subject = l.params.Subject
	} else {
		item = l.server().NewItem(l.params.ClientID, l.kind)
		if err = l.readKey(&item); err != nil {
			return item, t, err
		}
	}
	if t, err = l.firstToken(item); err != nil {
		item.Wipe()
		return keystore.Item{}, t, l.refused(err)
	}
	return item, t, nil
}

// byPassword is RFC 6749 §4.3, where a preset asks for it.
func (l *login) byPassword() (item keystore.Item, s grant.Session, err error) {
	if item, err = l.client(); err != nil {
		return item, s, err
	}
	password, err := l.askPassword()
	if err != nil {
		return item, s, err
	}
	defer password.Wipe()
	s, err = l.endpoint.Password(l.ctx, item, l.params.Username, password, l.request())
	return item, s, err
}

func (l *login) askPassword() (keystore.Secret, error) {
	return l.ask(fmt.Sprintf("Password of %s at %s", l.params.Username, l.server().Issuer))
}

// byExchange is RFC 8693: another server's token, which is not kept.
func (l *login) byExchange() (item keystore.Item, s grant.Session, err error) {
	if item, err = l.client(); err != nil {
		return item, s, err
	}
	subject, err := l.ask("Token to exchange at " + l.server().Issuer)
	if err != nil {
		return item, s, err
	}
	defer subject.Wipe()
	s, err = l.endpoint.TokenExchange(l.ctx, item, grant.Presentation{Subject: subject}, l.request())
	return item, s, err
}

// byAPIKey keeps a key as it is; there is nothing to prove it with.
func (l *login) byAPIKey() (item keystore.Item, t grant.Token, err error) {
	item = l.server().NewItem("", l.kind)
	if item.APIKey, err = l.ask("API key for " + l.server().Issuer); err != nil {
		return item, t, err
	}
	if err = grant.CheckAPIKey(item.APIKey); err != nil {
		return item, t, protocol.InvalidParams("%s", err)
	}
	t, err = l.endpoint.APIKey(item)
	return item, t, err
}

// byKeyLogin turns a password into an API key.
func (l *login) byKeyLogin() (item keystore.Item, t grant.Token, err error) {
	password, err := l.askPassword()
	if err != nil {
		return item, t, err
	}
	defer password.Wipe()
	if item, err = l.endpoint.KeyLogin(l.ctx, l.params.Username, password); err != nil {
		return item, t, l.refused(err)
	}
	t, err = l.endpoint.APIKey(item)
	return item, t, err
}
