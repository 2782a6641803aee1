package e2e_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/groat-dev/groat/packaging/testing/parts"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// imageServer has files for requests with a token that the sandbox takes, in ranges as /vsicurl/ asks for them.
type imageServer struct {
	*httptest.Server
	auth  *server
	dir   string
	pause func() // called before an answer that is a part of an image, or nil

	mu    sync.Mutex
	sent  map[string]string // :: path → the Authorization of the last request for it
	used  map[string]bool   // the tokens with which parts were asked for
	wrong []string          // what was refused
}

func newImageServer(t *testing.T, auth *server) *imageServer {
	s := &imageServer{auth: auth, dir: t.TempDir(), sent: map[string]string{}, used: map[string]bool{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *imageServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	asked := httptest.NewRequest(http.MethodGet, "/api/info", nil)
	asked.Header.Set("Authorization", r.Header.Get("Authorization"))
	verdict := httptest.NewRecorder()
	s.auth.ServeHTTP(verdict, asked)
	part := r.Method == http.MethodGet && r.Header.Get("Range") != ""
	s.mu.Lock()
	s.sent[r.URL.Path] = r.Header.Get("Authorization")
	if verdict.Code != http.StatusOK {
		s.wrong = append(s.wrong, fmt.Sprintf("%s %s: %d", r.Method, r.URL.Path, verdict.Code))
	} else if part {
		s.used[r.Header.Get("Authorization")] = true
	}
	s.mu.Unlock()
	if verdict.Code != http.StatusOK {
		w.WriteHeader(verdict.Code)
		return
	}
	if part && s.pause != nil {
		s.pause()
	}
	http.ServeFile(w, r, filepath.Join(s.dir, filepath.Clean(r.URL.Path)))
}

// look returns what was sent for a path, with how many tokens parts were asked for, and what was refused, since it was
// called last.
func (s *imageServer) look(path string) (sent string, tokens int, wrong []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sent, tokens, wrong = s.sent[path], len(s.used), s.wrong
	clear(s.sent)
	clear(s.used)
	s.wrong = nil
	return sent, tokens, wrong
}

// gdalUser has the profile work, which lists /images of a server, and a GDAL.
type gdalUser struct {
	*userEnv
	images *imageServer
}

func newGDALUser(t *testing.T, options ...string) *gdalUser {
	tier.Needs(t, "gdal-bin", "python3-rasterio")
	u := &gdalUser{userEnv: newUserEnv(t, os.Getuid())}
	auth, err := u.addServer("AUTH", append(options, "path=/tenant")...)
	if err != nil {
		t.Fatal(err)
	}
	u.images = newImageServer(t, auth)
	u.vars = append(u.vars, "no_proxy=127.0.0.1", "GDAL_DISABLE_READDIR_ON_OPEN=EMPTY_DIR", "GDAL_PAM_ENABLED=NO")
	u.start()
	u.groat("", "keystore", "use", "sealed", "--key-file")
	u.groat(u.secret, "login", "work", "--token-url", auth.URL()+"/tenant/token", "--client-id", labClient,
		"--client-auth", "client_secret_basic", "--api", u.images.URL+"/images", "--secret-stdin")
	return u
}

// image puts a Cloud Optimized GeoTIFF of 16 uncompressed tiles on the server, and returns the sum of its pixels.
func (u *gdalUser) image(name string) (sum int) {
	u.t.Helper()
	const edge = 256
	pgm, tif := filepath.Join(u.home, "image.pgm"), filepath.Join(u.images.dir, name)
	pixels := make([]byte, edge*edge)
	for i := range pixels {
		pixels[i] = byte(i*7 + i/edge)
		sum += int(pixels[i])
	}
	if err := os.WriteFile(pgm, append(fmt.Appendf(nil, "P5 %d %d 255\n", edge, edge), pixels...), 0o600); err != nil {
		u.t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(tif), 0o700); err != nil {
		u.t.Fatal(err)
	}
	r := u.run("", "/usr/bin/gdal_translate", "-q", "-of", "COG", "-co", "BLOCKSIZE=64", "-co", "COMPRESS=NONE",
		"-co", "OVERVIEWS=NONE", pgm, tif)
	if r.code != 0 {
		u.t.Fatalf("%+v", r)
	}
	return sum
}

// beside is a file in the directory of groatd's socket.
func (u *gdalUser) beside(name string) string { return filepath.Join(filepath.Dir(u.socket()), name) }

// until waits for what does not take long.
func (u *gdalUser) until(what string, done func() bool) {
	for end := time.Now().Add(patience); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			u.t.Error("this does not happen: " + what)
			return
		}
	}
}

// One process of GDAL's reads an image for longer than three tokens live, one that "groat run" starts and one in which
// the Python module sets GDAL up. It has each request's token from the file, which is current whenever it looks: no
// token is sent that is not good. The file goes with the process.
func TestGDALReadsLongerThanTokensLive(t *testing.T) {
	t.Parallel()
	parts.Client(t, "gdal", "/usr/bin/gdalinfo", "--version")
	parts.Client(t, "gdal", "/usr/bin/python3", "-c", "import rasterio; print('rasterio', rasterio.__version__)")
	parts.NoClient(t, "gdal", "QGIS", "Debian's takes more than a gigabyte; it reads by the same library, libgdal")
	const life = 4 * time.Second
	u := newGDALUser(t, "lifetime="+life.String())
	sum := u.image("images/x.tif")
	name := "/vsicurl/" + u.images.URL + "/images/x.tif"
	// Each part is answered when the file has another token than it had when it was asked for, until that has lasted
	// long enough.
	var began time.Time
	watched := ""
	u.images.pause = func() {
		if began.IsZero() {
			began = time.Now()
		}
		was, err := os.ReadFile(watched)
		if time.Since(began) > 3*life {
			return
		}
		u.until("another token in "+watched, func() bool {
			is, again := os.ReadFile(watched)
			return err != nil || again != nil || string(is) != string(was)
		})
	}
	// GDAL remembers no part of the file.
	u.vars = append(u.vars, "CPL_VSIL_CURL_NON_CACHED="+name, "CPL_VSIL_CURL_CHUNK_SIZE=4096", "VSI_CACHE=FALSE")
	const read = `import rasterio, sys
sys.path.insert(0, sys.argv[2])
import groat
with groat.gdal_env("work", every_host=True), rasterio.open(sys.argv[1]) as d:
    for _, w in d.block_windows(1):
        d.read(1, window=w)
    sys.stdout.write(str(d.read(1).sum()))`
	for _, tt := range []struct {
		file, prints string
		argv         []string
	}{
		{"run-work.header", checksum(u.run("", "/usr/bin/gdalinfo", "-checksum", u.images.dir+"/images/x.tif")),
			[]string{"groat", "run", "work", "--every-host", "--", "gdalinfo", "-checksum", name}},
		{"gdal-while-work.header", strconv.Itoa(sum),
			[]string{debianPython, "-I", "-B", "-W", "ignore", "-c", read, name, parts.Python(t)}},
	} {
		watched, began = u.beside(tt.file), time.Time{}
		r := u.run("", tt.argv[0], tt.argv[1:]...)
		_, tokens, wrong := u.images.look("")
		if r.code != 0 || r.stderr != "" || tt.prints == "" ||
			!strings.Contains(r.stdout, tt.prints) || tokens < 4 || len(wrong) != 0 {
			t.Errorf("%q: %+v, with %d tokens, of which were refused %v", tt.argv, r, tokens, wrong)
		}
		u.until(watched+" is removed", func() bool { _, err := os.Lstat(watched); return err != nil })
	}
}

// checksum is that of an image, as gdalinfo prints it.
func checksum(r result) string { return regexp.MustCompile(`Checksum=\d+`).FindString(r.stdout) }

// A gdalrc has a GDAL that understands it send the token to what the profile lists, and any GDAL nothing to anything
// else; --every-host does what it says.
func TestGDALSendsWhatAPersonSays(t *testing.T) {
	t.Parallel()
	u := newGDALUser(t)
	program := os.Getenv("GROAT_GDALINFO")
	if program == "" {
		program = "/usr/bin/gdalinfo"
	}
	u.image("images/x.tif")
	u.image("imagesx/x.tif")
	foreign := newImageServer(t, u.servers["AUTH"])
	foreign.dir = u.images.dir
	m := regexp.MustCompile(`GDAL (\d+)\.(\d+)`).FindStringSubmatch(u.run("", program, "--version").stdout)
	if m == nil {
		t.Fatal("this GDAL has no version")
	}
	scoped := m[1] > "3" || m[1] == "3" && len(m[2]) > 1 // 3.10
	eval := func(flags string) []string {
		return []string{"-c", `eval "$(groat helper gdal work ` + flags + ` --while $$)" && exec "$@"`, "sh", program}
	}
	token := "Bearer " + strings.TrimSpace(u.groat("", "get", "work"))
	for _, tt := range []struct {
		name     string
		start    string
		argv     []string
		listed   bool
		anything bool
	}{
		{"run", "groat", []string{"run", "work", "--", program}, scoped, false},
		{"helper", "/bin/sh", eval(""), scoped, false},
		{"gdal_env of Python", debianPython, []string{"-I", "-B", "-c", `import subprocess, sys
sys.path.insert(0, sys.argv[1])
import groat
with groat.gdal_env("work"):
    sys.exit(subprocess.run(sys.argv[2:]).returncode)`, parts.Python(t), program}, scoped, false},
		{"run --every-host", "groat", []string{"run", "work", "--every-host", "--", program}, true, true},
		{"helper --every-host", "/bin/sh", eval("--every-host"), true, true},
	} {
		for _, at := range []struct {
			server *imageServer
			path   string
			gets   bool
		}{
			{u.images, "/images/x.tif", tt.listed}, {u.images, "/imagesx/x.tif", tt.anything},
			{foreign, "/images/x.tif", tt.anything},
		} {
			r := u.run("", tt.start, append(tt.argv[:len(tt.argv):len(tt.argv)], "/vsicurl/"+at.server.URL+at.path)...)
			sent, _, _ := at.server.look(at.path)
			want := map[bool]string{true: token}[at.gets]
			if sent != want || (r.code == 0) != at.gets {
				t.Errorf("%s, GDAL %s.%s, %s%s: sent %d bytes, want %d; %d, %s", tt.name, m[1], m[2], at.server.URL,
					at.path, len(sent), len(want), r.code, r.stderr)
			}
		}
	}

	// It is set up for good only where it understands what it is told.
	named := filepath.Join(u.home, "bin")
	if err := errors.Join(os.Mkdir(named, 0o700), os.Symlink(program, filepath.Join(named, "gdalinfo"))); err != nil {
		t.Fatal(err)
	}
	u.vars = append(u.vars, "PATH="+named+":"+bin+":/usr/bin:/bin")
	set := u.run("", "groat", "setup", "gdal", "work", "--yes")
	if !scoped {
		u.refused(set, 78, "since GDAL 3.10", "groat helper gdal --help")
		return
	}
	image := "/vsicurl/" + u.images.URL + "/images/x.tif"
	r := u.run("", program, image)
	if sent, _, _ := u.images.look("/images/x.tif"); set.code != 0 || r.code != 0 || sent != token {
		t.Errorf("%+v, and then %+v", set, r)
	}
	u.groat("", "setup", "gdal", "work", "--undo", "--yes")
	r = u.run("", program, image)
	if sent, _, _ := u.images.look("/images/x.tif"); r.code == 0 || sent != "" {
		t.Errorf("after the undo: %+v", r)
	}
	if kept := u.groat("", "export", "--json"); strings.Contains(kept, "setup-work.header") {
		t.Error(kept)
	}
}

// Wget sends a header of its configuration to any host that a server redirects it to: why groat has nothing for it.
func TestWgetSendsItsHeaderToOtherHosts(t *testing.T) {
	tier.Needs(t, "wget")
	got := make(chan string, 1)
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got <- r.Header.Get("Authorization")
	}))
	defer other.Close()
	first := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusFound))
	defer first.Close()
	rc := filepath.Join(t.TempDir(), "wgetrc")
	if err := os.WriteFile(rc, []byte("header = Authorization: Bearer dummy.token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/usr/bin/wget", "-q", "-O", "/dev/null", first.URL)
	cmd.Env = []string{"WGETRC=" + rc, "no_proxy=127.0.0.1"}
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if sent := <-got; sent != "Bearer dummy.token" {
		t.Errorf("this wget keeps the header (it sent %q): groat could have something for it", sent)
	}
}
