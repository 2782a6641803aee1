package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestImportAsks(t *testing.T) {
	for _, tt := range []struct {
		answers [][2]string // what is shown, what is typed
		take    []any
		code    int
	}{
		{[][2]string{{"as profile planet-m2m? ", "y"}, {"as profile earthscope? [y/N] ", "y"},
			{"as profile climateengine? ", "y"}, {"\nProvider: ", "2"}, {"as profile planet? ", ""}},
			[]any{"a1", "b2", "c3=spatiafi"}, 0},
		{[][2]string{{"as profile planet-m2m? ", "a"}, {"as profile earthscope? [y/N] ", "n"},
			{"\nProvider: ", "climateengine"}}, []any{"a1", "c3=climateengine", "d4"}, 0},
		{[][2]string{{"as profile planet-m2m? ", "n"}, {"as profile earthscope? [y/N] ", "a"},
			{"as profile climateengine? ", "yes"}, {"\nProvider: ", "5"}, {"as profile planet? ", "n"}}, nil, 0},
		{[][2]string{{"as profile planet-m2m? ", "\x03"}}, nil, 130},
	} {
		f := importDaemon(t, false)
		x := startOnTerminal(t, []string{"GROAT_SOCKET=" + f.socket}, "import")
		for _, a := range tt.answers {
			x.expect(a[0])
			if a[1] != "\x03" {
				a[1] += "\n"
			}
			x.write(a[1])
		}
		x.end(tt.code)
		all := f.requests()
		if last := all[len(all)-1].Params["take"]; last != nil != (tt.take != nil) || tt.take != nil &&
			!cmp.Equal(last, any(tt.take)) {
			t.Errorf("%v took %v", tt.answers, last)
		}
		if tt.take == nil && tt.code == 0 && !strings.HasSuffix(x.shown(), "nothing was imported\n") {
			t.Errorf("%s", x.shown())
		}
	}
}
