"""Reads a running sandbox with Clerk's official Python SDK and compares what it got with the source.

Usage: read.py URL    (the line that clerk-sandbox prints)
"""

import json
import sys
import urllib.request

from clerk_backend_api import Clerk

PAGE = 100
KEY = "sk_test_sandbox"


def main(url: str) -> int:
    problems = []
    with Clerk(bearer_auth=KEY, server_url=f"{url}/v1") as clerk:
        for name, read in READERS.items():
            got = [row.id for row in read(clerk)]
            expected = source_ids(url, name)
            if got != expected:
                problems.append(f"{name}: {len(got)} rows read, {len(expected)} in the source")
        by_organization = sorted(row.id for row in memberships_by_organization(clerk, url))
        if by_organization != sorted(source_ids(url, "organization_memberships")):
            problems.append("organization_memberships: not the same by organization")
        counted = clerk.users.count(request={}).total_count
        if counted != len(source_ids(url, "users")):
            problems.append(f"users: {counted} counted")
    violations = json.load(urllib.request.urlopen(f"{url}/sandbox/stats"))["violations"]
    problems += [f"violation: {violation}" for violation in violations]
    for problem in problems:
        print(f"python: {problem}", file=sys.stderr)
    return 1 if problems else 0


def users(clerk):
    def page(offset):
        return clerk.users.list(
            request={"limit": PAGE, "offset": offset, "order_by": "+created_at"}
        )

    return every_page(page)


def organizations(clerk):
    return every_page(
        lambda offset: clerk.organizations.list(
            limit=PAGE, offset=offset, order_by="+created_at", include_members_count=True
        ).data
    )


def memberships(clerk):
    return every_page(
        lambda offset: clerk.users.get_instance_organization_memberships(
            limit=PAGE, offset=offset, order_by="+created_at"
        ).data
    )


def memberships_by_organization(clerk, url):
    for organization_id in source_ids(url, "organizations"):
        yield from every_page(
            lambda offset: clerk.organization_memberships.list(
                organization_id=organization_id, limit=PAGE, offset=offset, order_by="+created_at"
            ).data
        )


def roles(clerk):
    return every_page(
        lambda offset: clerk.organization_roles.list(
            limit=PAGE, offset=offset, order_by="+created_at"
        ).data
    )


def permissions(clerk):
    return every_page(
        lambda offset: clerk.organization_permissions.list(
            limit=PAGE, offset=offset, order_by="+created_at"
        ).data
    )


READERS = {
    "users": users,
    "organizations": organizations,
    "organization_memberships": memberships,
    "organization_roles": roles,
    "organization_permissions": permissions,
}


def every_page(page):
    rows = []
    while True:
        found = page(len(rows))
        rows += found
        if len(found) < PAGE:
            return rows


def source_ids(url, name):
    with urllib.request.urlopen(f"{url}/sandbox/rows/{name}") as lines:
        return [json.loads(line)["id"] for line in lines]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        print("usage: read.py URL", file=sys.stderr)
        sys.exit(2)
    sys.exit(main(sys.argv[1].rstrip("/")))
