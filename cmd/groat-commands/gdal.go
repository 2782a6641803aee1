package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/groat-dev/groat/cmd/groat-commands/setup"
	"github.com/groat-dev/groat/protocol/visible"
)

// gdalFlags are what "groat helper gdal" is called with.
type gdalFlags struct {
	everyHost, gdalrc bool
	pid               int
}

func (a *app) gdalHelperCommand() *cobra.Command {
	var f gdalFlags
	var cmd *cobra.Command
	cmd = command("gdal [PROFILE…] [flags]", helpHelperGDAL, cobra.ArbitraryArgs,
		func(_ *cobra.Command, args []string) error {
			return a.gdalHelper(cmd.Context(), &f, cmd.Flags().Changed("while"), args)
		})
	cmd.ValidArgsFunction = a.completeProfiles
	fs := cmd.Flags()
	fs.BoolVar(&f.gdalrc, "gdalrc", false, flagGDALRC)
	fs.BoolVar(&f.everyHost, "every-host", false, flagEveryHost)
	fs.IntVar(&f.pid, "while", 0, flagWhile)
	return cmd
}

// gdalHelper prints what has GDAL send the headers of profiles, which groatd keeps current in files.
func (a *app) gdalHelper(ctx context.Context, f *gdalFlags, while bool, profiles []string) error {
	use := "gdal"
	switch {
	case f.gdalrc && f.everyHost:
		return errUsage(msgGDALTwice, "groat helper gdal")
	case f.everyHost && len(profiles) > 1:
		return errUsage(msgGDALOneHeader, "groat helper gdal")
	case while && f.pid <= 0:
		return errUsage(msgNoEnd, "groat helper gdal")
	case while:
		use = "gdal-while" // a file that is kept for ever is not to go with the process
	}
	if len(profiles) == 0 {
		profiles = []string{a.profile(nil)}
	}
	var files []headerFile
	for _, name := range profiles {
		h, err := a.keepHeader(ctx, name, use, f.pid)
		if err != nil {
			return err
		}
		files = append(files, h)
	}
	if f.everyHost {
		return a.write(fmt.Appendf(nil, "export GDAL_HTTP_HEADER_FILE=%s\n", visible.Word(files[0].path)))
	}
	text, err := gdalrc(files)
	if err != nil {
		return err
	}
	if f.gdalrc {
		return a.write(text)
	}
	path, err := a.writeGDALRC(use, files, text)
	if err != nil {
		return err
	}
	if own := a.ownGDALRC(filepath.Dir(path)); own != "" {
		a.printNote(textOwnGDALRC(own))
	}
	return a.write(fmt.Appendf(nil, "export GDAL_CONFIG_FILE=%s\n", visible.Word(path)))
}

// writeGDALRC writes a configuration file beside the header files, and returns its path.
func (a *app) writeGDALRC(use string, files []headerFile, text []byte) (path string, err error) {
	var names []string
	for _, h := range files {
		names = append(names, h.profile)
	}
	path = besideSocket(filepath.Dir(files[0].path), use, strings.Join(names, "+"), "gdalrc")
	if len(filepath.Base(path)) > maxName {
		return "", errUsage(msgGDALMany, "groat helper gdal")
	}
	return path, replace(path, text)
}

// maxName is how many bytes the name of a file may have on every system, less what a temporary name needs more.
const maxName = 200

// gdalrc returns a configuration file of GDAL's with which it sends the headers of profiles to the APIs that they list,
// and to nothing else.
func gdalrc(files []headerFile) ([]byte, error) {
	var b strings.Builder
	whose := map[string]string{} // :: API → profile
	b.WriteString("[credentials]\n")
	for _, h := range files {
		if len(h.apis) == 0 {
			return nil, errNoAPIs(h.profile)
		}
		for i, api := range h.apis {
			if other := whose[api]; other != "" {
				return nil, errSameAPI(api, other, h.profile)
			}
			whose[api] = h.profile
			b.WriteString(setup.GDALSection(setup.Profile{Name: h.profile, APIs: h.apis, HeaderFile: h.path}, i))
		}
	}
	return []byte(b.String()), nil
}

// ownGDALRC returns the file of the person's own that GDAL reads where GDAL_CONFIG_FILE names none in the directory of
// ours, or "".
func (a *app) ownGDALRC(ours string) string {
	if path := a.getenv("GDAL_CONFIG_FILE"); path != "" && filepath.Dir(path) != ours {
		return path
	}
	path := filepath.Join(a.getenv("HOME"), ".gdal", "gdalrc")
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}
