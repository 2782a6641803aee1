# groat. `make demo` shows what it does; `make test` proves it.

BIN     = bin
RELEASE = $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
RELEASED = $(shell git log -1 --format=%cs 2>/dev/null)

# Reproducible: no paths, no build machine, no clock, no C compiler in the result.
GOFLAGS_BUILD = -trimpath -buildvcs=false -ldflags '-s -w -X main.release=$(RELEASE)'

# Where "make install" puts groat: PREFIX=~/.local is for one user and needs no root. DESTDIR is for packages.
PREFIX ?= /usr/local
DESTDIR ?=

# Two ways to compile, so that checks and tests share what is compiled: groat's packages with the race detector, for
# their tests and for what looks at their types; and all programs as those of a release. Memory costs less than time.
RACED = GOGC=400 CGO_ENABLED=1 GOFLAGS='$(shell go env GOFLAGS) -race'
PLAIN = CGO_ENABLED=0 GOFLAGS='$(shell go env GOFLAGS) -trimpath'

.PHONY: build install uninstall packages demo quick test parts check proof fuzz faults bench bounds figures clean

# How long "make fuzz" takes for each of its targets: a duration, or a number of executions (2000x).
FUZZTIME ?= 10m

# The programs, and in share the manual and the completions, which the programs say themselves.
build:
	@echo "compiling groat, groat-commands and groatd into $(BIN)/ (the first time this takes some minutes)"
	@CGO_ENABLED=0 go build $(GOFLAGS_BUILD) -o $(BIN)/ ./cmd/groat ./cmd/groat-commands ./cmd/groatd
	@for name in git docker cargo; do ln -sf groat $(BIN)/$$name-credential-groat; done
	@[ "$$(go env GOOS GOARCH)" != "$$(go env GOHOSTOS GOHOSTARCH)" ] || \
		go run ./packaging/man -bin $(BIN) -out $(BIN)/share -release $(RELEASE) -date '$(RELEASED)'

# What was built, with the units, the manual and the completions: packaging/INSTALL.md. Nothing is started or enabled.
install uninstall:
	@packaging/install/install.sh $@ "$(BIN)" "$(PREFIX)" "$(DESTDIR)"

# A .deb, an .rpm, a bill of materials and SHA256SUMS in bin/packages. GOARCH=arm64 is for another architecture.
VERSION =
packages:
	@packaging/packages/packages.sh "$(BIN)/packages" $(VERSION)

# The main job from login to renewal against a server of its own: no account, no keychain, nothing left behind.
demo: build
	@echo "compiling the demo"
	@go run ./cmd/demo -bin $(BIN)

# What needs Go alone, in a minute: while one works. Nothing is installed, and what needs a part is left out.
quick:
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "gofmt these: $$unformatted"; exit 1; }
	@go test -short ./...

# Everything that a change can break, against real parts, which it installs first (Debian 12; see
# packaging/testing/install.sh). The race detector looks at groat's own packages: the tests in packaging run groat as
# programs, which it does not reach. Fuzz targets run with the inputs that are kept; "make fuzz" looks for more.
# The checks run while the parts are downloaded and unpacked.
test:
	@packaging/testing/install.sh compiler
	@$(MAKE) --no-print-directory -j 2 parts check
	@GOGC=400 CGO_ENABLED=1 go test -race -vet=off -p 4 -timeout 30m $$(go list ./... | grep -v /packaging/)
	@$(PLAIN) go test -vet=off -timeout 30m ./daemon/fleet -run 'TestFleet(Model|Rules)$$'
	@$(PLAIN) go test -vet=off -p 3 -timeout 30m ./packaging/...
	@$(PLAIN) go run ./packaging/proof -check

parts:
	@packaging/testing/install.sh

# What takes hours: whole matrices, a thousand kills, fuzzing, every test on a busy machine, the figures. Each part
# writes a dated page, packaging/proof/PART.md; "make test" says which pages are stale. PART=rotation runs one part.
PART =
proof:
	@packaging/testing/install.sh
	@go run ./packaging/proof -part '$(PART)'

# What needs no part but a C compiler: the formatter, vet for both systems, and staticcheck (a tool of go.mod).
check:
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "gofmt these: $$unformatted"; exit 1; }
	@$(RACED) go vet ./...
	@GOGC=400 $(PLAIN) go run ./packaging/vet -goos darwin ./...
	@staticcheck=$$(GOGC=400 $(PLAIN) go tool -n staticcheck) && $(RACED) "$$staticcheck" ./...

# Every fuzz target for FUZZTIME; what an earlier run found interesting is where it begins.
fuzz:
	@go run ./packaging/fuzz -time $(FUZZTIME)

# Every cell of daemon/credential/ROTATION.md with every pause, and KILLS times kill -9 while groatd renews; GROAT_SEED
# repeats a run.
KILLS ?= 1000
faults:
	@said=$$(GROAT_FAULTS=all GROAT_KILLS=$(KILLS) go test -count=1 -timeout 60m -v \
		-run '^(TestRotationMatrix|TestKilledWhileRenewing)$$' ./daemon/credential ./packaging/e2e 2>&1) \
		|| { echo "$$said" | grep -v '^=== \|--- PASS'; exit 1; }; \
	echo "$$said" | grep -o 'faults: .*'

# How fast it is on this machine, beside floors and other programs: packaging/bench/RESULTS.md. About ten minutes.
bench: build
	@packaging/testing/install.sh
	@go run ./packaging/bench/results -bin $(BIN)

# What a cold request and a token at hand cost, counted: what grew, and the bounds that "make test" holds them to.
bounds:
	@packaging/testing/install.sh
	@go run ./packaging/bench/guard

# Every number of the README, on this machine, the other agents' beside groat's; about ten minutes. How fast groat is
# stands in what "make bench" has written.
figures: build
	@go run ./packaging/figures -bin $(BIN)

clean:
	@rm -rf $(BIN)
