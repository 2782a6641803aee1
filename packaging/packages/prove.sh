#!/usr/bin/env bash
# Installs, uses, upgrades and removes the Debian package in clean trees of Debian 12 and 13, and looks at both packages
# as their users' tools do: what "make proof PART=packages" runs. It needs root, git, Go, lintian and rpm; the last two it
# installs.
set -euo pipefail

die() { echo "prove.sh: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || die "a tree of Debian needs root"
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

work=$(mktemp -d)
tree=$work/tree
server=
finish() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  [ ! -e "$work/pid" ] || kill "$(cat "$work/pid")" 2>/dev/null || true
  ! mountpoint -q "$tree/proc" || umount "$tree/proc"
  ! mountpoint -q "$tree/dev" || umount -l "$tree/dev"
  rm -rf --one-file-system "$work"
}
trap finish EXIT

missing=()
for name in lintian rpm; do
  command -v $name >/dev/null || missing+=("$name")
done
[ ${#missing[@]} = 0 ] || {
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}"
} >"$work/log" 2>&1 </dev/null || die "these Debian packages cannot be had: ${missing[*]}: $(tail -n 1 "$work/log")"

# Two builds are equal, and the second version is newer.
packages() { packaging/packages/packages.sh "$@" >"$work/log" 2>&1 || die "no packages: $(tail -n 3 "$work/log")"; }
packages "$work/1" 1.0.0
packages "$work/again" 1.0.0
cmp "$work/1/SHA256SUMS" "$work/again/SHA256SUMS" || die "two builds of one commit differ"
packages "$work/2" 1.1.0
one=$(echo "$work"/1/*.deb) two=$(echo "$work"/2/*.deb) rpm=$(echo "$work"/1/*.rpm)
(cd "$work/1" && sha256sum --quiet -c SHA256SUMS)

# Lintian has nothing to say, and the RPM has the same programs, units and pages, root's, with the same modes.
said=$(lintian --allow-root --fail-on error,warning "$one" 2>&1) && [ -z "$said" ] || die "lintian: $said"
dpkg-deb --fsys-tarfile "$one" | tar -t --numeric-owner -v |
  sed -n 's,^-\([-rwx]*\) 0/0 .* \./usr/,\1 /usr/,p; s,^l[-rwx]* 0/0 .* \./usr/,l /usr/,p' |
  grep -Ev ' /usr/share/(doc|lintian)/' | sort >"$work/deb.list"
rpm -qp --queryformat '[%{FILEMODES:perms} %{FILEUSERNAME} %{FILENAMES} -> %{FILELINKTOS}\n]' "$rpm" |
  sed -n 's,^l[-rwx]* root ,l ,p; s,^-\([-rwx]*\) root \(.*\) -> $,\1 \2,p' |
  grep -v ' /usr/share/doc/' | sort >"$work/rpm.list"
diff "$work/deb.list" "$work/rpm.list" || die "the packages have different files"
grep -q '^rwx--x--x /usr/bin/groatd$' "$work/deb.list" || die "groatd is not 0711"
[ -z "$(rpm -qp --scripts "$rpm")" ] || die "the RPM has scripts"
dpkg-deb --ctrl-tarfile "$one" | tar -t | grep -E '(pre|post)(inst|rm)' && die "the Debian package has scripts"
rpm -K "$rpm" >"$work/log" || die "rpm: $(cat "$work/log")"

# An authorization server, which knows one person.
go build -o "$work/serve" ./daemon/grant/sandbox/serve
"$work/serve" -addr 127.0.0.1:0 -user you@example.com -password dummy-password >"$work/url" &
server=$!
for _ in $(seq 100); do [ -s "$work/url" ] || sleep 0.1; done
url=$(head -n 1 "$work/url")

in_tree() { chroot "$tree" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 "$@"; }
uid=64123 # of nobody else on this machine, whose processes the tree shares
alice() { in_tree runuser -u alice -- env HOME=/home/alice XDG_RUNTIME_DIR=/run/user/$uid "$@" </dev/null; }
copy() { cp "$1" "$tree/tmp/groat.deb"; }
pid() { pgrep -u $uid -x -r D,R,S groatd || true; } # no zombies, which the machine's init may leave
kept() {
  cd "$tree/home/alice" && find .config .local -type f \( -name '*.toml' -o -name '*seal*' \) -print0 | sort -z |
    xargs -0 -r sha256sum
}

# prove SUITE goes through the package's life in a clean tree of a suite, with a person in it.
prove() {
  local clean seconds token daemon before left
  clean=$(packaging/testing/debian-tree.sh "$1") || exit
  cp -a "$clean" "$tree"
  mount -t proc proc "$tree/proc"
  mount --rbind /dev "$tree/dev"
  mount --make-rslave "$tree/dev"
  in_tree useradd -K UID_MAX=65000 -m -u $uid -s /bin/bash alice
  in_tree install -d -o alice -m 700 /run/user/$uid

  # From the package to the first token: nothing runs before, two commands, and the token is good.
  seconds=$SECONDS
  copy "$one"
  in_tree dpkg -i /tmp/groat.deb >"$work/log" 2>&1 || die "dpkg -i: $(tail -n 3 "$work/log")"
  [ -z "$(in_tree dpkg --verify groat)" ] || die "dpkg --verify: $(in_tree dpkg --verify groat)"
  [ -z "$(pid)" ] || die "the package has started groatd"
  [ ! -e "$tree/home/alice/.config/systemd" ] || die "the package has enabled a unit"
  [ "$(alice groat --version)" = "groat 1.0.0, protocol 1" ] || die "version: $(alice groat --version)"
  grep -qx 'ExecStart=/usr/bin/groatd' "$tree/usr/lib/systemd/user/groatd.service" ||
    die "the unit names another groatd"
  ! alice cat /usr/bin/groatd >"$work/log" 2>&1 || die "a user can read groatd"
  echo dummy-password >"$tree/tmp/password"
  alice bash -c 'groat login work --provider spatiafi --username you@example.com --keystore key-file --secret-stdin \
    --auth-server "$1" --api "$1" </tmp/password' - "$url" >"$work/log" 2>&1 || die "login: $(cat "$work/log")"
  token=$(alice groat get work)
  [ -n "$token" ] || die "no token"
  took=$((SECONDS - seconds))
  echo "$(pid)" >"$work/pid"
  daemon=$(pid)
  alice bash --norc -c '. /usr/share/bash-completion/completions/groat
    COMP_LINE="groat get " COMP_POINT=10 COMP_WORDS=(groat get "") COMP_CWORD=2
    __start_groat; echo "${COMPREPLY[*]}"' \
    2>"$work/log" | grep -qx 'work *' || die "bash does not complete the profile: $(cat "$work/log")"
  # The memory of a groatd that its user cannot read is root's (proc(5)).
  [ "$(stat -c %u "/proc/$daemon/mem")" = 0 ] || die "the memory of groatd belongs to its user"

  # The upgrade leaves the daemon alone; groat restart replaces it, and it has its credentials.
  copy "$two"
  in_tree dpkg -i /tmp/groat.deb >"$work/log" 2>&1 || die "upgrade: $(tail -n 3 "$work/log")"
  [ "$(pid)" = "$daemon" ] || die "the upgrade has ended groatd"
  [ "$(alice groat --version)" = "groat 1.1.0, protocol 1" ] || die "the upgrade brought no new version"
  [ "$(alice groat get work 2>"$work/log")" = "$token" ] || die "after the upgrade: $(cat "$work/log")"
  alice groat restart >"$work/log" 2>&1 || die "groat restart: $(cat "$work/log")"
  [ -n "$(pid)" ] && [ "$(pid)" != "$daemon" ] || die "groat restart has not replaced groatd"
  pid >"$work/pid"
  daemon=$(pid)
  token=$(alice groat get work 2>"$work/log") || die "after groat restart: $(cat "$work/log")"
  alice groat status --json | grep -q '"release":"1.1.0"' || die "after groat restart the old groatd runs"

  # The removal leaves the daemon and what it keeps; nothing else of the package is left.
  before=$(kept)
  [ -n "$before" ] || die "nothing is kept"
  in_tree dpkg -P groat >"$work/log" 2>&1 || die "dpkg -P: $(tail -n 3 "$work/log")"
  [ "$(pid)" = "$daemon" ] || die "the removal has ended groatd"
  [ "$(kept)" = "$before" ] || die "the removal has changed what groat keeps"
  left=$(find "$tree/usr" "$tree/etc" "$tree/var/lib/systemd" -name '*groat*' 2>/dev/null || true)
  [ -z "$left" ] || die "the removal has left $left"

  # Installed again it goes on where it was, with the daemon and, once that has ended, with a new one.
  in_tree dpkg -i /tmp/groat.deb >"$work/log" 2>&1
  [ "$(alice groat get work 2>"$work/log")" = "$token" ] || die "installed again: $(cat "$work/log")"
  alice groat stop >"$work/log" 2>&1 || die "groat stop: $(cat "$work/log")"
  [ -z "$(pid)" ] || die "groat stop has ended nothing"
  alice groat get work >"$work/log" 2>&1 || die "a new groatd: $(cat "$work/log")"
  pid >"$work/pid"
  alice groat stop >"$work/log" 2>&1
  rm "$work/pid"
  umount "$tree/proc"
  umount -l "$tree/dev"
  rm -rf --one-file-system "$tree"
}
for suite in bookworm trixie; do
  prove "$suite"
done
echo "ok two builds equal, lintian clean; in a clean Debian 12 and 13 two commands and $took s from the package" \
  "to a token, upgraded under a running groatd, removed, installed again"
