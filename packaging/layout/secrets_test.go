package layout_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// programs are the rooms whose code is in groat or groatd.
var programs = []string{"cmd/groat", "cmd/groat-commands", "cmd/groatd", "daemon", "keystore", "protocol"}

// source parses every file of the programs that is no test, and calls visit for each node.
func source(t *testing.T, visit func(file string, at token.Position, n ast.Node)) {
	t.Helper()
	files := 0
	for _, room := range programs {
		err := filepath.WalkDir(filepath.Join(root, room), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() && d.Name() == "sandbox" {
				return errOr(err, fs.SkipDir)
			}
			if d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			set := token.NewFileSet()
			tree, err := parser.ParseFile(set, path, nil, 0)
			if err != nil {
				return err
			}
			files++
			name, _ := filepath.Rel(root, path)
			ast.Inspect(tree, func(n ast.Node) bool {
				if n != nil {
					visit(filepath.ToSlash(name), set.Position(n.Pos()), n)
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files < 100 {
		t.Fatalf("only %d files were read", files)
	}
}

func errOr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// soundsSecret is the name of a thing that may be a credential.
var soundsSecret = regexp.MustCompile(
	`(?i)secret|passw|passphrase|refresh|token|key|credential|verifier|assertion|authorization|code$|bearer`)

// noSecret are the fields of such names that are text and may be, and why.
var noSecret = map[string]string{
	"protocol.TokenResult.AccessToken":                  "the answer to the request for it; the client prints it",
	"protocol/frame.Token.AccessToken":                  "as in protocol.TokenResult",
	"protocol.TokenResult.IDToken":                      "as AccessToken",
	"protocol/frame.Token.IDToken":                      "as in protocol.TokenResult",
	"protocol.RejectParams.IDToken":                     "one that an API has refused",
	"protocol.TokenParams.TokenUse":                     "a word",
	"protocol.TokenResult.TokenUse":                     "a word",
	"protocol/frame.TokenParams.TokenUse":               "a word",
	"protocol/frame.Token.TokenUse":                     "a word",
	"protocol/frame.Token.TokenType":                    "a word",
	"protocol.TokenResult.TokenType":                    "a word",
	"protocol.TokenResult.TokenChars":                   "a word",
	"protocol/frame.Token.TokenChars":                   "a word",
	"daemon/config.Profile.TokenChars":                  "a word",
	"daemon/grant.Server.TokenChars":                    "a word",
	"protocol.RejectParams.AccessToken":                 "one that an API has refused",
	"protocol.Prompt.Code":                              "what a person types at a device's page; shown to them",
	"protocol.LoginParams.Key":                          "a path",
	"protocol.LoginParams.KeyAlg":                       "an algorithm",
	"protocol.LoginParams.KeyID":                        "a name",
	"protocol.LoginParams.TokenURL":                     "an address",
	"protocol.LoginParams.AssertionAudience":            "a name",
	"daemon/config.Profile.AssertionAudience":           "a name",
	"daemon/config.Profile.AssertionFile":               "a path",
	"daemon/grant.Server.AssertionFile":                 "a path",
	"keystore.Item.AssertionFile":                       "a path",
	"protocol.LoginParams.AssertionFile":                "a path",
	"protocol.ExportParams.TokenFile":                   "a path",
	"keystore.Item.RefreshAuth":                         "a method's name",
	"daemon/grant.Destinations.RefreshAuth":             "a method's name",
	"keystore.Item.AssertionAudience":                   "an address",
	"daemon/grant.Destinations.AssertionAudience":       "an address",
	"daemon/config.Profile.AuthorizationEndpoint":       "an address",
	"protocol.LoginParams.AuthorizationEndpoint":        "an address",
	"protocol.LoginResult.Keystore":                     "a word",
	"protocol.ProfileParams.Key":                        "a name",
	"protocol.ProfileKey.Key":                           "a name",
	"protocol.KeystoreParams.Key":                       "a word for where the key is",
	"protocol.KeystoreResult.Key":                       "a word for where the key is",
	"keystore.Item.TokenOrigins":                        "addresses",
	"daemon/grant.Destinations.TokenOrigins":            "addresses",
	"daemon/login.Login.tokenOrigins":                   "addresses",
	"keystore.Item.TokenEndpoint":                       "an address",
	"keystore.Item.KeyID":                               "a name",
	"daemon/config.Profile.TokenPrefix":                 "a word",
	"daemon/grant.Header.TokenPrefix":                   "a word",
	"keystore.Item.KeyEnds":                             "a time",
	"keystore.Item.KeyAlg":                              "an algorithm",
	"keystore.Status.Key":                               "a word for where the key is",
	"keystore/backend.Options.Credentials":              "a directory",
	"keystore/backend.store.Key":                        "a word for where the key is",
	"keystore/sealed.Options.KeyName":                   "a word for where the key is",
	"daemon/broker.blockJSON.Code":                      "an error's, from a list",
	"daemon/config.Profile.TokenEndpoint":               "an address",
	"daemon/importer.Target.TokenEndpoint":              "an address",
	"daemon/grant.DeviceLogin.UserCode":                 "what a person types at a device's page; shown to them",
	"daemon/grant.Error.Code":                           "an error's, from a list",
	"daemon/grant.httpRequest.authorization":            "net/http wants text; it lives for one request and is never printed",
	"daemon/grant.Server.TokenEndpoint":                 "an address",
	"daemon/grant.Destinations.TokenEndpoint":           "an address",
	"daemon/grant.Server.AssertionAlgs":                 "algorithms",
	"daemon/grant.Server.KeyLogin":                      "an address",
	"daemon/grant.AppCredentials.FirstTokenEndpoint":    "an address",
	"daemon/grant/preset.AppCredentials.FirstToken":     "a word for how it is had",
	"daemon/grant/preset.AppCredentials.FirstTokenPath": "a path",
	"daemon/config.Profile.RefreshAuth":                 "a method",
	"daemon/grant/preset.How.RefreshAuth":               "a method",
	"daemon/grant/preset.Provider.AssertionAudience":    "a name",
	"daemon/config.Fleet.Key":                           "a path",
	"protocol.FleetParams.Key":                          "a path",
	"daemon/fleet/member.state.Keyring":                 "on its way into a Secret; wiped",
	"daemon/fleet/member.invitation.Secret":             "on its way into what is sealed; wiped",
	"daemon/fleet.sharedTokenMembers.IDToken":           "on its way into a Secret; wiped",
	"daemon/fleet/engine.Entry.Key":                     "where a value stands",
	"daemon/fleet/engine.Condition.Key":                 "where a value stands",
	"daemon/fleet/engine.Change.Key":                    "where a value stands",
	"daemon/grant/preset.Provider.KeyLoginPath":         "a path",
	"daemon/grant/preset.Provider.TokenPath":            "a path",
}

// TestNoCredentialIsAString looks for fields that sound like a credential and are strings or bytes, which print, log
// and marshal like any other: a credential is a keystore.Secret, or a protocol.LoginSecret on its way.
func TestNoCredentialIsAString(t *testing.T) {
	seen := map[string]bool{}
	source(t, func(file string, at token.Position, n ast.Node) {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return
		}
		fields, ok := spec.Type.(*ast.StructType)
		if !ok {
			return
		}
		for _, f := range fields.Fields.List {
			if !isText(f.Type) {
				continue
			}
			for _, name := range f.Names {
				if !soundsSecret.MatchString(name.Name) {
					continue
				}
				id := filepath.ToSlash(filepath.Dir(file)) + "." + spec.Name.Name + "." + name.Name
				seen[id] = true
				if noSecret[id] == "" {
					t.Errorf("%s:%d: %s is text: make it a Secret, or say in this test why it is none", file, at.Line,
						id)
				}
			}
		}
	})
	for id := range noSecret {
		if !seen[id] {
			t.Errorf("%s is in the list and not in the source", id)
		}
	}
}

// isText reports whether a type is a string, bytes, or made of those.
func isText(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name == "string" || e.Name == "byte"
	case *ast.ArrayType:
		return isText(e.Elt)
	case *ast.StarExpr:
		return isText(e.X)
	case *ast.MapType:
		return isText(e.Value)
	case *ast.SelectorExpr:
		return e.Sel.Name == "RawMessage"
	}
	return false
}

// mayPanic are the calls of panic, by file, and why what they print is no secret: a panic that nobody recovers prints
// its value.
var mayPanic = map[string]string{
	"daemon/grant/preset/preset.go": "files that are compiled in",
	"keystore/sealed/format.go":     "a length",
	"protocol/jsonrpc/reply.go":     "the type of an answer of our own",
}

// TestPanics holds every panic against the list.
func TestPanics(t *testing.T) {
	seen := map[string]bool{}
	source(t, func(file string, at token.Position, n ast.Node) {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return
		}
		name := ""
		switch f := call.Fun.(type) {
		case *ast.Ident:
			name = f.Name
		case *ast.SelectorExpr:
			if pkg, ok := f.X.(*ast.Ident); ok &&
				(pkg.Name == "log" || f.Sel.Name == "Panic" || f.Sel.Name == "Fatal" || f.Sel.Name == "DPanic") {
				name = pkg.Name + "." + f.Sel.Name
			}
		}
		if name != "panic" && !strings.Contains(name, "Panic") && !strings.Contains(name, "Fatal") {
			return
		}
		seen[file] = true
		if mayPanic[file] == "" {
			t.Errorf("%s:%d: %s prints its value where nothing recovers: "+
				"return an error, or say in this test why the value is no secret", file, at.Line, name)
		}
	})
	for file := range mayPanic {
		if !seen[file] {
			t.Errorf("%s is in the list and does not panic", file)
		}
	}
}

// variables are the names of all environment variables that the programs ask for by themselves. None sets a level of
// anything that is printed: there is no debug log.
var variables = []string{
	"GROAT_CONFIG", "GROAT_KEYSTORE", "GROAT_NO_AUTOSTART", "GROAT_PROFILE", "GROAT_SOCKET", "GROAT_STATE_DIR",
	"HOME", "PATH", "TMPDIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME",
	// a service manager's
	"CREDENTIALS_DIRECTORY", "JOURNAL_STREAM", "LISTEN_FDS", "LISTEN_PID", "NOTIFY_SOCKET", "XPC_SERVICE_NAME",
	// where other programs have their configuration
	"CARGO_HOME", "DOCKER_CONFIG", "GDAL_CONFIG_FILE", "GIT_CONFIG_GLOBAL", "KUBECONFIG",
	// is a person there
	"CI", "DISPLAY", "NO_COLOR", "SSH_CLIENT", "SSH_CONNECTION", "SSH_TTY", "TERM", "WAYLAND_DISPLAY",
	"WSL_DISTRO_NAME",
}

// TestVariables holds every constant name against the list.
func TestVariables(t *testing.T) {
	var asked []string
	source(t, func(file string, at token.Position, n ast.Node) {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) != 1 {
			return
		}
		var name string
		switch f := call.Fun.(type) {
		case *ast.SelectorExpr:
			name = f.Sel.Name
		case *ast.Ident:
			name = f.Name
		}
		if !slices.Contains([]string{"Getenv", "getenv", "LookupEnv"}, name) ||
			strings.HasPrefix(file, "daemon/importer/") { // whose names a person sees
			return
		}
		literal, ok := call.Args[0].(*ast.BasicLit)
		if !ok {
			return
		}
		variable, err := strconv.Unquote(literal.Value)
		if err != nil {
			t.Fatal(err)
		}
		asked = append(asked, variable)
		if !slices.Contains(variables, variable) {
			t.Errorf("%s:%d: %s is a variable that nobody knows of", file, at.Line, variable)
		}
	})
	for _, v := range variables {
		if !slices.Contains(asked, v) {
			t.Errorf("%s is in the list and nobody asks for it", v)
		}
	}
}
