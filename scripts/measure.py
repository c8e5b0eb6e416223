#!/usr/bin/env python3
"""Measures one large sync: peak memory of the process, and requests against the fewest possible.

Fails when either is above what the project promises (docs/architecture.md, promise 8 and
"Measurements"). Time is printed and never judged. With --release it measures the release build.
"""

import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import time

USERS, ORGANIZATIONS, MEMBERSHIPS = 100_000, 5_000, 200_000
PAGE = 500
RESOURCES = (
    "users,organizations,organization_roles,organization_permissions,organization_memberships"
)


def main() -> int:
    profile = "release" if "--release" in sys.argv[1:] else "debug"
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target")) / profile
    folder = pathlib.Path(tempfile.mkdtemp(prefix="clerk-sync-measure-"))
    sandbox = subprocess.Popen(
        [
            target / "clerk-sandbox",
            *("--users", str(USERS)),
            *("--organizations", str(ORGANIZATIONS)),
            *("--memberships", str(MEMBERSHIPS)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        url = sandbox.stdout.readline().strip()
        if not url:
            sys.exit("the sandbox did not start")
        return measure(target / "clerk-sync", url, folder)
    finally:
        sandbox.terminate()
        sandbox.wait()
        shutil.rmtree(folder, ignore_errors=True)


def measure(program: pathlib.Path, url: str, folder: pathlib.Path) -> int:
    # The sandbox has not been waited for, so that this counts clerk-sync alone.
    began = time.monotonic()
    done = subprocess.run(
        [program],
        env={
            "PATH": os.environ.get("PATH", ""),
            "SNAPSHOT_URL": folder.as_uri(),
            "RESOURCES": RESOURCES,
            "CLERK_SECRET_KEY": "sk_test_sandbox",
            "CLERK_API_URL": url,
            "CLERK_REQUESTS_PER_10S": "1000000",
            "CLERK_RATE_SHARE": "1",
            "LOG_LEVEL": "warn",
        },
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    elapsed = time.monotonic() - began
    answer = json.loads(done.stdout)
    if answer.get("status") != "complete" or not answer["verified"]:
        print(done.stdout, file=sys.stderr)
        return 1
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    records = sum(answer["records"].values())
    # A page of each list, and one page more where the last one is full.
    fewest = sum(-(-rows // PAGE) for rows in (USERS, ORGANIZATIONS, MEMBERSHIPS)) + 2
    peak, most = usage.ru_maxrss * 1024, 64 * 1024 * 1024 + 16 * USERS
    cpu = usage.ru_utime + usage.ru_stime
    print(
        f"{USERS:,} users, {ORGANIZATIONS:,} organizations, {MEMBERSHIPS:,} memberships: "
        f"{records:,} records in {elapsed:.1f} s\n"
        f"  requests     {answer['requests']} ({answer['requests'] / fewest:.3f} times the fewest "
        f"possible, {fewest}; allowed 1.05)\n"
        f"  peak memory  {peak / 2**20:.1f} MiB (allowed {most / 2**20:.1f})\n"
        f"  CPU          {cpu / records * 1e6:.1f} µs a record"
    )
    return 0 if peak <= most and answer["requests"] <= 1.05 * fewest else 1


sys.exit(main())
