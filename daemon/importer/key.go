package importer

import (
	"encoding/pem"
	"path/filepath"
	"strings"

	"github.com/groat-dev/groat/keystore"
)

// checkPEM makes sure that there is a private key. Whether it can be used is for whoever signs with it.
func checkPEM(key keystore.Secret) error {
	text := key.AppendTo(nil)
	defer clear(text)
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return flawed("", "there is no private key in PEM (-----BEGIN PRIVATE KEY-----)")
		}
		clear(block.Bytes)
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return nil
		}
	}
}

// readKey reads the private key that a setting of another program names. It was named by a file and not by a person, so it
// is read only if nobody else can read or write it, and if it is a key.
func (s *search) readKey(path string) (keystore.Secret, Copy, error) {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		path = filepath.Join(s.env.Home, rest)
	}
	if !filepath.IsAbs(path) {
		return keystore.Secret{}, Copy{}, flawed("", "its key file is named by a relative path, which says nothing without the directory it was meant from")
	}
	f, err := readFile(path, maxKey, false)
	defer clear(f.text)
	if err != nil {
		return keystore.Secret{}, f.at, flawed("ls -l "+quote(path), "its key file cannot be used: %v", err)
	}
	if f.at.Mode&0o077 != 0 {
		return keystore.Secret{}, f.at, flawed("chmod 600 -- "+quote(path), "its key file is open to others (mode %04o)", f.at.Mode)
	}
	key := keystore.NewSecret(append([]byte(nil), f.text...))
	if err := checkPEM(key); err != nil {
		key.Wipe()
		return keystore.Secret{}, f.at, flawed("ls -l "+quote(path), "its key file cannot be used: %v", err)
	}
	f.at.Holds, f.at.Note = []string{"private key"}, "other programs may use the same key"
	return key, f.at, nil
}
