package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const daemonName = "groatd"

// findDaemon returns the groatd beside our own executable, else the first one on PATH.
func findDaemon(path string) (string, error) {
	var dirs []string
	if self, err := os.Executable(); err == nil {
		// Behind a link (git-credential-groat) stands the directory that both were installed in.
		if real, err := filepath.EvalSymlinks(self); err == nil {
			dirs = append(dirs, filepath.Dir(real))
		}
		dirs = append(dirs, filepath.Dir(self))
	}
	for _, dir := range dirs {
		if program := filepath.Join(dir, daemonName); executable(program) {
			return program, nil
		}
	}
	if program := onPath(path, daemonName); program != "" {
		return program, nil
	}
	return "", errNoDaemonProgram()
}

// spawn starts a program as a process that has nothing of ours: no terminal, no directory, no descriptor. A pipe that groatd
// kept open would make $(groat get) wait for it for ever. The channel delivers how it ended.
func spawn(program string, args, env []string) (<-chan *os.ProcessState, error) {
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

// daemonVars are the variables that groatd needs. The rest of an environment is not its business: it may hold secrets, and
// groatd outlives the shell that they were meant for.
var daemonVars = []string{
	"HOME", "USER", "LOGNAME", "PATH", "LANG", "TZ", "TMPDIR", "DBUS_SESSION_BUS_ADDRESS",
	"GROAT_SOCKET", "GROAT_CONFIG", "GROAT_STATE_DIR", "GROAT_KEYSTORE",
	"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
	"SSL_CERT_FILE", "SSL_CERT_DIR",
}

// daemonVarPrefixes are the families of variables that groatd needs.
var daemonVarPrefixes = []string{"LC_", "XDG_"}

// daemonEnv returns the part of environ that groatd gets.
func daemonEnv(environ []string) []string {
	var env []string
	for _, v := range environ {
		name, _, _ := strings.Cut(v, "=")
		if daemonVar(name) {
			env = append(env, v)
		}
	}
	return env
}

func daemonVar(name string) bool {
	for _, v := range daemonVars {
		if v == name {
			return true
		}
	}
	for _, p := range daemonVarPrefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// unitInstalled reports whether systemd knows a groatd.socket for this user.
func unitInstalled(getenv func(string) string) bool {
	home := getenv("HOME")
	dirs := []string{
		xdg(getenv("XDG_CONFIG_HOME"), home, ".config"), xdg(getenv("XDG_DATA_HOME"), home, ".local/share"),
		"/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib",
	}
	if run := getenv("XDG_RUNTIME_DIR"); run != "" {
		dirs = append(dirs, run)
	}
	for _, dir := range dirs {
		// A masked unit is a link to /dev/null, and not a regular file.
		info, err := os.Stat(filepath.Join(dir, "systemd", "user", "groatd.socket"))
		if err == nil && info.Mode().IsRegular() && filepath.IsAbs(dir) {
			return true
		}
	}
	return false
}

func xdg(value, home, fallback string) string {
	if filepath.IsAbs(value) {
		return value
	}
	return filepath.Join(home, fallback)
}
