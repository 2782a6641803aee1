package login

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/groat-dev/groat/protocol"
)

// Every field of a login's parameters but its name and what the client can show has a row that says which sign-ins use
// it.
func TestEveryParameterHasARow(t *testing.T) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[protocol.LoginParams]()) {
		row := slices.ContainsFunc(parameters, func(a parameter) bool { return a.field == f.Name })
		if row == slices.Contains([]string{"Profile", "Confirm"}, f.Name) {
			t.Errorf("protocol.LoginParams.%s has no row in parameters, or should have none", f.Name)
		}
	}
}

// A hint for the next try is the command that was given with what it lacks: whatever else was given stays in it, once.
func TestTheNextTryKeepsWhatWasGiven(t *testing.T) {
	all := protocol.LoginParams{Profile: "p"}
	for _, a := range parameters {
		switch v := reflect.ValueOf(&all).Elem().FieldByName(a.field); v.Kind() {
		case reflect.Bool:
			v.SetBool(true)
		case reflect.String:
			v.SetString("given-" + a.flag)
		case reflect.Slice:
			v.Set(reflect.ValueOf([]string{"given-" + a.flag, "too"}))
		case reflect.Map:
			v.Set(reflect.ValueOf(map[string]string{"given": a.flag, "too": ""}))
		case reflect.Pointer:
			word := "given-" + a.flag
			v.Set(reflect.ValueOf(&word))
		}
	}
	l := &Login{asked: all}
	for _, flags := range []string{"", "--username YOU", "--client-id ID", "--key FILE"} {
		hint := l.tryAgain(flags)
		words := strings.Fields(hint)
		for _, a := range parameters {
			if a.field == "Secret" {
				continue
			}
			n := 0
			for _, w := range words {
				if w == "--"+a.flag {
					n++
				}
			}
			if want := max(1, len(a.typed(all))/2); n != want {
				t.Errorf("%q: --%s is there %d times in %q", flags, a.flag, n, hint)
			}
		}
		if !strings.HasSuffix(hint, flags) {
			t.Errorf("%q: %q", flags, hint)
		}
	}
}
