package setup

import (
	"context"
	"strings"

	"github.com/groat-dev/groat/protocol/visible"
)

// goTool runs the commands that GOAUTH names ("go help goauth"), which "go env -w" keeps in a file. GOAUTH is not for
// one server alone: groat is asked for every one, and answers for those that a profile lists.
var goTool = &Tool{Name: "go", Programs: []string{"go"}, NamesNone: true, Want: wantGo}

func wantGo(ctx context.Context, m *Machine, p Profile) ([]File, error) {
	out, err := ask(ctx, nil, m.Find("go"), "env", "GOENV") // in no module: its toolchain might be another one
	path := strings.TrimSpace(string(out))
	if err != nil || path == "" || path == "off" {
		return nil, &Error{Reason: NoSettings, Tool: "go", Err: err}
	}
	s, err := read(path)
	if err != nil {
		return nil, err
	}
	was := ""
	if from, to := assignment(s.content, "GOAUTH"); from >= 0 {
		was = string(s.content[from:to])
	}
	return []File{{Path: path, Format: "assignments", Settings: []Setting{{Name: "GOAUTH",
		Value: GoAuth(m.Groat, was)}}}}, nil
}

// GoAuth is the value of GOAUTH that asks groat first and then what an earlier value names, or without one what go asks
// by default ("go help goauth"). "off" is a value that stands alone.
func GoAuth(groat, was string) string {
	ours := groat + " helper go"
	if visible.Word(groat) != groat {
		ours = "'" + groat + "' helper go" // cmd/internal/quoted has no escapes
	}
	if was == "" {
		was = "netrc"
	}
	all := []string{ours}
	for other := range strings.SplitSeq(was, ";") {
		if other = strings.TrimSpace(other); other != "" && other != "off" && !strings.HasSuffix(other, " helper go") {
			all = append(all, other)
		}
	}
	return strings.Join(all, ";")
}
