package ownpath

import (
	"bufio"
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
func findLine(file string, n int, value string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := strings.Split(lines.Text(), ":"); len(fields) > n && fields[n] == value {
			return lines.Text()
		}
	}
	return ""
}

// othersWith reports whether another user of passwd(5) has a group as the first one.
func othersWith(gid, uid string) bool {
	f, err := os.Open(passwdFile)
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := strings.Split(lines.Text(), ":"); len(fields) > 3 && fields[3] == gid && fields[2] != uid {
			return true
		}
	}
	return false
}

// privateGroup reports whether a file's group is the one that only this user is in: many systems give everybody one of
// the same number or name, and with it directories that the group may write.
func (v View) privateGroup(e Entry) bool {
	if v.UID == 0 || e.GID != v.GID {
		return false
	}
	u, known := LocalUser(v.UID)
	group := strings.Split(findLine(groupFile, 2, strconv.Itoa(v.GID)), ":")
	if len(group) > 3 && group[3] != "" && !(known && group[3] == u.Name) {
		return false // another user was added to it
	}
	if !known && v.UID != v.GID || known && v.UID != v.GID && group[0] != u.Name {
		return false
	}
	return !othersWith(strconv.Itoa(v.GID), strconv.Itoa(v.UID))
}
