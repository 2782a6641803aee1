package importer

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol/visible"
)

const (
	// maxFile bounds every file; the largest real one is a few KiB.
	maxFile = 1 << 20
	// maxKey bounds a private key's file.
	maxKey = 64 << 10
	// maxLinks bounds the symbolic links on the way to a file.
	maxLinks = 16
	// maxPath is what the systems allow.
	maxPath = 4096
)

// flaw says why something cannot be imported: a sentence for people, and the command to type next. It quotes no
// content.
type flaw struct{ reason, hint string }

func (f *flaw) Error() string { return f.reason }

func flawed(hint, format string, args ...any) error {
	return &flaw{fmt.Sprintf(format, args...), hint}
}

// file is one file's content and the facts about it.
type file struct {
	// text is wiped by the caller of readFile.
	text []byte
	at   Copy
	// doubts are warnings that another user may have written the file.
	doubts []string
}

// readFile reads a regular file of at most limit bytes. The file must belong to this user or to root, unless a person
// named it (explicit); no symbolic link in the path may belong to another user. For a missing file the error wraps
// [fs.ErrNotExist]; any other error is a [*flaw].
//
// Between resolving the links and opening the file, a user who can write a directory in the path can replace it. The
// owner of the home directory trusts such a user, and the checks of the open file hold nevertheless.
func readFile(path string, limit int64, explicit bool) (file, error) {
	if len(path) > maxPath || checkPrintable(path) != nil {
		return file{}, flawed("", "the path is too long or holds control characters")
	}
	resolved, err := resolveLinks(path)
	if err != nil {
		return file{}, err
	}
	// A FIFO without a writer would block the open for ever.
	f, err := os.OpenFile(resolved, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return file{}, cannotRead(path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return file{}, cannotRead(path, err)
	}
	got := file{at: Copy{Path: path, Mode: info.Mode().Perm(), UID: owner(info), Plain: true,
		Remove: "rm -- " + visible.Word(path)}}
	if err := got.acceptable(info, limit, explicit); err != nil {
		return got, err
	}
	text := make([]byte, 0, info.Size()+1)
	n, err := io.ReadFull(io.LimitReader(f, int64(cap(text))), text[:cap(text)])
	if got.text = text[:n]; !errors.Is(err, io.ErrUnexpectedEOF) {
		clear(got.text)
		return file{at: got.at}, flawed("ls -l "+visible.Word(path), "the file changed while it was read")
	}
	return got, nil
}

// acceptable refuses an open file that is no regular one, is empty or too large, or belongs to another user.
func (f *file) acceptable(info fs.FileInfo, limit int64, explicit bool) error {
	look := "ls -l " + visible.Word(f.at.Path)
	switch {
	case !info.Mode().IsRegular():
		return flawed(look, "it is not a regular file")
	case !trusted(info) && !explicit:
		return flawed(look, "the file belongs to another user (uid %d)", f.at.UID)
	case info.Size() > limit:
		return flawed(look, "the file is larger than %d bytes", limit)
	case info.Size() == 0:
		return flawed(look, "the file is empty")
	}
	if !trusted(info) {
		f.doubts = append(f.doubts, fmt.Sprintf("the file belongs to another user (uid %d), who can read and change it",
			f.at.UID))
	}
	if f.at.Mode&0o022 != 0 {
		f.doubts = append(f.doubts,
			fmt.Sprintf("others may write the file (mode %04o), so it may hold somebody else's credential", f.at.Mode))
	}
	return nil
}

// resolveLinks resolves the symbolic links of an absolute path and refuses those of other users: in a directory that
// others may write, such a link can put another user's file in the place of one's own.
func resolveLinks(path string) (string, error) {
	resolved, rest, links := "/", strings.Split(path, "/"), 0
	for len(rest) > 0 {
		part := rest[0]
		rest = rest[1:]
		if part == "" || part == "." {
			continue
		}
		next := filepath.Join(resolved, part) // resolved has no links, so ".." means what it says
		info, err := os.Lstat(next)
		if err != nil {
			return "", cannotRead(path, err)
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			resolved = next
			continue
		}
		if links++; links > maxLinks {
			return "", flawed("ls -l "+visible.Word(path), "there are too many symbolic links on the way")
		}
		if !trusted(info) {
			return "", flawed("ls -ld "+visible.Word(next),
				"the way there goes through a symbolic link of another user (uid %d)", owner(info))
		}
		target, err := os.Readlink(next)
		if err != nil {
			return "", cannotRead(path, err)
		}
		if filepath.IsAbs(target) {
			resolved = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return resolved, nil
}

func cannotRead(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	case errors.Is(err, syscall.ELOOP): // a link took the file's place after follow
		return flawed("ls -l "+visible.Word(path), "the file changed while it was read")
	}
	cause := err
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		cause = p.Err
	}
	return flawed("ls -ld "+visible.Word(path), "it cannot be read: %v", cause)
}

// trusted reports whether a file belongs to this user or to root.
func trusted(info fs.FileInfo) bool {
	uid := owner(info)
	return uid == os.Geteuid() || uid == 0
}

func owner(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}

// checkPrintable returns an error for text with characters that steer a terminal.
func checkPrintable(text string) error {
	for _, r := range text {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\ufffd' || r == '\u2028' || r == '\u2029' {
			return errors.New("control characters")
		}
	}
	return nil
}

// checkPEM returns an error unless there is a private key in PEM. Whether the key can be used is checked by its signer.
func checkPEM(key keystore.Secret) error {
	text := key.AppendTo(nil)
	defer clear(text)
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return flawed("", "there is no private key in PEM (-----BEGIN PRIVATE KEY-----)")
		}
		clear(block.Bytes)
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return nil
		}
	}
}

// readKey reads the private key file that a setting of another program names. A file named it, not a person, so it is
// read only if no other user can read or write it, and if it holds a key.
func (s *search) readKey(path string) (keystore.Secret, Copy, error) {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		path = filepath.Join(s.env.Home, rest)
	}
	if !filepath.IsAbs(path) {
		return keystore.Secret{}, Copy{},
			flawed("", "its key file is named by a relative path, which says nothing without the directory it was "+
				"meant from")
	}
	f, err := readFile(path, maxKey, false)
	defer clear(f.text)
	if err != nil {
		return keystore.Secret{}, f.at, flawed("ls -l "+visible.Word(path), "its key file cannot be used: %v", err)
	}
	if f.at.Mode&0o077 != 0 {
		return keystore.Secret{}, f.at, flawed("chmod 600 -- "+visible.Word(path),
			"its key file is open to others (mode %04o)", f.at.Mode)
	}
	key := keystore.NewSecret(append([]byte(nil), f.text...))
	if err := checkPEM(key); err != nil {
		key.Wipe()
		return keystore.Secret{}, f.at, flawed("ls -l "+visible.Word(path), "its key file cannot be used: %v", err)
	}
	f.at.Holds, f.at.Note = []string{"private key"}, "other programs may use the same key"
	return key, f.at, nil
}
