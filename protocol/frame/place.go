package frame

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/groat-dev/groat/protocol/ownpath"
	"github.com/groat-dev/groat/protocol/visible"
)

// Place is what a caller works with: three absolute paths, cleaned lexically. Each place has a daemon of its own, which
// serves no caller of another one. PROTOCOL.md, "Places".
type Place struct {
	// Home is $HOME.
	Home string `json:"home"`
	// Configuration is the directory of config.toml, or the file if it has another name.
	Configuration string `json:"configuration"`
	// State is the directory for what must survive.
	State string `json:"state"`
}

// ErrNoHome means that neither HOME nor /etc/passwd names a home for this user.
var ErrNoHome = errors.New("HOME is not an absolute path, and /etc/passwd does not have this user")

// VariableError says that a variable of the environment holds what cannot be used.
type VariableError struct {
	Variable string // empty where it was no variable that said it
	Message  string
}

func (e *VariableError) Error() string { return e.Message }

// Hint returns the command that takes the variable away, or "".
func (e *VariableError) Hint() string {
	if e.Variable == "" {
		return ""
	}
	return "unset " + e.Variable
}

// PlaceOf returns the place that an environment leads to. HOME is /etc/passwd's if it is missing or not absolute. A
// config that is not empty stands instead of $GROAT_CONFIG. It does not look whether anything is there.
func PlaceOf(getenv func(string) string, config string) (Place, error) {
	p := Place{Home: getenv("HOME")}
	if !filepath.IsAbs(p.Home) {
		u, ok := ownpath.LocalUser(os.Geteuid())
		if !ok {
			return Place{}, ErrNoHome
		}
		p.Home = u.Home
	}
	p.Home = filepath.Clean(p.Home)
	usual := UsualPlace(p.Home)
	p.Configuration, p.State = usual.Configuration, usual.State
	if dir := getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		p.Configuration = filepath.Join(dir, "groat")
	}
	variable := ""
	if config == "" {
		config, variable = getenv("GROAT_CONFIG"), "GROAT_CONFIG"
	}
	if config != "" {
		if !filepath.IsAbs(config) {
			return Place{}, &VariableError{variable, fmt.Sprintf("the configuration path %q is not absolute", config)}
		}
		p.Configuration = filepath.Clean(config)
		if dir, name := filepath.Split(p.Configuration); name == "config.toml" {
			p.Configuration = filepath.Clean(dir)
		}
	}
	if dir := getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) && runtime.GOOS != "darwin" {
		p.State = filepath.Join(dir, "groat")
	}
	if dir := getenv("GROAT_STATE_DIR"); dir != "" {
		if !filepath.IsAbs(dir) {
			return Place{}, &VariableError{"GROAT_STATE_DIR",
				fmt.Sprintf("the state directory %q is not absolute", dir)}
		}
		p.State = filepath.Clean(dir)
	}
	return p, nil
}

// UsualPlace returns the place of a home if no other variable says anything else.
func UsualPlace(home string) Place {
	home = filepath.Clean(home)
	p := Place{Home: home, Configuration: filepath.Join(home, ".config", "groat"),
		State: filepath.Join(home, ".local", "state", "groat")}
	if runtime.GOOS == "darwin" {
		p.State = filepath.Join(home, "Library", "Application Support", "groat")
	}
	return p
}

// ID is the first 16 hexadecimal digits of SHA-256 over the three paths, each followed by a NUL.
func (p Place) ID() string {
	const hex = "0123456789abcdef"
	var room [512]byte // for usual paths, on the stack
	paths := room[:0]
	for _, path := range [...]string{p.Home, p.Configuration, p.State} {
		paths = append(append(paths, path...), 0)
	}
	sum := digest(paths)
	var id [16]byte
	for i := range id {
		id[i] = hex[sum>>(60-4*i)&15]
	}
	return string(id[:])
}

// String names the three paths for people. A path that could be taken for groat's own words is quoted.
func (p Place) String() string {
	return fmt.Sprintf("HOME=%s, configuration %s, state %s", visible.Text(p.Home), visible.Text(p.Configuration),
		visible.Text(p.State))
}

// inHome returns which of the paths stands in the home, or "": then it does not matter whose the home is.
func (p Place) inHome() string {
	usual := UsualPlace(p.Home)
	for _, path := range []string{p.Configuration, p.State} {
		if p.Home == "/" && path != usual.Configuration && path != usual.State {
			continue // everything stands in /: what was not named by HOME is somewhere else
		}
		if path == p.Home || strings.HasPrefix(path, strings.TrimSuffix(p.Home, "/")+"/") {
			return path
		}
	}
	return ""
}

// CheckHome refuses a home of another user in which something of the place stands: as root with a person's HOME. The
// error is an [*ownpath.Error].
func (p Place) CheckHome() error {
	if p.inHome() == "" {
		return nil
	}
	return ownpath.CheckHome(p.Home)
}

// LocalState is an assignment that gives this user a state directory on a disk of this machine: /var/tmp survives a
// restart.
func LocalState() string { return fmt.Sprintf("GROAT_STATE_DIR=/var/tmp/groat-state-%d", os.Geteuid()) }

// LocalSocket is an assignment that gives this user a socket with a short path on every system.
func LocalSocket() string {
	return fmt.Sprintf("GROAT_SOCKET=/var/tmp/groat-%d/agent.sock", os.Geteuid())
}
