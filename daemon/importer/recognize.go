package importer

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/groat-dev/groat/daemon/grant/preset"
)

// readersUnknown are the readers of a file that a person named.
var readersUnknown = []string{"the program or notebook that it was saved for"}

// Read returns the candidates in one file, wherever it is and whatever its name: its keys decide what it is. The path
// must be absolute. A file of a Planet profile stands for the whole profile. The error is the context's, or wraps
// [fs.ErrNotExist], or is about env or path. Any other failure is the [Candidate.Reason] of the only candidate.
func Read(ctx context.Context, env Env, path string) ([]Candidate, error) {
	s, err := newSearch(ctx, env)
	if err != nil {
		return nil, err
	}
	if !filepath.IsAbs(path) || checkPrintable(path) != nil {
		return nil, errors.New("the path is not absolute, or holds control characters")
	}
	switch base := filepath.Base(path); {
	case strings.HasPrefix(base, "auth_client.") || strings.HasPrefix(base, "token.") && s.planetSibling(path):
		s.planetDirectory(filepath.Dir(path), true)
	case strings.HasSuffix(base, ".toml"):
		s.earthscopeOnly(path)
	default:
		d, err := s.readDocument(path, true)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		s.recognize(d, err)
	}
	if err := ctx.Err(); err != nil {
		s.wipe()
		return nil, context.Cause(ctx)
	}
	if len(s.found) == 0 {
		return nil, &fs.PathError{Op: "read", Path: path, Err: fs.ErrNotExist}
	}
	return s.result(), nil
}

// Parse is [Read] for the text of standard input, at most 1 MiB. data stays the caller's, who wipes it.
func Parse(ctx context.Context, env Env, data []byte) ([]Candidate, error) {
	s, err := newSearch(ctx, env)
	if err != nil {
		return nil, err
	}
	var d document
	if len(data) > maxFile {
		err = flawed("", "it is larger than %d bytes", maxFile)
	} else if text := bytes.TrimSpace(data); len(text) > 0 && text[0] != '{' {
		err = flawed("", "it is none of the files that groat knows: those are JSON objects")
	} else if d.object, err = parseObject(data); err == nil && d.encrypted() {
		d.wipe()
		err = flawed("sops -d FILE | groat import --from -", "it is encrypted by sops")
	}
	s.recognize(d, err)
	return s.result(), nil
}

// planetSibling reports whether a file lies beside a Planet profile's settings.
func (s *search) planetSibling(path string) bool {
	for _, name := range []string{"auth_client.sops.json", "auth_client.json"} {
		if f, err := readFile(filepath.Join(filepath.Dir(path), name), maxFile, true); err == nil {
			clear(f.text)
			return true
		}
	}
	return false
}

// earthscopeOnly reads a config.toml alone, without the environment and without the tokens beside it.
func (s *search) earthscopeOnly(path string) {
	profiles, all := s.earthscopeFile(path, true)
	if all == nil {
		return
	}
	s.earthscopeProfile("default", []*layer{all})
	names := make([]string, 0, len(profiles))
	for name := range profiles {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		s.earthscopeProfile(name, []*layer{profiles[name], all})
	}
	if len(s.found) == 0 {
		s.refuse("EarthScope", "settings", "earthscope", all.at, flawed("", "there is no credential in it"))
	}
}

// recognize decides by its keys what a document is.
func (s *search) recognize(d document, err error) {
	if err != nil {
		s.refuse("", "file", "imported", d.at, err)
		return
	}
	d.at.Readers = readersUnknown
	switch {
	case d.has("type"):
		s.googleDocument(d, nil)
	case d.has("client_type"):
		s.planetDocument(planetProfile{client: d, tokenErr: fs.ErrNotExist})
	case d.planetPreferences():
		defer d.wipe()
		if s.planetPreferred(d); len(s.found) == 0 {
			s.refuse("Planet", "preferences", "planet", d.at, flawed("", "there is no credential in it"))
		}
	case d.has("api_key"):
		s.planetDocument(planetProfile{token: d, clientErr: fs.ErrNotExist})
	case d.has("client_id", "client_secret"):
		s.apps(d)
	case d.has("access_token") || d.has("refresh_token") || d.has("id_token"):
		s.tokenDocument(d)
	default:
		defer d.wipe()
		s.refuse("", "file", "imported", d.at, unrecognized(d))
	}
}

// apps reads an answer to POST /api/v1/clients/, which two providers give in the same form.
func (s *search) apps(d document) {
	if filepath.Dir(d.at.Path) == filepath.Join(s.env.config(), "spatiafi") {
		d.at.Readers = []string{readersSpatiafi}
	}
	s.appDocument(d, nil)
	if f := s.found[len(s.found)-1]; f.Importable() {
		f.Target.Either = []string{"spatiafi", "climateengine"}
	}
}

// planetPreferences reports whether a document has a credential as ~/.planet.json has it.
func (o object) planetPreferences() bool {
	for name := range o {
		for _, known := range []string{keyName, idName, secretName} {
			if name == known || strings.HasSuffix(name, "_"+known) {
				return true
			}
		}
	}
	return o.has("key")
}

// planetDocument reads one file of a Planet profile without the others.
func (s *search) planetDocument(p planetProfile) {
	defer p.client.wipe()
	defer p.token.wipe()
	p.name = "planet"
	p.warnings = union(p.client.doubts, p.token.doubts)
	if err := s.planetImport(&p); err != nil {
		s.planetRefuse(&p, err)
	}
}

// tokenDocument reads a file of tokens. The issuer in its JWT decides whose they are, else the members beside it.
func (s *search) tokenDocument(d document) {
	access, _ := d.secret("access_token")
	defer access.Wipe()
	said := claims(access)
	issuer := said.text("iss")
	earthscope, _ := preset.Lookup("earthscope")
	planet, _ := preset.Lookup("planet-user")
	m2m, _ := preset.Lookup("planet-m2m")
	old := d.has("issued_at") || d.has("expires_at")
	switch {
	case sameURL(issuer, earthscope.Issuer) && !old:
		s.earthscopeFresh(d)
	case sameURL(issuer, earthscope.Issuer), issuer == "" && old:
		s.earthscopeOldTokens(d, nil)
	case sameURL(issuer, planet.Issuer), sameURL(issuer, m2m.Issuer), issuer == "" && (d.has("_iat") || d.has("_exp")):
		s.planetDocument(planetProfile{token: d, clientErr: fs.ErrNotExist})
	default:
		defer d.wipe()
		s.refuse("", "tokens", "imported", d.at, flawed("groat login",
			"nothing says which program signed in, and where; a session is of use only to the program that it was "+
				"made for"))
	}
}

// earthscopeFresh reads a tokens.json of the SDK 1.x alone.
func (s *search) earthscopeFresh(d document) {
	defer d.wipe()
	d.at.Readers = readersEarthscope
	s.earthscopeProfile("default", []*layer{d.tokenLayer()})
}

func unrecognized(d document) error {
	switch {
	case d.has("installed") || d.has("web"):
		return flawed("groat login "+namePlace+" --provider google",
			"it is a client of Google's, with which nobody has signed in yet")
	case d.has("cells"):
		return flawed("",
			"it is a notebook: copy the object with client_id and client_secret out of it, and clear its output")
	case d.isComplaint():
		return flawed("", "it is an error message of a server; no credential was ever in it")
	}
	return flawed("", "it is none of the files that groat knows")
}
