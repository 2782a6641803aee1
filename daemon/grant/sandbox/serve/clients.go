package main

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
)

// clientFlags register clients.
func clientFlags(o *sandbox.Options) {
	add := func(c sandbox.Client) { o.Clients = append(o.Clients, c) }
	flag.Func("client", "a client as `id:secret[:method]`; may be repeated; not a real one", func(v string) error {
		parts := strings.SplitN(v, ":", 3)
		if len(parts) < 2 {
			return fmt.Errorf("want id:secret or id:secret:method")
		}
		c := sandbox.Client{ID: parts[0], Secret: parts[1]}
		if len(parts) == 3 {
			c.Method = parts[2]
		}
		add(c)
		return nil
	})
	flag.Func("public", "a public client as `id[=redirect URI]`; may be repeated", func(v string) error {
		id, uri, _ := strings.Cut(v, "=")
		c := sandbox.Client{ID: id, Method: sandbox.None}
		if uri != "" {
			c.RedirectURIs = []string{uri}
		}
		add(c)
		return nil
	})
	flag.Func("web", "a client as `id:secret=redirect URI`; may be repeated; not a real one", func(v string) error {
		id, rest, ok1 := strings.Cut(v, ":")
		secret, uri, ok2 := strings.Cut(rest, "=")
		if !ok1 || !ok2 {
			return fmt.Errorf("want id:secret=redirect URI")
		}
		add(sandbox.Client{ID: id, Secret: secret, RedirectURIs: []string{uri}})
		return nil
	})
	flag.Func("key-client", "a client with a key as `id=PEM file of a public key`; may be repeated",
		func(v string) error {
			id, file, _ := strings.Cut(v, "=")
			key, err := publicKey(file)
			if err != nil {
				return err
			}
			add(sandbox.Client{ID: id, Key: key})
			return nil
		})
}

// tlsClients registers clients that authenticate with a certificate, and writes each one's certificate and key to its
// file.
func tlsClients(s *sandbox.Server, files map[string]string) error {
	for id, file := range files {
		certificate, key := s.ClientCertificate(id, false)
		if err := os.WriteFile(file, append(certificate, key...), 0o600); err != nil {
			return err
		}
		s.AddClient(sandbox.Client{ID: id, Method: sandbox.TLSClientAuth, TLSSubject: "CN=" + id})
	}
	return nil
}

func publicKey(file string) (crypto.PublicKey, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM", file)
	}
	return x509.ParsePKIXPublicKey(block.Bytes)
}

// staticKey reads header:prefix:key.
func staticKey(o *sandbox.Options) func(string) error {
	return func(v string) error {
		parts := strings.SplitN(v, ":", 3)
		if len(parts) != 3 {
			return fmt.Errorf("want header:prefix:key")
		}
		o.APIKeys = append(o.APIKeys, sandbox.APIKey{Header: parts[0], Prefix: parts[1], Value: parts[2]})
		return nil
	}
}
