package layout_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// flagThenValue is a text after which a command's value comes.
var flagThenValue = regexp.MustCompile(`(^|[^-\w])--[a-z][a-z-]*[ =]$`)

// verb is a verb of package fmt that shows a text as it is.
var verb = regexp.MustCompile(`%[-+# 0-9.*\[\]]*[a-zA-Z%]`)

// ownWords are the expressions that hold words of groat's own, which a shell reads as they are.
var ownWords = []string{"config.BasicRaw", "openEO", "scopeOpenID", "l.kind", "l.authName()", "format",
	"string(grant.ClientSecretPost)", "string(grant.AudienceEndpoint)", "string(grant.AudienceIssuer)",
	"strconv.FormatInt(e.MaxMinTTL, 10)", "preset.Names()[0]", "grant.ByClientCredentials",
	"rcloneWord(remote.URL)", // rclone runs no shell
	"how", "key",             // of git's configuration, of a profile
	"sentence(strings.Join(f.Either, \" or \"))", "strings.Join(args, \" \")"} // providers; systemctl's

// TestACommandsValuesAreQuoted: what a sentence, a hint or a notice shows behind a flag may be pasted into a shell, and
// may be foreign text. It goes through visible.Word, or is groat's own.
func TestACommandsValuesAreQuoted(t *testing.T) {
	seen := 0
	for _, room := range []string{"cmd/groat", "cmd/groat-commands", "cmd/groatd", "daemon", "keystore", "protocol"} {
		err := filepath.WalkDir(filepath.Join(root, room), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") ||
				strings.Contains(path, "grant/sandbox") {
				return err
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				for _, value := range valuesOf(n) {
					seen++
					if text := types.ExprString(value); !strings.HasPrefix(text, "visible.Word(") &&
						!slices.Contains(ownWords, text) {
						t.Errorf("%s: %s stands in a command unquoted", set.Position(value.Pos()), text)
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if seen < 30 {
		t.Errorf("only %d values were looked at", seen)
	}
}

// valuesOf returns what a sum of texts, a format or a list joined by a flag puts right behind a flag.
func valuesOf(n ast.Node) (values []ast.Expr) {
	switch n := n.(type) {
	case *ast.BinaryExpr:
		left := n.X
		if sum, ok := left.(*ast.BinaryExpr); ok {
			left = sum.Y
		}
		if _, literal := textOf(n.Y); n.Op == token.ADD && !literal {
			if before, ok := textOf(left); ok && flagThenValue.MatchString(before) {
				values = append(values, n.Y)
			}
		}
	case *ast.CallExpr:
		for i, arg := range n.Args {
			format, ok := textOf(arg)
			if !ok {
				continue
			}
			if types.ExprString(n.Fun) == "strings.Join" && flagThenValue.MatchString(format) {
				return append(values, n.Args[0])
			}
			next := i
			for _, at := range verb.FindAllStringIndex(format, -1) {
				kind := format[at[1]-1]
				if kind == '%' {
					continue
				}
				if next++; next < len(n.Args) && (kind == 's' || kind == 'v') &&
					flagThenValue.MatchString(format[:at[0]]) {
					values = append(values, n.Args[next])
				}
			}
		}
	}
	return values
}

// textOf returns a text that the source has in full, also in several parts.
func textOf(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, e.Kind == token.STRING && err == nil
	case *ast.BinaryExpr:
		left, a := textOf(e.X)
		right, b := textOf(e.Y)
		return left + right, a && b && e.Op == token.ADD
	}
	return "", false
}
