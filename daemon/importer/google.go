package importer

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/groat-dev/groat/daemon/grant/preset"
)

const sharedClient = "its client belongs to another program, which Google may hold responsible for what is done " +
	"with it; a client id of your own is better"

// google looks for the Google sign-in of py-spatiafi's gdal_auth, which is another identity than SpatiaFi's.
func (s *search) google() {
	path := filepath.Join(s.env.config(), "spatiafi", "gcp_user_credentials.json")
	if d, err := s.readDocument(path, false); !errors.Is(err, fs.ErrNotExist) {
		d.at.Readers = []string{readersGDAL}
		s.googleDocument(d, err)
	}
	s.googleVariables()
	s.googleLeftOver()
}

// googleDocument reads a file of Google's own libraries.
func (s *search) googleDocument(d document, err error) {
	defer d.wipe()
	if err == nil {
		switch d.text("type") {
		case "service_account":
			err = s.serviceAccount(d)
		case "authorized_user":
			err = s.authorizedUser(d)
		default:
			err = flawed("", "its type is neither authorized_user nor service_account, so it is no file of Google's")
		}
	}
	if err != nil {
		s.refuse("Google", "account", "google", d.at, err)
	}
}

// elsewhere refuses a file for another token endpoint than Google's: its author must not decide where its secret is
// sent.
func elsewhere(d document) error {
	p, _ := preset.Lookup("google")
	known := []string{"", p.URL(p.TokenPath), "https://accounts.google.com/o/oauth2/token",
		"https://www.googleapis.com/oauth2/v4/token"}
	for _, uri := range known { // the last two are Google's former addresses for the same thing
		if d.text("token_uri") == uri {
			return nil
		}
	}
	return flawed("", "its token_uri is not Google's")
}

func (s *search) serviceAccount(d document) error {
	email := d.text("client_email")
	if err := elsewhere(d); err != nil {
		return err
	}
	if email == "" || !isPrintableASCII([]byte(email)) {
		return flawed("", "it has no client_email")
	}
	key := d.pem("private_key")
	if err := checkPEM(key); err != nil {
		key.Wipe()
		return err
	}
	d.at.Holds = []string{"private key"}
	name, _, _ := strings.Cut(email, "@")
	f := s.add(Candidate{System: "Google", What: "service account", Name: profileName(name, "google"),
		Copies: []Copy{d.at}, Warnings: d.doubts})
	f.servers = d.namedServers()
	f.Target = Target{Provider: "google", Grant: "jwt_bearer"}
	f.Item.ClientID, f.Item.Grant, f.Item.PrivateKey = email, "jwt_bearer", key
	f.Item.KeyID = d.text("private_key_id")
	f.lose(d, "quota_project_id")
	return nil
}

func (s *search) authorizedUser(d document) error {
	if err := elsewhere(d); err != nil {
		return err
	}
	id := d.text("client_id")
	secret, okSecret := d.secret("client_secret")
	refresh, okRefresh := d.secret("refresh_token")
	if id == "" || !isPrintableASCII([]byte(id)) || !okSecret || !okRefresh || secret.IsZero() || refresh.IsZero() {
		secret.Wipe()
		refresh.Wipe()
		return flawed("", "client_id, client_secret and refresh_token must all be there, as text that is not empty")
	}
	d.at.Holds = []string{"refresh token", "client secret"}
	scopes, _ := d.list("scopes")
	f := s.add(googleSession(id, d.at))
	f.servers = append(f.servers, append(d.namedServers(), namedServersOf(refresh, jwts["refresh_token"])...)...)
	f.Item.ClientSecret, f.Item.RefreshToken = secret, refresh
	f.Target.Scope = strings.Join(scopes, " ")
	f.Warnings = append(f.Warnings, d.doubts...)
	f.lose(d, "quota_project_id", "universe_domain", "account")
	return nil
}

func googleSession(id string, at Copy) Candidate {
	f := Candidate{System: "Google", What: "session", Name: "google", Copies: []Copy{at},
		Warnings: []string{sharedClient}}
	f.Target = Target{Provider: "google", Grant: "authorization_code"}
	f.Item.ClientID, f.Item.Grant = id, "authorization_code"
	return f
}

// googleVariables reads the variables that gdal_auth prints for GDAL.
func (s *search) googleVariables() {
	const idName, secretName, refreshName = "GS_OAUTH2_CLIENT_ID", "GS_OAUTH2_CLIENT_SECRET", "GS_OAUTH2_REFRESH_TOKEN"
	if s.env.Getenv(refreshName) == "" {
		return
	}
	id := s.env.Getenv(idName)
	at := variables("refresh token", idName, secretName, refreshName)
	at.Readers = []string{"GDAL"}
	secret, okSecret := asSecret(s.env.Getenv(secretName))
	refresh, okRefresh := asSecret(s.env.Getenv(refreshName))
	if id == "" || !isPrintableASCII([]byte(id)) || secret.IsZero() || !okSecret || !okRefresh {
		secret.Wipe()
		refresh.Wipe()
		s.refuse("Google", "session", "google", at, flawed("", "%s needs %s and %s beside it, in printable ASCII",
			refreshName, idName, secretName))
		return
	}
	f := s.add(googleSession(id, at))
	f.Item.ClientSecret, f.Item.RefreshToken = secret, refresh
}

// googleLeftOver warns of the file, readable by every user, that gdal_auth --file leaves behind; its help text names
// another place.
func (s *search) googleLeftOver() {
	dir := s.env.Getenv("TMPDIR")
	if !filepath.IsAbs(dir) {
		dir = "/tmp"
	}
	f, err := readFile(filepath.Join(dir, "gdal_auth.env"), maxFile, false)
	clear(f.text)
	if err != nil {
		return // in a shared directory it may be another user's file
	}
	f.at.Holds = []string{"refresh token", "client secret"}
	s.refuse("Google", "session", "google", f.at, flawed("",
		"gdal_auth wrote it for a shell to read; what it was made from is in gcp_user_credentials.json"))
}

// lose records settings that a profile cannot hold.
func (f *Candidate) lose(d document, names ...string) {
	for _, name := range names {
		if d.has(name) {
			f.Lost = union(f.Lost, []string{name})
		}
	}
}
