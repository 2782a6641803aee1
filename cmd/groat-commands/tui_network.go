package main

import (
	"bytes"
	"fmt"

	"github.com/groat-dev/groat/protocol"
)

var (
	helpNetwork = help{
		short: "Show or set the proxy and certificate authorities",
		long: `Show how groatd reaches servers, and where each setting comes from:
network.toml, config.toml, or the environment that groatd was started with. A
setting counts before a variable.`,
		example: `  groat network
  groat network set proxy http://proxy.example:3128
  groat network set no_proxy .example.com,10.0.0.0/8
  groat network set ca_file /etc/ssl/company-ca.pem
  groat network unset proxy`,
	}
	helpNetworkSet = help{
		short: "Set a proxy, what goes without it, or further authorities",
		long: `Write a setting to network.toml. It counts at once, for every request that
begins after it.

  proxy     http://HOST:PORT, or https://, socks5:// or socks5h://, without user
            name and password
  no_proxy  hosts, domains, addresses and networks that are reached directly,
            separated by commas; * is all
  ca_file   a PEM file of certificate authorities, trusted beside the system's`,
	}
	helpNetworkUnset = help{short: "Remove a setting from network.toml"}
)

const msgNetworkKey = "the setting must be proxy, no_proxy or ca_file"

func msgNoValue(key string) string { return "no value for " + key }

func textNetwork(s screen, r *protocol.NetworkResult) []byte {
	row := func(key string, set *protocol.NetworkSetting, unset string) []string {
		if set == nil {
			return []string{key, unset, ""}
		}
		return []string{key, set.Value, set.From}
	}
	return s.table([]string{"SETTING", "VALUE", "FROM"}, [][]string{
		row("proxy", r.Proxy, "none"), row("no_proxy", r.NoProxy, "none"), row("ca_file", r.CAFile,
			"the system's authorities"),
	})
}

// network writes the lines of "status" about what is set.
func (s screen) network(b *bytes.Buffer, r *protocol.NetworkResult) {
	if r == nil {
		return
	}
	for _, set := range []struct {
		key string
		of  *protocol.NetworkSetting
	}{{"proxy", r.Proxy}, {"no_proxy", r.NoProxy}, {"ca_file", r.CAFile}} {
		if set.of != nil {
			s.flow(b, 0, 2, s.words(fmt.Sprintf("%s: %s (%s)", set.key, clean(set.of.Value), clean(set.of.From))))
		}
	}
}
