package importer_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"testing"
)

// googleFile is an authorized_user or service_account file with some members changed.
func googleFile(t *testing.T, members map[string]any) string {
	t.Helper()
	all := map[string]any{
		"type": "authorized_user", "client_id": "c.apps.example", "client_secret": "dummy-secret",
		"refresh_token": refresh,
		"token_uri":     "https://oauth2.googleapis.com/token",
	}
	maps.Copy(all, members)
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestGoogle(t *testing.T) {
	const userLine = "google: Google session -> google authorization_code id=c.apps.example secret=dummy-secret " +
		"refresh=" + refresh
	service := map[string]any{"type": "service_account", "client_email": "Robot@project.example",
		"private_key": dummyKey, "private_key_id": "kid"}
	for name, test := range map[string]struct {
		members map[string]any
		want    string
	}{
		"person": {nil, userLine},
		"person, scopes": {map[string]any{"scopes": []string{"openid", "x"}},
			"google: Google session -> google authorization_code scope=openid x id=c.apps.example " +
				"secret=dummy-secret refresh=" + refresh},
		"person, signed out": {map[string]any{"refresh_token": nil},
			"google: Google account refused: client_id, client_secret and refresh_token must all be there, as text " +
				"that is not empty"},
		"somebody else's server": {map[string]any{"token_uri": "https://evil.example/token"},
			"google: Google account refused: its token_uri is not Google's"},
		"service account": {service,
			"robot: Google service account -> google jwt_bearer id=Robot@project.example privatekey"},
		"another type": {map[string]any{"type": "external_account"},
			"google: Google account refused: its type is neither authorized_user nor service_account, so it is no " +
				"file of Google's"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTestHome(t, map[string]string{".config/spatiafi/gcp_user_credentials.json": googleFile(t,
				test.members)}, nil)
			check(t, w.find(), test.want)
		})
	}
	w := newTestHome(t, map[string]string{".config/spatiafi/gcp_user_credentials.json": googleFile(t,
		map[string]any{"quota_project_id": "q"})}, map[string]string{
		"GS_OAUTH2_CLIENT_ID": "c.apps.example", "GS_OAUTH2_CLIENT_SECRET": "dummy-secret",
		"GS_OAUTH2_REFRESH_TOKEN": refresh,
	})
	leftOver := filepath.Join(w.vars["TMPDIR"], "gdal_auth.env")
	if err := os.WriteFile(leftOver, []byte("export EEDA_BEARER=dummy\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	found := w.find()
	check(t, found, userLine,
		"google-2: Google session refused: gdal_auth wrote it for a shell to read; what it was made from is in "+
			"gcp_user_credentials.json")
	says(t, "quota_project_id", found[0].Lost...)
	if len(found[0].Copies) != 2 || found[1].Copies[0].Remove != "rm -- "+leftOver || found[1].Copies[0].Mode != 0o644 {
		t.Errorf("copies: %+v and %+v", found[0].Copies, found[1].Copies)
	}
	giveAway(t, leftOver) // another user's file in a shared directory is not the person's
	check(t, w.find(), userLine)
	w = newTestHome(t, nil, map[string]string{"GS_OAUTH2_REFRESH_TOKEN": refresh})
	check(t, w.find(),
		"google: Google session refused: GS_OAUTH2_REFRESH_TOKEN needs GS_OAUTH2_CLIENT_ID and "+
			"GS_OAUTH2_CLIENT_SECRET beside it, in printable ASCII")
}
