package unit

import (
	"os"
	"path/filepath"
	"testing"
)

// A unit that a person wrote is installed; one that a package brought is once it is enabled, and not if it is masked.
func TestInstalled(t *testing.T) {
	const config, data = ".config/systemd/user/", ".local/share/systemd/user/"
	const enabled = config + "sockets.target.wants/" + socket
	for name, tt := range map[string]struct {
		files []string
		links map[string]string
		want  bool
	}{
		"nothing":              {},
		"written":              {files: []string{config + socket}, want: true},
		"masked":               {links: map[string]string{config + socket: os.DevNull}},
		"packaged":             {files: []string{data + socket}},
		"packaged and enabled": {[]string{data + socket}, map[string]string{enabled: data + socket}, true},
		"removed":              {links: map[string]string{enabled: data + socket}},
	} {
		home := t.TempDir()
		at := func(name string) string {
			if filepath.IsAbs(name) {
				return name
			}
			path := filepath.Join(home, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			return path
		}
		for _, f := range tt.files {
			if err := os.WriteFile(at(f), []byte("[Socket]\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for link, to := range tt.links {
			if err := os.Symlink(at(to), at(link)); err != nil {
				t.Fatal(err)
			}
		}
		getenv := func(name string) string { return map[string]string{"HOME": home}[name] }
		if got := Installed(getenv); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}
