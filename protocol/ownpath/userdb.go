package ownpath

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// The user database is read by hand (passwd(5), group(5)): os/user may link the C library into the client.
const (
	passwdFile = "/etc/passwd"
	groupFile  = "/etc/group"
)

// User is a line of passwd(5).
type User struct {
	Name, Home string
}

// LocalUser returns what /etc/passwd says of a uid. Users of a network are not in it.
func LocalUser(uid int) (User, bool) {
	line := findLine(passwdFile, 2, strconv.Itoa(uid))
	return ParseUser(line, uid)
}

// ParseUser reads a line of passwd(5) about a uid. Its home must be absolute.
func ParseUser(line string, uid int) (User, bool) {
	f := strings.Split(strings.TrimRight(line, "\r\n"), ":")
	if len(f) < 6 || f[2] != strconv.Itoa(uid) || !strings.HasPrefix(f[5], "/") {
		return User{}, false
	}
	return User{Name: f[0], Home: f[5]}, true
}

// findLine returns the first line of a file with colons whose field n, from 0, is value.
func findLine(file string, n int, value string) (line string) {
	eachLine(file, func(text string, fields []string) (more bool) {
		if len(fields) > n && fields[n] == value {
			line = text
		}
		return line == ""
	})
	return line
}

// eachLine calls f with each line of a file and its fields, until f returns false. The error is that lines could not be
// read; a file that is not there has none.
func eachLine(file string, f func(line string, fields []string) (more bool)) error {
	r, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer r.Close()
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if !f(lines.Text(), strings.Split(lines.Text(), ":")) {
			return nil
		}
	}
	return lines.Err()
}

// maxLine bounds a line of the user database, in bytes: a group may have thousands of members.
const maxLine = 1 << 20

// privateGroup reports whether a file's group is the one that only this user is in. Many systems give each user a group
// of the same number or name, and let it write the user's directories. A database that cannot be read proves nothing.
func (v View) privateGroup(e Entry) bool {
	if v.UID == 0 || e.GID != v.GID {
		return false
	}
	return privateGroup(v.UID, v.GID, passwdFile, groupFile)
}

func privateGroup(uid, gid int, passwd, group string) bool {
	owner, known := ParseUser(findLine(passwd, 2, strconv.Itoa(uid)), uid)
	named, shared := uid == gid, false
	// A number may have several names, each with members of its own.
	err := eachLine(group, func(_ string, fields []string) (more bool) {
		if len(fields) < 3 || fields[2] != strconv.Itoa(gid) {
			return true
		}
		named = named || known && fields[0] == owner.Name
		shared = len(fields) > 3 && fields[3] != "" && !(known && fields[3] == owner.Name)
		return !shared
	})
	if err != nil || shared || !named {
		return false
	}
	// passwd(5) has a user's first group, and group(5) does not list the user among its members.
	err = eachLine(passwd, func(_ string, fields []string) (more bool) {
		shared = len(fields) > 3 && fields[3] == strconv.Itoa(gid) && fields[2] != strconv.Itoa(uid)
		return !shared
	})
	return err == nil && !shared
}
