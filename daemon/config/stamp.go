package config

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// youngest is how old a change must be to be told from the next one: file systems count in steps.
const youngest = 100 * time.Millisecond

// Stamp stands for the profiles that the files name: config.toml and the entries of profiles.d. It differs once a profile was added
// or removed there; what is in the files of profiles.d is not looked at. It is empty, which stands for nothing, where
// that cannot be told: a change is too young, or cannot be seen.
func (d Dir) Stamp() string {
	if d.off() {
		return "off"
	}
	var b strings.Builder
	for _, path := range []string{d.file, d.profiles()} {
		info, err := os.Stat(path)
		switch {
		case os.IsNotExist(err):
			b.WriteString("none;")
			continue
		case err != nil:
			return ""
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if age := time.Since(info.ModTime()); !ok || age < youngest && age > -youngest {
			return ""
		}
		fmt.Fprintf(&b, "%d %d %d %d;", st.Dev, st.Ino, info.Size(), info.ModTime().UnixNano())
	}
	return b.String()
}
