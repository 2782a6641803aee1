package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/groat-dev/groat/cmd/groat/get"
	"github.com/groat-dev/groat/cmd/groat/helper"
	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol/frame"
)

// toldOfStore is an empty file in the state directory. Where it is, tellOfStore has nothing more to say.
const toldOfStore = "told-of-git-store"

// tellOfStore tells a person, once, that git writes access tokens to disk: what it passes on is a token of groat's, and
// its configuration has git-credential-store(1) as a helper for the server too.
func (a *app) tellOfStore(ctx context.Context, p *helper.Passed) {
	screen, ok := a.stderr.(*os.File)
	if !ok || !term.IsTerminal(int(screen.Fd())) {
		return
	}
	r, err := a.route()
	if err != nil || r.Place == nil {
		return
	}
	told := filepath.Join(r.Place.State, toldOfStore)
	if _, err := os.Lstat(told); err == nil || !gitStores(ctx, p) {
		return
	}
	var wait int64
	t, err := a.caller(ctx).Do(get.Request{
		Params: frame.TokenParams{Target: p.Target, Username: p.Username, Wait: &wait},
		Prefer: a.getenv(get.EnvProfile), Limit: get.AnswerTime,
	})
	if err != nil || !p.Is(t.AccessToken) {
		return
	}
	f, err := os.OpenFile(told, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return
	}
	if err == nil {
		f.Close()
	}
	report.GitWritesToDisk(p.Server).PrintLine(screen)
}

// gitTime is how long git may take to show its configuration.
const gitTime = 2 * time.Second

// gitStores reports whether git's configuration, as it is where git runs, has the helper store for a server.
func gitStores(ctx context.Context, p *helper.Passed) bool {
	ctx, cancel := context.WithTimeout(ctx, gitTime)
	defer cancel()
	const keys = `^credential\.(.*\.)?helper$`
	out, err := exec.CommandContext(ctx, "git", "config", "--null", "--get-regexp", keys).Output()
	return err == nil && storesIn(string(out), p)
}

// storesIn is gitStores for what "git config --null --get-regexp" prints: KEY, a line feed, VALUE and NUL for each
// setting, in the order in which they count. An empty value forgets what came before (gitcredentials(7)).
func storesIn(settings string, p *helper.Passed) (stores bool) {
	for setting := range strings.SplitSeq(settings, "\x00") {
		key, value, _ := strings.Cut(setting, "\n")
		where, ok := strings.CutSuffix(strings.TrimPrefix(key, "credential."), "helper")
		if where = strings.TrimSuffix(where, "."); !ok || !concerns(where, p) {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(value, "!"), " ")
		switch {
		case value == "":
			stores = false
		case name == "store", path.Base(name) == "git-credential-store",
			strings.HasPrefix(value, "!git credential-store"):
			stores = true
		}
	}
	return stores
}

// concerns reports whether what git's configuration says of a URL, or without one, is meant for a server: scheme, host
// and port are the same, "*" in the place of a part of the host's name stands for any, and a path is a beginning of the
// request's (git-config(1), http.<url>.*).
func concerns(where string, p *helper.Passed) bool {
	if where == "" {
		return true
	}
	scheme, rest, ok := strings.Cut(where, "://")
	ours, host, _ := strings.Cut(p.Server, "://")
	if !ok || !strings.EqualFold(scheme, ours) {
		return false
	}
	at, prefix, _ := strings.Cut(rest, "/")
	at = strings.ToLower(at[strings.LastIndexByte(at, '@')+1:])
	parts, others := strings.Split(at, "."), strings.Split(host, ".")
	if len(parts) != len(others) {
		return false
	}
	for i, part := range parts {
		if part != "*" && part != others[i] {
			return false
		}
	}
	prefix = strings.TrimSuffix(prefix, "/")
	return prefix == "" || p.Path == prefix || strings.HasPrefix(p.Path, prefix+"/")
}
