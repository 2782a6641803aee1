package config

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/protocol/visible"
)

// Network says how servers are reached: the settings of network.toml, which `groat network set` writes, or of the table
// [network] in config.toml. For a key that is not set, groatd's environment decides.
type Network struct {
	Proxy   Setting // a URL without user information
	NoProxy Setting // as NO_PROXY
	CAFile  Setting // an absolute path
	// Authorities are the certificates of CAFile.
	Authorities []*x509.Certificate
}

// Setting is a value and the place of its line.
type Setting struct {
	Value string // empty: not set
	File  string
	Line  int
}

// networkTable is the content of network.toml, and of the table [network].
type networkTable struct {
	Proxy   *string `toml:"proxy,omitempty"`
	NoProxy *string `toml:"no_proxy,omitempty"`
	CAFile  *string `toml:"ca_file,omitempty"`
}

// NetworkKeys returns the keys of the network's configuration.
func NetworkKeys() []string { return []string{"proxy", "no_proxy", "ca_file"} }

func (t *networkTable) key(name string) **string {
	switch name {
	case "proxy":
		return &t.Proxy
	case "no_proxy":
		return &t.NoProxy
	case "ca_file":
		return &t.CAFile
	}
	return nil
}

func (n *Network) key(name string) *Setting {
	switch name {
	case "proxy":
		return &n.Proxy
	case "no_proxy":
		return &n.NoProxy
	}
	return &n.CAFile
}

func (d Dir) networkFile() string { return filepath.Join(d.path, networkName) }

const networkName = "network.toml"

// loadNetwork adds network.toml to the settings of config.toml.
func (d Dir) loadNetwork(c *Config) error {
	t, text, err := d.readNetwork()
	if err != nil {
		return err
	}
	return c.Network.add(t, d.networkFile(), text, 1)
}

// readNetwork returns network.toml; text is nil where there is no file.
func (d Dir) readNetwork() (t networkTable, text []byte, err error) {
	if text, err = read(d.networkFile()); text == nil || err != nil {
		return t, nil, err
	}
	if err := decode(d.networkFile(), text, &t); err != nil {
		return t, nil, networkHint(err)
	}
	return t, text, nil
}

// networkHint names the existing keys where decode found an unknown one.
func networkHint(err error) error {
	if e, ok := errors.AsType[*Error](err); ok && strings.HasPrefix(e.Message, "unknown key") {
		e.Message += "; the keys are " + strings.Join(NetworkKeys(), ", ")
		e.Hint = Edit(e.File)
	}
	return err
}

// add takes over the keys of a table that begins at a line of a file.
func (n *Network) add(t networkTable, file string, text []byte, begin int) error {
	for _, name := range NetworkKeys() {
		value := *t.key(name)
		if value == nil {
			continue
		}
		s := Setting{*value, file, keyLine(text, begin, name)}
		if other := *n.key(name); other.File != "" {
			return &Error{File: other.File, Line: other.Line, Hint: "sed -i.old '/^" + name + " *=/d' " +
				visible.Word(s.File),
				Message: fmt.Sprintf("%s stands here and in %s:%d", name, s.File, s.Line)}
		}
		authorities, err := checkNetwork(name, s)
		if err != nil {
			return err
		}
		*n.key(name) = s
		n.Authorities = append(n.Authorities, authorities...)
	}
	return nil
}

// networkPlaceholders stand for a value in a hint :: key → placeholder.
var networkPlaceholders = map[string]string{"proxy": "http://HOST:PORT", "no_proxy": "HOST",
	"ca_file": "FILE"}

// checkNetwork refuses a value that could not work, and returns the certificates of a ca_file.
func checkNetwork(name string, s Setting) (authorities []*x509.Certificate, err error) {
	fail := func(hint, format string, args ...any) error {
		if hint == "" { // to give another value
			if hint = "groat network set " + name + " " + networkPlaceholders[name]; s.Line > 0 {
				hint = Edit(s.File)
			}
		}
		return &Error{File: s.File, Line: s.Line, Message: name + " " + fmt.Sprintf(format, args...), Hint: hint}
	}
	switch name {
	case "proxy":
		switch _, err := grant.ProxyWithoutSecret(s.Value); {
		case errors.Is(err, grant.ErrProxySecret):
			return nil, fail("",
				"%s, and no secret stands in a configuration; groatd takes HTTPS_PROXY from the environment that it "+
					"is started with", err)
		case err != nil:
			return nil, fail("", "%s", err)
		}
	case "no_proxy":
		unprintable := func(r rune) bool { return r < ' ' || r > '~' }
		if s.Value == "" || len(s.Value) > 4096 || strings.ContainsFunc(s.Value, unprintable) {
			return nil, fail("",
				"must be host names, domains, addresses or networks, separated by commas, 4096 bytes at most")
		}
		for element := range strings.SplitSeq(s.Value, ",") {
			if element = strings.TrimSpace(element); element != "" && !noProxyElement(element) {
				return nil, fail("", "holds %q, which is no host name, domain, address or network; commas stand "+
					"between them", element)
			}
		}
	case "ca_file":
		return readAuthorities(s, fail)
	}
	return nil, nil
}

// noProxyElement reports whether the library understands an element of a NO_PROXY list. It ignores what it does not
// understand, and the request would go through the proxy.
func noProxyElement(s string) bool {
	if s == "*" || net.ParseIP(s) != nil {
		return true
	}
	if _, _, err := net.ParseCIDR(s); err == nil {
		return true
	}
	host := s
	if h, port, err := net.SplitHostPort(s); err == nil {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return false
		}
		if host = h; net.ParseIP(host) != nil {
			return true
		}
	}
	if rest, ok := strings.CutPrefix(host, "*."); ok {
		host = rest
	} else {
		host = strings.TrimPrefix(host, ".")
	}
	return len(host) <= 253 && domainName.MatchString(host)
}

// domainName matches a name of RFC 1123 §2.1, with the underscore that names in use have. It does not match a number:
// what looks like an IPv4 address is one.
var domainName = regexp.MustCompile(`^([0-9A-Za-z_-]{1,63}\.)*[0-9A-Za-z_-]*[A-Za-z][0-9A-Za-z_-]*$`)

// failFunc returns an error about a setting, with the command that helps; an empty hint means the setting's own.
type failFunc func(hint, format string, args ...any) error

// readAuthorities returns the certificates of a file that no other user could have written.
func readAuthorities(s Setting, fail failFunc) (all []*x509.Certificate, err error) {
	path := s.Value
	if !filepath.IsAbs(path) || strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return nil, fail("", "must be an absolute path")
	}
	if err = checkPath(path); err == nil {
		var text []byte
		text, err = read(path)
		if text == nil && err == nil {
			return nil, fail(dropHint(s, "ls -l "+visible.Word(path)), "names %s, and nothing is there", path)
		}
		if err == nil {
			return parseAuthorities(text, s, fail)
		}
	}
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return nil, err
	}
	return nil, fail(e.Hint, "cannot be used: %s %s", e.File, e.Message)
}

// dropHint returns a command that removes a setting from network.toml, or hint where the setting is elsewhere. groatd
// may not even start with the setting.
func dropHint(s Setting, hint string) string {
	if s.Line == 0 || filepath.Base(s.File) != networkName {
		return hint
	}
	return "sed -i.old '/^ca_file *=/d' " + visible.Word(s.File)
}

func parseAuthorities(text []byte, s Setting, fail failFunc) (all []*x509.Certificate, err error) {
	path := s.Value
	hint := dropHint(s, "openssl x509 -noout -subject -in "+visible.Word(path))
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" && block.Type != "TRUSTED CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fail(hint, "names %s, whose certificate %d cannot be read", path, len(all)+1)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, fail(hint, "names %s, which holds no certificate in PEM", path)
	}
	return all, nil
}

// SetNetwork writes one key of network.toml atomically, or removes it if value is empty. It refuses a value that Load
// would refuse, and then changes nothing. undo restores the previous file. Every error is an [*Error].
func (d Dir) SetNetwork(key, value string) (undo func() error, err error) {
	if d.off() {
		return nil, &Error{File: d.file, Message: "stands in the configuration's place, and keeps no setting",
			Hint: "unset GROAT_CONFIG"}
	}
	file := d.networkFile()
	if !slices.Contains(NetworkKeys(), key) {
		said := fmt.Sprintf("was not written: unknown key %q; the keys are %s", key, strings.Join(NetworkKeys(), ", "))
		return nil, &Error{File: file, Message: said, Hint: "groat network"}
	}
	t, was, err := d.readNetwork()
	if err != nil {
		return nil, err
	}
	if value == "" {
		*t.key(key) = nil
	} else {
		if key == "proxy" {
			if u, err := grant.ProxyWithoutSecret(value); err == nil {
				value = u.String()
			}
		}
		if _, err := checkNetwork(key, Setting{Value: value, File: file}); err != nil {
			return nil, err
		}
		main, err := d.mainNetwork()
		if err != nil {
			return nil, err
		}
		if other := main.key(key); other.File != "" {
			return nil, &Error{File: other.File, Line: other.Line, Hint: Edit(other.File) + " && groat reload",
				Message: fmt.Sprintf("%s is set here, in a file that groat never writes", key)}
		}
		*t.key(key) = &value
	}
	text := bytes.NewBufferString("# Written by `groat network set`. No secret is in here.\n")
	if err := toml.NewEncoder(text).Encode(t); err != nil {
		return nil, &Error{File: file, Message: "was not written: " + err.Error(), Hint: "groat network"}
	}
	var again networkTable
	if err := decode(file, text.Bytes(), &again); err != nil || !reflect.DeepEqual(again, t) {
		return nil, &Error{File: file, Message: "was not written: it would be read differently", Hint: "groat network"}
	}
	return d.replaceNetwork(was, text.Bytes())
}

// mainNetwork returns the network settings of config.toml.
func (d Dir) mainNetwork() (Network, error) {
	c := empty()
	err := d.loadMain(c)
	return c.Network, err
}

func (d Dir) replaceNetwork(was, text []byte) (undo func() error, err error) {
	if err := d.makeDirs(); err != nil {
		return nil, err
	}
	file := d.networkFile()
	if err := replace(file, text); err != nil {
		return nil, err
	}
	return func() error {
		if was == nil {
			return os.Remove(file)
		}
		return replace(file, was)
	}, nil
}

// networkLine returns the line of the table [network] in config.toml, or 1.
func networkLine(text []byte) int {
	for i, line := range bytes.Split(text, []byte("\n")) {
		line, _, _ = bytes.Cut(line, []byte("#"))
		if strings.Join(strings.Fields(string(line)), "") == "[network]" {
			return i + 1
		}
	}
	return 1
}
