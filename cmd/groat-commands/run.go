package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/groat-dev/groat/cmd/groat-commands/setup"
	"github.com/groat-dev/groat/cmd/groat/get"
)

// Exit codes of a command that is not run, as a shell and env(1) have them
// (https://pubs.opengroup.org/onlinepubs/9799919799/utilities/env.html, EXIT STATUS).
const (
	exitCannotRun = 126
	exitNotFound  = 127
)

// runUse is in the names of the files that commands are run with.
const runUse = "run"

// runFlags are what "groat run" is called with.
type runFlags struct {
	env       []string
	everyHost bool
}

func (a *app) runCommand() *cobra.Command {
	var f runFlags
	cmd := command("run", helpRun, cobra.ArbitraryArgs,
		func(cmd *cobra.Command, args []string) error {
			n := cmd.ArgsLenAtDash()
			if n < 0 || n > 1 || n == len(args) {
				return errUsage(msgRunWhat, "groat run")
			}
			return a.run(cmd.Context(), &f, args[:n], args[n:])
		})
	cmd.Use = useRun
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		if !slices.Contains(a.typed, "--") {
			err = fmt.Errorf("%w%s", err, msgRunDash)
		}
		return err
	})
	cmd.ValidArgsFunction = a.completeProfiles
	cmd.Flags().StringArrayVar(&f.env, "env", nil, flagRunEnv)
	cmd.Flags().BoolVar(&f.everyHost, "every-host", false, flagEveryHost)
	return cmd
}

// run becomes a command with pointers to a profile's token in its environment. Nothing is between the command and who
// started groat: it has groat's process, and so its terminal, its signals and its exit status. That process is also
// what the file with the header is kept for.
func (a *app) run(ctx context.Context, f *runFlags, profile, argv []string) error {
	for _, name := range f.env {
		if !validVariable(name) {
			return errUsage(msgRunVariable(name), "groat run")
		}
	}
	program, err := findProgram(argv[0], a.getenv("PATH"))
	if err != nil {
		return errProgram(argv[0], err)
	}
	e := environment(os.Environ())
	header, err := a.keepHeader(ctx, a.profile(profile), runUse, os.Getpid())
	if err != nil {
		return err
	}
	if err := a.point(&e, header, f.everyHost); err != nil {
		return err
	}
	if len(f.env) > 0 {
		token, err := a.tokenOf(ctx, header.profile)
		if err != nil {
			return err
		}
		for _, name := range f.env {
			e.set(name, token)
		}
	}
	return errProgram(argv[0], become(program, argv, e))
}

// become replaces this process. A script without a "#!" line is run by sh, as env(1) does. It returns only if it fails.
func become(program string, argv, env []string) error {
	err := syscall.Exec(program, argv, env)
	if errors.Is(err, syscall.ENOEXEC) {
		err = syscall.Exec("/bin/sh", append([]string{"sh", program}, argv[1:]...), env)
	}
	return err
}

// findProgram returns the file of a command: what has a slash is a path, anything else is looked for in the directories
// of PATH, as execvp(3) does.
func findProgram(name, path string) (string, error) {
	if strings.Contains(name, "/") {
		return name, executable(name)
	}
	worst := error(syscall.ENOENT)
	for _, dir := range filepath.SplitList(path) {
		file := filepath.Join(dir, name)
		if dir == "" {
			file = "./" + name
		}
		err := executable(file)
		if name != "" && err == nil {
			return file, nil
		}
		if errors.Is(err, os.ErrPermission) && name != "" {
			worst = err
		}
	}
	return "", worst
}

// executable returns why a file is none that this user may execute, a [syscall.Errno].
func executable(file string) error {
	var info unix.Stat_t
	if err := unix.Stat(file, &info); err != nil {
		return err
	}
	if info.Mode&unix.S_IFMT == unix.S_IFDIR {
		return syscall.EACCES
	}
	return unix.Access(file, unix.X_OK)
}

// tokenOf returns a profile's token, if a variable may hold it.
func (a *app) tokenOf(ctx context.Context, profile string) (string, error) {
	var o get.Options
	t, err := a.caller(ctx).Do(o.Request(profile, a.getenv))
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	err = get.Print(&b, "token", t)
	return strings.TrimSuffix(b.String(), "\n"), err
}

// point adds what leads programs to the token and is none itself.
func (a *app) point(e *environment, header headerFile, everyHost bool) error {
	e.set(get.EnvProfile, header.profile)
	e.set("GROAT_HEADER_FILE", header.path)
	if everyHost {
		e.set("GDAL_HTTP_HEADER_FILE", header.path)
	}
	if len(header.apis) == 0 {
		return nil
	}
	if err := a.pointGDAL(e, header); err != nil {
		return err
	}
	groat := a.findGroat()
	if groat == "" {
		return errNoGroat()
	}
	pointGo(e, groat)
	return pointGit(e, groat, header.apis)
}

// pointGDAL has GDAL read a configuration file of ours, unless that kept it from reading one of the person's own.
func (a *app) pointGDAL(e *environment, header headerFile) error {
	if own := a.ownGDALRC(filepath.Dir(header.path)); own != "" {
		if a.aPersonSees() {
			a.printNote(textRunOwnGDALRC(own, header.profile))
		}
		return nil
	}
	files := []headerFile{header}
	text, err := gdalrc(files)
	if err != nil {
		return err
	}
	path, err := a.writeGDALRC(runUse, files, text)
	if err == nil {
		e.set("GDAL_CONFIG_FILE", path)
	}
	return err
}

// pointGo has the go command ask groat first, and then what it asks anyway. One that is told to ask nothing is left so.
func pointGo(e *environment, groat string) {
	const name = "GOAUTH"
	if was := e.get(name); was != "off" {
		e.set(name, setup.GoAuth(groat, was))
	}
}

// pointGit makes groat git's only credential helper for APIs, behind what the environment configures already
// (git-config(1), GIT_CONFIG_COUNT).
func pointGit(e *environment, groat string, apis []string) error {
	const count = "GIT_CONFIG_COUNT"
	n := 0
	if was := e.get(count); was != "" {
		var err error
		if n, err = strconv.Atoi(was); err != nil || n < 0 || n > 1<<20 {
			return errGitCount(was)
		}
	}
	helper := setup.GitHelper(groat)
	for _, api := range apis {
		for _, pair := range [][2]string{{"helper", ""}, {"helper", helper}, {"useHttpPath", "true"}} {
			e.set("GIT_CONFIG_KEY_"+strconv.Itoa(n), "credential."+api+"."+pair[0])
			e.set("GIT_CONFIG_VALUE_"+strconv.Itoa(n), pair[1])
			n++
		}
	}
	e.set(count, strconv.Itoa(n))
	return nil
}

// environment is a list of NAME=value.
type environment []string

// set gives a variable a value, whatever it was.
func (e *environment) set(name, value string) {
	*e = append(slices.DeleteFunc(*e, func(v string) bool { return strings.HasPrefix(v, name+"=") }), name+"="+value)
}

func (e environment) get(name string) string {
	for _, v := range e {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

// validVariable reports whether a token may be put in a variable: a name for a shell, and none that says where programs
// and files are, or what groat has put in it.
func validVariable(name string) bool {
	for i := range len(name) {
		switch c := name[i] | 0x20; {
		case 'a' <= c && c <= 'z', name[i] == '_':
		case i > 0 && '0' <= name[i] && name[i] <= '9':
		default:
			return false
		}
	}
	taken := []string{"", "PATH", "HOME", "SHELL", "IFS", "ENV", "BASH_ENV", "GOAUTH", "GDAL_CONFIG_FILE",
		"GDAL_HTTP_HEADER_FILE"}
	families := []string{"GROAT_", "GIT_CONFIG_", "LD_", "DYLD_", "XDG_"}
	return !slices.Contains(taken, name) &&
		!slices.ContainsFunc(families, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}
