#!/usr/bin/env bash
# A real Secret Service for tests: gnome-keyring-daemon on a session bus of its own. No display, no tty, no systemd, nothing
# of the person who runs it is read or written: everything lives in DIR.
#
#   secret-service.sh start DIR [PID]   bus and keyring, unlocked; prints shell lines to source; with PID, all of it ends
#                                       when that process does
#   secret-service.sh start-bus DIR [PID]   a bus that nobody answers on for org.freedesktop.secrets
#   secret-service.sh start-keyring DIR     the keyring again after kill-keyring: same bus, same data
#   secret-service.sh kill-keyring DIR      SIGKILL
#   secret-service.sh kill-bus DIR          SIGKILL to the bus, and to the keyring that stands alone then
#   secret-service.sh start-again DIR       both again: same address, same data
#   secret-service.sh pause|resume DIR      SIGSTOP and SIGCONT to the keyring: a service that does not answer
#   secret-service.sh lock|unlock DIR       the login collection; unlock works as PAM does it, without a prompt
#   secret-service.sh fill|free DIR         the keyring's file system, for which DISK must have been set
#   secret-service.sh read-only|read-write DIR   the same
#   secret-service.sh stop DIR
#
# PROMPTER=FILE lets the bus start FILE as the system prompter, for tests of what asks a person and what must not.
# BLANK=1 makes the login collection one without a password, which is locked after each start and needs no person.
# DISK=64k puts the keyring's files on a file system of that size (as root only).
set -euo pipefail

die() { echo "secret-service.sh: $*" >&2; exit 1; }

command=${1:?command} dir=${2:?directory} owner=${3:-}
for tool in dbus-daemon gnome-keyring-daemon gdbus python3; do
  command -v "$tool" >/dev/null || die "$tool is missing: run packaging/testing/install.sh"
done
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
password=a-password-for-tests
bus=$dir/bus.sock
export DBUS_SESSION_BUS_ADDRESS=unix:path=$bus

# A pid file is "pid starttime", so that a pid used again by another process is never signalled. A zombie counts as gone.
born() { awk '{ sub(/^.*\) /, ""); if ($1 != "Z") print $20 }' "/proc/$1/stat" 2>/dev/null || true; }
note() { echo "$2 $(born "$2")" >"$dir/$1.pid"; }
pid_of() {
  local pid start
  read -r pid start 2>/dev/null <"$dir/$1.pid" || return 1
  [ -n "$start" ] && [ "$(born "$pid")" = "$start" ] && echo "$pid"
}
end() {
  local pid signal
  for signal in "${2:-TERM}" KILL; do
    pid=$(pid_of "$1") || break
    kill -"$signal" "$pid" 2>/dev/null || true
    [ "$signal" = KILL ] || kill -CONT "$pid" 2>/dev/null || true # a paused process would never see the signal
    until_true 2 gone "$1" || true
  done
  rm -f "$dir/$1.pid"
}
gone() { ! pid_of "$1" >/dev/null; }
until_true() { # SECONDS COMMAND...
  local tries=$(($1 * 50))
  shift
  for ((; tries > 0; tries--)); do
    "$@" && return 0
    sleep 0.02
  done
  return 1
}

call() { timeout "$1" gdbus call --session --timeout "$1" --dest "$2" --object-path "$3" --method "${@:4}" 2>/dev/null; }
secrets=org.freedesktop.secrets collection=/org/freedesktop/secrets/collection/login
has_bus() { call 1 org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus.GetId >/dev/null; }
has_service() { call 1 org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus.NameHasOwner $secrets | grep -q true; }
is_unlocked() {
  call 2 $secrets $collection org.freedesktop.DBus.Properties.Get org.freedesktop.Secret.Collection Locked | grep -q false
}

start_bus() {
  # No standard service directory: the bus must not bring the person's own keyring up behind the test's back.
  local services=
  if [ -n "${PROMPTER:-}" ]; then
    mkdir -p "$dir/services"
    printf '[D-BUS Service]\nName=org.gnome.keyring.SystemPrompter\nExec=%s\n' "$PROMPTER" >"$dir/services/prompter.service"
    services="<servicedir>$dir/services</servicedir>"
  fi
  cat >"$dir/bus.conf" <<XML
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=$bus</listen>
  <auth>EXTERNAL</auth>
  $services
  <policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy>
</busconfig>
XML
  setsid dbus-daemon --config-file="$dir/bus.conf" --nofork --nopidfile --nosyslog </dev/null >"$dir/bus.log" 2>&1 &
  note bus $!
  until_true 5 has_bus || die "the bus did not start: $(cat "$dir/bus.log")"
}

start_keyring() {
  mkdir -p "$dir/home" "$dir/data"
  mkdir -p -m 700 "$dir/control"
  if [ -n "${DISK:-}" ]; then mount -t tmpfs -o "size=$DISK,mode=700" groat-test "$dir/data"; fi
  local ordinary=()
  # To root no file is closed. To this one they are, as to everybody else.
  if [ "$(id -u)" = 0 ]; then ordinary=(setpriv --bounding-set=-dac_override,-dac_read_search,-fowner); fi
  # The password ends with the input; a newline would be part of it. The first start creates the login collection.
  local opening=(--unlock) input=$password
  if [ -n "${BLANK:-}" ]; then
    opening=() input=
    mkdir -p -m 700 "$dir/data/keyrings"
    [ -e "$dir/data/keyrings/login.keyring" ] ||
      printf '[keyring]\ndisplay-name=login\nctime=0\nmtime=0\nlock-on-idle=false\nlock-after=false\n' >"$dir/data/keyrings/login.keyring"
  fi
  HOME=$dir/home XDG_DATA_HOME=$dir/data XDG_RUNTIME_DIR=$dir DISPLAY='' WAYLAND_DISPLAY='' \
    setsid "${ordinary[@]}" gnome-keyring-daemon --foreground "${opening[@]}" --components=secrets --control-directory="$dir/control" \
    < <(printf %s "$input") >"$dir/keyring.log" 2>&1 &
  note keyring $!
  until_true 5 has_service || die "gnome-keyring-daemon did not take its name: $(cat "$dir/keyring.log")"
  [ -n "${BLANK:-}" ] || until_true 5 is_unlocked || die "the login collection stays locked: $(cat "$dir/keyring.log")"
}

stop() {
  end keyring
  end bus
  if mounted; then umount "$dir/data"; fi
  rm -rf "$bus" "$dir/control"
  if [ "$(pid_of watch || true)" = $$ ]; then rm -f "$dir/watch.pid"; else end watch KILL; fi
}

mounted() { grep -qs "^groat-test $dir/data " /proc/mounts; }
disk() { mounted || die "the keyring has no file system of its own: set DISK at the start"; }

watch() { # end everything with the process that asked for it
  [ -n "$owner" ] || return 0
  setsid bash -c 'tail --pid="$1" -f /dev/null; exec "$2" stop "$3"' _ "$owner" "$(readlink -f "$0")" "$dir" </dev/null >/dev/null 2>&1 &
  note watch $!
}

# The keyring's control socket, operation 1 (unlock): what pam_gnome_keyring does at a login.
unlock() {
  python3 - "$dir/control/control" "$password" <<'PYTHON'
import socket, struct, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(5)
s.connect(sys.argv[1])
password = sys.argv[2].encode()
s.sendall(b"\0" + struct.pack(">III", 12 + len(password), 1, len(password)) + password)
answer = b""
while len(answer) < 8:
    part = s.recv(8 - len(answer))
    if not part:
        sys.exit("the control socket closed")
    answer += part
sys.exit(struct.unpack(">II", answer)[1])
PYTHON
}

case $command in
start | start-bus)
  stop
  start_bus
  [ "$command" = start-bus ] || start_keyring
  watch
  printf 'export DBUS_SESSION_BUS_ADDRESS=%s\nunset DISPLAY WAYLAND_DISPLAY\n' "$DBUS_SESSION_BUS_ADDRESS"
  ;;
start-keyring) start_keyring ;;
kill-keyring) end keyring KILL ;;
kill-bus)
  end bus KILL
  end keyring KILL
  ;;
start-again)
  rm -f "$bus"
  start_bus
  start_keyring
  ;;
fill) disk && { dd if=/dev/zero of="$dir/data/filler" bs=1k 2>/dev/null || true; } ;;
free) disk && rm -f "$dir/data/filler" ;;
read-only) disk && mount -o remount,ro "$dir/data" ;;
read-write) disk && mount -o remount,rw "$dir/data" ;;
pause) kill -STOP "$(pid_of keyring)" ;;
resume) kill -CONT "$(pid_of keyring)" ;;
lock) call 5 $secrets /org/freedesktop/secrets org.freedesktop.Secret.Service.Lock "['$collection']" ;;
unlock) unlock && until_true 5 is_unlocked ;;
stop) stop ;;
*) die "unknown command $command" ;;
esac
