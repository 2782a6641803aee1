package config

import (
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http/httpproxy"

	"github.com/groat-dev/groat/protocol/visible"
)

// authority returns a certificate in PEM.
func authority(t *testing.T) string {
	t.Helper()
	s := httptest.NewTLSServer(http.NotFoundHandler())
	s.Close()
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

// put writes a file beside the configuration and returns its path.
func put(t *testing.T, mode os.FileMode, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestH61TheNetworkIsRead(t *testing.T) {
	ca := put(t, 0o644, "a remark\n"+authority(t)+authority(t))
	d := place(t, map[string]string{
		"config.toml":  "\n[network] # mine\nproxy = \"http://proxy.example:3128\"\n[profiles.work]\n" + spatiafi,
		"network.toml": "# written\nno_proxy = \".example.org\"\nca_file = \"" + ca + "\"\n",
	})
	c, err := d.Load()
	if err != nil {
		t.Fatal(err)
	}
	n := c.Network
	want := Network{
		Proxy:   Setting{"http://proxy.example:3128", d.file, 3},
		NoProxy: Setting{".example.org", d.networkFile(), 2}, CAFile: Setting{ca, d.networkFile(), 3},
	}
	n.Authorities = nil
	if diff := cmp.Diff(want, n); diff != "" || len(c.Network.Authorities) != 2 || len(c.Profiles) != 1 {
		t.Errorf("%d authorities, %s", len(c.Network.Authorities), diff)
	}
}

// Each mistake is named with its file and line, wherever it stands, and no secret is repeated.
func TestH62MistakesInTheNetwork(t *testing.T) {
	good := authority(t)
	for name, c := range map[string]struct{ line, says string }{
		"a scheme":  {`proxy = "gopher://proxy.example"`, "must begin with one of"},
		"no URL":    {`proxy = "http://"`, "is not a URL"},
		"empty":     {`proxy = ""`, "is not a URL"},
		"a path":    {`proxy = "http://proxy.example/x"`, "must end after the host"},
		"a control": {`proxy = "http://proxy.example\u001b"`, "control character"},
		"a secret": {`proxy = "http://alice:dummy-password@proxy.example"`,
			"no secret stands in a configuration"},
		"a type":         {`proxy = 7`, ""},
		"an unknown key": {`proxi = "http://proxy.example"`, "unknown key"},
		"no hosts":       {`no_proxy = ""`, "separated by commas"},
		"hosts, control": {`no_proxy = "a\u0007"`, "separated by commas"},
		"relative":       {`ca_file = "ca.pem"`, "must be an absolute path"},
		"missing":        {`ca_file = "/nonexistent/ca.pem"`, "nothing is there"},
		"a directory":    {`ca_file = "/etc"`, "not a regular file"},
		"no certificate": {`ca_file = "` + put(t, 0o644, "none\n") + `"`, "no certificate"},
		"nothing":        {`ca_file = "` + put(t, 0o644, "") + `"`, "no certificate"},
		"a damaged one": {`ca_file = "` + put(t, 0o644,
			"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n") + `"`, "certificate 1 cannot be read"},
		"another's to be": {`ca_file = "` + put(t, 0o666, good) + `"`, "may be written by others"},
		"a group's to be": {`ca_file = "` + put(t, 0o664, good) + `"`, "may be written by others"},
	} {
		t.Run(name, func(t *testing.T) {
			for file, text := range map[string]string{"network.toml": "# x\n", "config.toml": "[network]\n"} {
				_, err := place(t, map[string]string{file: text + c.line + "\n"}).Load()
				refused(t, err, file+":2", c.says)
			}
		})
	}
}

func TestH63OneKeyInBothFiles(t *testing.T) {
	d := place(t, map[string]string{
		"config.toml":  "[network]\nno_proxy = \"*\"\nproxy = \"http://a.example\"\n",
		"network.toml": "proxy = \"http://a.example\"\n",
	})
	_, err := d.Load()
	refused(t, err, "config.toml:3", "network.toml:1")
	before := texts(t, d)
	_, err = d.SetNetwork("proxy", "http://b.example")
	refused(t, err, "config.toml:3", "never writes")
	if diff := cmp.Diff(before, texts(t, d)); diff != "" {
		t.Error(diff)
	}
	if _, err := d.SetNetwork("proxy", ""); err != nil {
		t.Error(err)
	}
	if c, err := d.Load(); err != nil || c.Network.Proxy.Value != "http://a.example" {
		t.Errorf("%v, %v", c, err)
	}
}

// Whatever is set is loaded again, or refused and nothing has changed; and it can be taken back.
func TestH64WhatIsSetIsLoaded(t *testing.T) {
	ca := put(t, 0o644, authority(t))
	odd := filepath.Join(filepath.Dir(ca), `"'\`)
	if err := os.Symlink(ca, odd); err != nil {
		t.Fatal(err)
	}
	d := place(t, nil)
	for _, s := range []struct{ key, value, kept string }{
		{"proxy", "proxy.example:3128", "http://proxy.example:3128"},
		{"no_proxy", "a.example, b.example", "a.example, b.example"},
		{"ca_file", ca, ca}, {"ca_file", odd, odd}, {"proxy", "socks5h://[::1]:1080/", "socks5h://[::1]:1080"},
	} {
		if _, err := d.SetNetwork(s.key, s.value); err != nil {
			t.Fatal(err)
		}
		c, err := d.Load()
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Network.key(s.key).Value; got != s.kept {
			t.Errorf("%s %q is kept as %q", s.key, s.value, got)
		}
	}
	before := texts(t, d)
	for key, value := range map[string]string{"proxy": "http://x:dummy@y", "ca_file": "/nonexistent",
		"no_proxy": "\x00", "colour": "red", "": "x"} {
		_, err := d.SetNetwork(key, value)
		refused(t, err, "network.toml", "")
	}
	undo, err := d.SetNetwork("proxy", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := undo(); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(before, texts(t, d)); diff != "" {
		t.Error(diff)
	}
	empty := place(t, nil)
	undo, err = empty.SetNetwork("proxy", "http://proxy.example")
	if err != nil {
		t.Fatal(err)
	}
	if err := undo(); err != nil || len(texts(t, empty)) != 0 {
		t.Errorf("%v, %v", err, texts(t, empty))
	}
	off, err := At(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	_, err = off.SetNetwork("proxy", "http://proxy.example")
	refused(t, err, os.DevNull, "")
}

// A setting that has become useless can still be removed.
func TestH65ASettingThatWentBadCanBeRemoved(t *testing.T) {
	ca := put(t, 0o644, authority(t))
	d := place(t, nil)
	if _, err := d.SetNetwork("ca_file", ca); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(ca); err != nil {
		t.Fatal(err)
	}
	_, err := d.Load()
	refused(t, err, "network.toml:2", "nothing is there")
	if _, err := d.SetNetwork("ca_file", ""); err != nil {
		t.Error(err)
	}
	if _, err := d.Load(); err != nil {
		t.Error(err)
	}
}

// A hint can be typed as it is, whatever the file is called.
func TestH74HintsCanBeTyped(t *testing.T) {
	for name, word := range map[string]string{"ca.pem": "ca.pem", "my ca.pem": "'my ca.pem'",
		"it's $x": `'it'\''s $x'`} {
		if got := visible.Word(name); got != word {
			t.Errorf("%s: %s", name, got)
		}
	}
	dir := filepath.Join(t.TempDir(), "a b's")
	d, err := At(dir + "/")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.SetNetwork("proxy", "http://a.example"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.toml"), []byte("[network]\nproxy = \"http://b.example\"\n"),
		0o600); err != nil {
		t.Fatal(err)
	}
	_, err = d.Load()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatal(err)
	}
	if out, err := typedByAPerson(e.Hint).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", e.Hint, err, out)
	}
	if c, err := d.Load(); err != nil || c.Network.Proxy.Value != "http://b.example" {
		t.Errorf("after its hint: %v", err)
	}
}

// Every element of a list of what needs no proxy means something to the library that reads it, or is refused by name.
func TestH82NothingInNoProxyIsLeftOut(t *testing.T) {
	for value, bad := range map[string]string{
		"*": "", "a": "", ".a.example": "", "*.a.example": "", "a.example:443": "", "10.0.0.0/8, ::1": "",
		"[::1]:443": "", "10.1.2.3:80": "",
		"a_b.example,": "", "fe80::/10,1.com": "", "xn--bcher-kva.example": "",
		"a b": "a b", "localhost,127.*": "127.*", "10.0.0.0/33": "10.0.0.0/33", "[::1]": "[::1]", "a:99999": "a:99999",
		"a:0": "a:0", "a.": "a.",
		"*a.example": "*a.example", "https://a.example": "https://a.example", "a.example/x": "a.example/x",
		"10.1.2": "10.1.2", ":80": ":80", "a;b": "a;b",
		`"'\`: `\"'\\`, "-.": "-.", "..a": "..a", "a..b": "a..b",
	} {
		d := place(t, nil)
		_, err := d.SetNetwork("no_proxy", value)
		e, ok := errors.AsType[*Error](err)
		if bad == "" && err != nil || bad != "" && (!ok || !strings.HasPrefix(e.Message,
			"no_proxy holds \""+bad+"\", which is no ") || !strings.HasPrefix(e.Hint, "groat network set no_proxy ")) {
			t.Errorf("%q: %v", value, err)
		}
		if bad != "" {
			continue
		}
		// The library finds each of them where it is meant.
		for element := range strings.SplitSeq(strings.TrimSuffix(value, ","), ",") {
			element = strings.TrimSpace(element)
			host := strings.NewReplacer("*.", "x.", "*", "any.example", "10.0.0.0/8", "10.9.9.9", "fe80::/10",
				"[fe80::7]").Replace(element)
			if strings.HasPrefix(host, ".") {
				host = "x" + host
			}
			if host == "::1" || strings.HasPrefix(host, "[::1]") {
				continue // this machine needs no proxy anyway
			}
			scheme := "https://"
			if strings.HasSuffix(host, ":80") {
				scheme = "http://"
			}
			u, err := url.Parse(scheme + host)
			if err != nil {
				t.Fatal(err)
			}
			if p, err := (&httpproxy.Config{HTTPProxy: "p.example:1", HTTPSProxy: "p.example:1",
				NoProxy: value}).ProxyFunc()(u); p != nil || err != nil {
				t.Errorf("%q: %s goes through %v, %v", value, u, p, err)
			}
		}
	}
}

// A ca_file of network.toml that has gone keeps groatd from starting: the hint gets it out without one.
func TestH86ACAFileThatHasGone(t *testing.T) {
	for name, spoil := range map[string]func(ca string) error{
		"removed": os.Remove, "replaced": func(ca string) error { return os.WriteFile(ca, []byte("x"), 0o644) },
	} {
		ca := put(t, 0o644, authority(t))
		d := place(t, nil)
		for key, value := range map[string]string{"ca_file": ca, "proxy": "http://proxy.example:1"} {
			if _, err := d.SetNetwork(key, value); err != nil {
				t.Fatal(err)
			}
		}
		if err := spoil(ca); err != nil {
			t.Fatal(err)
		}
		_, err := d.Load()
		e, ok := errors.AsType[*Error](err)
		if !ok {
			t.Fatalf("%s: %v", name, err)
		}
		if out, err := typedByAPerson(e.Hint).CombinedOutput(); err != nil {
			t.Fatalf("%s: %s: %s, %v", name, e.Hint, out, err)
		}
		if c, err := d.Load(); err != nil || c.Network.CAFile.Value != "" || c.Network.Proxy.Value == "" {
			t.Errorf("%s: %v, %v", name, c, err)
		}
	}
}

// typedByAPerson runs a command in a shell that finds the system's programs, whatever this process's PATH is.
func typedByAPerson(command string) *exec.Cmd {
	cmd := exec.Command("/bin/sh", "-c", command)
	cmd.Env = append(os.Environ(), "PATH=/usr/bin:/bin")
	return cmd
}
