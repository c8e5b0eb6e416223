#!/bin/sh
# Runs a program like a container: in a root of its own that it cannot write to, as a user of its own without any
# capability, with an empty /tmp and one volume, /data. It shares the network of this machine.
#
# usage: contain.sh ROOT VOLUME USER PROGRAM [ARGUMENT...]
#
# ROOT has the folders data and proc, which a container's runtime would add.
set -eu

root=$1
volume=$2
user=$3
shift 3

# The shell within gets the root as $0.
# shellcheck disable=SC2016
exec setpriv --no-new-privs unshare --user --map-root-user --mount sh -euc '
  root=$0
  volume=$1
  user=$2
  shift 2
  mount --bind "$root" "$root"
  mount -o remount,bind,ro "$root"
  mount -t tmpfs -o size=64m,mode=1777 tmpfs "$root/tmp"
  mount --bind "$volume" "$root/data"
  mount --rbind /proc "$root/proc"
  exec unshare --user --map-user="$user" --map-group="$user" --root="$root" "$@"
' "$root" "$volume" "$user" "$@"
