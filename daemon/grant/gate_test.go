package grant

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"
)

// Every request that carries a part of a credential passes the gate, [Endpoint.send]: one function sends, and this list
// has its callers.
func TestF2NothingIsSentButThroughTheGate(t *testing.T) {
	callers := map[string][]string{ // :: function → its allowed callers
		"Do":        {"roundTrip", "Receiver.Close", "admittedConn.Close"}, // in the latter two it is [sync.Once]'s
		"roundTrip": {"exchange"}, "exchange": {"Endpoint.send", "getDocument"},
		"NewRequest": nil, "NewRequestWithContext": {"newRequest"},
		"Get": nil, "Head": nil, "Post": nil, "PostForm": nil, "Dial": nil,
		"RoundTrip":   {"router.RoundTrip", "pinned.RoundTrip"}, // the one client's part; and the engine's of a fleet
		"DialContext": {"dial"},
	}
	met := map[string]bool{}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), e.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			within := "a declaration"
			if f, ok := d.(*ast.FuncDecl); ok {
				within = nameOf(f)
			}
			ast.Inspect(d, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				called := calledBy(call)
				if allowed, watched := callers[called]; watched {
					met[called] = true
					if !slices.Contains(allowed, within) {
						t.Errorf("%s: %s calls %s", e.Name(), within, called)
					}
				}
				return true
			})
		}
	}
	for _, name := range []string{"Do", "roundTrip", "exchange", "NewRequestWithContext"} {
		if !met[name] {
			t.Errorf("nothing calls %s any more: what sends now?", name)
		}
	}
}

func nameOf(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return f.Name.Name
	}
	of := f.Recv.List[0].Type
	if star, ok := of.(*ast.StarExpr); ok {
		of = star.X
	}
	if id, ok := of.(*ast.Ident); ok {
		return id.Name + "." + f.Name.Name
	}
	return f.Name.Name
}

// calledBy returns the name of the called function, or "" for a Get that reads a header or a form.
func calledBy(c *ast.CallExpr) string {
	switch f := c.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		if of, ok := f.X.(*ast.Ident); ok && f.Sel.Name == "Get" && of.Name != "http" && of.Name != "client" {
			return ""
		}
		if _, field := f.X.(*ast.SelectorExpr); field && f.Sel.Name == "Get" {
			return ""
		}
		if of, ok := f.X.(*ast.CallExpr); ok && f.Sel.Name == "Get" && of != nil {
			return ""
		}
		return f.Sel.Name
	}
	return ""
}
