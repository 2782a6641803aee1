package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"

	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/keystore/backend"
)

// check returns the error with which the daemon would refuse to start, about the configuration, the directories or the
// choice of a keystore, or without which it would start with a profile less. Of several errors it reports all but the
// one that it returns. It changes nothing, and does not find out whether another groatd runs.
func check(f flags, s location, dir config.Dir) error {
	c, err := dir.Load()
	if err != nil {
		return err
	}
	var broken []error
	for _, name := range slices.Sorted(maps.Keys(c.Broken)) {
		broken = append(broken, c.Broken[name])
	}
	if err := checkSite(f, s); err != nil {
		broken = append(broken, err)
	}
	if n := len(broken); n > 0 {
		for _, err := range broken[:n-1] {
			report(err)
		}
		return broken[n-1]
	}
	fmt.Printf("the configuration is good: %d profiles\n", len(c.Profiles))
	return nil
}

func checkSite(f flags, s location) error {
	if err := s.checkHome(); err != nil {
		return err
	}
	if err := s.findSockets(f.socket); err != nil {
		return err
	}
	if err := usableDir(s.State, "the state directory"); err != nil {
		return err
	}
	switch lock, err := openLock(s.State, 0); {
	case err == nil:
		lock.Close()
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := backend.Check(backend.Options{StateDir: s.State, Env: os.Getenv("GROAT_KEYSTORE")}); err != nil {
		return errKeystore(err, s.State)
	}
	if activated() {
		return nil // the socket is the service manager's
	}
	path := s.socket()
	for _, dir := range socketDirs(path) {
		if err := usableDir(dir, "the socket's directory"); err != nil {
			return err
		}
	}
	if info, err := os.Lstat(path); err == nil && !ownSocket(info) && !isAlias(path) {
		return inTheWay(path)
	}
	return nil
}
