package e2e_test

import (
	"os"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/parts"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// byPython is what stands for the way in which Python packages ask, on the page of make proof PART=clients.
const byPython = "none, Python module"

// pythonClient puts the versions of Python packages, which are Debian's, on the page of make proof PART=clients.
func pythonClient(t *testing.T, packages string) {
	t.Helper()
	const program = `import importlib.metadata as m, sys
print(", ".join(n + " " + m.version(n) for n in sys.argv[1].split()))`
	parts.Client(t, byPython, debianPython, "-I", "-c", program, packages)
}

// Sessions and credentials of other packages ask groatd, and send nothing to a token endpoint themselves.
func TestPythonSessions(t *testing.T) {
	t.Parallel()
	tier.Needs(t, "python3-authlib", "python3-httpx", "python3-google-auth", "python3-rasterio", "python3-fsspec")
	pythonClient(t, "authlib requests httpx google-auth rasterio fsspec aiohttp")
	for _, name := range []string{"planet-auth", "earthscope-sdk", "earthengine-api"} {
		parts.NoClient(t, byPython, name, "Debian 12 does not have it: not run, a stand-in is")
	}
	parts.NoClient(t, byPython, "xarray", "Debian's brings pandas: make proof PART=python has it")
	parts.NoClient(t, byPython, "rasterio with GDAL 3.10", "Debian 12 has 3.6: make proof PART=python has it")
	u := newPythonUser(t)
	for _, profile := range []string{"async", "authlib", "ee", "google", "planet", "quake"} {
		u.signInFor(profile, u.auth.URL())
	}
	u.groat(u.password+"\n", "login", "fi", "--provider", "spatiafi", "--username", person, "--auth-server", u.auth.URL(),
		"--api", u.auth.URL(), "--secret-stdin")
	u.unittest("test_sessions")
	if os.Getenv("GROAT_PYTHON") != "" {
		api := u.freeAPI()
		for _, profile := range []string{"grid", "image"} {
			u.signInFor(profile, api)
		}
		u.unittest("test_xarray")
	}
}

// However many processes ask, by whatever starts them, the server is asked once; what is pickled for them is the
// profile's name.
func TestPythonProcesses(t *testing.T) {
	t.Parallel()
	tier.Needs(t, "python3-authlib", "python3-dask", "python3-joblib")
	pythonClient(t, "dask joblib")
	parts.NoClient(t, byPython, "dask.distributed", "it takes 20 more packages: make proof PART=python has it")
	u := newPythonUser(t)
	u.restart() // without a token
	u.unittest("test_processes")
	if os.Getenv("GROAT_PYTHON") != "" {
		u.unittest("test_cluster")
	}
}
