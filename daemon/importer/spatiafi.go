package importer

import (
	"errors"
	"io/fs"
	"path/filepath"
	"regexp"
)

// These programs keep using the files that they saved.
const (
	readersSpatiafi = "spatiafi (Python package)"
	readersGDAL     = "gdal_auth (of the Python package spatiafi)"
)

// appCredentials is the name of App Credentials for people.
const appCredentials = "App Credentials"

// spatiafi looks where SpatiaFi's Python package and its tutorials keep App Credentials.
func (s *search) spatiafi() {
	s.appVariables("SPATIAFI_CLIENT_ID", "SPATIAFI_CLIENT_SECRET", false)
	s.appVariables("CLIENT_ID", "CLIENT_SECRET", true)
	dir := filepath.Join(s.env.config(), "spatiafi")
	for _, place := range []struct {
		path    string
		readers []string
	}{
		{filepath.Join(dir, "app_credentials.json"), []string{readersSpatiafi}},
		{filepath.Join(dir, "app_credentials"), []string{"notebooks made from SpatiaFi's tutorial"}},
		// only the package's documentation names it
		{filepath.Join(s.env.Home, ".spatiafi", "app_credentials.json"), nil},
	} {
		d, err := s.readDocument(place.path, false)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		d.at.Readers = place.readers
		s.appDocument(d, err)
	}
}

// appDocument reads the answer to POST /api/v1/clients/ as it was saved. py-spatiafi saves it unchecked.
func (s *search) appDocument(d document, err error) {
	defer d.wipe()
	if err != nil {
		s.refuse("SpatiaFi", appCredentials, "spatiafi", d.at, err)
		return
	}
	d.at.Holds = []string{"client secret"}
	id := d.text("client_id")
	secret, ok := d.secret("client_secret")
	switch {
	case id == "" && secret.IsZero() && d.isComplaint():
		err = flawed("",
			"an error message of the server was saved in the place of App Credentials; no credential was ever in it")
	case id == "" || !isPrintableASCII([]byte(id)) || secret.IsZero() || !ok:
		err = flawed("", "client_id and client_secret must both be there, as text that is not empty")
	}
	if err != nil {
		secret.Wipe()
		s.refuse("SpatiaFi", appCredentials, "spatiafi", d.at, err)
		return
	}
	f := s.add(Candidate{System: "SpatiaFi", What: appCredentials, Name: "spatiafi", Copies: []Copy{d.at},
		Warnings: d.doubts})
	f.servers = d.namedServers()
	f.Target = Target{Provider: "spatiafi", Grant: "client_credentials"}
	f.Item.ClientID, f.Item.ClientSecret = id, secret
}

// isComplaint reports whether a document is a server's error message.
func (o object) isComplaint() bool {
	return o.has("detail") || o.has("error") || o.has("errorCode") || o.has("message")
}

// App Credentials have these forms: a UUID, and 32 random bytes in base64url.
var (
	looksLikeID     = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	looksLikeSecret = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)
)

// appVariables reads a pair of variables. Names that any program may use (generic) count only if their values have the
// form of App Credentials.
func (s *search) appVariables(idName, secretName string, generic bool) {
	id, text := s.env.Getenv(idName), s.env.Getenv(secretName)
	if generic && !(looksLikeID.MatchString(id) && looksLikeSecret.MatchString(text)) {
		return
	}
	at := variables("client secret", idName, secretName)
	secret, ok := asSecret(text)
	if why := s.pair(idName, secretName, ok && (id == "" || isPrintableASCII([]byte(id)))); why != nil ||
		secret.IsZero() {
		secret.Wipe()
		if why != nil {
			s.refuse("SpatiaFi", appCredentials, "spatiafi", at, why)
		}
		return
	}
	f := s.add(Candidate{System: "SpatiaFi", What: appCredentials, Name: "spatiafi"})
	f.Target = Target{Provider: "spatiafi", Grant: "client_credentials"}
	f.Item.ClientID, f.Item.ClientSecret = id, secret
	if at.Readers = []string{readersSpatiafi}; generic {
		at.Readers = []string{"notebooks made from SpatiaFi's tutorial"}
		f.Target.Either = []string{"spatiafi", "climateengine"}
		f.Confirm = "the variables " + idName + " and " + secretName +
			" have names that any program may use, and only look like App Credentials"
		at.Variables = append(at.Variables, s.set("USER_ID")...)
		at.Remove = unset(at.Variables)
	}
	f.Copies = []Copy{at}
}

// pair says why two variables that need each other are no pair. An empty variable counts as unset.
func (s *search) pair(first, second string, wellFormed bool) error {
	switch a, b := s.env.Getenv(first), s.env.Getenv(second); {
	case a == "" && b == "":
		return nil
	case a == "":
		return flawed("", "%s is set but %s is not: a program uses either both or neither", second, first)
	case b == "":
		return flawed("", "%s is set but %s is not: a program uses either both or neither", first, second)
	case !wellFormed:
		return flawed("", "%s or %s holds something else than printable ASCII", first, second)
	}
	return nil
}

// climateEngine looks for the API key of today's API. Climate Engine's App Credentials never had a place of their own:
// see [Read].
func (s *search) climateEngine() {
	for _, name := range []string{"CLIMATE_ENGINE_API_KEY", "CLIMATE_ENGINE_API_TOKEN"} {
		key, ok := asSecret(s.env.Getenv(name))
		at := variables("API key", name)
		switch {
		case !ok:
			s.refuse("Climate Engine", apiKey, "climateengine", at,
				flawed("", "%s holds something else than printable ASCII", name))
		case !key.IsZero():
			f := s.add(Candidate{System: "Climate Engine", What: apiKey, Name: "climateengine", Copies: []Copy{at}})
			f.Target = Target{Provider: "climateengine-key", Grant: keyGrant}
			f.Item.APIKey, f.Item.Grant = key, keyGrant
		}
	}
}
