#!/bin/sh
# Runs a program like Lambda: it keeps its environment variables, and can write only below /tmp.
#
# usage: confine.sh namespace|user|none PROGRAM [ARGUMENT...]
#
#   namespace   everything is mounted read-only, /tmp is an empty file system of 512 MiB, and the
#               program is where Lambda puts it, as far as a mount point allows: /mnt/bootstrap
#   user        as a user who owns nothing, on machines that do not permit the above
#   none        no restriction
set -eu

confinement=$1
program=$2
shift 2

case $confinement in
namespace)
  # The shell within gets the program's path as $0.
  # shellcheck disable=SC2016
  exec unshare --user --map-root-user --mount sh -euc '
    mount --bind "$(dirname "$0")" /mnt
    while read -r _ place kind options _; do
      case $kind in proc | devpts | mqueue) continue ;; esac
      case ",$options," in *,ro,*) continue ;; esac
      mount -o remount,bind,ro "$place" 2>/dev/null || true
    done </proc/self/mounts
    mount -t tmpfs -o size=512m tmpfs /tmp
    cd /mnt
    exec "/mnt/$(basename "$0")" "$@"
  ' "$program" "$@"
  ;;
user)
  exec setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs "$program" "$@"
  ;;
none)
  exec "$program" "$@"
  ;;
*)
  echo "confine.sh: $confinement is not a confinement" >&2
  exit 2
  ;;
esac
