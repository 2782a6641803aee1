package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/groat-dev/groat/protocol"
)

var (
	helpProfile     = help{short: "Show or change the keys of a profile"}
	helpProfileShow = help{
		short: "Show the keys that a profile has, or all keys that there are",
		long: `Show what a profile's file says, and where it stands.

Without NAME, show every key that a profile can have, and what it is for.`,
		example: `  groat profile show
  groat profile show work`,
	}
	helpProfileSet = help{
		short: "Set a key of a profile",
		long: `Set a key of a profile that "groat login" wrote. It counts at once, for every
request that begins after it; access tokens are obtained anew.

What the credential belongs to (the server, the way to sign in, how the client
authenticates) is decided by the sign-in: for such a key the answer is the
command that changes it.`,
		example: `  groat profile set work scope "read write"
  groat profile set work basic raw`,
	}
	helpProfileUnset = help{short: "Remove a key of a profile"}
)

const useProfileSet = "set NAME KEY VALUE"

func textProfileKeys(r *protocol.ProfileResult) []byte {
	var b bytes.Buffer
	if r.Profile == "" {
		for _, k := range r.Keys {
			fmt.Fprintf(&b, "%s\n    %s\n", clean(k.Key), strings.ReplaceAll(sentence(k.About), "`", "\""))
			if k.Login != "" {
				fmt.Fprintf(&b, "    (groat login NAME %s)\n", clean(k.Login))
			}
		}
		return b.Bytes()
	}
	from := r.From
	if from == "" {
		from = "in memory only"
	}
	fmt.Fprintf(&b, "profile %s (%s)\n", clean(r.Profile), clean(from))
	var rows [][]string
	for _, k := range r.Keys {
		rows = append(rows, []string{k.Key, k.Value})
	}
	b.Write(table([]string{"KEY", "VALUE"}, rows))
	return b.Bytes()
}
