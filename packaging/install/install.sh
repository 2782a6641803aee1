#!/bin/sh
# Installs what "make build" has made, and removes it again: what "make install" and "make uninstall" run.
#
#   install.sh install|uninstall BIN PREFIX [DESTDIR]
#
# BIN is the directory with the programs. PREFIX is where they will be used, /usr/local for all users and ~/.local for
# one. The files go below DESTDIR, which packages set. Programs that run go on running: a file is replaced as a whole,
# and no service is started, stopped or enabled.
set -eu

die() { echo "install.sh: error: $1" >&2; echo "install.sh: hint: $2" >&2; exit 1; }

usage="make install PREFIX=/usr/local"
[ $# = 3 ] || [ $# = 4 ] || die "it takes three or four arguments" "$usage"
verb=$1 bin=$2 prefix=${3%/} dest=${4:-}
here=$(cd "$(dirname "$0")" && pwd)

# The prefix stands in a unit, where systemd gives a meaning to some characters.
case $prefix in
  /*) ;;
  *) die "PREFIX is not an absolute path: $3" "$usage" ;;
esac
case $prefix in
  *[!A-Za-z0-9/._+@-]*) die "PREFIX has a character other than A-Z a-z 0-9 / . _ + @ -" "$usage" ;;
esac
case $dest in
  ''|/*) ;;
  *) dest=$PWD/$dest ;;
esac

# Where systemd looks for units of users (systemd.unit(5)): in these two below lib, and in ~/.local below share.
units=$prefix/share/systemd/user
case $prefix in
  /usr|/usr/local) units=$prefix/lib/systemd/user ;;
esac
doc=$prefix/share/doc/groat

# files calls "file MODE SOURCE TARGET" for each file, and "link TARGET" for each name that is a link to groat.
files() {
  file 755 "$bin/groat" "$prefix/bin/groat"
  file 755 "$bin/groat-commands" "$prefix/bin/groat-commands"
  # Not readable: the kernel then protects the memory of groatd from its first instruction on (proc(5), dumpable). It is
  # root's where root installs it, which the protection needs.
  file 711 "$bin/groatd" "$prefix/bin/groatd"
  for of in git docker cargo; do
    link "$prefix/bin/$of-credential-groat"
  done
  if [ "$(uname)" = Darwin ]; then
    file 644 "$here/../launchd/io.groat.groatd.plist" "$prefix/share/groat/io.groat.groatd.plist"
  else
    file 644 "$here/../systemd/groatd.service" "$units/groatd.service"
    file 644 "$here/../systemd/groatd.socket" "$units/groatd.socket"
  fi
  for page in man1/groat.1 man5/groat-config.5 man7/groat-protocol.7 man8/groatd.8; do
    file 644 "$bin/share/man/$page" "$prefix/share/man/$page"
  done
  for script in bash-completion/completions/groat zsh/site-functions/_groat fish/vendor_completions.d/groat.fish; do
    file 644 "$bin/share/$script" "$prefix/share/$script"
  done
  for text in LICENSE README.md CHANGELOG.md SECURITY.md packaging/INSTALL.md packaging/ELSEWHERE.md; do
    file 644 "$here/../../$text" "$doc/$text" # as deep as in the checkout: the links between them lead there
  done
}

# put MODE SOURCE TARGET [SCRIPT] replaces a file by another one, which sed edits by a script. Whoever reads it sees the
# old one or the new one. It is made in a new directory beside it, where no link can lead it elsewhere.
put() {
  make_way "$3"
  if [ $# = 4 ]; then sed "$4" "$2" >"$new/file"; else cat "$2" >"$new/file"; fi
  chmod "$1" "$new/file"
  mv -f "$new/file" "$dest$3"
  rmdir "$new"
}
new=
trap '[ -z "$new" ] || rm -rf "$new"' EXIT

# make_way TARGET makes the directory of a target, and in it the new directory $new.
make_way() {
  [ -d "$dest${1%/*}" ] || mkdir -p "$dest${1%/*}"
  new=$(mktemp -d "$dest${1%/*}/.groat.XXXXXX")
}

# removed_dir removes a directory of groat's own once it is empty.
removed_dir() { rmdir "$dest$1" 2>/dev/null || true; }

case $verb in
  install)
    [ -x "$bin/groatd" ] || die "$bin has no groatd yet" "make build"
    [ -d "$bin/share" ] || die "$bin/share has no manual yet" "make build"
    umask 022
    # What stands in the way is found before anything is written.
    file() { [ ! -d "$dest$3" ] || die "$dest$3 is a directory" "mv $dest$3 $dest$3.before"; }
    link() {
      [ ! -e "$dest$1" ] || [ "$(readlink "$dest$1")" = groat ] ||
        die "$dest$1 is not groat's" "mv $dest$1 $dest$1.before"
    }
    files
    file() {
      case $3 in
        */groatd.service) put "$1" "$2" "$3" "s|^ExecStart=.*|ExecStart=$prefix/bin/groatd|" ;;
        *.plist) put "$1" "$2" "$3" "s|/usr/local/bin/groatd|$prefix/bin/groatd|" ;;
        *) put "$1" "$2" "$3" ;;
      esac
    }
    link() {
      make_way "$1"
      ln -s groat "$new/link"
      mv -f "$new/link" "$dest$1"
      rmdir "$new"
    }
    files
    echo "installed in $dest$prefix"
    case :$PATH: in
      *:"$prefix/bin":*) ;;
      *) [ -n "$dest" ] || echo "$prefix/bin is not on your PATH: export PATH=\"$prefix/bin:\$PATH\"" ;;
    esac
    ;;
  uninstall)
    found=
    file() { [ ! -e "$dest$3" ] && [ ! -L "$dest$3" ] || { found=yes; rm -f "$dest$3"; }; }
    link() { [ "$(readlink "$dest$1")" != groat ] || { found=yes; rm -f "$dest$1"; }; }
    files
    if [ -z "$found" ]; then
      echo "nothing of groat is in $dest$prefix; \"make uninstall\" takes the PREFIX of \"make install\""
      exit
    fi
    removed_dir "$doc/packaging"
    removed_dir "$doc"
    [ "$(uname)" != Darwin ] || removed_dir "$prefix/share/groat"
    echo "removed from $dest$prefix; profiles and credentials stay, and a groatd that runs goes on"
    ;;
  *) die "it knows install and uninstall, not $verb" "$usage" ;;
esac
