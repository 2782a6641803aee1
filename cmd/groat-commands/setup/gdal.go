package setup

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// gdal sends the header in a file that groatd keeps to the addresses that its configuration file names
// (https://gdal.org/en/stable/user/configoptions.html#gdal-configuration-file).
var gdal = &Tool{Name: "gdal", Programs: []string{"gdalinfo"}, HeaderFile: true, Want: wantGDAL}

func wantGDAL(ctx context.Context, m *Machine, p Profile) ([]File, error) {
	if err := readsHeaders(ctx, m.Find("gdalinfo")); err != nil {
		return nil, err
	}
	f := File{Path: gdalConfig(m), Format: formatSections}
	for i, api := range p.APIs {
		f.Settings = append(f.Settings, Setting{Name: "path=" + gdalPath(api),
			Value: "# groat setup gdal " + p.Name + "\n[credentials]\n" + GDALSection(p, i)})
	}
	return []File{f}, nil
}

// gdalConfig is the person's own file, or the one that GDAL reads instead.
func gdalConfig(m *Machine) string {
	if path := m.Getenv("GDAL_CONFIG_FILE"); filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(m.Home, ".gdal", "gdalrc")
}

// GDALSection is what has GDAL send a profile's header to one of its APIs, below the line "[credentials]": the options
// of a section are for file names that begin with its path
// (https://gdal.org/en/stable/user/virtual_file_systems.html#how-to-set-credentials). GDAL 3.10 has a header file among
// them for /vsicurl/ and /vsicurl_streaming/, and 3.6 has not.
//
// The slash at a path's end keeps a header from https://api.example.com.evil.example. GDAL compares text: a name with
// "/../" in it may lead to another path of the same origin.
func GDALSection(p Profile, i int) string {
	return fmt.Sprintf("\n[.groat-%s-%d]\npath=%s\nGDAL_HTTP_HEADER_FILE=%s\n", p.Name, i+1, gdalPath(p.APIs[i]),
		p.HeaderFile)
}

func gdalPath(api string) string { return "/vsicurl/" + strings.TrimSuffix(api, "/") + "/" }

// readsHeaders refuses a GDAL that has no header file for some addresses only: nothing would be sent.
func readsHeaders(ctx context.Context, gdalinfo string) error {
	out, err := ask(ctx, nil, gdalinfo, "--version")
	var major, minor int
	if err == nil { // GDAL 3.10.3, released 2025/04/01
		_, err = fmt.Sscanf(string(out), "GDAL %d.%d", &major, &minor)
	}
	if err != nil {
		return &Error{Reason: TooOld, Tool: "gdalinfo", Err: err}
	}
	if major < 3 || major == 3 && minor < 10 {
		version, _, _ := strings.Cut(strings.TrimSpace(string(out)), ",")
		return &Error{Reason: TooOld, Tool: "gdalinfo", Err: errors.New(version)}
	}
	return nil
}
