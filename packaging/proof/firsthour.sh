#!/usr/bin/env bash
# From nothing to the first token, on six kinds of place, each a fresh tree of Debian: what "make proof PART=firsthour" runs.
# It prints a line for each place: how many commands a person types, how long they take, and the commands. Needs root, Go,
# git, Python and an ssh client.
#
#   firsthour.sh
#
# The server of the provider is one of this machine's, which knows one person; its address is left out of the commands that
# are shown.
set -euo pipefail

die() { echo "firsthour.sh: $*" >&2; exit 1; }
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$here/../..
uid=64124 # of nobody else on this machine
name=you@example.com password=dummy-password

# enter makes the tree of a place: a copy of one of Debian's that is gone with this process, with a person in it.
enter() {
  local lower
  lower=$("$root/packaging/testing/debian-tree.sh" "$@") || exit
  tree=$work/tree
  mkdir -p "$work/layers" "$tree"
  mount -t tmpfs tmpfs "$work/layers"
  mkdir "$work/layers/upper" "$work/layers/work"
  mount -t overlay -o "lowerdir=$lower,upperdir=$work/layers/upper,workdir=$work/layers/work" overlay "$tree"
  mount -t proc proc /proc
  mount -t proc proc "$tree/proc"
  mount --rbind /dev "$tree/dev"
  in_tree useradd -K UID_MAX=65000 -m -u $uid -s /bin/bash -p '*' alice
  in_tree install -d -o alice -m 700 /run/user/$uid
  cp "$work"/packages/*.deb "$tree/root/groat.deb"
}

# in_tree CMD... and alice CMD... run a command as root, and as the person, whose session has the variables; run is what
# runs it.
session=(XDG_RUNTIME_DIR=/run/user/$uid)
alice() { in_tree runuser -u alice -- env -C /home/alice HOME=/home/alice USER=alice "${session[@]}" "$@"; }
in_tree() { "${run[@]}" chroot "$tree" /usr/bin/env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 TERM=xterm "$@"; }
run=()

# typed SHOWN CMD... runs what a person types, and takes its time.
count=0 took=0 shown=
typed() {
  local text=$1 from
  shift
  from=$(date +%s%3N)
  "$@" >"$work/said" 2>&1 || die "$text: $(cat "$work/said")"
  took=$((took + $(date +%s%3N) - from)) count=$((count + 1)) shown="${shown:+$shown; }\`$text\`"
}

# at_terminal PROMPT=ANSWER... -- alice|over_ssh CMD... runs a command at a terminal, where the person answers.
at_terminal() {
  local run=(python3 "$here/typist.py")
  while [ "$1" != -- ]; do run+=("$1"); shift; done
  run+=(--)
  "${@:2}"
}

# finished NAME KEYSTORE [NOTE] prints the line of a place, whose last command printed the token.
finished() {
  grep -qxE '[[:graph:]]{16,}' "$work/said" || die "$1: no token: $(cat "$work/said")"
  [ -z "$2" ] || alice groat keystore --json 2>&1 | grep -q "$2" || die "$1: another keystore: $(alice groat keystore)"
  printf 'place: %s: %d commands, %d.%d s%s: %s\n' "$1" $count $((took / 1000)) $((took % 1000 / 100)) "${3:-}" "$shown"
}

install_package() {
  typed "apt install ./groat.deb" in_tree env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y /root/groat.deb
}
groat_login=(groat login spatiafi)

# A desktop: the session has a bus, and its keychain was unlocked at the sign-in.
desktop() {
  enter bookworm dbus gnome-keyring libglib2.0-bin
  session+=(DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/$uid/bus)
  alice dbus-daemon --session --fork --address=unix:path=/run/user/$uid/bus
  printf dummy | alice gnome-keyring-daemon --unlock --components=secrets --daemonize >/dev/null
  install_package
  typed "groat login spatiafi" at_terminal "User name=$name" "assword=$password" -- alice "${groat_login[@]}"
  typed "groat get" alice groat get
  finished "desktop with a keychain" '"use":"keychain"'
}

# A server: no bus, no keychain. groat is installed from a build, and asks where to keep the credential.
server() {
  enter bookworm
  typed "make install PREFIX=/usr/local" make -s -C "$root" install BIN="$work/bin" PREFIX=/usr/local DESTDIR="$tree"
  typed "groat login spatiafi" at_terminal "User name=$name" "1, 2 or 3=2" "assword=$password" -- \
    alice "${groat_login[@]}"
  typed "groat get" alice groat get
  finished "server without a keychain" '"use":"sealed"'
}

# A container: a user id that has no name, a root that is read-only but for a volume; the secret comes from outside.
container() {
  enter bookworm
  typed "COPY groat groat-commands groatd /usr/bin/" \
    install -t "$tree/usr/bin" "$work/bin/groat" "$work/bin/groat-commands" "$work/bin/groatd"
  mkdir "$tree/run/secrets" "$tree/data"
  echo $password >"$tree/run/secrets/groat"
  mount -o remount,bind,ro "$tree" 2>/dev/null || mount -o remount,ro "$tree"
  mount -t tmpfs -o mode=1777 tmpfs "$tree/tmp"
  mount -t tmpfs -o mode=700,uid=54321 tmpfs "$tree/data"
  contained() { in_tree setpriv --reuid 54321 --regid 54321 --clear-groups env HOME=/data "$@"; }
  typed "groat login work --provider spatiafi --username $name --keystore memory --secret-stdin <secret" \
    contained sh -c 'exec "$@" </run/secrets/groat' - groat login work --provider spatiafi "${groat_login[@]:3}" \
    --username $name --keystore memory --secret-stdin
  typed "groat get" contained groat get
  finished "container, read-only, with a user id of its own" ""
}

# A machine that is reached by ssh, where the person has no session but those of ssh.
ssh_place() {
  local port
  enter bookworm openssh-server
  port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
  ssh-keygen -q -t ed25519 -N '' -f "$work/key"
  install -D -o $uid -m 600 "$work/key.pub" "$tree/home/alice/.ssh/authorized_keys"
  chown $uid "$tree/home/alice/.ssh"
  mkdir -p "$tree/run/sshd"
  in_tree /usr/sbin/sshd -p "$port" -o UsePAM=no -o ListenAddress=127.0.0.1
  over_ssh() {
    "${run[@]}" ssh -p "$port" -i "$work/key" -o IdentitiesOnly=yes -o StrictHostKeyChecking=accept-new \
      -o UserKnownHostsFile="$work/known" -o LogLevel=ERROR "$@"
  }
  install_package
  typed "ssh -t server groat login spatiafi" at_terminal "User name=$name" "1, 2 or 3=2" "assword=$password" -- \
    over_ssh -t alice@127.0.0.1 "${groat_login[*]}"
  typed "ssh server groat get" over_ssh alice@127.0.0.1 groat get
  session=()
  finished "ssh" '"use":"sealed"'
}

# A job of cron's, without a session and with nobody to ask.
cron_place() {
  local from
  enter bookworm cron
  session=()
  install_package
  typed "groat login spatiafi --keystore key-file" at_terminal "User name=$name" "assword=$password" -- \
    alice "${groat_login[@]}" --keystore key-file
  alice groat stop >"$work/log" 2>&1
  in_tree cron
  typed "crontab -" alice sh -c 'echo "* * * * * groat get >token 2>said" | crontab -'
  from=$(date +%s%3N)
  until [ -s "$tree/home/alice/token" ]; do
    [ $(($(date +%s%3N) - from)) -lt 130000 ] || die "cron: no token: $(cat "$tree/home/alice/said")"
    sleep 0.1
  done
  took=$((took + $(date +%s%3N) - from))
  cp "$tree/home/alice/token" "$work/said"
  finished "cron" '"use":"sealed"' " (up to 60 s of them until the minute is full)"
}

# The package of a newer Debian, by a script.
package() {
  enter trixie
  install_package
  echo $password >"$tree/home/alice/secret"
  typed "groat login work --provider spatiafi --username $name --keystore key-file --secret-stdin <secret" \
    alice sh -c 'exec "$@" <secret' - groat login work --provider spatiafi "${groat_login[@]:3}" --username $name \
    --keystore key-file --secret-stdin
  typed "groat get" alice groat get
  finished "package, by a script" '"use":"sealed"'
}

if [ "${1:-}" = at ]; then
  work=$3/$2
  mkdir "$work"
  ln -s ../packages ../bin "$work"
  groat_login+=(--auth-server "$4" --api "$4")
  "$2"
  exit
fi

[ "$(id -u)" = 0 ] || die "a tree of Debian needs root"
cd "$root"
work=$(mktemp -d)
server=
finish() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  rm -rf --one-file-system "$work"
}
trap finish EXIT
packaging/packages/packages.sh "$work/packages" 1.0.0 >"$work/log" 2>&1 || die "no packages: $(tail -n 3 "$work/log")"
make -s build BIN="$work/bin" >"$work/log" 2>&1 || die "no build: $(tail -n 3 "$work/log")"
go build -o "$work/serve" ./daemon/grant/sandbox/serve
"$work/serve" -addr 127.0.0.1:0 -user $name -password $password >"$work/url" &
server=$!
for _ in $(seq 100); do [ -s "$work/url" ] || sleep 0.1; done
url=$(head -n 1 "$work/url")
for place in desktop server container ssh_place cron_place package; do
  unshare --mount --pid --fork --kill-child --propagation private -- "$BASH" "$here/firsthour.sh" at $place "$work" "$url"
done | tee "$work/places"
[ "$(wc -l <"$work/places")" = 6 ] || die "a place is missing"
most=$(sed 's/.*: \([0-9]*\) commands,.*/\1/' "$work/places" | sort -n | tail -n 1)
echo "ok on six kinds of place from nothing to a token, with at most $most commands"
