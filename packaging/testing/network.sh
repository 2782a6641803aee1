#!/bin/sh
# network.sh NAME PREFIX COUNT: COUNT network namespaces NAME-1 … on one switch, with the addresses PREFIX.1 …; this
# machine's is PREFIX.254. They are gone when the standard input ends. Needs root.
set -eu
name=$1 prefix=$2 count=$3
all=$(seq "$count")

clean() {
  for i in $all; do
    ip netns delete "$name-$i" 2>/dev/null || true
  done
  ip link delete "$name" 2>/dev/null || true
}
trap clean EXIT
trap 'exit 1' HUP INT TERM

ip link add "$name" type bridge
ip address add "$prefix.254/24" dev "$name"
ip link set "$name" up
for i in $all; do
  ip netns add "$name-$i"
  ip link add "$name.$i" type veth peer name eth0 netns "$name-$i"
  ip link set "$name.$i" master "$name" up
  ip -n "$name-$i" link set lo up
  ip -n "$name-$i" link set eth0 up
  ip -n "$name-$i" address add "$prefix.$i/24" dev eth0
done
echo "READY $prefix"
cat >/dev/null
