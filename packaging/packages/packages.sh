#!/usr/bin/env bash
# Makes the packages: what "make packages" runs. Everything goes to the directory OUT: groat_VERSION_ARCH.deb, an .rpm,
# the bill of materials, the wheel and the source distribution of the Python package, and SHA256SUMS. The result depends
# on the commit, the version and the Go version alone.
#
#   packages.sh OUT [VERSION]
#
# VERSION is that of the git tag without its v; a commit without a tag is a version before every release, in the order
# of the commits' times. GOARCH makes packages for another architecture.
set -euo pipefail

die() { echo "packages.sh: error: $1" >&2; echo "packages.sh: hint: $2" >&2; exit 1; }
[ $# = 1 ] || [ $# = 2 ] || die "it takes the directory to write to, and a version" "make packages"
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
mkdir -p "$1"
out=$(cd "$1" && pwd) version=${2:-}
committed=$(git log -1 --format=%ct 2>/dev/null) ||
  die "this is no checkout of git, whose commit dates the packages" "git clone https://github.com/groat-dev/groat"
command -v python3 >/dev/null || die "there is no python3, which writes the Python package" "sudo apt install python3"
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$committed} TZ=UTC
if [ -z "$version" ]; then
  version=$(git describe --tags --exact-match --match 'v[0-9]*' 2>/dev/null) || true
  version=${version#v}
  [ -n "$version" ] ||
    version=0.0~$(date -d "@$committed" +%Y%m%d%H%M%S).$(git rev-parse --short=8 HEAD)
  [ -z "$(git status --porcelain --untracked-files=no)" ] || version+=+changed
fi
# What both kinds of packages allow in a version (deb-version(7), rpm-version(7)).
[[ $version =~ ^[0-9][A-Za-z0-9.+~]*$ ]] || die "no package can have the version $version" "make packages VERSION=1.2.3"
GOARCH=${GOARCH:-$(go env GOARCH)} arch=$GOARCH
host=$(go env GOHOSTARCH)

config=$PWD/packaging/packages/nfpm.yaml stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
# The programs of this machine print the manual, also that of another architecture's package.
GOOS=linux GOARCH=$host make --no-print-directory build BIN="$stage/bin" RELEASE="$version"
[ "$GOARCH" = "$host" ] || GOOS=linux GOARCH=$GOARCH make --no-print-directory build BIN="$stage/bin" RELEASE="$version"
make --no-print-directory install BIN="$stage/bin" PREFIX=/usr DESTDIR="$stage"

# What Debian's policy wants beside: each program has a page, pages and changes are compressed (12.1, 12.3, 12.5, 12.7).
doc=$stage/usr/share/doc/groat man=$stage/usr/share/man
find "$man" -type f -exec gzip -9n {} +
for name in groat-commands git-credential-groat docker-credential-groat cargo-credential-groat; do
  ln -s groat.1.gz "$man/man1/$name.1.gz"
done
rm "$doc/LICENSE"
cp packaging/packages/copyright "$doc/copyright"
mv "$doc/CHANGELOG.md" "$doc/changelog"
gzip -9n "$doc/changelog"
printf 'groat (%s-1) unstable; urgency=medium\n\n  * New version: see changelog.gz.\n\n -- %s  %s\n' "$version" \
  "$(sed -n 's/^maintainer: //p' packaging/packages/nfpm.yaml)" "$(date -R -d "@$SOURCE_DATE_EPOCH")" |
  gzip -9n >"$doc/changelog.Debian.gz"
install -D -m 644 packaging/packages/lintian-overrides "$stage/usr/share/lintian/overrides/groat"
chmod -R go+rX,go-w "$stage/usr/share" "$stage/usr/lib"

GOARCH=$host go build -C packaging/packages/nfpm -o "$stage/nfpm" github.com/goreleaser/nfpm/v2/cmd/nfpm
export GOARCH VERSION=$version
rm -f "$out"/groat[-_]*.{deb,rpm,cdx.json,whl,tar.gz} "$out/SHA256SUMS"
for kind in deb rpm; do
  # An RPM has no use for what is Debian's own.
  [ $kind = deb ] || {
    rm -r "$stage/usr/share/lintian" "$doc/changelog.Debian.gz" "$doc/copyright"
    install -m 644 LICENSE "$doc/LICENSE"
  }
  (cd "$stage" && ./nfpm package --config "$config" --packager $kind --target "$out/")
done
(unset GOARCH; go run ./packaging/sbom -release "$version" "$stage/bin/groat" "$stage/bin/groat-commands" \
  "$stage/bin/groatd") >"$out/groat_${version}_$arch.cdx.json"
python3 -I protocol/python/backend.py "$out" "$version"
(cd "$out" && sha256sum groat[-_]* >SHA256SUMS)
cat "$out/SHA256SUMS"
