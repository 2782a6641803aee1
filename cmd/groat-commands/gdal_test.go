package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/packaging/testing/parts"
)

func TestHelperGDAL(t *testing.T) {
	d := newFakeDaemon(t, func(r request) string {
		if r.Method == "profiles" {
			return `"result":{"profiles":[{"profile":"bare","issuer":"https://i","resources":[]},` +
				`{"profile":"home","issuer":"https://i","resources":["https://h.example:443"]},` +
				`{"profile":"same","issuer":"https://i","resources":["https://h.example:443"]},` +
				`{"profile":"work","issuer":"https://i",` +
				`"resources":["https://api.example:443","https://h.example:443/team"]}]}`
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

// "groat setup gdal" has groatd keep the file that GDAL is told of, until it is taken back.
func TestSetupGDAL(t *testing.T) {
	d := newFakeDaemon(t, func(r request) string {
		if r.Method == "profiles" {
			return `"result":{"profiles":[{"profile":"work","issuer":"https://i",` +
				`"resources":["https://api.example:443"]}]}`
		}
		return kept
	})
	h := newHome(t, "")
	env := append(h.env(), "GROAT_SOCKET="+d.socket, "PATH="+h.dir+":"+bin, "GROAT_NO_AUTOSTART=1")
	parts.WriteProgram(t, filepath.Join(h.dir, "gdalinfo"), "#!/bin/sh\necho GDAL 3.10.3, released 2025/04/01\n")
	rc, header := filepath.Join(h.dir, ".gdal", "gdalrc"), filepath.Join(filepath.Dir(d.socket), "setup-work.header")
	exports := func() (all []string) {
		for _, q := range d.requests() {
			if q.Method == "export" {
				all = append(all, fmt.Sprint(q.Params))
			}
		}
		return all
	}
	keeps := fmt.Sprint(map[string]any{"header_file": header, "profile": "work"})
	stops := fmt.Sprint(map[string]any{"stop": header})
	for _, step := range []struct {
		args    string
		written bool
		asked   []string
	}{
		{"setup gdal work --dry-run", false, nil},
		{"setup gdal work --yes", true, []string{keeps}},
		{"setup gdal work --yes", true, []string{keeps, keeps}}, // it may have been stopped
		{"setup gdal work --undo --dry-run", true, []string{keeps, keeps}},
		{"setup gdal work --undo --yes", false, []string{keeps, keeps, stops}},
	} {
		o := h.run(env, strings.Fields(step.args)...)
		text, err := os.ReadFile(rc)
		if o.code != 0 || o.stderr != "" || (err == nil) != step.written || !slices.Equal(exports(), step.asked) {
			t.Errorf("%s: %+v, %v, %q", step.args, o, err, exports())
		}
		if step.written && !strings.Contains(string(text), "\nGDAL_HTTP_HEADER_FILE="+header+"\n") {
			t.Errorf("%s: %s", step.args, text)
		}
	}
	parts.WriteProgram(t, filepath.Join(h.dir, "gdalinfo"), "#!/bin/sh\necho GDAL 3.6.2, released 2023/01/02\n")
	o := h.run(env, "setup", "gdal", "work", "--yes")
	if o.code != report.ExitConfig || !strings.Contains(o.stderr, "since GDAL 3.10, and here is GDAL 3.6.2") ||
		len(exports()) != 3 {
		t.Errorf("%+v", o)
	}
}
