package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Stand-ins for what only a run can tell.
const (
	anyWord  = "X"    // one word
	anything = "\x01" // words, or none
)

// hint is a form that a hint of the source can have.
type hint struct{ text, at string }

// hintSource is the source of the programs, as far as hints are made of it.
type hintSource struct {
	set       *token.FileSet
	constants map[string]ast.Expr      // :: package.Name → its value
	functions map[string]*ast.FuncDecl // :: package.Name → the function or method
	found     []hint
}

// hintRooms are the directories whose sentences a person can come to read.
var hintRooms = []string{"cmd/groat", "cmd/groat-commands", "cmd/groatd", "daemon", "keystore", "protocol"}

// readHints evaluates every expression of the source that makes a hint.
func readHints(t *testing.T) []hint {
	t.Helper()
	s := &hintSource{token.NewFileSet(), map[string]ast.Expr{}, map[string]*ast.FuncDecl{}, nil}
	var files []*ast.File
	for _, room := range hintRooms {
		err := filepath.WalkDir(filepath.Join("../..", room), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") ||
				strings.Contains(path, "grant/sandbox") {
				return err
			}
			file, err := parser.ParseFile(s.set, path, nil, parser.SkipObjectResolution)
			files = append(files, file)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range files {
		s.declare(file)
	}
	for _, file := range files {
		for _, d := range file.Decls {
			s.visit(d, scope{pkg: file.Name.Name, s: s})
		}
	}
	return s.found
}

func (s *hintSource) declare(file *ast.File) {
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			s.functions[file.Name.Name+"."+d.Name.Name] = d
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if v, ok := spec.(*ast.ValueSpec); ok && len(v.Values) == len(v.Names) {
					for i, name := range v.Names {
						s.constants[file.Name.Name+"."+name.Name] = v.Values[i]
					}
				}
			}
		}
	}
}

// isHint reports whether a name is one of a hint.
func isHint(name string) bool {
	return strings.EqualFold(name, "hint") || strings.HasPrefix(name, "hint") || strings.HasSuffix(name, "Hint") ||
		strings.HasSuffix(name, "Hints")
}

// visit collects the hints of a declaration.
func (s *hintSource) visit(d ast.Decl, in scope) {
	if f, ok := d.(*ast.FuncDecl); ok {
		if f.Body == nil {
			return
		}
		in.body = f.Body
	}
	// hinted are the functions in a function whose parameter is a hint :: name → the parameter's place.
	hinted := map[string]int{}
	ast.Inspect(d, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for i, to := range n.Lhs {
				if i < len(n.Rhs) && len(n.Lhs) == len(n.Rhs) {
					if lit, ok := n.Rhs[i].(*ast.FuncLit); ok {
						if place := hintParameter(lit.Type); place >= 0 {
							hinted[nameOfExpr(to)] = place
						}
					}
					if isHint(nameOfExpr(to)) {
						s.add(n.Rhs[i], in)
					}
				}
			}
		case *ast.ValueSpec:
			for i, name := range n.Names {
				if i < len(n.Values) && isHint(name.Name) {
					s.add(n.Values[i], in)
				}
			}
		case *ast.KeyValueExpr:
			if isHint(nameOfExpr(n.Key)) {
				s.add(n.Value, in)
			}
		case *ast.CompositeLit:
			name := nameOfExpr(n.Type)
			placed := name == "refusal" || name == "refusedStore" || in.pkg == "ownpath" && name == "Error"
			if placed && len(n.Elts) == 3 {
				s.add(n.Elts[2], in)
			}
		case *ast.ReturnStmt:
			if f, ok := d.(*ast.FuncDecl); ok && isHint(f.Name.Name) && len(n.Results) == 1 {
				s.add(n.Results[0], in)
			}
		case *ast.CallExpr:
			place, name := -1, nameOfExpr(n.Fun)
			if f := s.functions[in.pkg+"."+name]; f != nil {
				place = hintParameter(f.Type)
			}
			if p, ok := hinted[name]; ok {
				place = p
			}
			switch {
			case name == "NewError", name == "fail" && in.pkg == "config" && len(n.Args) > 2:
				place = map[string]int{"NewError": 2, "fail": place}[name]
			case name == "hint":
				place = len(n.Args) - 1
			case name == "missingError":
				place = 1 // the flags of "groat login"
			}
			if place >= 0 && place < len(n.Args) {
				s.add(n.Args[place], in)
			}
		}
		return true
	})
}

// hintParameter returns the place of a parameter that is a hint, or -1.
func hintParameter(f *ast.FuncType) int {
	place := 0
	for _, field := range f.Params.List {
		for _, name := range field.Names {
			if isHint(name.Name) {
				return place
			}
			place++
		}
	}
	return -1
}

func nameOfExpr(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

func (s *hintSource) add(e ast.Expr, in scope) {
	if m, ok := e.(*ast.CompositeLit); ok {
		for _, element := range m.Elts {
			if pair, ok := element.(*ast.KeyValueExpr); ok {
				s.add(pair.Value, in)
			}
		}
		return
	}
	at := s.set.Position(e.Pos())
	for _, text := range in.eval(e) {
		s.found = append(s.found, hint{text, fmt.Sprintf("%s:%d", strings.TrimPrefix(at.Filename, "../../"), at.Line)})
	}
}

// scope is where an expression stands.
type scope struct {
	s     *hintSource
	pkg   string
	body  *ast.BlockStmt      // of the function; nil: none
	given map[string][]string // the function's arguments :: parameter → values
	depth int
}

// eval returns the texts that an expression can have.
func (in scope) eval(e ast.Expr) []string {
	if in.depth++; in.depth > 12 {
		return []string{anything}
	}
	switch e := e.(type) {
	case *ast.ParenExpr:
		return in.eval(e.X)
	case *ast.BasicLit:
		if text, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
			return []string{text}
		}
		return []string{e.Value}
	case *ast.BinaryExpr:
		var sums []string
		for _, left := range in.eval(e.X) {
			for _, right := range in.eval(e.Y) {
				sums = append(sums, left+right)
			}
		}
		return unique(sums)
	case *ast.Ident:
		return in.name(e.Name)
	case *ast.SelectorExpr:
		if value, ok := in.s.constants[nameOfExpr(e.X)+"."+e.Sel.Name]; ok {
			return scope{s: in.s, pkg: nameOfExpr(e.X), depth: in.depth}.eval(value)
		}
	case *ast.IndexExpr:
		if m, ok := in.s.constants[in.pkg+"."+nameOfExpr(e.X)].(*ast.CompositeLit); ok {
			var all []string
			for _, element := range m.Elts {
				if pair, ok := element.(*ast.KeyValueExpr); ok {
					all = append(all, in.eval(pair.Value)...)
				}
			}
			return unique(all)
		}
	case *ast.CallExpr:
		return in.call(e)
	}
	return []string{anything}
}

func (in scope) name(name string) []string {
	if given, ok := in.given[name]; ok {
		return given
	}
	var all, ends []string
	if in.body != nil {
		ast.Inspect(in.body, func(n ast.Node) bool {
			a, ok := n.(*ast.AssignStmt)
			if !ok || len(a.Lhs) != len(a.Rhs) {
				return true
			}
			for i, to := range a.Lhs {
				if id, ok := to.(*ast.Ident); !ok || id.Name != name {
					continue
				}
				if a.Tok == token.ADD_ASSIGN {
					ends = append(ends, in.eval(a.Rhs[i])...)
				} else {
					all = append(all, in.eval(a.Rhs[i])...)
				}
			}
			return true
		})
	}
	if len(all) > 0 {
		for _, end := range ends {
			for _, begin := range all[:len(all):len(all)] {
				all = append(all, begin+end)
			}
		}
		return unique(all)
	}
	if value, ok := in.s.constants[in.pkg+"."+name]; ok {
		return scope{s: in.s, pkg: in.pkg, depth: in.depth}.eval(value)
	}
	return []string{anything}
}

func (in scope) call(e *ast.CallExpr) []string {
	pkg, name := in.pkg, nameOfExpr(e.Fun)
	method := false
	if pkg == "login" && name == "Command" {
		return []string{"groat login X"}
	}
	if s, ok := e.Fun.(*ast.SelectorExpr); ok {
		if x := nameOfExpr(s.X); in.s.functions[x+"."+name] != nil {
			pkg = x
		} else {
			method = true
		}
		switch nameOfExpr(s.X) + "." + name {
		case "visible.Word", "visible.Name", "origin.WithoutPort", "filepath.Dir", "filepath.Join":
			return []string{anyWord}
		case "l.tryAgain":
			return cross([]string{"groat login X "}, in.eval(e.Args[0]))
		case "a.again":
			all := []string{anyWord}
			for _, further := range e.Args {
				all = cross(cross(all, []string{" "}), in.eval(further))
			}
			return all
		case "cmp.Or":
			return unique(append(in.eval(e.Args[0]), in.eval(e.Args[1])...))
		case "fmt.Sprintf":
			return in.format(e.Args)
		}
	}
	f := in.s.functions[pkg+"."+name]
	if f == nil || f.Body == nil || f.Type.Results == nil || len(f.Type.Results.List) != 1 || method && f.Recv == nil {
		return []string{anything}
	}
	sub := scope{s: in.s, pkg: pkg, body: f.Body, given: map[string][]string{}, depth: in.depth}
	place := 0
	for _, field := range f.Type.Params.List {
		for _, p := range field.Names {
			if _, variadic := field.Type.(*ast.Ellipsis); !variadic && place < len(e.Args) {
				sub.given[p.Name] = in.eval(e.Args[place])
			}
			place++
		}
	}
	var all []string
	ast.Inspect(f.Body, func(n ast.Node) bool {
		if r, ok := n.(*ast.ReturnStmt); ok && len(r.Results) == 1 {
			all = append(all, sub.eval(r.Results[0])...)
		}
		_, inner := n.(*ast.FuncLit)
		return !inner
	})
	return unique(all)
}

// format evaluates the arguments of fmt.Sprintf.
func (in scope) format(args []ast.Expr) []string {
	var all []string
	for _, format := range in.eval(args[0]) {
		texts, next := []string{""}, 1
		for i := 0; i < len(format); i++ {
			if format[i] != '%' || i+1 == len(format) {
				texts = cross(texts, []string{format[i : i+1]})
				continue
			}
			i++
			switch {
			case format[i] == '%':
				texts = cross(texts, []string{"%"})
			case format[i] == 'd' || next >= len(args):
				texts, next = cross(texts, []string{"7"}), next+1
			default:
				texts, next = cross(texts, in.eval(args[next])), next+1
			}
		}
		all = append(all, texts...)
	}
	return unique(all)
}

func cross(begins, ends []string) (all []string) {
	for _, b := range begins {
		for _, e := range ends {
			all = append(all, b+e)
		}
	}
	return all
}

func unique(all []string) []string {
	slices.Sort(all)
	return slices.Compact(all)
}
