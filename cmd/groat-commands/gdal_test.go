package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/groat-dev/groat/cmd/groat/report"
)

func TestHelperGDAL(t *testing.T) {
	d := newFakeDaemon(t, func(r request) string {
		if r.Method == "profiles" {
			return `"result":{"profiles":[{"profile":"bare","issuer":"https://i","resources":[]},` +
				`{"profile":"home","issuer":"https://i","resources":["https://h.example"]},` +
				`{"profile":"same","issuer":"https://i","resources":["https://h.example"]},` +
				`{"profile":"work","issuer":"https://i","resources":["https://api.example","https://h.example/team"]}]}`
		}
		return kept
	})
	dir := filepath.Dir(d.socket)
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, tt := range []struct {
		args, stdout string
		while        any
	}{
		{"helper gdal work", "export GDAL_CONFIG_FILE=" + in("gdal-work.gdalrc") + "\n", nil},
		{"helper gdal work home", "export GDAL_CONFIG_FILE=" + in("gdal-work+home.gdalrc") + "\n", nil},
		{"helper gdal work --while 7", "export GDAL_CONFIG_FILE=" + in("gdal-while-work.gdalrc") + "\n", 7.0},
		{"helper gdal bare --every-host", "export GDAL_HTTP_HEADER_FILE=" + in("gdal-bare.header") + "\n", nil},
		{"helper gdal home --gdalrc", "[credentials]\n\n[.groat-home-1]\npath=/vsicurl/https://h.example/\n" +
			"GDAL_HTTP_HEADER_FILE=" + in("gdal-home.header") + "\n", nil},
	} {
		o := run(t, d.socket, "", strings.Fields(tt.args)...)
		if o.code != 0 || o.stdout != tt.stdout || o.stderr != "" {
			t.Errorf("%s: %+v", tt.args, o)
		}
		q := d.requests()
		if last := q[len(q)-1]; last.Method != "export" || last.Params["while_pid"] != tt.while {
			t.Errorf("%s: %+v", tt.args, last)
		}
	}
	text, err := os.ReadFile(in("gdal-work+home.gdalrc"))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "gdalrc-two.txt", strings.ReplaceAll(string(text), dir, "/run/user/1000/groat"))
	if info, err := os.Stat(in("gdal-work.gdalrc")); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	own := map[string]string{"GROAT_NO_AUTOSTART": "1", "GDAL_CONFIG_FILE": "/etc/my.gdalrc"}
	if o := runEnv(t, d.socket, "", own, "helper", "gdal", "work"); o.code != 0 ||
		!strings.Contains(o.stderr, "does not read /etc/my.gdalrc any more") {
		t.Errorf("%+v", o)
	}

	for _, tt := range []struct {
		args string
		code int
		says string
	}{
		{"helper gdal bare", report.ExitConfig, "lists no API"},
		{"helper gdal home same", report.ExitConfig, "both list https://h.example"},
		{"helper gdal work --gdalrc --every-host", report.ExitUsage, msgGDALTwice},
		{"helper gdal work home --every-host", report.ExitUsage, msgGDALOneHeader},
		{"helper gdal work --while 0", report.ExitUsage, msgNoEnd},
	} {
		o := run(t, d.socket, "", strings.Fields(tt.args)...)
		if o.code != tt.code || o.stdout != "" || !strings.Contains(o.stderr, tt.says) {
			t.Errorf("%s: %+v", tt.args, o)
		}
	}
}
