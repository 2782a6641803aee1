package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/groat-dev/groat/packaging/bench/agent"
)

// patience bounds every step of a set-up.
const patience = 30 * time.Second

// api is an origin that the profile serves, and what git asks about.
const api = "api.example.org"

// stage is a directory with a groatd that has a token at hand, and with whatever else is measured.
type stage struct {
	dir   string
	agent *agent.Agent
	ends  []func() // in the order in which they were begun
	bus   []string // the environment of a Secret Service; nil before it is started
}

func newStage(bin string) (*stage, error) {
	dir, err := os.MkdirTemp("", "groat-cold-") // short enough for a socket's path
	if err != nil {
		return nil, err
	}
	s := &stage{dir: dir}
	s.ends = append(s.ends, func() { os.RemoveAll(dir) })
	home := filepath.Join(dir, "h")
	if err := os.Mkdir(home, 0o700); err != nil {
		return nil, errors.Join(err, s.close())
	}
	if s.agent, err = agent.New(agent.Options{Bin: bin, Dir: home, Servers: 1, Memory: true,
		API: "https://" + api}); err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.ends = append(s.ends, func() { s.agent.Close() })
	return s, nil
}

func (s *stage) close() error {
	for i := len(s.ends) - 1; i >= 0; i-- {
		s.ends[i]()
	}
	return nil
}

// file writes a file of the stage's and returns its path.
func (s *stage) file(name, text string) (string, error) {
	path := filepath.Join(s.dir, name)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// install copies a program, as an installation does: the pages of a file that the linker has written are mapped more
// slowly, at a tenth of a start's time.
func (s *stage) install(program string) (string, error) {
	in, err := os.Open(program)
	if err != nil {
		return "", err
	}
	defer in.Close()
	path := filepath.Join(s.dir, filepath.Base(program)+".installed")
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(out, in)
	return path, errors.Join(err, out.Close())
}

// compile builds a floor and installs it.
func (s *stage) compile(source string) (string, error) {
	out, err := agent.CompileFloor(s.dir, source)
	if err != nil {
		return "", err
	}
	return s.install(out)
}

// output runs a command to its end and returns what it prints.
func (s *stage) output(env []string, stdin string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env, cmd.Stdin = env, strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", args[0], err, out)
	}
	return strings.TrimSpace(string(out)), err
}

// own returns groat's ways to a token, and the floors.
func (s *stage) own() (programs []*program, err error) {
	a := s.agent
	// The floors are told the socket, which groat finds for itself.
	told := append(slices.Clip(a.Env), "GROAT_SOCKET="+a.Socket)
	asks := func(name string) []string { return []string{name, "get", agent.First} }
	for _, floor := range []struct{ name, source string }{
		{"empty C program", "./packaging/bench/floor/empty.c"},
		{"groatd asked in C", "./packaging/bench/floor/ask.c"},
		{unit, "./packaging/bench/floor/empty"},
		{"groatd asked by package net", "./packaging/bench/floor/net"},
	} {
		path, err := s.compile(floor.source)
		if err != nil {
			return nil, err
		}
		programs = append(programs, &program{name: floor.name, path: path, argv: asks("floor"), env: told})
	}
	groat, err := s.install(a.Groat)
	if err != nil {
		return nil, err
	}
	stdin, err1 := s.file("git-asks", "protocol=https\nhost="+api+"\n\n")
	registry, err2 := s.file("registry", "https://"+api)
	index, err3 := s.file("index", `{"v":1,"registry":{"index-url":"sparse+https://`+api+
		`/index/","name":"r"},"kind":"get","operation":"read","args":[]}`+"\n")
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	return append(programs,
		&program{name: "groat get", path: groat, argv: asks("groat"), env: a.Env},
		&program{name: "groat get --json", path: groat, argv: append(asks("groat"), "--json"), env: a.Env},
		&program{name: "git-credential-groat get", path: groat, argv: []string{"git-credential-groat", "get"},
			env: a.Env, stdin: stdin},
		&program{name: "docker-credential-groat get", path: groat, argv: []string{"docker-credential-groat", "get"},
			env: a.Env, stdin: registry},
		&program{name: "cargo-credential-groat", path: groat, env: a.Env, stdin: index,
			argv: []string{"cargo-credential-groat", "--cargo-plugin"}},
		&program{name: "groat helper kubectl", path: groat, env: a.Env,
			argv: []string{"groat", "helper", "kubectl", agent.First}},
		&program{name: "groat helper go", path: groat, env: a.Env,
			argv: []string{"groat", "helper", "go", "https://" + api + "/m/@v/list"}},
		&program{name: "groat helper keyring", path: groat, env: a.Env,
			argv: []string{"groat", "helper", "keyring", "get", "https://" + api + "/simple/", "me"}},
	), nil
}
