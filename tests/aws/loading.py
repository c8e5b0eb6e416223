"""What can be proven of docs/loading without an account: the statements parse, BigQuery's schemas hold every record of
a snapshot of all resources and of its changes, and Splunk finds a time in each of these."""

from __future__ import annotations

import datetime
import gzip
import json
import pathlib
import re
import subprocess
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from bench.population import Population

from .scene import KEY, Scene, expect
from .scripts import module
from .stack import ROOT

PAGES = ROOT / "docs" / "loading"
# Pages with SQL, and at least so many statements.
STATEMENTS = {"snowflake": 12, "bigquery": 1, "databricks": 7}

Record = dict[str, Any]


def prove(scene: Scene) -> None:
    for page, least in STATEMENTS.items():
        parsed = [parses(page, statement) for statement in statements(page)]
        expect(len(parsed) >= least, f"docs/loading/{page}.md has {len(parsed)} statements, and had {least}")
        scene.notes.append(f"{page}: {len(parsed)} statements")

    folder = scene.scratch / "loading"
    copy_twice(scene, folder)
    bigquery = module(ROOT / "scripts" / "bigquery-schema")
    manifest = newest_manifest(folder)
    for dataset, described in manifest["datasets"].items():
        parts = (folder / "snapshots" / manifest["snapshot_id"] / part["key"] for part in described["parts"])
        hold(dataset, bigquery.fields(dataset), records(parts))
    changes = list(records(sorted(folder.glob("changes/*/part-*"))))
    expect(changes, "nothing changed, which proves nothing")
    hold("change", bigquery.fields("change"), changes)
    scene.notes.append(f"bigquery: schemas of {len(manifest['datasets'])} datasets, {len(changes)} changes")

    have_times(folder)
    makes_a_lookup(scene, folder)


def statements(page: str) -> Iterator[str]:
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    for block in re.findall(r"^```sql\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield from (statement for statement in block.split(";") if statement.strip())


def parses(dialect: str, statement: str) -> None:
    """Fails unless sqlglot understands the statement. (What it does not, it takes for an unknown command.)"""
    import sqlglot

    try:
        parsed = sqlglot.parse_one(statement, read=dialect)
    except sqlglot.errors.ParseError as problem:
        expect(False, f"not a statement of {dialect}: {problem}")
    expect(not isinstance(parsed, sqlglot.exp.Command), f"sqlglot does not know: {statement}")


def copy_twice(scene: Scene, folder: pathlib.Path) -> None:
    """Two snapshots of all resources, with a day at work in between, and what changed."""
    reference = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    table = reference.split("\n## Resources\n", 1)[1].split("\n## ", 1)[0]
    with scene.sandbox(Population(users=300, organizations=20, memberships=640)) as clerk:
        settings = {
            "SNAPSHOT_URL": folder.absolute().as_uri(),
            "RESOURCES": ",".join(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)),
            "CLERK_SECRET_KEY": KEY,
            "CLERK_API_URL": clerk.url,
            "CLERK_REQUESTS_PER_10S": "100000",
            "CHANGES": "all",
            "METADATA": "public,private,unsafe",
            "INCLUDE_RAW": "true",
        }
        for _ in range(2):
            answer = scene.run({}, settings)
            expect(answer.get("status") == "complete", answer)
            urllib.request.urlopen(f"{clerk.url}/sandbox/workday", timeout=60).close()


def newest_manifest(folder: pathlib.Path) -> Record:
    latest = json.loads((folder / "latest.json").read_text(encoding="utf-8"))
    return json.loads((folder / latest["manifest"]).read_text(encoding="utf-8"))


def records(parts: Iterable[pathlib.Path]) -> Iterator[Record]:
    for part in parts:
        with gzip.open(part, "rt", encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def hold(name: str, fields: list[Record], found: Iterable[Record]) -> None:
    """Fails if BigQuery would refuse a record: it has an unknown field, or a value of another type."""
    for record in found:
        problem = misfit({"name": name, "type": "RECORD", "fields": fields}, record)
        expect(problem is None, f"the schema of {name} does not hold {record.get('id')}: {problem}")


# What each type takes. All fields may be null.
TAKES: dict[str, Callable[[Any], bool]] = {
    "STRING": lambda value: isinstance(value, str),
    "INTEGER": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "FLOAT": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "BOOLEAN": lambda value: isinstance(value, bool),
    "JSON": lambda _: True,
}


def misfit(field: Record, value: Any) -> str | None:
    if value is None:
        return None
    if field["type"] != "RECORD":
        return None if TAKES[field["type"]](value) else f"{field['name']} is no {field['type']}"
    if not isinstance(value, dict):
        return f"{field['name']} is no RECORD"
    inner = {one["name"]: one for one in field["fields"]}
    unknown = [key for key in value if key not in inner]
    if unknown:
        return f"{field['name']} has no field {unknown[0]}"
    return next((found for key, one in value.items() if (found := misfit(inner[key], one))), None)


def have_times(folder: pathlib.Path) -> None:
    """Whether props.conf of the page finds in each line of a feed the time that it says it does."""
    page = (PAGES / "splunk.md").read_text(encoding="utf-8")
    prefix, form, longest = (
        re.search(rf"^{name} = (.*)$", page, re.MULTILINE)[1]
        for name in ("TIME_PREFIX", "TIME_FORMAT", "MAX_TIMESTAMP_LOOKAHEAD")
    )
    for part in folder.glob("changes/*/part-*"):
        with gzip.open(part, "rt", encoding="utf-8") as lines:
            for line in lines:
                begin = re.search(prefix, line)
                expect(begin, f"TIME_PREFIX is not in {line[:200]}")
                time = line[begin.end() : begin.end() + int(longest)]
                expect(time == json.loads(line)["window"]["before"], f"TIME_PREFIX finds {time}")
                # %3N, milliseconds, is Splunk's own.
                datetime.datetime.strptime(time, form.replace("%3N", "%f"))


def makes_a_lookup(scene: Scene, folder: pathlib.Path) -> None:
    output = scene.scratch / "clerk_users.csv"
    subprocess.run(
        [scene.programs / "clerk-access", "--url", folder, "export", "users", "--format", "csv", "--out", output],
        check=True,
        capture_output=True,
    )
    columns = output.read_text(encoding="utf-8").split("\n", 1)[0].split(",")
    asked = re.search(r"lookup clerk_users (\w+) AS \S+ OUTPUT ([\w ]+)`", (PAGES / "splunk.md").read_text("utf-8"))
    wanted = {asked[1], *asked[2].split()}
    expect(wanted <= set(columns), f"the lookup has no {sorted(wanted - set(columns))}")
