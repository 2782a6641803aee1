#!/usr/bin/env bash
# A real systemd user manager for an ordinary user, with its own journal and D-Bus user bus, on any machine: PID 1 of the
# machine may be something else. Everything lives in private mount, pid, ipc and cgroup namespaces and ends with this
# script's standard input, so that nothing outlives the test that started it and nothing of the machine is changed.
# Needs root. The network is the machine's own.
#
#   systemd-user.sh DIR      runs the manager; prints "READY PID" once it is up, PID being PID 1 of the namespaces
#   systemd-user.sh enter PID CMD...        runs CMD inside as that user
#   systemd-user.sh enter-root PID CMD...   runs CMD inside as root: to read the journal, to be another user
#   systemd-user.sh again PID               ends the manager, as at a shutdown, and waits until it has started anew
#
# Inside, the user is "tester", uid 4242, home /home/tester, empty, who lingers; DIR must be reachable by everyone.
#
# GROAT_SYSTEMD_TREE=TREE boots a copy of a whole system in place of that, in systemd-nspawn: its own systemd is PID 1,
# and logind starts the user manager. "again" is a reboot.
set -euo pipefail
uid=4242

# nspawn_of PID prints the systemd-nspawn that a process or a child of it has started, if there is one.
nspawn_of() {
  local child
  for child in $(cat "/proc/$1/task/$1/children"); do
    if [ "$(cat "/proc/$child/comm")" = systemd-nspawn ]; then echo "$child"; else nspawn_of "$child"; fi
  done 2>/dev/null
}

# init PID prints PID 1 of what was started: a booted system's own, or the one of our namespaces.
init() {
  local nspawn pid=$1
  nspawn=$(nspawn_of "$1")
  [ -z "$nspawn" ] || read -r pid _ < <(cat "/proc/$nspawn/task/$nspawn/children"; echo)
  echo "$pid"
}

enter() { # PID AS... -- the environment is the one a login would have made, nothing of ours
  local pid
  pid=$(init "$1")
  shift
  exec nsenter --target "$pid" --mount --pid --ipc --cgroup --root --wdns=/ -- "$@"
}

clean=(env -i PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 SYSTEMD_COLORS=0 SYSTEMD_PAGER=)
tester=(setpriv --reuid $uid --regid $uid --clear-groups
  "${clean[@]}" HOME=/home/tester USER=tester LOGNAME=tester SHELL=/bin/bash
  XDG_RUNTIME_DIR=/run/user/$uid "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/$uid/bus")

# await SECONDS CMD...: until CMD succeeds. For what a foreign process does and does not announce.
await() {
  local until=$((SECONDS + $1))
  shift
  until "$@"; do
    if [ $SECONDS -ge $until ]; then
      echo "${0##*/}: gave up waiting for: $*" >&2
      return 1
    fi
    sleep 0.02
  done
}

# outer: in a mount namespace of its own; makes the control group and starts everything else inside it. The group is the
# only thing made outside the namespaces, and is removed again.
outer() {
  local dir=$1 group rc=0
  mount --make-rprivate /
  mkdir -p "$dir/cgroup"
  mount -t cgroup2 cgroup2 "$dir/cgroup"
  group=$dir/cgroup/groat-test-$$
  mkdir "$group"
  (
    echo "$BASHPID" >"$group/cgroup.procs"
    exec unshare --mount --pid --ipc --cgroup --fork --kill-child=KILL -- \
      "$BASH" "$0" "$([ -n "${GROAT_SYSTEMD_TREE:-}" ] && echo inner-boot || echo inner)" "$dir"
  ) || rc=$?
  # Freed a moment after the last process of the group is gone.
  await 5 eval '! [ -d "$group" ] || find "$group" -depth -type d -exec rmdir {} + 2>/dev/null' || true
  return $rc
}

# inner: PID 1 of the namespaces. It makes what PID 1 and logind would have made, no more.
inner() {
  local dir=$1 pid name
  read -r pid _ </proc/self/stat # still the machine's /proc: our pid as the machine sees it
  mount -t proc proc /proc
  umount "$dir/cgroup"
  mount -t cgroup2 cgroup2 /sys/fs/cgroup # the unified hierarchy, whatever the machine itself has
  mount -t tmpfs -o mode=755 tmpfs /run
  mount -t tmpfs -o mode=755 tmpfs /home
  # sd_booted() looks for the first; journald stays in memory without its "flushed" mark.
  mkdir -p /run/systemd/system /run/systemd/journal
  install -d -m 700 -o $uid -g $uid /run/user/$uid /home/tester
  for name in passwd group; do cp "/etc/$name" "$dir/$name"; done
  echo "tester:x:$uid:$uid::/home/tester:/bin/bash" >>"$dir/passwd"
  echo "tester:x:$uid:" >>"$dir/group"
  for name in passwd group; do mount --bind "$dir/$name" "/etc/$name"; done

  in_group system.slice/systemd-journald.service 0 /lib/systemd/systemd-journald &
  await 10 test -S /run/systemd/journal/stdout
  # The journal derives the unit's name from this path, the one logind would have made.
  while :; do
    in_group "user.slice/user-$uid.slice/user@$uid.service" $uid "${tester[@]}" /lib/systemd/systemd --user --log-target=journal ||
      true
    find "/run/user/$uid" -mindepth 1 -delete
  done &
  await 20 is_up
  echo "READY $pid"
  cat >/dev/null # until our starter is gone; then the kernel ends everything in here
}

# is_up: the manager has started; "degraded" (a unit of the machine's failed) is good enough.
is_up() {
  local state
  state=$(timeout 30 "${as[@]}" "${tester[@]}" systemctl --user is-system-running --wait 2>/dev/null) || true
  [ "$state" = running ] || [ "$state" = degraded ]
}
as=() # how to be inside

# inner_boot: PID 1 of namespaces around a system that boots. It makes what systemd-nspawn needs of a machine that may
# have another PID 1, no more.
inner_boot() {
  local dir=$1 pid root=$1/root
  read -r pid _ </proc/self/stat
  mount -t proc proc /proc
  umount "$dir/cgroup"
  ! mountpoint -q /sys/fs/cgroup || umount -R /sys/fs/cgroup
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  mount -t tmpfs -o mode=755 tmpfs /run
  mkdir -p /run/systemd/system "$root" "$dir/layers"
  mount -t tmpfs tmpfs "$dir/layers"
  mkdir "$dir/layers/upper" "$dir/layers/work"
  mount -t overlay -o "lowerdir=$GROAT_SYSTEMD_TREE,upperdir=$dir/layers/upper,workdir=$dir/layers/work" overlay "$root"
  echo "tester:x:$uid:$uid::/home/tester:/bin/bash" >>"$root/etc/passwd"
  echo "tester:x:$uid:" >>"$root/etc/group"
  echo 'tester:*:19000::::::' >>"$root/etc/shadow"
  install -d -m 700 -o $uid -g $uid "$root/home/tester"
  install -d "$root/var/lib/systemd/linger"
  touch "$root/var/lib/systemd/linger/tester"
  while :; do
    SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 systemd-nspawn --quiet --register=no --keep-unit --boot --directory="$root" \
      --bind=/tmp --resolv-conf=off --link-journal=no --console=pipe systemd.show_status=0 </dev/null >"$dir/boot" 2>&1 ||
      [ $? = 133 ] || break # 133: it reboots
  done &
  await 60 is_up_in 1 || { cat "$dir/boot" >&2; return 1; }
  echo "READY $pid"
  cat >/dev/null
}

# is_up_in PID: the same within what was started.
is_up_in() {
  as=(nsenter --target "$(init "$1")" --mount --pid --ipc --cgroup --root --wdns=/ --)
  [ "${as[2]}" != 1 ] && is_up
}

# again PID: see above.
again() {
  local before now
  before=$("$0" enter "$1" systemctl --user show --value -p UserspaceTimestamp -p UserspaceTimestampMonotonic)
  if [ "$(init "$1")" = "$1" ]; then
    "$0" enter "$1" systemctl --user exit || true
  else
    "$0" enter-root "$1" systemctl reboot || true
  fi
  anew() {
    now=$("$0" enter "$1" systemctl --user show --value -p UserspaceTimestamp -p UserspaceTimestampMonotonic 2>/dev/null) &&
      [ -n "$now" ] && [ "$now" != "$before" ] || return 1
    is_up_in "$1"
  }
  await 60 anew "$1"
}

# in_group GROUP OWNER CMD...: becomes CMD in a new control group that OWNER may manage.
in_group() {
  local group=/sys/fs/cgroup/$1 owner=$2
  shift 2
  mkdir -p "$group"
  chown "$owner:$owner" "$group" "$group"/cgroup.{procs,subtree_control,threads}
  (
    echo 0 >"$group/cgroup.procs"
    exec "$@" </dev/null >/dev/null 2>&1
  )
}

case ${1:?DIR, enter, enter-root or again} in
enter) shift; pid=$1; shift; enter "$pid" "${tester[@]}" "$@" ;;
enter-root) shift; pid=$1; shift; enter "$pid" "${clean[@]}" HOME=/root "$@" ;;
inner) inner "$2" ;;
inner-boot) inner_boot "$2" ;;
again) again "$2" ;;
outer) outer "$2" ;;
*)
  [ "$(id -u)" = 0 ] || { echo "${0##*/}: needs root for namespaces of its own" >&2; exit 1; }
  exec unshare --mount -- "$BASH" "$0" outer "$(cd "$1" && pwd)"
  ;;
esac
