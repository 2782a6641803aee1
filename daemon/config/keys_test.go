package config

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every key of a profile is described, and no other; the page of them is what the code says. WRITE_KEYS=1 writes it.
func TestEveryKeyIsDescribed(t *testing.T) {
	described := map[string]bool{}
	for _, k := range Keys() {
		if described[k.Name] || k.About == "" || !strings.HasSuffix(k.About, ".") {
			t.Errorf("%+v", k)
		}
		described[k.Name] = true
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Profile]()) {
		name, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
		if name != "-" && !described[name] {
			t.Errorf("keyTable has no row for %s", name)
		}
		delete(described, name)
	}
	for name := range described {
		t.Errorf("a profile has no key %s", name)
	}
	const page = "KEYS.md"
	if os.Getenv("WRITE_KEYS") != "" {
		if err := os.WriteFile(page, []byte(Reference()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Reference(), string(text)); diff != "" {
		t.Errorf("%s is not what the code says: WRITE_KEYS=1 go test ./daemon/config -run TestEveryKeyIsDescribed\n%s",
			page, diff)
	}
}

// A key that was set says what it was set to, and nothing once it was removed.
func TestKeysAreSetAndRemoved(t *testing.T) {
	words := map[reflect.Kind]string{reflect.Bool: "true", reflect.Slice: "a b", reflect.String: "x",
		reflect.Int64: "60"}
	for _, k := range Keys() {
		var p Profile
		v, ok := p.field(k.Name)
		if !ok {
			t.Fatalf("no field of %s", k.Name)
		}
		kind := v.Kind()
		if kind == reflect.Pointer {
			kind = v.Type().Elem().Kind()
		}
		if err := p.Set(k.Name, words[kind]); err != nil {
			t.Errorf("%s: %v", k.Name, err)
		}
		if got, set := p.Get(k.Name); got != words[kind] || !set {
			t.Errorf("%s is %q, set %v", k.Name, got, set)
		}
		if err := p.Unset(k.Name); err != nil || !reflect.ValueOf(p).IsZero() {
			t.Errorf("%s: %v, %+v", k.Name, err, p)
		}
	}
	var p Profile
	for _, err := range []error{p.Set("client_secret", "x"), p.Unset("name"), p.Set("strict_scope", "perhaps"),
		p.Set("session_idle", "perhaps")} {
		if err == nil || strings.Contains(err.Error(), "perhaps") {
			t.Errorf("%v", err)
		}
	}
}
