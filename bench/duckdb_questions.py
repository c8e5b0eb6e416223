"""Asks DuckDB what clerk-access is asked, of the same files, and prints the number of rows.

usage: duckdb_questions.py SNAPSHOTS who ADDRESS | can PERMISSION | diff
"""

import json
import pathlib
import sys
import tempfile

import duckdb

REFERENCE = 'STRUCT("type" VARCHAR, id VARCHAR)'
ROLE = 'STRUCT(id VARCHAR, "key" VARCHAR)'

# Of each dataset, the columns that the questions about people need.
COLUMNS = {
    "users": {
        "id": "VARCHAR",
        "display_name": "VARCHAR",
        "status": "VARCHAR",
        "profile": "STRUCT(primary_email VARCHAR, emails STRUCT(address VARCHAR)[])",
    },
    "organizations": {"id": "VARCHAR", "display_name": "VARCHAR", "profile": "STRUCT(slug VARCHAR)"},
    "organization_roles": {"id": "VARCHAR", "display_name": "VARCHAR"},
    "grants": {
        "resource": REFERENCE,
        "slug": "VARCHAR",
        "principal": REFERENCE,
        "role": ROLE,
        "permissions": "VARCHAR[]",
        "source": REFERENCE,
        "created_at": "VARCHAR",
    },
}

WHO = """
SELECT people.id, organizations.id, organizations.display_name, organizations.profile.slug,
       memberships.source.id AS membership, list(memberships.role) AS roles,
       list(memberships.permissions) AS permissions, min(memberships.created_at) AS since
FROM (SELECT id FROM {users}
      WHERE list_contains(list_transform(profile.emails, lambda email: lower(email.address)), lower($asked))) people
JOIN {grants} memberships ON memberships.principal.id = people.id
JOIN {organizations} organizations ON organizations.id = memberships.resource.id
GROUP BY ALL ORDER BY organizations.display_name, organizations.id
"""

CAN = """
SELECT users.id, users.display_name, users.profile.primary_email, users.status,
       organizations.id, organizations.display_name, organizations.profile.slug,
       memberships.role, roles.display_name AS role_name, memberships.source.id AS membership,
       memberships.created_at AS since
FROM {grants} memberships
JOIN {users} users ON users.id = memberships.principal.id
JOIN {organizations} organizations ON organizations.id = memberships.resource.id
LEFT JOIN {organization_roles} roles ON roles.id = memberships.role.id
WHERE memberships.principal.type = 'user' AND list_contains(memberships.permissions, $asked)
ORDER BY lower(organizations.display_name), organizations.id, lower(users.display_name), users.id
"""

DIFF = """
SELECT coalesce(one.id, other.id) AS id, one.line AS before, other.line AS after
FROM (SELECT json ->> 'id' AS id, json AS line FROM read_ndjson_objects($before)) one
FULL OUTER JOIN (SELECT json ->> 'id' AS id, json AS line FROM read_ndjson_objects($after)) other
ON one.id = other.id
WHERE one.line::VARCHAR IS DISTINCT FROM other.line::VARCHAR
"""


def main() -> None:
    snapshots, question, *given = pathlib.Path(sys.argv[1]), *sys.argv[2:]
    latest = json.loads((snapshots / "latest.json").read_text())
    newest = manifest(snapshots, latest["snapshot_id"])
    if question == "diff":
        previous = manifest(snapshots, newest["previous"]["snapshot_id"])
        rows = 0
        for dataset in newest["datasets"]:
            before, after = parts(snapshots, previous, dataset), parts(snapshots, newest, dataset)
            if before and after:
                rows += answer(DIFF, {"before": before, "after": after})
    else:
        tables = {name: table(snapshots, newest, name) for name in COLUMNS}
        rows = answer({"who": WHO, "can": CAN}[question].format(**tables), {"asked": given[0]})
    print(rows)


def answer(query: str, parameters: dict) -> int:
    """Writes the answer to a file, as clerk-access does, and returns its number of rows."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        copy = f"COPY ({query}) TO '{file.name}' (FORMAT json)"
        return duckdb.execute(copy, parameters).fetchone()[0]


def manifest(snapshots: pathlib.Path, snapshot_id: str) -> dict:
    return json.loads((snapshots / "snapshots" / snapshot_id / "manifest.json").read_text())


def parts(snapshots: pathlib.Path, of: dict, dataset: str) -> list[str]:
    folder = snapshots / "snapshots" / of["snapshot_id"]
    return [str(folder / part["key"]) for part in of["datasets"][dataset]["parts"]]


def table(snapshots: pathlib.Path, of: dict, dataset: str) -> str:
    columns = ", ".join(f"{name}: '{kind}'" for name, kind in COLUMNS[dataset].items())
    return f"read_ndjson({parts(snapshots, of, dataset)}, columns = {{{columns}}})"


if __name__ == "__main__":
    main()
