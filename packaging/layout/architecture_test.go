package layout_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// declared is what the module's Go files declare.
type declared struct {
	files map[string]map[string]bool // :: file → names: F, T, T.Method, T.Field
	pkgs  map[string]map[string]bool // :: last element of a package's path → the same of all its files
	tests map[string]bool            // names of tests, fuzz targets, benchmarks and examples
}

// declarations parses every Go file of the repository.
func declarations(t *testing.T) declared {
	t.Helper()
	d := declared{files: map[string]map[string]bool{}, pkgs: map[string]map[string]bool{}, tests: map[string]bool{}}
	everyFile(t, func(name string, text []byte) {
		tree, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		names := map[string]bool{}
		for _, decl := range tree.Decls {
			addNames(names, decl)
		}
		d.files[name] = names
		if strings.HasSuffix(name, "_test.go") {
			for n := range names {
				d.tests[n] = true
			}
			return
		}
		pkg := path.Base(path.Dir(name))
		if d.pkgs[pkg] == nil {
			d.pkgs[pkg] = map[string]bool{}
		}
		for n := range names {
			d.pkgs[pkg][n] = true
		}
	})
	return d
}

// addNames adds what one declaration declares.
func addNames(names map[string]bool, decl ast.Decl) {
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		name := decl.Name.Name
		if decl.Recv != nil {
			name = receiver(decl.Recv.List[0].Type) + "." + name
		}
		names[name] = true
	case *ast.GenDecl:
		for _, spec := range decl.Specs {
			switch spec := spec.(type) {
			case *ast.ValueSpec:
				for _, n := range spec.Names {
					names[n.Name] = true
				}
			case *ast.TypeSpec:
				names[spec.Name.Name] = true
				for _, member := range members(spec.Type) {
					names[spec.Name.Name+"."+member] = true
				}
			}
		}
	}
}

// receiver returns the name of a method's type.
func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// members returns the fields of a struct and the methods of an interface.
func members(e ast.Expr) (names []string) {
	var list *ast.FieldList
	switch e := e.(type) {
	case *ast.StructType:
		list = e.Fields
	case *ast.InterfaceType:
		list = e.Methods
	default:
		return nil
	}
	for _, f := range list.List {
		for _, n := range f.Names {
			names = append(names, n.Name)
		}
	}
	return names
}

var (
	codeSpan   = regexp.MustCompile("`([^`\\n]+)`")
	testName   = regexp.MustCompile(`^(?:Test|Fuzz|Benchmark|Example)[A-Z0-9]\w*$`)
	pathName   = regexp.MustCompile(`^[\w.-]+(?:/[\w.-]+)*/?(?::[\w.]+)?$`)
	identifier = regexp.MustCompile(`^([a-z]\w*)\.([A-Za-z]\w*(?:\.\w+)?)$`)
	command    = regexp.MustCompile(`^(?:groat|groat-commands|groatd|make [a-z]+)(?: .*)?$`)
)

// exists says why a code span of ARCHITECTURE.md names nothing, or "".
func (d declared) exists(span string) string {
	file, name, _ := strings.Cut(span, ":")
	isPath := strings.ContainsAny(file, "/") || path.Ext(file) == ".md" || slices.Contains(top, file)
	switch m := identifier.FindStringSubmatch(span); {
	case testName.MatchString(span):
		if !d.tests[span] {
			return "there is no such test"
		}
	case isPath && pathName.MatchString(span):
		if _, err := os.Stat(filepath.Join(root, file)); err != nil {
			return "there is no such path"
		}
		if name != "" && !d.files[file][name] {
			return "the file does not declare the name"
		}
	case m != nil:
		if !d.pkgs[m[1]][m[2]] {
			return "no package declares it"
		}
	case command.MatchString(span):
	default:
		return "it is no path, no package.Name, no test and no command"
	}
	return ""
}

// TestArchitecturePage: every code span of ARCHITECTURE.md is a path, a path and a name declared there
// (dir/file.go:Name, dir/file.go:Type.method), a name in a package (package.Name), a test, or a command; and it exists.
// Every room of the table in this package stands on the page.
func TestArchitecturePage(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	d, page := declarations(t), string(text)
	spans := 0
	for i, line := range strings.Split(page, "\n") {
		for _, m := range codeSpan.FindAllStringSubmatch(line, -1) {
			spans++
			if why := d.exists(m[1]); why != "" {
				t.Errorf("ARCHITECTURE.md:%d: %s: %s", i+1, m[1], why)
			}
		}
	}
	if spans < 100 {
		t.Errorf("only %d names were found", spans)
	}
	for room := range rooms {
		if !strings.HasPrefix(room, "packaging/") && !strings.Contains(page, "`"+room+"`") {
			t.Errorf("ARCHITECTURE.md does not say what the room %s is for", room)
		}
	}
	if n := strings.Count(page, "\n"); n > 170 {
		t.Errorf("ARCHITECTURE.md has %d lines, which is more than one page", n)
	}
}

// TestContributingPaths: every path in CONTRIBUTING.md exists, but for those with a part in capitals to be filled in.
func TestContributingPaths(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "CONTRIBUTING.md"))
	if err != nil {
		t.Fatal(err)
	}
	paths := 0
	for _, m := range codeSpan.FindAllStringSubmatch(string(text), -1) {
		if !strings.Contains(m[1], "/") || strings.Contains(m[1], "NAME") || strings.ContainsAny(m[1], " *") {
			continue
		}
		paths++
		if _, err := os.Stat(filepath.Join(root, m[1])); err != nil && m[1] != "bin/" && m[1] != "testing/synctest" {
			t.Errorf("CONTRIBUTING.md: there is no %s", m[1])
		}
	}
	if paths < 15 {
		t.Errorf("only %d paths were found", paths)
	}
}

// TestArchitectureRefuses makes sure that the test can say no.
func TestArchitectureRefuses(t *testing.T) {
	d := declarations(t)
	for _, good := range []string{
		"protocol/client.go", "protocol/client.go:Client", "protocol.Client", "TestArchitecturePage", "groat get",
		"make quick", "packaging/layout/architecture_test.go:declared.exists", "daemon/",
	} {
		if why := d.exists(good); why != "" {
			t.Errorf("%s: %s", good, why)
		}
	}
	for _, bad := range []string{
		"protocol/nothing.go", "protocol/client.go:Nothing", "protocol.Nothing", "nothing.Client", "TestNothingAtAll",
		"some words",
		"word",
	} {
		if d.exists(bad) == "" {
			t.Errorf("%s is believed", bad)
		}
	}
}
