package main

import (
	"fmt"

	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol/visible"
)

var helpHelperGDAL = help{
	short: "Have GDAL, rasterio and QGIS send a token: GDAL_CONFIG_FILE",
	long: `Print the environment with which GDAL, rasterio and QGIS send the header of
PROFILE to what the profile lists (--api), and to nothing else:
GDAL_CONFIG_FILE, which names a file (gdalrc) that names a file with the header.
groatd keeps that one current until "groat export --stop", or as long as a
process runs (--while). GDAL reads it anew for each request.

GDAL 3.10 and later takes the header so for file names with /vsicurl/ or
/vsicurl_streaming/. GDAL 3.6 (Debian 12) takes none, and no GDAL for a name
without /vsicurl/ (OAPIF:, WMS:, https://): use --every-host there. With that
GDAL sends the token to every host that it asks, also to one that a file which
it reads names: only where you trust what you read.

Several profiles share one gdalrc. GDAL reads one gdalrc: with GDAL_CONFIG_FILE
none of yours. --gdalrc prints the text for it.

There is nothing here for wget: it sends the header on to wherever a server
redirects it.`,
	example: `  eval "$(groat helper gdal spatiafi --while $$)"
  gdalinfo /vsicurl/https://api.spatiafi.com/api/x.tif
  groat helper gdal spatiafi --gdalrc >>~/.gdal/gdalrc
  eval "$(groat helper gdal spatiafi --every-host)"`,
}

const (
	flagEveryHost = "have GDAL send the header to every host that it asks (GDAL_HTTP_HEADER_FILE)"
	flagGDALRC    = "print the text of a gdalrc instead of the environment"
)

const (
	msgGDALTwice     = "--gdalrc and --every-host exclude each other: a gdalrc is for what profiles list"
	msgGDALOneHeader = "with --every-host there is one header for all hosts: name one profile"
	msgGDALMany      = "these are more profiles than one gdalrc can be named after"
)

func errNoAPIs(profile string) *report.Failure {
	return &report.Failure{Code: report.ExitConfig,
		Message: "profile " + clean(profile) + " lists no API, so there is nothing that GDAL may send its token to",
		Hint:    "groat login " + visible.Word(profile) + " --api https://HOST"}
}

func errSameAPI(api, one, other string) *report.Failure {
	return &report.Failure{Code: report.ExitConfig,
		Message: fmt.Sprintf("profiles %s and %s both list %s, and GDAL sends one header there", clean(one),
			clean(other), clean(api)),
		Hint: "groat helper gdal " + visible.Word(one)}
}

func textOwnGDALRC(own string) string {
	return "groat: with this GDAL does not read " + sentence(own) + " any more; groat helper gdal --gdalrc prints " +
		"what to add to it\n"
}

func textRunOwnGDALRC(own, profile string) string {
	return "groat: GDAL reads " + sentence(own) + ", which says nothing of this run; groat helper gdal " +
		visible.Word(profile) + " --gdalrc prints what to add to it\n"
}
