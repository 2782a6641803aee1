package setup

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// rclone runs bearer_token_command for a WebDAV remote, at its start and where a server refuses the token
// (https://rclone.org/webdav/#webdav-bearer-token-command). Remotes of other kinds have no such option.
var rclone = &Tool{Name: "rclone", Programs: []string{"rclone"}, Want: wantRclone}

var errEncrypted = errors.New("it is encrypted: rclone config update REMOTE bearer_token_command COMMAND can change it")

func wantRclone(ctx context.Context, m *Machine, p Profile) ([]File, error) {
	r := rcloneProgram{m.Find("rclone"), m.State}
	path, err := r.file(ctx)
	if err != nil {
		return nil, err
	}
	f := File{Path: path, Format: "keys"}
	s, err := read(f.Path)
	if err != nil {
		return nil, err
	}
	remotes, err := r.remotes(ctx, s.content)
	if err != nil {
		return nil, inFile(err, f.Path)
	}
	f.Parse = func(ctx context.Context, content []byte) error {
		_, err := r.remotes(ctx, content)
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(remotes)) {
		if remote := remotes[name]; remote.Type == "webdav" && isAt(remote.URL, p.APIs) {
			f.Settings = append(f.Settings, Setting{Name: name + "/bearer_token_command",
				Value: rcloneWord(m.Groat) + " get " + p.Name + " --target " + rcloneWord(remote.URL)})
		}
	}
	f.Verify = func(ctx context.Context, _, after []byte) error {
		now, err := r.remotes(ctx, after)
		for _, s := range f.Settings {
			if name, _ := splitKey(s.Name); err == nil && now[name].Command != s.Value {
				return &Error{Reason: BadLine, Err: errOtherForm}
			}
		}
		return err
	}
	if len(f.Settings) == 0 {
		return nil, &Error{Reason: NoEntry, Tool: "rclone", Profile: p.Name, API: p.APIs[0]}
	}
	return []File{f}, nil
}

// rcloneWord quotes a word of a command as rclone splits it: CSV with blanks (https://pkg.go.dev/encoding/csv). Debian
// 12's (1.60) splits at each blank.
func rcloneWord(s string) string {
	if !strings.ContainsAny(s, " \"") {
		return s
	}
	return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
}

// rcloneProgram is the path of rclone, and a private directory.
type rcloneProgram struct{ path, private string }

// file returns the path of rclone's configuration. rclone says it below a sentence.
func (r rcloneProgram) file(ctx context.Context) (string, error) {
	out, err := ask(ctx, nil, r.path, "config", "file")
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	path := lines[len(lines)-1]
	if err != nil || !filepath.IsAbs(path) {
		return "", &Error{Reason: NoSettings, Tool: "rclone", Err: err}
	}
	return path, nil
}

type rcloneRemote struct {
	Type, URL string
	Command   string `json:"bearer_token_command"`
}

// remotes returns those of a configuration, as rclone reads it.
func (r rcloneProgram) remotes(ctx context.Context, content []byte) (all map[string]rcloneRemote, err error) {
	if bytes.Contains(content, []byte("RCLONE_ENCRYPT_V")) { // https://rclone.org/docs/#configuration-encryption
		return nil, &Error{Reason: BadLine, Err: errEncrypted}
	}
	dir, err := privateCopy(r.private, "rclone.conf", content) // it may hold passwords
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	copied := filepath.Join(dir, "rclone.conf")
	out, err := ask(ctx, nil, r.path, "--config", copied, "--ask-password=false", "config", "dump")
	if err != nil {
		return nil, unreadBy("rclone", err, copied+`": `)
	}
	if err := json.Unmarshal(out, &all); err != nil {
		return nil, &Error{Reason: BadLine, Tool: "rclone", Err: err}
	}
	return all, nil
}
