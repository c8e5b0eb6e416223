"""Each query of docs/queries gives the right answer, by DuckDB over real snapshots.

The right answers are computed from Clerk's rows, without any part of clerk-sync. deploy/catalog.yaml saves
the same queries for Athena; sqlglot checks that they are valid SQL of Athena, but no Athena runs them.
"""

from __future__ import annotations

import datetime
import json
import pathlib
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.population import RESOURCES, Population
from bench.sandbox import KEY, Sandbox

from .aws import ANYBODY, REGION
from .scene import SNAPSHOT_URL, Scene, expect
from .stack import ROOT, load

QUERIES = ROOT / "docs" / "queries"
LISTS = RESOURCES.split(",")

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Source:
    """The rows of a Clerk instance, by list."""

    lists: dict[str, list[dict[str, Any]]]

    @classmethod
    def of(cls, clerk: Sandbox) -> Source:
        return cls({name: rows(clerk, name) for name in LISTS})

    def by_id(self, name: str) -> dict[str, dict[str, Any]]:
        return {row["id"]: row for row in self.lists[name]}

    def role_grants(self) -> list[tuple[dict, dict, dict, dict]]:
        """The user, organization and role of each membership whose role exists, and the membership."""
        users, organizations = self.by_id("users"), self.by_id("organizations")
        roles = {role["key"]: role for role in self.lists["organization_roles"]}
        return [
            (
                users[membership["public_user_data"]["user_id"]],
                organizations[membership["organization"]["id"]],
                roles[membership["role"]],
                membership,
            )
            for membership in self.lists["organization_memberships"]
            if membership["role"] in roles
        ]

    def grant_ids(self) -> set[str]:
        ids = set()
        for membership in self.lists["organization_memberships"]:
            organization = membership["organization"]["id"]
            user = membership["public_user_data"]["user_id"]
            ids.add(f"organization:{organization}:member:user:{user}")
        for user, organization, role, _ in self.role_grants():
            ids.add(f"organization:{organization['id']}:{role['id']}:user:{user['id']}")
        for role in self.lists["organization_roles"]:
            for permission in role["permissions"]:
                entitlement = f"organization_permission:{permission['id']}:assigned"
                ids.add(f"{entitlement}:organization_role:{role['id']}")
        return ids


def rows(clerk: Sandbox, name: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{clerk.url}/sandbox/rows/{name}", timeout=60) as answer:
        return [json.loads(line) for line in answer.read().decode().splitlines()]


def email_of(user: dict[str, Any]) -> str | None:
    primary = user["primary_email_address_id"]
    addresses = {address["id"]: address["email_address"] for address in user["email_addresses"]}
    return addresses.get(primary)


def display_name_of(user: dict[str, Any]) -> str:
    names = [name for name in (user["first_name"], user["last_name"]) if name and name.strip()]
    if names:
        return " ".join(names)
    return user["username"] or email_of(user) or user["id"]


def is_enabled(user: dict[str, Any]) -> bool:
    return not (user["banned"] or user["locked"] or user.get("deprovisioned"))


def time_of(milliseconds: int | None) -> str | None:
    if milliseconds is None:
        return None
    moment = datetime.datetime.fromtimestamp(milliseconds // 1000, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


def administrators(source: Source) -> list[Row]:
    return [
        (
            organization["name"],
            display_name_of(user),
            email_of(user),
            time_of(membership["created_at"]),
            user["id"],
            organization["id"],
        )
        for user, organization, role, membership in source.role_grants()
        if role["key"] == "org:admin"
    ]


def who_can(source: Source) -> list[Row]:
    wanted = "org:sys_memberships:manage"
    return [
        (
            display_name_of(user),
            organization["name"],
            role["name"],
            user["id"],
            organization["id"],
            role["id"],
        )
        for user, organization, role, _ in source.role_grants()
        if wanted in [permission["key"] for permission in role["permissions"]]
    ]


def without_second_factor(source: Source) -> list[Row]:
    roles = Counter(user["id"] for user, *_ in source.role_grants())
    return [
        (
            display_name_of(user),
            email_of(user),
            roles[user["id"]],
            time_of(user["last_sign_in_at"]),
            user["id"],
        )
        for user in source.lists["users"]
        if is_enabled(user) and not user["two_factor_enabled"]
    ]


def dormant_with_role(source: Source) -> list[Row]:
    now = datetime.datetime.now(datetime.UTC)
    since = (now - datetime.timedelta(days=90)).timestamp() * 1000
    return [
        (
            display_name_of(user),
            time_of(user["last_active_at"]),
            organization["name"],
            role["key"],
            user["id"],
            organization["id"],
        )
        for user, organization, role, _ in source.role_grants()
        if is_enabled(user) and (user["last_active_at"] is None or user["last_active_at"] < since)
    ]


def organizations_without_administrator(source: Source) -> list[Row]:
    administered = {
        organization["id"]
        for user, organization, role, _ in source.role_grants()
        if role["key"] == "org:admin" and is_enabled(user)
    }
    return [
        (
            organization["name"],
            organization["members_count"],
            time_of(organization["created_at"]),
            organization["id"],
        )
        for organization in source.lists["organizations"]
        if organization["id"] not in administered
    ]


def outside_domains(source: Source) -> list[Row]:
    users, organizations = source.by_id("users"), source.by_id("organizations")
    members: Counter[tuple[str, str]] = Counter()
    for membership in source.lists["organization_memberships"]:
        email = email_of(users[membership["public_user_data"]["user_id"]])
        domain = email.rpartition("@")[2].lower() if email else None
        if domain and domain not in ("example.com", "example.org"):
            members[membership["organization"]["id"], domain] += 1
    return [
        (organizations[organization]["name"], domain, count, organization)
        for (organization, domain), count in members.items()
    ]


ANSWERS: dict[str, Callable[[Source], list[Row]]] = {
    "administrators": administrators,
    "dormant-with-role": dormant_with_role,
    "organizations-without-administrator": organizations_without_administrator,
    "outside-domains": outside_domains,
    "who-can": who_can,
    "without-second-factor": without_second_factor,
}


def prove(scene: Scene) -> None:
    # A name that also occurs in the layout below it.
    folder = scene.scratch / "snapshots"
    with scene.sandbox(Population(300, 20, 640)) as clerk:
        earlier, before = snapshot(scene, clerk, folder), Source.of(clerk)
    with scene.sandbox(Population(320, 21, 600)) as clerk:
        later, after = snapshot(scene, clerk, folder), Source.of(clerk)
    database = Database(folder)

    texts = {path.stem: path.read_text(encoding="utf-8") for path in QUERIES.glob("*.sql")}
    del texts["setup"]
    expect(
        set(texts) == {*ANSWERS, "grants-changed"},
        f"docs/queries holds {sorted(texts)}, for which not all answers are known",
    )
    for name, answer in ANSWERS.items():
        right = answer(after)
        expect(right, f"{name}: an empty answer proves nothing; take another population")
        found = database.rows(texts[name])
        expect(same(found, right), {name: {"found": found[:3], "right": right[:3]}})
        scene.notes.append(f"{name}: {len(found)} rows")

    text = texts["grants-changed"].replace("'EARLIER'", f"'{earlier}'")
    text = text.replace("'LATER'", f"'{later}'")
    found = [(change, grant) for change, grant, *_ in database.rows(text)]
    right = [("added", grant) for grant in after.grant_ids() - before.grant_ids()]
    right += [("removed", grant) for grant in before.grant_ids() - after.grant_ids()]
    expect(same(found, right), {"grants-changed": {"found": found[:3], "right": right[:3]}})
    changes = Counter(change for change, _ in found)
    expect(changes["added"] and changes["removed"], f"grants-changed: {changes} proves too little")
    scene.notes.append(f"grants-changed: {len(found)} rows")

    datasets_may_be_absent(scene)
    views_name_the_newest(scene)
    are_athenas(texts)


def same(found: list[Row], right: list[Row]) -> bool:
    return Counter(found) == Counter(right)


def datasets_may_be_absent(scene: Scene) -> None:
    """A dataset that was not copied has no files: its view is empty, the others work, and every saved
    query runs."""
    folder = scene.scratch / "users-only"
    with scene.sandbox(Population(20, 2, 20)) as clerk:
        snapshot(scene, clerk, folder, "users")
    database = Database(folder)
    counts = database.rows(
        "SELECT (SELECT count(*) FROM latest_users), (SELECT count(*) FROM latest_grants)"
    )
    expect(counts == [(20, 0)], f"rows of users and of grants: {counts}")
    for name in ANSWERS:
        database.rows((QUERIES / f"{name}.sql").read_text(encoding="utf-8"))


def views_name_the_newest(scene: Scene) -> None:
    """Each table has a view, although the snapshot holds only users. Moto accepts Athena's statements
    and runs none of them."""
    scene.empty_bucket()
    with scene.sandbox(Population(20, 2, 20)) as clerk:
        answer = scene.run({}, scene.settings(clerk, RESOURCES="users"))
    expect(answer.get("status") == "complete", answer)
    catalog = load(ROOT / "deploy" / "catalog.yaml")["Resources"].values()
    tables = [
        resource["Properties"]["TableInput"]["Name"]
        for resource in catalog
        if resource["Type"] == "AWS::Glue::Table"
    ]
    right = [
        f"CREATE OR REPLACE VIEW latest_{table} AS "
        f"SELECT * FROM {table} WHERE snapshot_id = '{answer['snapshot_id']}'"
        for table in tables
    ]
    # The workgroup `primary` of a new account has no location for results.
    refused, message = latest_views(scene)
    expect(refused and "OUTPUT=" in message, message)
    expect(not statements(scene), statements(scene))

    failed, message = latest_views(scene, "--output", "s3://results/athena/")
    expect(not failed, message)
    told = statements(scene)
    expect(sorted(told) == sorted((text, "s3://results/athena") for text in right), told)

    place = {"ResultConfiguration": {"OutputLocation": "s3://results/analysts/"}}
    scene.aws.client("athena").create_work_group(Name="analysts", Configuration=place)
    failed, message = latest_views(scene, "--workgroup", "analysts")
    expect(not failed, message)
    scene.notes.append(f"latest-views: {len(right)} views of a snapshot of users")


def latest_views(scene: Scene, *options: str) -> tuple[int, str]:
    finished = subprocess.run(
        [sys.executable, ROOT / "scripts" / "latest-views", "clerk", SNAPSHOT_URL, *options],
        env=scene.aws.settings(ANYBODY) | {"AWS_DEFAULT_REGION": REGION},
        capture_output=True,
        text=True,
        check=False,
    )
    return finished.returncode, finished.stderr


def statements(scene: Scene) -> list[tuple[str, str]]:
    """The statements sent to Athena, and the folders for their results."""
    athena = scene.aws.client("athena")
    executions = [
        athena.get_query_execution(QueryExecutionId=execution)["QueryExecution"]
        for page in athena.get_paginator("list_query_executions").paginate()
        for execution in page["QueryExecutionIds"]
    ]
    return [
        (execution["Query"], execution["ResultConfiguration"]["OutputLocation"].rpartition("/")[0])
        for execution in executions
    ]


def are_athenas(texts: dict[str, str]) -> None:
    import sqlglot

    for name, text in texts.items():
        try:
            sqlglot.parse_one(text, read="athena")
        except sqlglot.errors.ParseError as problem:
            expect(False, f"{name} is not Athena's SQL: {problem}")


def snapshot(scene: Scene, clerk: Sandbox, folder: pathlib.Path, resources: str = RESOURCES) -> str:
    """Makes a snapshot in `folder`, and returns its id."""
    settings = {
        "SNAPSHOT_URL": folder.absolute().as_uri(),
        "RESOURCES": resources,
        "CLERK_SECRET_KEY": KEY,
        "CLERK_API_URL": clerk.url,
        "CLERK_REQUESTS_PER_10S": "100000",
    }
    answer = scene.run({}, settings)
    expect(answer.get("status") == "complete", answer)
    return answer["snapshot_id"]


class Database:
    """DuckDB with a folder of snapshots, set up by docs/queries/setup.sql."""

    def __init__(self, folder: pathlib.Path):
        import duckdb

        setup = (QUERIES / "setup.sql").read_text(encoding="utf-8")
        placed = setup.replace("SET VARIABLE root = '';", f"SET VARIABLE root = '{folder}/';")
        expect(placed != setup, "docs/queries/setup.sql has no root to put")
        self._connection = duckdb.connect()
        self._connection.execute(placed)

    def rows(self, text: str) -> list[Row]:
        return self._connection.execute(text).fetchall()
