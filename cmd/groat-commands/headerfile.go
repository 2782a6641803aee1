package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/ownpath"
)

// headerFile is a file with a profile's header that groatd keeps current, in the directory of its socket.
type headerFile struct {
	profile string
	apis    []string // which the profile lists
	path    string
}

// keepHeader has groatd keep a profile's header in a file of that use, as long as a process runs, or until it is
// stopped if that is 0; without a name it is the only profile's. No token passes through this process.
func (a *app) keepHeader(ctx context.Context, profile, use string, while int) (h headerFile, err error) {
	dir, err := a.runtimeDir()
	if err != nil {
		return h, err
	}
	err = a.withClientRetried(ctx, providerTime, func(ctx context.Context, c *protocol.Client) error {
		known, err := c.Profiles(ctx)
		if err != nil {
			return err
		}
		h.profile = profile // where there is none, groatd refuses it, and says which there are
		if p, ok := meant(known.Profiles, profile); ok {
			h.profile, h.apis = p.Profile, apisOf(p)
		}
		h.path = besideSocket(dir, use, h.profile, "header")
		return c.Call(ctx, protocol.MethodExport,
			protocol.ExportParams{Profile: h.profile, HeaderFile: h.path, WhilePID: while}, nil)
	})
	return h, err
}

// besideSocket is the path of a file in the directory of the socket.
func besideSocket(dir, use, profile, kind string) string {
	return filepath.Join(dir, use+"-"+profile+"."+kind)
}

// runtimeDir returns the directory of groatd's socket, in which no other user can put anything. It is made where a
// groatd listens elsewhere.
func (a *app) runtimeDir() (string, error) {
	r, err := a.route()
	if err != nil {
		return "", report.NoRoute(err)
	}
	dir := filepath.Dir(r.OwnSocket())
	if err = ownpath.MakeDir(dir); err == nil {
		err = ownpath.CheckPrivateDir(dir)
	}
	if err != nil {
		return "", errRuntimeDir(err)
	}
	return dir, nil
}

// replace writes a file of the runtime directory as a whole, unless it is there already.
func replace(path string, content []byte) error {
	if is, err := os.ReadFile(path); err == nil && string(is) == string(content) {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // its mode is 0600
	if err != nil {
		return errRuntimeDir(err)
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errRuntimeDir(errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}
