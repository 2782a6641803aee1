package main

import "regexp"

// part is something that "make proof" runs.
type part struct {
	name string
	what string // one sentence for the page

	// packages are the Go packages that it runs, or builds and runs. It depends on every file that they are made of,
	// their tests' included, and on the files at the paths, which Go does not know of.
	packages, paths []string

	env, command           []string // the whole of it
	shortEnv, shortCommand []string // enough to see that it works; where it is empty the command is the same

	// result finds what to write down in what the command prints: the last match, of the group. Lists, if it is there,
	// finds what else to write down: every match, each once.
	result, lists *regexp.Regexp
}

var (
	orders   = regexp.MustCompile(`orders: (.+)`)
	faults   = regexp.MustCompile(`faults: (.+)`)
	matrix   = regexp.MustCompile(`matrix: (.+)`)
	fuzzed   = regexp.MustCompile(`(?m)^fuzz: (.+ 0 failures)$`)
	passed   = regexp.MustCompile(`(?m)^(ok .+)$`)
	clients  = regexp.MustCompile(`(?m)^ *\S+_test\.go:\d+: client: (.+)$`)
	ran      = regexp.MustCompile(`(?m)^ *\S+_test\.go:\d+: notebooks: (.+)$`)
	places   = regexp.MustCompile(`(?m)^place: (.+)$`)
	measured = regexp.MustCompile(`(?m)^(Measured on .+)$`)
)

// The packages of the programs, which the end-to-end tests build.
var programs = []string{"./cmd/groat", "./cmd/groat-commands", "./cmd/groatd"}

// everything is for a part that may depend on any file.
var everything = []string{"./..."}

// parts are in the order in which they run: the short ones first.
var parts = []part{
	{
		name:     "rotation",
		what:     "Every cell of daemon/credential/ROTATION.md, with every pause, under the race detector.",
		packages: []string{"./daemon/credential"},
		env:      []string{"GROAT_FAULTS=all"},
		shortEnv: []string{"GROAT_FAULTS="},
		command: []string{"go", "test", "-race", "-count=1", "-timeout=2h", "-v", "-run=^TestRotationMatrix$",
			"./daemon/credential"},
		result: faults,
	},
	{
		name: "orders",
		what: "Every order in which the steps of a fleet's machines and one or two faults can come, up to the bound " +
			"that daemon/fleet/FLEET.md states, at each kind of server; and a thousand machines on etcd.",
		packages: []string{"./daemon/fleet"},
		paths:    []string{"packaging/testing/network.sh"},
		env:      []string{"GROAT_FLEET=all"},
		shortEnv: []string{"GROAT_FLEET="},
		command: []string{"go", "test", "-count=1", "-timeout=5h", "-v",
			"-run=^(TestFleetModel|TestManyMachinesOnEtcd)$", "./daemon/fleet"},
		result: orders,
	},
	{
		name:     "servers",
		what:     "Every grant with every client authentication at a certified authorization server, ten times.",
		packages: append([]string{"./packaging/e2e"}, programs...),
		paths:    []string{"packaging/testing/oidc-provider"},
		command: []string{"go", "test", "-race", "-count=10", "-timeout=2h",
			"-run=^(TestCertifiedServer.*|TestStolenSession)$",
			"./packaging/e2e"},
		shortCommand: []string{"go", "test", "-count=1", "-run=^TestCertifiedServerKeys$", "./packaging/e2e"},
		result:       passed,
	},
	{
		name: "packages",
		what: "The .deb in clean trees of Debian 12 and 13: from the package to the first token, upgraded under a " +
			"running groatd, removed, installed again; lintian, the .rpm's files, two equal builds.",
		packages: append([]string{"./packaging/man", "./packaging/sbom", "./daemon/grant/sandbox/serve"},
			programs...),
		paths: []string{"packaging/packages", "packaging/install", "packaging/systemd", "protocol/python",
			"packaging/testing/debian-tree.sh"},
		command:      []string{"packaging/packages/prove.sh"},
		shortCommand: []string{"sh", "-c", "bash -n packaging/packages/prove.sh && echo 'ok prove.sh can be read'"},
		result:       passed,
	},
	{
		name: "firsthour",
		what: "From nothing to the first token in fresh trees of Debian 12 and 13: the commands that a person types " +
			"and how long they take on this machine, on six kinds of place.",
		packages: append([]string{"./packaging/man", "./packaging/sbom", "./daemon/grant/sandbox/serve"},
			programs...),
		paths: []string{"packaging/proof/firsthour.sh", "packaging/proof/typist.py", "packaging/testing/debian-tree.sh",
			"packaging/packages", "packaging/install"},
		command: []string{"packaging/proof/firsthour.sh"},
		shortCommand: []string{"sh", "-c",
			"bash -n packaging/proof/firsthour.sh && echo 'ok firsthour.sh can be read'"},
		result: passed,
		lists:  places,
	},
	{
		name: "systemd",
		what: "The units on a booted Debian 13 (systemd 257), thrice: activation on first use, reload, watchdog, " +
			"crash, stop, a restart under load, the start with the machine for a user who lingers, and the key of " +
			"the encrypted file as a credential, of the user's service and, encrypted, of one of the system's.",
		packages: append([]string{"./packaging/systemd"}, programs...),
		paths: []string{"packaging/testing/systemd-user.sh", "packaging/testing/debian-tree.sh",
			"packaging/ELSEWHERE.md"},
		command: []string{"sh", "-c", `
			command -v systemd-nspawn >/dev/null ||
				DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends systemd-container || exit
			GROAT_SYSTEMD_TREE=$(packaging/testing/debian-tree.sh trixie systemd systemd-sysv dbus libpam-systemd \
				dbus-user-session procps python3) || exit
			export GROAT_SYSTEMD_TREE
			go test -count=3 -timeout=1h ./packaging/systemd &&
			echo "ok every test of the units three times, booted with $(chroot "$GROAT_SYSTEMD_TREE" \
				systemctl --version | head -n 1)"`},
		shortCommand: []string{"go", "test", "-count=1", "-run=^TestUnitsAreValid$", "./packaging/systemd"},
		result:       passed,
	},
	{
		name:     "git",
		what:     "Bearer, Basic and two accounts with the git of Debian 13, which can send a token as Bearer.",
		packages: append([]string{"./packaging/e2e"}, programs...),
		paths:    []string{"packaging/testing/newer-debian.sh", "packaging/testing/debian-tree.sh"},
		command: []string{"sh", "-c", `
			GROAT_GIT=$(packaging/testing/newer-debian.sh install git git) || exit
			export GROAT_GIT
			go test -race -count=10 -timeout=1h -run="^TestGit" ./packaging/e2e &&
			echo "ok every test of git ten times with $("$GROAT_GIT" version)"`},
		shortCommand: []string{"go", "test", "-count=1", "-run=^TestGitIsAnswered", "./packaging/e2e"},
		result:       passed,
	},
	{
		name:     "gdal",
		what:     "The GDAL of Debian 13 sends the token to what a profile lists and to nothing else, by a gdalrc.",
		packages: append([]string{"./packaging/e2e"}, programs...),
		paths:    []string{"packaging/testing/newer-debian.sh", "packaging/testing/debian-tree.sh"},
		command: []string{"sh", "-c", `
			GROAT_GDALINFO=$(packaging/testing/newer-debian.sh install gdalinfo gdal-bin) || exit
			export GROAT_GDALINFO
			go test -race -count=3 -timeout=1h -run="^TestGDALSends" ./packaging/e2e &&
			echo "ok three times with $("$GROAT_GDALINFO" --version)"`},
		shortCommand: []string{"go", "test", "-count=1", "-run=^TestGDALSends", "./packaging/e2e"},
		result:       passed,
	},
	{
		name: "python",
		what: "The Python module with the Python of Debian 13 and its packages: the protocol's vectors, connections, " +
			"authentication, sessions and credentials of other packages, xarray, processes and a Dask cluster.",
		packages: append([]string{"./packaging/e2e"}, programs...),
		paths: []string{"packaging/testing/newer-debian.sh", "packaging/testing/debian-tree.sh", "protocol/python",
			"protocol/testdata"},
		command: []string{"sh", "-c", `
			packages="aiohttp authlib dask distributed fsspec google-auth httpx joblib rasterio requests"
			packages="$packages rioxarray xarray zarr"
			GROAT_PYTHON=$(packaging/testing/newer-debian.sh install python3 python3 \
				$(printf 'python3-%s ' $packages)) || exit
			export GROAT_PYTHON
			go test -count=3 -timeout=1h -run="^TestPython(Module|Client|Auth|Sessions|Processes)$" ./packaging/e2e &&
			echo "ok three times with $("$GROAT_PYTHON" --version), $("$GROAT_PYTHON" -c '
import importlib.metadata as m, sys
print(*(n + " " + m.version(n) for n in sys.argv[1:]), sep=", ")' $packages)"`},
		shortCommand: []string{"go", "test", "-count=1", "-run=^TestPythonModule$", "./packaging/e2e"},
		result:       passed,
	},
	{
		name: "clients",
		what: "The programs of other projects that ask groat for a token, each for a server that saw the " +
			"Authorization value, where they can be had.",
		packages: append([]string{"./packaging/e2e"}, programs...),
		paths:    []string{"packaging/testing/install.sh", "protocol/python"},
		command: []string{"sh", "-c", `
			GROAT_CARGO=$(rustup which cargo 2>/dev/null)
			export GROAT_CARGO
			go test -count=1 -timeout=1h -v \
				-run="^Test(Client|Git|Skopeo|Docker|Image|Kubectl|Curl|Outputs|Helpers|GDAL|Tools|Providers|Python)" \
				./packaging/e2e ./cmd/groat-commands &&
			echo "ok each program below brought its server the token"`},
		shortCommand: []string{"go", "test", "-count=1", "-v", "-run=^TestClientRclone$", "./packaging/e2e"},
		result:       passed,
		lists:        clients,
	},
	{
		name: "notebooks",
		what: "Each notebook of protocol/python/notebooks in a Jupyter kernel for more than three lives of a token " +
			"of 20 s, kernel and groatd stopped for longer than one of them, and no secret in what is left; what " +
			"else a person does in a kernel; each block of protocol/python/README.md, those for R with R.",
		packages: append([]string{"./packaging/pages"}, programs...),
		paths:    []string{"protocol/python", "packaging/testing/install.sh"},
		env:      []string{"GROAT_NOTEBOOKS=all", "GROAT_RSCRIPT=/usr/bin/Rscript"},
		shortEnv: []string{"GROAT_NOTEBOOKS="},
		command: []string{"sh", "-c", `
			command -v Rscript >/dev/null ||
				DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends r-base-core || exit
			go test -count=1 -timeout=1h -v -run="^Test(Notebooks|ReadmePython)$" ./packaging/pages &&
			echo "ok every cell and block ran, no request was refused, no secret was found"`},
		shortCommand: []string{"go", "test", "-count=1", "-v", "-run=^TestNotebooks$", "./packaging/pages"},
		result:       passed,
		lists:        ran,
	},
	{
		name: "matrix",
		what: "Every grant with every client authentication at four authorization servers of other projects, kill -9 " +
			"around renewals of each session, and faults that were once found there.",
		packages: append([]string{"./packaging/e2e"}, programs...),
		paths: []string{"packaging/testing/zitadel", "packaging/testing/fosite",
			"packaging/testing/django-oauth-toolkit", "packaging/testing/glewlwyd"},
		env:      []string{"GROAT_FOREIGN_KILLS=20"},
		shortEnv: []string{"GROAT_FOREIGN_KILLS="},
		command: []string{"go", "test", "-race", "-count=1", "-timeout=2h", "-v", "-run=^TestForeign",
			"./packaging/e2e"},
		shortCommand: []string{"go", "test", "-count=1", "-v", "-run=^TestForeignMatrix$", "./packaging/e2e"},
		result:       matrix,
	},
	{
		name:     "kills",
		what:     "groatd is killed (SIGKILL) a thousand times while it renews; no session is lost.",
		packages: append([]string{"./packaging/e2e"}, programs...),
		env:      []string{"GROAT_KILLS=1000"},
		shortEnv: []string{"GROAT_KILLS=5"},
		command: []string{"go", "test", "-count=1", "-timeout=2h", "-v", "-run=^TestKilledWhileRenewing$",
			"./packaging/e2e"},
		shortCommand: nil,
		result:       faults,
	},
	{
		name: "fleet",
		what: "A thousand faults in fleets of real groatds, on three nodes of etcd each: kill -9, SIGSTOP and a cut " +
			"of the machine that renews, of a node, of the leader, of a minority, of the majority; a restored " +
			"backup; a clock two hours fast. No login is lost.",
		packages: append([]string{"./packaging/fleet"}, programs...),
		paths:    []string{"packaging/testing/network.sh"},
		env:      []string{"GROAT_FLEET_SITES=8", "GROAT_FLEET_FAULTS=1000"},
		shortEnv: []string{"GROAT_FLEET_SITES=1", "GROAT_FLEET_FAULTS=1"},
		command: []string{"go", "test", "-count=1", "-timeout=5h", "-parallel=8", "-v", "-run=^TestFleet$",
			"./packaging/fleet"},
		result: faults,
	},
	{
		name:     "fuzz",
		what:     "Every fuzz target for ten minutes, or for FUZZTIME.",
		packages: everything,
		command: []string{"sh", "-c",
			`said=$(go run ./packaging/fuzz -time="${FUZZTIME:=10m}") || exit
			echo "$said" | sed "s/^fuzz: /fuzz: $FUZZTIME each, /"`},
		shortCommand: []string{"go", "run", "./packaging/fuzz", "-time=200x"},
		result:       fuzzed,
	},
	{
		name:     "load",
		what:     "Every test five times under the race detector, on processors that other work keeps busy.",
		packages: everything,
		command: []string{"sh", "-c", `
			for i in 1 2 3 4; do (while :; do :; done) & busy="$busy $!"; done
			trap 'kill $busy' EXIT
			go test -race -count=5 -timeout=4h ./... && echo "ok all packages, five times beside four busy loops"`},
		shortCommand: []string{"sh", "-c", `
			(while :; do :; done) & busy=$!
			trap 'kill $busy' EXIT
			go test -count=1 ./daemon/clock && echo "ok one package beside one busy loop"`},
		result: passed,
	},
	{
		name:         "figures",
		what:         "Every figure of packaging/figures/FIGURES.md, measured anew, the other agents' included.",
		packages:     everything,
		command:      []string{"make", "--no-print-directory", "figures"},
		shortCommand: []string{"grep", "^Measured on ", "packaging/figures/FIGURES.md"},
		result:       measured,
	},
}
