#!/usr/bin/env bash
# Programs of Debian 13 (trixie), for "make proof": git 2.46 and later can send other things than a user name and a password
# (git-credential(1), authtype), and GDAL 3.10 can send a header to some addresses only.
#
#   newer-debian.sh install PROGRAM PACKAGE…    makes a tree of Debian 13, once, with the packages in it, and prints the
#                                               path of a program that runs the tree's
#
# The tree is in the user's cache directory. The program runs the one in it, as root: with this machine's network, /tmp, /dev
# and /proc, and with the caller's environment; nothing on the machine is changed.
set -euo pipefail

die() { echo "newer-debian.sh: $*" >&2; exit 1; }

[ $# -ge 3 ] && [ "$1" = install ] || die "usage: newer-debian.sh install PROGRAM PACKAGE…"
[ "$(id -u)" = 0 ] || die "a tree of another Debian needs root"
name=$2
shift 2

cache=${XDG_CACHE_HOME:-$HOME/.cache}/groat-testing
tree=$cache/trixie
log=$(mktemp)
trap 'rm -rf "$log" "$tree.new"' EXIT
[ -x "$tree/usr/bin/apt-get" ] || clean=$("$(dirname "${BASH_SOURCE[0]}")/debian-tree.sh" trixie) || exit
mkdir -p "$cache"
exec 9<"$cache"
flock 9

if ! [ -x "$tree/usr/bin/apt-get" ]; then
  rm -rf "$tree"
  cp -a "$clean" "$tree.new"
  mv "$tree.new" "$tree"
fi

program=$cache/$name
cat >"$program.new" <<PROGRAM
#!/bin/sh
exec /usr/bin/unshare --mount --propagation private /bin/sh -c '
  mount --rbind /tmp "\$0/tmp" && mount --rbind /dev "\$0/dev" && mount -t proc proc "\$0/proc" &&
  exec /usr/sbin/chroot "\$0" "\$@"' '$tree' "\${GROAT_IN_TREE:-/usr/bin/$name}" "\$@"
PROGRAM
chmod 755 "$program.new"
mv "$program.new" "$program"

states=$(dpkg-query --admindir="$tree/var/lib/dpkg" -W -f='${db:Status-Status}\n' "$@" 2>/dev/null || true)
if [ "$(grep -cx installed <<<"$states")" != $# ]; then
  cp -L /etc/resolv.conf "$tree/etc/resolv.conf"
  { GROAT_IN_TREE=/usr/bin/apt-get "$program" update -qq
    GROAT_IN_TREE=/usr/bin/apt-get DEBIAN_FRONTEND=noninteractive "$program" install -qq -y --no-install-recommends "$@"
  } >"$log" 2>&1 </dev/null || die "these packages of Debian 13 cannot be had: $*: $(tail -n 1 "$log")"
fi
echo "$program"
