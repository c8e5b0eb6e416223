"""Each query of docs/queries gives the right answer, by DuckDB over real snapshots: over a folder with
docs/queries/setup.sql, and over a bucket with Athena's tables.

The right answers are computed from Clerk's rows, without any part of clerk-sync. sqlglot checks that the queries are
valid SQL of Athena, but no Athena runs them.
"""

from __future__ import annotations

import datetime
import json
import pathlib
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.population import RESOURCES, Population
from bench.sandbox import KEY, Sandbox

from .athena import Athena, Row, expect_lists
from .scene import Scene, expect
from .stack import ROOT

QUERIES = ROOT / "docs" / "queries"
LISTS = RESOURCES.split(",")

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
    texts = {path.stem: path.read_text(encoding="utf-8") for path in QUERIES.glob("*.sql")}
    del texts["setup"]
    known = {*ANSWERS, "gained-and-lost", "grants-changed"}
    expect(set(texts) == known, f"docs/queries holds {sorted(texts)}, the proof knows {sorted(known)}")
    over_a_folder(scene, texts)
    datasets_may_be_absent(scene)
    over_a_bucket(scene, texts)
    are_athenas(texts)


def over_a_folder(scene: Scene, texts: dict[str, str]) -> None:
    # A name that also occurs in the layout below it.
    folder = scene.scratch / "snapshots"
    with scene.sandbox(Population(300, 20, 640)) as clerk:
        earlier, before = snapshot(scene, clerk, folder), Source.of(clerk)
    with scene.sandbox(Population(320, 21, 600)) as clerk:
        later, after = snapshot(scene, clerk, folder), Source.of(clerk)
    answer_rightly(scene, Database(folder), texts, Comparison(earlier, before, later, after))


def over_a_bucket(scene: Scene, texts: dict[str, str]) -> None:
    """Tables of the newest snapshot follow it, and lose the rows of a dataset that it does not have."""
    scene.empty_bucket()
    everything = ",".join(LISTS)
    with scene.sandbox(Population(300, 20, 640)) as clerk:
        earlier = scene.run({"resources": everything}, scene.settings(clerk))["snapshot_id"]
        before = Source.of(clerk)
    expect_lists(scene)
    athena = Athena(scene, scene.scratch / "first")
    expect(same(athena.rows(texts["administrators"]), administrators(before)), "not the first snapshot's rows")
    expect(not athena.rows("SELECT * FROM changes"), "there are changes before there are two snapshots")
    with scene.sandbox(Population(320, 21, 600)) as clerk:
        later = scene.run({"resources": everything}, scene.settings(clerk))["snapshot_id"]
        after = Source.of(clerk)
        expect_lists(scene)
        athena = Athena(scene, scene.scratch / "second")
        answer_rightly(scene, athena, texts, Comparison(earlier, before, later, after))
        alone = scene.run({"resources": "users", "accept_shrink": True}, scene.settings(clerk))
    expect(alone["status"] == "complete", alone)
    expect_lists(scene)
    athena = Athena(scene, scene.scratch / "third")
    counts = athena.rows("SELECT (SELECT count(*) FROM latest_users), (SELECT count(*) FROM latest_grants)")
    expect(counts == [(320, 0)], f"rows of users and of grants: {counts}")
    for name in ANSWERS:
        athena.rows(texts[name])


@dataclass(frozen=True)
class Comparison:
    """Two snapshots, and Clerk's rows at the time of each."""

    earlier: str
    before: Source
    later: str
    after: Source


def answer_rightly(scene: Scene, database: Database | Athena, texts: dict[str, str], of: Comparison) -> None:
    for name, answer in ANSWERS.items():
        right = answer(of.after)
        expect(right, f"{name}: an empty answer proves nothing; take another population")
        found = database.rows(texts[name])
        expect(same(found, right), {name: {"found": found[:3], "right": right[:3]}})
        scene.notes.append(f"{name}: {len(found)} rows")

    text = texts["grants-changed"].replace("'EARLIER'", f"'{of.earlier}'").replace("'LATER'", f"'{of.later}'")
    found = [(change, grant) for change, grant, *_ in database.rows(text)]
    right = [("added", grant) for grant in of.after.grant_ids() - of.before.grant_ids()]
    right += [("removed", grant) for grant in of.before.grant_ids() - of.after.grant_ids()]
    expect(same(found, right), {"grants-changed": {"found": found[:3], "right": right[:3]}})
    changes = Counter(change for change, _ in found)
    expect(changes["added"] and changes["removed"], f"grants-changed: {changes} proves too little")
    scene.notes.append(f"grants-changed: {len(found)} rows")

    found = [row[:-1] for row in database.rows(texts["gained-and-lost"])]
    right = gained_and_lost(of)
    expect(same(found, right), {"gained-and-lost": {"found": found[:3], "right": right[:3]}})
    expect(len({event for _, event, *_ in right}) == 4, "gained-and-lost: not every event happens")
    scene.notes.append(f"gained-and-lost: {len(found)} rows")


def gained_and_lost(of: Comparison) -> list[Row]:
    keys = {role["id"]: role["key"] for source in (of.before, of.after) for role in source.lists["organization_roles"]}
    rows = []
    for grants, member, role in (
        (of.after.grant_ids() - of.before.grant_ids(), "member_added", "role_granted"),
        (of.before.grant_ids() - of.after.grant_ids(), "member_removed", "role_revoked"),
    ):
        for kind, organization, of_role, _, user in (grant.split(":") for grant in grants):
            if kind == "organization":
                event = member if of_role == "member" else role
                rows.append((of.later, event, user, organization, keys.get(of_role)))
    return rows


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
        "CHANGES": "access",
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
