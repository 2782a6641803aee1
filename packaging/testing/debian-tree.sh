#!/usr/bin/env bash
# Clean trees of Debian for "make proof": a suite, with nothing but what is asked for.
#
#   debian-tree.sh SUITE [PACKAGE…]    makes the tree, once, and prints its path
#
# The trees are in the user's cache directory, and stay as they are: who changes one works on a copy. The mirror is the one
# that this machine has its own packages from. Needs root.
set -euo pipefail

die() { echo "debian-tree.sh: $*" >&2; exit 1; }

[ $# -ge 1 ] || die "usage: debian-tree.sh SUITE [PACKAGE…]"
[ "$(id -u)" = 0 ] || die "a tree of Debian needs root"
suite=$1
shift

cache=${XDG_CACHE_HOME:-$HOME/.cache}/groat-testing
clean=$cache/clean-$suite
log=$(mktemp)
new=$cache/new-$suite-$$
finish() {
  ! mountpoint -q "$new/proc" || umount "$new/proc"
  rm -rf --one-file-system "$log" "$new"
}
trap finish EXIT
mkdir -p "$cache"
exec 9<"$cache"
flock 9

if ! [ -x "$clean/usr/bin/dpkg" ]; then
  if ! command -v debootstrap >/dev/null; then
    { apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends debootstrap; } \
      >"$log" 2>&1 </dev/null || die "the Debian package debootstrap cannot be had: $(tail -n 1 "$log")"
  fi
  # shellcheck disable=SC2016 # apt fills it in
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -m 1 '/debian/*$') ||
    die "apt knows no mirror of Debian"
  debootstrap --variant=minbase --include=ca-certificates "$suite" "$new" "$mirror" >"$log" 2>&1 </dev/null ||
    die "$suite cannot be had from $mirror: $(tail -n 1 "$log")"
  rm -rf "$clean"
  mv "$new" "$clean"
fi
[ $# != 0 ] || { echo "$clean"; exit; }

tree=$cache/clean-$suite-$(printf '%s\n' "$@" | sort | cksum | cut -d ' ' -f 1)
if ! [ -e "$tree" ]; then
  cp -a "$clean" "$new"
  cp -L /etc/resolv.conf "$new/etc/resolv.conf"
  printf '#!/bin/sh\nexit 101\n' >"$new/usr/sbin/policy-rc.d" # no service is started (invoke-rc.d(8))
  chmod 755 "$new/usr/sbin/policy-rc.d"
  mount -t proc proc "$new/proc"
  in_tree() { chroot "$new" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }
  { in_tree apt-get update -qq
    in_tree apt-get install -qq -y --no-install-recommends "$@"
  } >"$log" 2>&1 </dev/null || die "these packages of $suite cannot be had: $*: $(tail -n 1 "$log")"
  umount "$new/proc"
  rm "$new/usr/sbin/policy-rc.d"
  mv "$new" "$tree"
fi
echo "$tree"
