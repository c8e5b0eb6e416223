"""Runs a program with a folder as its root, as nobody, and with an empty environment. For scripts/test-release, which
calls it in namespaces of their own for mounts and network, where it is root.

usage: isolate.py ROOT PROGRAM [ARGUMENT...]
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import sys

# From linux/if.h, linux/sockios.h and sys/mount.h.
IFF_UP, IFF_RUNNING = 0x1, 0x40
SIOCSIFFLAGS = 0x8914
BIND, RECURSIVE = 4096, 16384

NOBODY = 65534
# What any container has. Without a namespace of processes, /proc is that of the machine.
PLACES = ("/proc", "/dev/null")


def main() -> None:
    root, program, *arguments = sys.argv[1:]
    turn_loopback_on()
    for place in PLACES:
        mount(place, f"{root}{place}")
    # In a user namespace with a single user there is nobody else to become. Python finds nothing of its own once the
    # root is another.
    alone = has_one_user()
    os.chroot(root)
    os.chdir("/home")
    if not alone:
        become_nobody()
    os.execve(program, [program, *arguments], {"HOME": "/home", "PATH": "/nowhere"})


def turn_loopback_on() -> None:
    """A new network has a loopback that is off."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH14x", b"lo", IFF_UP | IFF_RUNNING)
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, request)


def mount(source: str, place: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(source.encode(), place.encode(), None, BIND | RECURSIVE, None):
        raise OSError(ctypes.get_errno(), "cannot be mounted", place)


def has_one_user() -> bool:
    with open("/proc/self/uid_map", encoding="ascii") as users:
        return users.read().split()[2] == "1"


def become_nobody() -> None:
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


if __name__ == "__main__":
    main()
