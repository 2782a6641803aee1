package e2e_test

import (
	"encoding/json"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
)

// invocation is one call of a command.
type invocation struct {
	args  []string // after the command's own name
	typed string
	fails bool
	vars  []string
}

func works(args ...string) invocation { return invocation{args: args} }
func fails(args ...string) invocation { return invocation{args: args, fails: true} }

func (c invocation) typing(text string) invocation  { c.typed = text + "\n"; return c }
func (c invocation) with(vars ...string) invocation { c.vars = vars; return c }
func (v *watchedEnv) at(args ...string) []string {
	return append(args, "--auth-server", v.server.URL(), "--secret-stdin")
}

// rows are calls of every command that groat has, on ways that go well and ways that do not. Each row runs in this
// order.
func (v *watchedEnv) rows() map[string][]invocation {
	own := []string{"--issuer", v.server.Issuer(), "--client-id", labClient, "--secret-stdin"}
	form := []string{"--token-url", v.server.URL() + v.server.TokenPath(), "--client-auth", "client_secret_post",
		"--client-id", labClient, "--secret-stdin"}
	keyed := []string{"--issuer", v.server.Issuer(), "--client-id", "keyed", "--key", v.key, "--secret-stdin"}
	exchange := []string{"--issuer", v.server.Issuer(), "--client-id", ownClient, "--client-auth", "none", "--grant",
		"token_exchange", "--secret-stdin"}
	const exec = `KUBERNETES_EXEC_INFO={"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1"`
	return map[string][]invocation{
		"groat": {fails("nonsense"), fails("--nonsense"), works("--help"), works("--version"), works("-v")},
		"groat login": {
			works(), works("--json"), fails("a/b"), fails("none"), fails("none", "--provider", "nobody"),
			{args: append([]string{"machine"}, own...), typed: v.secret},
			{args: append([]string{"post"}, form...), typed: v.secret},
			{args: append([]string{"wrong"}, own...), typed: v.wrong, fails: true},
			{args: append([]string{"wrong"}, own...), fails: true},
			{args: v.at("apps", "--provider", "spatiafi", "--username", person), typed: v.password},
			{args: v.at("apps2", "--provider", "climateengine", "--username", person, "--json"), typed: v.password},
			{args: v.at("wrong", "--provider", "spatiafi", "--username", person), typed: v.wrong, fails: true},
			{args: v.at("sat", "--provider", "copernicus", "--username", person), typed: v.password + "\n" + v.code},
			{args: v.at("wrong", "--provider", "copernicus", "--username", person), typed: v.wrong + "\n" + v.code,
				fails: true},
			{args: append([]string{"keyed", "--client-auth", "private_key_jwt"}, keyed...), typed: v.passphrase},
			{args: append([]string{"wrong", "--client-auth", "private_key_jwt"}, keyed...), typed: v.wrong,
				fails: true},
			{args: append([]string{"account", "--client-auth", "none", "--grant", "jwt_bearer", "--subject", person},
				keyed...), typed: v.passphrase},
			{args: append([]string{"exchanged"}, exchange...),
				typed: strings.TrimSpace(v.succeeds("", "get", "session"))},
			{args: append([]string{"wrong"}, exchange...), typed: v.subject, fails: true},
			{args: v.at("static", "--provider", "climateengine-key"), typed: v.apiKey},
			{args: v.at("wrong", "--provider", "climateengine-key"), typed: v.apiKey + "\x01", fails: true},
			{args: v.at("legacy", "--provider", "planet-legacy", "--username", "bob@example.com"), typed: v.password,
				fails: true},
			{args: v.at("legacy", "--provider", "planet-legacy", "--username", person), typed: v.password},
			{args: v.at("sixty", "--provider", "earthdata", "--username", person), typed: v.wrong, fails: true},
			{args: v.at("sixty", "--provider", "earthdata", "--username", person), typed: v.password},
			{args: []string{"kept", "--ephemeral", "--issuer", v.server.Issuer(), "--client-id", labClient,
				"--secret-stdin"}, typed: v.secret},
			{args: append([]string{"big"}, own...), typed: v.secret + strings.Repeat("x", 20<<10), fails: true},
			{args: append([]string{"binary"}, own...), typed: v.secret + "\xff", fails: true},
			works("session"), works("machine"), works("keyed"), works("machine", "--api", "https://sat.example"),
			works("machine", "--secret-stdin").typing(v.secret), fails("machine", "--secret-stdin").typing(v.wrong),
			fails("session", "--secret-stdin").typing(v.secret), fails("keyed", "--secret-stdin").typing(v.passphrase),
			fails("apps", "--client-id", labClient, "--secret-stdin").typing(v.secret),
			fails("apps", "--username", "bob@example.com", "--secret-stdin").typing(v.password),
			works("apps", "--secret-stdin", "--client-id", labClient, "--replace").typing(v.secret),
		},
		"groat get": {
			works("session"), works("session", "--output", "header"), works("session", "--output", "env"),
			works("session", "--json"), works("session", "-o", "export"), works("session", "-o", "curl"),
			works("session", "-o", "json-header"), works("static", "-o", "curl"), works("static", "-o", "json-header"),
			fails("static", "-o", "export"), works("session", "--id-token", "-o", "curl"),
			works("session", "--id-token"), works("session", "--id-token", "--json"),
			works("session", "--id-token", "-o", "header"), works("session", "--id-token", "-o", "env"),
			works("session", "--id-token", "--refused").typing("not.an.id-token"), fails("machine", "--id-token"),
			fails("static", "--id-token"), fails("session", "--id-token", "--refused").typing(v.secret),
			works("machine", "--scope", "a"), works("static", "--output", "header"), works("static", "--json"),
			fails("static"),
			works("apps"), works("apps2"), works("keyed"), works("account"), works("exchanged"), works("kept"),
			works("legacy", "--json"), works("robot", "--json"),
			fails(), fails("none"), fails("a/b"), fails("session", "--output", "x"),
			fails("session", "--min-ttl", "9h"), fails("session", "--wait", "x"),
			fails("machine", "--refused").typing(v.secret),
			works("machine", "--refused").typing("not.a.token.of.yours"), works().with("GROAT_PROFILE=machine"),
		},
		"groat whoami": {works("session"), works("session", "--json"), works("apps"), fails("static"), fails("none"),
			fails("machine")},
		"groat list":    {works(), works("--json"), fails("x")},
		"groat status":  {works(), works("--json"), works("session"), works("session", "--json"), fails("none")},
		"groat reload":  {works(), works("--json"), fails("x")},
		"groat version": {works(), works("--json"), fails("x")},
		"groat profile": {works(), fails("nonsense")},
		"groat profile show": {works(), works("session"), works("session", "--json"), works("--json"), fails("none"),
			fails("a/b"), fails("x", "y")},
		"groat profile set": {
			works("machine", "basic", "form"), works("machine", "scope", "", "--json"), fails("machine", "basic"),
			fails("machine", "basic", "x"), fails("machine", "client_secret", v.secret), fails("none", "basic", "raw"),
			fails("machine", "token_endpoint", "https://x.example/token"), fails("machine", "client_auth", "none"),
		},
		"groat profile unset": {works("machine", "basic"), works("machine", "scope", "--json"), fails("machine"),
			fails("machine", "nonsense"), fails("none", "basic")},
		"groat keystore": {works(), works("--json"), fails("nonsense")},
		"groat keystore use": {
			fails("nonsense"), fails("memory", "--passphrase-stdin").typing(v.passphrase),
			fails("sealed", "--passphrase-stdin", "--key-file").typing(v.passphrase),
			fails("sealed", "--key-file"), fails("keychain"), fails("sealed", "--passphrase-stdin").typing(v.wrong),
			fails("sealed", "--passphrase"),
			works("sealed", "--passphrase-stdin", "--json").typing(v.passphrase),
		},
		"groat network": {works(), works("--json"), fails("x")},
		"groat network set": {
			works("proxy", "http://127.0.0.1:1"), works("no_proxy", ".example.org", "--json"),
			fails("ca_file", "none.pem"), fails("x", "y"), fails("proxy"),
			fails("proxy", "http://alice:"+url.QueryEscape(v.password)+"@proxy.example"), fails("proxy", v.secret),
			fails("no_proxy", v.wrong+"\x01"),
		},
		"groat network unset": {works("proxy"), works("no_proxy", "--json"), fails("x"), fails()},
		"groat keystore move": { // there and back: what follows needs the passphrase
			fails("nonsense"), fails("memory"), fails("keychain"), fails("sealed", "--passphrase-stdin",
				"--key-file").typing(v.passphrase), fails("sealed", "--passphrase"),
			works("sealed", "--key-file"), works("sealed", "--passphrase-stdin", "--json").typing(v.passphrase),
		},
		"groat keystore passphrase": {
			fails(), fails("--passphrase-stdin").typing(v.passphrase),
			fails("--passphrase-stdin").typing(v.wrong + "\n" + v.subject),
			works("--passphrase-stdin").typing(v.passphrase + "\n" + v.subject),
			works("--passphrase-stdin", "--json").typing(v.subject + "\n" + v.passphrase),
		},
		"groat backup": {
			fails(v.file("backup")), fails(v.file("none/backup"), "--passphrase-stdin").typing(v.passphrase),
			works(v.file("backup"), "--passphrase-stdin").typing(v.passphrase),
			fails(v.file("backup"), "--passphrase-stdin").typing(v.passphrase),
			works(v.file("backup"), "--force", "--json", "--passphrase-stdin").typing(v.passphrase),
			works(v.file("another"), "--passphrase-stdin").typing(v.subject),
		},
		"groat restore": {
			fails(v.file("backup")), fails(v.file("none"), "--passphrase-stdin").typing(v.passphrase),
			fails(v.file("backup"), "--passphrase-stdin").typing(v.wrong),
			fails(v.key, "--passphrase-stdin").typing(v.passphrase),
			fails(v.file("backup"), "--replace", "nobody", "--passphrase-stdin").typing(v.passphrase),
			works(v.file("backup"), "--yes", "--json", "--passphrase-stdin").typing(v.passphrase),
			works(v.file("another"), "--yes", "--replace", "machine", "--passphrase-stdin").typing(v.subject),
		},
		"groat unlock": {fails("--passphrase-stdin").typing(v.wrong),
			works("--passphrase-stdin", "--json").typing(v.passphrase), fails("x"), works()},
		"groat import": {
			works("--dry-run"), works("--dry-run", "--json"), fails("--json"), fails("--from", v.mine+"/none", "--yes"),
			works("--yes", "--json").with("CLIMATE_ENGINE_API_KEY=" + v.apiKey),
			works("--yes", "--dry-run").with("PL_API_KEY="+v.apiKey, "CLIENT_SECRET="+v.secret),
			fails("--from", v.imported("robot", v.secret), "--yes"),
			fails("--from", v.imported("robot", v.secret), "--yes", "--trust", "https://login.planet.com"),
			works("--from", v.imported("robot", v.secret), "--yes", "--trust", v.server.URL()),
			fails("--from", v.imported("wrong", v.wrong), "--yes", "--json", "--trust", v.server.URL()),
			works("--from", v.key, "--yes"), works("--from", v.garbage(), "--yes"),
			works("--from", "-", "--yes").typing(`{"client_secret": "` + v.apiKey + `"`),
			works("--from", "-", "--yes").typing(v.passphrase),
			works("--from", "-", "--yes").typing("refresh_token = '" + v.subject + "'\n[" + v.apiKey),
		},
		"groat setup": {works(), works("--json"), fails("git", "none", "--yes"), fails("git", "machine"),
			works("git", "machine", "--yes"), works("git", "machine", "--yes", "--json"),
			works("git", "machine", "--undo", "--dry-run"), works("git", "--undo", "--yes"), fails("nonsense")},
		"groat helper":            {works(), fails("nonsense")},
		"groat service":           {works(), fails("nonsense")},
		"groat service install":   {fails("x")},
		"groat service uninstall": {fails("x")},
		"groat service start":     {fails("x")},
		"groat service stop":      {fails("x")},
		"groat service restart":   {fails("x")},
		"groat service status":    {fails("x")},
		"groat service logs":      {fails("x")},
		"groat stop":              {works("--force", "--dry-run"), fails("x")},
		"groat restart":           {works("--force", "--dry-run"), fails("x")},
		"groat logs":              {works("-n", "0"), fails("x")},
		"groat helper git": {works("get").typing("protocol=https\nhost=api.spatiafi.com\n"),
			works("store").typing("protocol=https\nhost=h\npassword=" + v.password), works("nonsense"),
			works("get").typing("password=" + v.secret)},
		"groat helper docker": {
			works("get").typing("sat.example"), fails("get").typing("elsewhere.example"), works("list"),
			works("version"), fails("store").typing(`{"ServerURL":"sat.example","Username":"me","Secret":"` + v.password + `"}`),
			fails("store").typing(`{"ServerURL":"` + v.password), works("erase").typing("sat.example"),
			fails("get").typing(v.secret + "\x01"), fails("nonsense"), fails(),
		},
		"groat helper kubectl": {
			works("session"), works("session", "--id-token"), fails("none"), fails("static"), fails("a", "b"),
			works().with("GROAT_PROFILE=machine"), fails("session").with("KUBERNETES_EXEC_INFO=x"),
			works("machine").with(exec + `}`),
			works().with(exec + `,"spec":{"cluster":{"server":"https://sat.example"}}}`),
		},
		"groat helper curl": {works("https://sat.example/x?y"), fails("https://elsewhere.example"), fails("x"),
			fails()},
		"groat helper go": {works(), works("https://sat.example/x/@v/list"), works("https://elsewhere.example/x"),
			fails("x"), fails("a", "b")},
		"groat helper cargo": { // it tells cargo what is wrong
			works(), works().typing(cargoAsks("https://sat.example/index/", "")),
			works().typing(cargoAsks("https://elsewhere.example/", v.secret)), works().typing(v.password), fails("x"),
		},
		"groat helper keyring": {
			works("get", "https://sat.example/simple/", "me"), works("--mode=creds", "get", "https://sat.example/"),
			fails("get", "https://elsewhere.example/", "me"), fails("get", "sat.example", "me"),
			fails("set", "https://sat.example/", "me").typing(v.password), fails("nonsense"),
		},
		"groat watch": {fails("none"), fails("x", "y")}, // it ends with a change, which is a test of its own
		// fleet_linux_test.go has those that go well, with the engine's password watched in the same way.
		"groat fleet":        {works(), works("--json")},
		"groat fleet status": {works(), works("--json")},
		"groat fleet create": {fails("--etcd", v.server.URL(), "--user", "groat", "--password-stdin").typing(v.wrong),
			fails("--etcd", v.server.URL(), "--user", "groat"), fails("--password-stdin").typing(v.wrong)},
		"groat fleet join": {fails("--code-stdin").typing(v.wrong), fails("0409EV2R"),
			fails("--code-stdin", "--user", "groat", "--password-stdin").typing("0409EV2R\n" + v.wrong)},
		"groat fleet invite": {fails(), fails("--json")},
		"groat fleet remove": {fails("node2")},
		"groat fleet leave":  {fails(), fails("--forget")},
		"groat export": {works(), works("--json"), works("session", "--header-file", v.file("header")),
			works("--stop", v.file("header")), fails("none", "--token-file", v.file("none")), fails("x", "y"),
			works("session", "--as", "planet", "--file", v.file("planet")), works("--stop", v.file("planet")),
			fails("static", "--as", "planet", "--file", v.file("planet")),
			fails("session", "--netrc", v.file(".netrc")), fails("session", "--npmrc", v.file("npmrc")),
			fails("session", "--token-file", v.file("hooked"), "--on-change", "none")},
		"groat helper gdal": {works("machine", "--gdalrc"), works("machine", "--while", "1"), fails("none"),
			works("static", "--every-host"), fails("a b")},
		"groat run": {works("session", "--", "env"), works("static", "--", "true"), fails("none", "--", "env"),
			works("session", "--env", "T", "--", "true"), fails("static", "--env", "T", "--", "env"),
			fails("session", "--", "/none"), fails()},
		"groat logout": {
			fails("none"), fails("a/b"), fails("apps"), works("apps", "--yes"), works("keyed", "--yes"),
			works("kept", "--yes"),
			works("session"), works("second", "--keep-remote", "--json"), works("legacy", "--yes"),
			works("device", "--json"),
		},
		"groat help":       {works(), works("login"), works("keystore", "use")},
		"groat completion": {works("bash"), works("zsh"), works("fish"), fails("tcsh"), fails()},
		"groat __complete": {works("get", ""), works("login", "x", "--provider", ""), works("logout", "")},
	}
}

// cargoAsks is a request of cargo's for the token of an index. The configuration's argument may be empty.
func cargoAsks(index, argument string) string {
	args := []string{}
	if argument != "" {
		args = append(args, argument)
	}
	return jsonText(map[string]any{"v": 1, "kind": "get", "operation": "read", "args": args,
		"registry": map[string]any{"index-url": "sparse+" + index, "name": "work"}})
}

// file is one in the home directory, which is searched in the end.
func (v *watchedEnv) file(name string) string { return filepath.Join(v.home, name) }

// imported writes a file of Planet's tools, with a machine account at our server.
func (v *watchedEnv) imported(name, secret string) (file string) {
	v.t.Helper()
	text, err := json.Marshal(map[string]any{
		"client_type": "oidc_client_credentials_secret", "auth_server": v.server.URL() + sandbox.KeycloakIssuerPath,
		"client_id": labClient, "client_secret": secret, "scopes": []string{},
		"audiences": []string{"https://api.planet.com/"},
	})
	file = filepath.Join(v.mine, ".planet", name, "auth_client.json")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(file), 0o700)
	}
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		v.t.Fatal(err)
	}
	return file
}

// garbage writes a file that no program has made, with secrets in it.
func (v *watchedEnv) garbage() (file string) {
	v.t.Helper()
	file = filepath.Join(v.mine, "auth_client.json")
	if err := os.WriteFile(file, []byte(`{"client_secret": "`+v.secret+`", "refresh_token": [`+v.apiKey),
		0o600); err != nil {
		v.t.Fatal(err)
	}
	return file
}

var commandLine = regexp.MustCompile(`(?m)^  ([a-z]+) +\S`)

// commandTree asks groat itself which commands there are.
func (v *watchedEnv) commandTree(path ...string) []string {
	v.t.Helper()
	all := []string{strings.Join(append([]string{"groat"}, path...), " ")}
	_, list, _ := strings.Cut(v.succeeds("", append(slices.Clone(path), "--help")...), "Available Commands:\n")
	list, _, _ = strings.Cut(list, "\n\n")
	for _, m := range commandLine.FindAllStringSubmatch(list, -1) {
		all = append(all, v.commandTree(append(slices.Clone(path), m[1])...)...)
	}
	return all
}

// inTheSource counts the commands that are made there, hidden ones too.
func inTheSource(t *testing.T) (n int) {
	t.Helper()
	files, err := fs.Glob(os.DirFS("../../cmd/groat-commands"), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	made := regexp.MustCompile(`:?= command\("|&cobra\.Command\{`)
	for _, name := range files {
		if text, err := os.ReadFile(filepath.Join("../../cmd/groat-commands", name)); err == nil &&
			!strings.HasSuffix(name, "_test.go") {
			n += len(made.FindAll(text, -1))
		}
	}
	return n - 1 // the one that the function command returns
}

// order is that of the rows which others need.
var order = []string{"groat login", "groat import", "groat get"}

// testEveryCommand runs all rows. A command without a row fails the test.
func testEveryCommand(t *testing.T, v *watchedEnv) {
	v = v.in(t)
	rows := v.rows()
	tree := v.commandTree()
	for _, command := range tree {
		if rows[command] == nil {
			t.Errorf("%s has no row here, so nobody knows what it prints", command)
		}
	}
	ours := slices.DeleteFunc(slices.Clone(tree), func(c string) bool { return c == "groat help" })
	if n := inTheSource(t); n != len(ours) {
		t.Errorf("the source makes %d commands, and help shows %d: %q", n, len(ours), ours)
	}
	rest := slices.DeleteFunc(slices.Sorted(maps.Keys(rows)), func(c string) bool { return slices.Contains(order, c) })
	calls, failed := 0, 0
	for _, command := range slices.Concat(order, rest) {
		if command == "groat logout" { // last, since it takes away what the others need
			continue
		}
		c, f := v.calls(command, rows[command])
		calls, failed = calls+c, failed+f
	}
	v.succeeds("", "export", "--stop", "--all") // what is kept for programs that read a file holds a token
	c, f := v.calls("groat logout", rows["groat logout"])
	t.Logf("figure: commands of groat driven with known secrets = %d, in %d calls, %d of which fail", len(tree),
		calls+c, failed+f)
}

func (v *watchedEnv) calls(command string, row []invocation) (calls, failed int) {
	for _, c := range row {
		args := append(strings.Fields(command)[1:], c.args...)
		s := v.runWith(c.vars, c.typed, args...)
		if (s.code != 0) != c.fails {
			v.t.Errorf("%s %q ended with %d: %s", command, c.args, s.code, s.stderr)
		}
		calls++
		if c.fails {
			failed++
		}
	}
	return calls, failed
}
