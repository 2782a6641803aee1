package importer

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/groat-dev/groat/protocol/visible"
)

const (
	// sopsDeadline is long enough for a key service on another continent, and for an agent that asks a person for a
	// passphrase.
	sopsDeadline = 20 * time.Second
	// sopsGrace is the time that sops and its children have to close their output after the deadline.
	sopsGrace = time.Second
)

// sopsVariables tell sops where its keys are. Variables that hold a key are left out: groat puts no secret into a
// child's environment.
var sopsVariables = []string{
	"HOME", "PATH", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "GNUPGHOME", "SOPS_AGE_KEY_FILE",
	"SOPS_AGE_SSH_PRIVATE_KEY_FILE",
	"SOPS_GPG_EXEC", "AWS_PROFILE", "AWS_REGION", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE",
	"GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG", "AZURE_CONFIG_DIR", "VAULT_ADDR", "HTTPS_PROXY", "NO_PROXY",
}

// byHand returns the command with which a person can import a file that only their sops can read.
func byHand(path string) string { return "sops -d " + visible.Word(path) + " | groat import --from -" }

// encrypted reports whether sops wrote a document: it adds a description of its own to the values.
func (o object) encrypted() bool { return o.object("sops").has("mac") }

// decrypt returns the plain text of a file that sops wrote. The caller wipes it. The error is a [*flaw].
func (s *search) decrypt(path string) ([]byte, error) {
	program := s.lookup("sops")
	if program == "" {
		return nil, flawed(byHand(path), "it is encrypted by sops, which is not installed")
	}
	ctx, cancel := context.WithTimeout(s.ctx, sopsDeadline)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-d", path) // an absolute path is never taken for an option
	for _, name := range sopsVariables {
		if value := s.env.Getenv(name); value != "" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	cmd.Env = append(cmd.Env, "HOME="+s.env.Home)
	cmd.Dir = "/"
	// sops may start gpg, a plugin or a shell. In a process group of their own all of them end at the deadline.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = sopsGrace
	out := &bounded{left: maxFile}
	cmd.Stdout, cmd.Stderr = out, io.Discard // what it complains about may quote what it decrypted
	switch err := cmd.Run(); {
	case out.full:
		clear(out.text)
		return nil, flawed(byHand(path), "what sops decrypts is larger than %d bytes", maxFile)
	case ctx.Err() != nil:
		clear(out.text)
		return nil, flawed(byHand(path), "sops did not decrypt it within %v", sopsDeadline)
	case errors.Is(err, exec.ErrWaitDelay):
		clear(out.text)
		_ = cmd.Cancel() // a process of the group still holds the output, so the group's id is still in use
		return nil, flawed(byHand(path), "sops ended, but something that it started did not")
	case err != nil:
		clear(out.text)
		return nil, flawed(byHand(path), "sops cannot decrypt it (%v)", err)
	}
	return out.text, nil
}

// lookup finds a program on the person's PATH, only in absolute directories.
func (s *search) lookup(program string) string {
	for _, dir := range filepath.SplitList(s.env.Getenv("PATH")) {
		path := filepath.Join(dir, program)
		if info, err := os.Stat(path); filepath.IsAbs(dir) && err == nil && info.Mode().IsRegular() &&
			info.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}

// bounded is a writer that keeps up to a limit of bytes and then fails, which ends the program that writes.
type bounded struct {
	text []byte
	left int
	full bool
}

var errFull = errors.New("too much output")

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		b.full = true
		return 0, errFull
	}
	if grown := len(b.text) + len(p); grown > cap(b.text) { // append would leave copies behind
		bigger := append(make([]byte, 0, max(2*grown, 16<<10)), b.text...)
		clear(b.text)
		b.text = bigger
	}
	b.text = append(b.text, p...)
	return len(p), nil
}

// document is the content of a JSON file, decrypted where sops encrypted it.
type document struct {
	object
	at     Copy
	doubts []string
}

// isSOPS reports whether Planet's library would decrypt the file by sops.
func isSOPS(path string) bool { return strings.HasSuffix(path, ".sops.json") }

// readDocument reads a JSON file. For a missing file the error wraps fs.ErrNotExist; any other error is a [*flaw]. The
// document's at is set as far as it is known.
func (s *search) readDocument(path string, explicit bool) (document, error) {
	f, err := readFile(path, maxFile, explicit)
	defer clear(f.text)
	d := document{at: f.at, doubts: f.doubts}
	if d.at.Path == "" {
		d.at = Copy{Path: path}
	}
	if err != nil {
		return d, err
	}
	if d.object, err = parseObject(f.text); err != nil {
		return d, err
	}
	switch encrypted := d.encrypted(); {
	case encrypted && !isSOPS(path):
		d.wipe()
		return d, flawed(byHand(path), "it is encrypted by sops but not called .sops.json, so that no program "+
			"decrypts it")
	case !encrypted && isSOPS(path):
		d.doubts = append(d.doubts,
			"the file is called .sops.json but is not encrypted: sops once failed, and everybody who can read the "+
				"file has what is in it")
	case encrypted:
		d.wipe()
		err = d.decrypt(s)
	}
	return d, err
}

func (d *document) decrypt(s *search) error {
	text, err := s.decrypt(d.at.Path)
	defer clear(text)
	if err != nil {
		return err
	}
	if d.object, err = parseObject(text); err != nil {
		return flawed(byHand(d.at.Path), "what sops decrypted cannot be used: %v", err)
	}
	d.at.Plain = false
	return nil
}
