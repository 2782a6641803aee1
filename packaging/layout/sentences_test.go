package layout_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/groat-dev/groat/protocol/visible"
)

// begins is how the programs' own lines begin.
var begins = regexp.MustCompile(`(?m)^(%s)? *((groatd?|error|hint):( |$))+`)

// TestH75NoSentenceLooksLikeALine: a sentence in which "groat:", "groatd:" or "hint:" stands is shown in quotation
// marks and without that colon, since a foreign part of it could have brought it. No sentence of the programs' own is
// written so, but for the lines that begin with it.
func TestH75NoSentenceLooksLikeALine(t *testing.T) {
	seen := 0
	for _, room := range []string{"cmd/groat", "cmd/groat-commands", "cmd/groatd", "daemon", "keystore", "protocol"} {
		err := filepath.WalkDir(filepath.Join(root, room), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				literal, ok := n.(*ast.BasicLit)
				if !ok || literal.Kind != token.STRING {
					return true
				}
				text, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Error(err)
				}
				text = begins.ReplaceAllString(text, "")
				if seen++; visible.WithoutPrefixes(text) != text {
					t.Errorf("%s: %s", set.Position(literal.Pos()), literal.Value)
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if seen < 1000 {
		t.Errorf("only %d strings were looked at", seen)
	}
}
