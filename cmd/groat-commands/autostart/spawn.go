package autostart

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

const daemonName = "groatd"

// FindDaemon returns the groatd beside this process's executable, or else the first one on PATH, or "".
func FindDaemon(path string) string {
	var dirs []string
	if self, err := os.Executable(); err == nil {
		// Behind a link stands the directory that both were installed in.
		if real, err := filepath.EvalSymlinks(self); err == nil {
			dirs = append(dirs, filepath.Dir(real))
		}
		dirs = append(dirs, filepath.Dir(self))
	}
	for _, dir := range dirs {
		if program := filepath.Join(dir, daemonName); executable(program) {
			return program
		}
	}
	return OnPath(path, daemonName)
}

// OnPath returns the first executable file of a name in the directories of path, or "". The current directory is not
// looked into, whatever path says.
func OnPath(path, name string) string {
	for _, dir := range filepath.SplitList(path) {
		program := filepath.Join(dir, name)
		if filepath.IsAbs(dir) && executable(program) {
			return program
		}
	}
	return ""
}

func executable(program string) bool {
	info, err := os.Stat(program)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// Spawn starts a program as a process that has nothing of this one: no terminal, no working directory, no descriptor. A
// pipe that groatd kept open would make $(groat get) wait for it for ever. The channel delivers how the process ended.
func Spawn(program string, args, env []string) (<-chan *os.ProcessState, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	keepDescriptors()
	p, err := os.StartProcess(program, append([]string{filepath.Base(program)}, args...), &os.ProcAttr{
		Dir:   "/",
		Env:   env,
		Files: []*os.File{null, null, null},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return nil, err
	}
	exited := make(chan *os.ProcessState, 1)
	go func() {
		if state, err := p.Wait(); err == nil {
			exited <- state
		}
	}()
	return exited, nil
}

// daemonVars are the variables that groatd gets from the shell of its first caller. It outlives that shell and serves
// every later one, so a variable is in the list only if it says where this place is, or if what it says is shown or
// checked:
//
//   - HOME, XDG_CONFIG_HOME, XDG_STATE_HOME, GROAT_CONFIG and GROAT_STATE_DIR are the place itself: a caller with
//     others has another groatd.
//   - XDG_RUNTIME_DIR, TMPDIR and GROAT_SOCKET say where the socket is. Both sides check who owns those directories.
//   - XDG_CACHE_HOME is where a restored backup is noticed; only a directory of the user's is used.
//   - DBUS_SESSION_BUS_ADDRESS leads to the keychain. groatd checks who owns the bus.
//   - GROAT_KEYSTORE chooses a keystore where none is chosen yet. One that disagrees with the choice is an error, and
//     status names the choice.
//   - HTTPS_PROXY and NO_PROXY: without them there is no way out of some networks. What passes a proxy is TLS, status
//     shows it and every error of a connection names it.
//   - LANG, LC_* and TZ change how something is written, never where it goes.
//
// Not in the list, and why: SSL_CERT_FILE and SSL_CERT_DIR decide whom groatd believes (groat network set ca_file);
// HTTP_PROXY and ALL_PROXY, for no credential passes plain HTTP but to this machine itself; PATH, because groatd finds
// no program by it; USER and LOGNAME, because the uid says who it is; LD_*, GODEBUG and SSLKEYLOGFILE change the
// program itself.
var daemonVars = []string{
	"HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "GROAT_CONFIG", "GROAT_STATE_DIR",
	"XDG_RUNTIME_DIR", "TMPDIR", "GROAT_SOCKET", "XDG_CACHE_HOME",
	"DBUS_SESSION_BUS_ADDRESS", "GROAT_KEYSTORE",
	"HTTPS_PROXY", "NO_PROXY", "https_proxy", "no_proxy",
	"LANG", "TZ",
}

// localePrefix begins the names of the locale's variables.
const localePrefix = "LC_"

// daemonEnv returns the part of environ that groatd gets.
func daemonEnv(environ []string) []string {
	var env []string
	for _, v := range environ {
		if name, _, _ := strings.Cut(v, "="); slices.Contains(daemonVars, name) ||
			strings.HasPrefix(name, localePrefix) {
			env = append(env, v)
		}
	}
	return env
}
