package setup_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/groat-dev/groat/cmd/groat-commands/setup"
)

// withGDAL is a machine whose gdalinfo is of a version.
func withGDAL(t *testing.T, version string) *setup.Machine {
	t.Helper()
	m := machine(t)
	program := filepath.Join(t.TempDir(), "gdalinfo")
	write(t, program, "#!/bin/sh\necho '"+version+"'\n", 0o755)
	m.Find = func(string) string { return program }
	return m
}

// The section for each API is added to the person's gdalrc, and taken away again.
func TestGDAL(t *testing.T) {
	p := work
	p.HeaderFile = "/run/user/1000/groat/setup-work.header"
	const added = "# groat setup gdal work\n[credentials]\n\n[.groat-work-1]\n" +
		"path=/vsicurl/https://git.example.org/\nGDAL_HTTP_HEADER_FILE=/run/user/1000/groat/setup-work.header\n" +
		"# groat setup gdal work\n[credentials]\n\n[.groat-work-2]\npath=/vsicurl/https://forge.example:8443/team/\n" +
		"GDAL_HTTP_HEADER_FILE=/run/user/1000/groat/setup-work.header\n"
	for name, content := range map[string]string{
		"missing": "", "options": "[configoptions]\nGDAL_CACHEMAX=64\n",
		"credentials": "[credentials]\n[.mine]\npath=/vsis3/mine\nAWS_REQUEST_PAYER=requester\n",
	} {
		t.Run(name, func(t *testing.T) {
			m := withGDAL(t, "GDAL 3.10.3, released 2025/04/01")
			path := filepath.Join(m.Home, ".gdal", "gdalrc")
			if content != "" {
				write(t, path, content, 0o640)
			}
			goesBack(t, m, setup.Find("gdal"), p, func() {
				if is, err := os.ReadFile(path); err != nil || string(is) != content+added {
					t.Errorf("%s, %v", is, err)
				}
			})
		})
	}
	m := withGDAL(t, "GDAL 4.0.0, released 2030/01/01")
	other := filepath.Join(m.Home, "other")
	m.Getenv = func(string) string { return other }
	plan, err := m.Setup(t.Context(), setup.Find("gdal"), p)
	if err != nil || len(plan.Changes) != 1 || plan.Changes[0].Path != other {
		t.Errorf("%+v, %v", plan, err)
	}
	for _, version := range []string{"GDAL 3.9.1, released", "GDAL 2.4.0", "", "GDAL"} {
		if _, err := withGDAL(t, version).Setup(t.Context(), setup.Find("gdal"), p); reason(err) != setup.TooOld {
			t.Errorf("%q: %v", version, err)
		}
	}
	if _, err := withGDAL(t, "").Setup(t.Context(), setup.Find("gdal"), setup.Profile{Name: "x"}); reason(err) !=
		setup.NoAPI {
		t.Errorf("without an API: %v", err)
	}
}
