package setup

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// cargo runs the program that registries.NAME.credential-provider names
// (https://doc.rust-lang.org/cargo/reference/registry-authentication.html), for the registries of its own configuration
// file. One of a project's file alone is set up by hand.
var cargo = &Tool{Name: "cargo", Programs: []string{"cargo"}, NamesNone: true, Want: wantCargo}

// cargoHelper is the program that cargo runs.
const cargoHelper = "cargo-credential-groat"

// Credential providers came with cargo 1.74 (https://doc.rust-lang.org/cargo/CHANGELOG.html).
const cargoMinor = 74

func wantCargo(ctx context.Context, m *Machine, p Profile) ([]File, error) {
	c := cargoProgram{m.Find("cargo"), m.State}
	if version, ok := c.provides(ctx); !ok {
		return nil, &Error{Reason: TooOld, Tool: "cargo", Err: errors.New(version)}
	}
	f := File{Path: cargoConfig(m), Format: "keys"}
	s, err := read(f.Path)
	if err != nil {
		return nil, err
	}
	registries, err := c.registries(ctx, s.content)
	if err != nil {
		return nil, inFile(err, f.Path)
	}
	f.Parse = func(ctx context.Context, content []byte) error {
		_, err := c.registries(ctx, content)
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(registries)) {
		if isAt(strings.TrimPrefix(registries[name].Index, "sparse+"), p.APIs) {
			f.Settings = append(f.Settings, Setting{Name: "registries." + name + "/credential-provider",
				Value: `["` + cargoHelper + `"]`})
		}
	}
	f.Verify = func(ctx context.Context, _, after []byte) error {
		now, err := c.registries(ctx, after)
		for _, s := range f.Settings {
			section, _ := splitKey(s.Name)
			said := now[strings.TrimPrefix(section, "registries.")].Provider
			if err == nil && string(said) != s.Value {
				return &Error{Reason: BadLine, Err: errOtherForm}
			}
		}
		return err
	}
	if len(f.Settings) == 0 {
		return nil, &Error{Reason: NoEntry, Tool: "cargo", Profile: p.Name, API: p.APIs[0]}
	}
	link, err := m.link(cargoHelper)
	if err != nil {
		return nil, err
	}
	return append([]File{f}, link...), nil
}

// cargoConfig is cargo's own file. Where both names are there, cargo reads the older one
// (https://doc.rust-lang.org/cargo/reference/config.html).
func cargoConfig(m *Machine) string {
	dir := m.Getenv("CARGO_HOME")
	if dir == "" {
		dir = filepath.Join(m.Home, ".cargo")
	}
	older := filepath.Join(dir, "config")
	if s, err := read(older); err == nil && s.there {
		return older
	}
	return older + ".toml"
}

// cargoProgram is the path of cargo, and a private directory.
type cargoProgram struct{ path, private string }

// provides returns what cargo says of its version, and whether it has credential providers.
func (c cargoProgram) provides(ctx context.Context) (version string, ok bool) {
	out, _ := ask(ctx, nil, c.path, "--version") // cargo 1.95.0 (f2d3ce0bd 2026-03-21)
	version = strings.TrimSpace(string(out))
	numbers := strings.Split(strings.TrimPrefix(version, "cargo "), ".")
	if len(numbers) < 2 {
		return version, false
	}
	major, _ := strconv.Atoi(numbers[0])
	minor, _ := strconv.Atoi(numbers[1])
	return version, major > 1 || major == 1 && minor >= cargoMinor
}

type cargoRegistry struct {
	Index    string
	Provider json.RawMessage `json:"credential-provider"`
}

// registries returns those of a configuration, as cargo reads it. The command is not stable yet, and
// cargo is told not to mind: https://doc.rust-lang.org/cargo/reference/unstable.html#cargo-config.
func (c cargoProgram) registries(ctx context.Context, content []byte) (all map[string]cargoRegistry, err error) {
	dir, err := privateCopy(c.private, "config.toml", content) // it may hold tokens
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out, err := askWith(ctx, []string{"CARGO_HOME=" + dir, "RUSTC_BOOTSTRAP=1"}, nil, c.path,
		"-Zunstable-options", "config", "get", "--format", "json-value", "registries")
	if err != nil {
		e := unreadBy("cargo", err, "TOML parse error at ") // error: config value `registries` is not set
		if e.Line == 0 && strings.Contains(e.Err.Error(), "is not set") {
			return nil, nil
		}
		return nil, e
	}
	if err := json.Unmarshal(out, &all); err != nil {
		return nil, &Error{Reason: BadLine, Tool: "cargo", Err: err}
	}
	return all, nil
}
