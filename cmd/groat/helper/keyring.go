package helper

import (
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/groat-dev/groat/protocol/frame"
	"github.com/groat-dev/groat/protocol/strictjson"
)

// KeyringName is the name that pip and uv call a program by with "--keyring-provider subprocess": Python's keyring
// (https://github.com/jaraco/keyring, keyring/cli.py), of which this is "get" alone.
const KeyringName = "keyring"

// KeyringFailed is keyring's exit code where there is no password.
const KeyringFailed = 1

// The errors of keyring's arguments.
var (
	// ErrKeyringUsage means that the arguments are not those of "keyring get".
	ErrKeyringUsage = errors.New("the arguments are not [--mode=creds] [--output=json] get URL [USER]")
	// ErrKeyringStore means that a password was brought to keep, or to delete.
	ErrKeyringStore = errors.New("groat keeps no passwords, so nothing was stored or deleted")
	// ErrKeyringNone means that no profile lists the URL. Keyring itself says nothing then.
	ErrKeyringNone = errors.New("no profile lists the URL")
)

// Keyring answers as the program keyring does: with the access token as the password, or with the user name as well.
// A person whose name is in the URL keeps it, unless it is a profile's, which it chooses then.
//
// A server without a scheme, which pip asks about once it got nothing for the URL, gets no answer: pip would send the
// token there by whatever scheme the URL had.
func Keyring(d Daemon, args []string, out io.Writer) error {
	k, err := parseKeyring(args)
	if err != nil {
		return err
	}
	if !strings.Contains(k.url, "://") {
		return ErrKeyringNone
	}
	wait := int64(Wait)
	params := frame.TokenParams{Target: k.url, Wait: &wait}
	if k.user != oauthUsername {
		params.Username = k.user
	}
	t, err := d.Token(params)
	if noneLists(err) {
		return ErrKeyringNone
	}
	if err == nil {
		err = sendable(t, "pip")
	}
	if err != nil {
		return err
	}
	name := k.user
	if name == "" || name == t.Profile {
		name = basicUsername(k.url)
	}
	b := make([]byte, 0, len(name)+len(t.AccessToken)+64)
	switch {
	case k.creds && k.json:
		b = strictjson.AppendString(append(b, `{"username":`...), name)
		b = append(strictjson.AppendString(append(b, `,"password":`...), t.AccessToken), '}')
	case k.creds:
		b = append(append(append(b, name...), '\n'), t.AccessToken...)
	case k.json:
		b = append(strictjson.AppendString(append(b, `{"password":`...), t.AccessToken), '}')
	default:
		b = append(b, t.AccessToken...)
	}
	_, err = out.Write(append(b, '\n'))
	return err
}

// keyringCall is what keyring's arguments say.
type keyringCall struct {
	creds, json bool // --mode=creds, --output=json
	url, user   string
}

func parseKeyring(args []string) (k keyringCall, err error) {
	var words []string
	for i := 0; i < len(args); i++ {
		option, value, joined := strings.Cut(args[i], "=")
		if option != "--mode" && option != "--output" {
			if strings.HasPrefix(args[i], "-") {
				return k, ErrKeyringUsage
			}
			words = append(words, args[i])
			continue
		}
		if !joined {
			if i++; i == len(args) {
				return k, ErrKeyringUsage
			}
			value = args[i]
		}
		switch option + "=" + value {
		case "--mode=creds":
			k.creds = true
		case "--mode=password":
			k.creds = false
		case "--output=json":
			k.json = true
		case "--output=plain":
			k.json = false
		default:
			return k, ErrKeyringUsage
		}
	}
	switch {
	case len(words) > 0 && (words[0] == "set" || words[0] == "del"):
		return k, ErrKeyringStore
	case len(words) < 2 || len(words) > 3 || words[0] != "get" || len(words) == 2 && !k.creds:
		return k, ErrKeyringUsage
	case len(words) == 3:
		k.user = words[2]
	}
	k.url = words[1]
	for _, text := range words[1:] {
		if strings.ContainsFunc(text, func(c rune) bool { return c < 0x20 || c == 0x7f || c == utf8.RuneError }) {
			return k, ErrKeyringUsage // a line's end would make two lines of the answer
		}
	}
	return k, nil
}
