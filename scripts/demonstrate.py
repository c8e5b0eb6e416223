#!/usr/bin/env python3
"""Asks clerk-access what `make run` shows: what changed between the two newest snapshots, and who can do what.

usage: demonstrate.py PROGRAMS

PROGRAMS is the folder of clerk-sync and clerk-access. The snapshots are in ./out, where clerk-access looks by itself.
"""

import json
import shlex
import subprocess
import sys

# The right to manage an organization's members.
PERMISSION = "org:sys_memberships:manage"
# What says who can do what.
RESOURCES = "users,organizations,organization_roles,organization_permissions,organization_memberships"
# Characters in a line where there is no terminal.
WIDTH = 120


def main():
    program = f"{sys.argv[1]}/clerk-access"
    changes = json.loads(answer(program, "diff", "-o", "json"))["changes"]
    show(program, "diff")
    # Whoever was made administrator during the day.
    granted = [one for one in changes if one["event"] == "role_granted" and one["role"]["key"] == "org:admin"]
    promoted = [one for one in granted if one["pair"] in pairs(changes, "role_revoked")]
    if promoted:
        show(program, "who", address_of(program, promoted[0]["subject"]["id"]))
        show(program, "can", PERMISSION, "--in", promoted[0]["target"]["id"])
    print("Next:")
    print(f"  who has access?        {program} holders")
    print(f"  what to look at first  {program} findings")
    print(f"  is it all there?       {program} verify --all")
    print("  both on your PATH      make install")
    print("  the Lambda function    make run-lambda")
    print("  your own instance      read -rs CLERK_SECRET_KEY && export CLERK_SECRET_KEY")
    print(f"                         {sys.argv[1]}/clerk-sync sync --into ./mine --resources {RESOURCES}")


def pairs(changes, event):
    return {one["pair"] for one in changes if one["event"] == event}


def address_of(program, user_id):
    """The primary e-mail address of a user, as somebody would ask for them; the id if there is none."""
    people = json.loads(answer(program, "who", user_id, "-o", "json"))["people"]
    return next((one["user"]["profile"]["primary_email"] for one in people), None) or user_id


def answer(program, *words):
    return subprocess.run([program, *words], stdout=subprocess.PIPE, text=True, check=True).stdout


def show(program, *words):
    """Prints a question as it is typed, and its answer: on a terminal as wide as that is, elsewhere cut off."""
    print(f"$ clerk-access {shlex.join(words)}", flush=True)
    if sys.stdout.isatty():
        subprocess.run([program, *words, "-o", "table"], check=True)
    else:
        for line in answer(program, *words, "-o", "table").splitlines():
            print(line if len(line) <= WIDTH else line[: WIDTH - 1] + "…")
    print(flush=True)


if __name__ == "__main__":
    main()
