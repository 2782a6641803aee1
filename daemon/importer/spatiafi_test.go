package importer_test

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	apps = `{"user_id":"00000000-1111-4222-8333-444444444444","client_id":"` + uuid + `","client_secret":"` +
		secret + `"}`
	appsLine = ": SpatiaFi App Credentials -> spatiafi client_credentials id=" + uuid + " secret=" + secret
	both     = "client_id and client_secret must both be there, as text that is not empty"
)

func TestSpatiafi(t *testing.T) {
	pair := map[string]string{"SPATIAFI_CLIENT_ID": uuid, "SPATIAFI_CLIENT_SECRET": secret}
	for name, test := range map[string]struct {
		files, vars map[string]string
		goos        string
		want        []string
	}{
		"nothing":   {},
		"variables": {vars: pair, want: []string{"spatiafi" + appsLine}},
		"file": {files: map[string]string{".config/spatiafi/app_credentials.json": apps},
			want: []string{"spatiafi" + appsLine}},
		"no extension": {files: map[string]string{".config/spatiafi/app_credentials": apps},
			want: []string{"spatiafi" + appsLine}},
		"documented place": {files: map[string]string{".spatiafi/app_credentials.json": apps},
			want: []string{"spatiafi" + appsLine}},
		"working directory": {files: map[string]string{"app_credentials.json": apps}}, // only where a person names it
		"macOS": {
			files: map[string]string{"Library/Application Support/spatiafi/app_credentials.json": apps}, goos: "darwin",
			want: []string{"spatiafi" + appsLine},
		},
		"macOS, Linux's place": {files: map[string]string{".config/spatiafi/app_credentials.json": apps},
			goos: "darwin"},
		"one credential in three places": {
			files: map[string]string{".config/spatiafi/app_credentials.json": apps,
				".config/spatiafi/app_credentials": apps}, vars: pair,
			want: []string{"spatiafi" + appsLine},
		},
		"two credentials": {
			files: map[string]string{".config/spatiafi/app_credentials.json": `{"client_id":"another",` +
				`"client_secret":"dummy"}`}, vars: pair,
			want: []string{"spatiafi" + appsLine,
				"spatiafi-2: SpatiaFi App Credentials -> spatiafi client_credentials id=another secret=dummy"},
		},
		"half a pair": {vars: map[string]string{"SPATIAFI_CLIENT_SECRET": secret},
			want: []string{"spatiafi: SpatiaFi App Credentials refused: SPATIAFI_CLIENT_SECRET is set but " +
				"SPATIAFI_CLIENT_ID is not: a program uses either both or neither"}},
		"an empty half": {vars: map[string]string{"SPATIAFI_CLIENT_ID": uuid, "SPATIAFI_CLIENT_SECRET": ""},
			want: []string{"spatiafi: SpatiaFi App Credentials refused: SPATIAFI_CLIENT_ID is set but " +
				"SPATIAFI_CLIENT_SECRET is not: a program uses either both or neither"}},
		"two empty": {vars: map[string]string{"SPATIAFI_CLIENT_ID": "", "SPATIAFI_CLIENT_SECRET": ""}},
		"a line break": {vars: map[string]string{"SPATIAFI_CLIENT_ID": uuid, "SPATIAFI_CLIENT_SECRET": "dummy\n"},
			want: []string{"spatiafi: SpatiaFi App Credentials refused: SPATIAFI_CLIENT_ID or " +
				"SPATIAFI_CLIENT_SECRET holds something else than printable ASCII"}},
		"generic": {vars: map[string]string{"CLIENT_ID": uuid, "CLIENT_SECRET": secret},
			want: []string{"spatiafi" + appsLine + " (ask)"}},
		"generic, others": {vars: map[string]string{"CLIENT_ID": "my-app", "CLIENT_SECRET": secret}},
		"generic, short":  {vars: map[string]string{"CLIENT_ID": uuid, "CLIENT_SECRET": "dummy"}},
		"generic, half":   {vars: map[string]string{"CLIENT_ID": uuid}},
		"generic and own": {
			vars: map[string]string{"CLIENT_ID": uuid, "CLIENT_SECRET": secret, "SPATIAFI_CLIENT_ID": "own",
				"SPATIAFI_CLIENT_SECRET": "dummy"},
			want: []string{"spatiafi: SpatiaFi App Credentials -> spatiafi client_credentials id=own secret=dummy",
				"spatiafi-2" + appsLine + " (ask)"},
		},
		"Climate Engine's key": {
			vars: map[string]string{"CLIMATE_ENGINE_API_KEY": "dummy-key"},
			want: []string{"climateengine: Climate Engine API key -> climateengine-key api_key apikey=dummy-key"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTestHome(t, test.files, test.vars)
			if test.goos != "" {
				w.goos = test.goos
			}
			check(t, w.find(), test.want...)
		})
	}
}

// TestSpatiafiContent is about what is in app_credentials.json: its program writes whatever the server said.
func TestSpatiafiContent(t *testing.T) {
	const complaint = "an error message of the server was saved in the place of App Credentials; no credential was " +
		"ever in it"
	for text, want := range map[string]string{
		`{"detail":"Unauthorized"}`:                              complaint,
		`{"detail":[{"loc":["body","dummy"],"msg":"dummy"}]}`:    complaint,
		`{"error":"invalid_client"}`:                             complaint,
		`{}`:                                                     both,
		`{"client_id":"` + uuid + `"}`:                           both,
		`{"client_id":"","client_secret":"dummy"}`:               both,
		`{"client_id":"` + uuid + `","client_secret":""}`:        both,
		`{"client_id":"` + uuid + `","client_secret":null}`:      both,
		`{"client_id":7,"client_secret":"dummy"}`:                both,
		`{"client_id":"` + uuid + `","client_secret":["dummy"]}`: both,
		`{"client_id":"` + uuid + `","client_secret":"dummy\n"}`: both,
		`["dummy"]`:   "it is no JSON object",
		`"dummy"`:     "it is no JSON object",
		`null`:        "it is no JSON object",
		`<html>dummy`: "not JSON: a value is missing at byte 1",
		`{"client_id":"a","client_id":"b","client_secret":"dummy"}`: "JSON that is refused: two members of one " +
			"object have the same name, or names that differ only in case at byte 28",
		``: "the file is empty",
	} {
		w := newTestHome(t, map[string]string{".config/spatiafi/app_credentials.json": text}, nil)
		found := w.find()
		check(t, found, "spatiafi: SpatiaFi App Credentials refused: "+want)
		if len(found) == 1 && want == complaint {
			says(t, "groat login spatiafi --provider spatiafi", found[0].Hint)
		}
	}
}

func TestCopies(t *testing.T) {
	w := newTestHome(t, map[string]string{".config/spatiafi/app_credentials.json": apps,
		".config/spatiafi/app_credentials": apps},
		map[string]string{"SPATIAFI_CLIENT_ID": uuid, "SPATIAFI_CLIENT_SECRET": secret})
	if err := os.Chmod(w.path(".config/spatiafi/app_credentials.json"), 0o644); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range w.find()[0].Copies {
		where := c.Path
		if where == "" {
			where = "environment"
		}
		got = append(got, where+" "+c.Mode.String()+" "+c.Remove)
		if !c.Plain || len(c.Readers) != 1 || len(c.Holds) != 1 || c.Holds[0] != "client secret" ||
			c.Path != "" && c.UID != os.Geteuid() {
			t.Errorf("wrong: %+v", c)
		}
	}
	file := w.path(".config/spatiafi/app_credentials")
	want := []string{
		"environment ---------- unset SPATIAFI_CLIENT_ID SPATIAFI_CLIENT_SECRET",
		file + ".json -rw-r--r-- rm -- " + file + ".json",
		file + " -rw------- rm -- " + file,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestNames: what groat has already keeps its name.
func TestNames(t *testing.T) {
	w := newTestHome(t, map[string]string{".config/spatiafi/app_credentials.json": apps}, nil)
	w.taken = []string{"spatiafi", "spatiafi-2"}
	check(t, w.find(), "spatiafi-3"+appsLine)
}
