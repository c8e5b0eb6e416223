"""Athena's tables, read by DuckDB: those of deploy/catalog.yaml and deploy/latest.yaml, with their locations and types,
over what is in the bucket.

A table of the newest snapshot is read as Hive and Presto read one with SymlinkTextInputFormat: every line of every
object below its location is the address of a file. No Athena takes part.
"""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .scene import SNAPSHOT_URL, Scene, expect
from .stack import BUCKET, EVERYTHING, PREFIX
from .template import evaluated

SYMLINKS = "org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat"

Row = tuple[Any, ...]


def expect_lists(scene: Scene) -> None:
    """The lists of files are there for the newest snapshot and for all changes."""
    wanted = lists_of_files(scene)
    marker = f"{PREFIX}/athena/latest.json"
    written = {key: text_of(scene, key) for key in scene.objects() if key.startswith(f"{PREFIX}/athena/")}
    latest = json.loads(text_of(scene, f"{PREFIX}/latest.json"))
    named = json.loads(written.pop(marker, "{}"))
    expect(named == {name: latest[name] for name in ("snapshot_id", "manifest_sha256")}, {marker: named})
    missing = sorted(wanted.keys() - written.keys())
    expect(not missing, f"there is no {missing}")
    for key, text in written.items():
        # A dataset that is no longer in the snapshot has no list, or an empty one.
        expect(text.splitlines() == wanted.get(key, "").splitlines(), {key: text, "wanted": wanted.get(key, "")})


def lists_of_files(scene: Scene) -> dict[str, str]:
    """What the lists must contain, by key: the parts in their order, an address a line."""
    latest = json.loads(text_of(scene, f"{PREFIX}/latest.json"))
    manifest = json.loads(text_of(scene, f"{PREFIX}/{latest['manifest']}"))
    snapshot = f"{SNAPSHOT_URL}/snapshots/{latest['snapshot_id']}"
    lists = {
        f"{PREFIX}/athena/latest/{name}/symlink.txt": [f"{snapshot}/{part['key']}" for part in dataset["parts"]]
        for name, dataset in manifest["datasets"].items()
    }
    for key in scene.objects():
        feed = re.fullmatch(rf"{PREFIX}/changes/([^/]+)/summary.json", key)
        if feed:
            parts = json.loads(text_of(scene, key))["parts"]
            addresses = [f"{SNAPSHOT_URL}/changes/{feed[1]}/{part['key']}" for part in parts]
            lists[f"{PREFIX}/athena/changes/{feed[1]}.txt"] = addresses
    return {key: "".join(f"{address}\n" for address in addresses) for key, addresses in lists.items()}


def text_of(scene: Scene, key: str) -> str:
    return scene.aws.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read().decode()


class Athena:
    """The tables as they are now."""

    def __init__(self, scene: Scene, folder: pathlib.Path):
        import duckdb

        self._connection = duckdb.connect()
        self._connection.execute("CREATE MACRO from_iso8601_timestamp(moment) AS moment::TIMESTAMPTZ")
        bucket = Bucket(scene, folder)
        for stack in evaluated(EVERYTHING).stacks():
            for resource in stack.resources.values():
                if resource["Type"] == "AWS::Glue::Table":
                    table = resource["Properties"]["TableInput"]
                    self._connection.execute(f"CREATE VIEW {table['Name']} AS {query(table, bucket)}")

    def rows(self, text: str) -> list[Row]:
        return self._connection.execute(text).fetchall()


@dataclass(frozen=True)
class Bucket:
    """The bucket, and a folder into which its files are copied for DuckDB."""

    scene: Scene
    folder: pathlib.Path

    def below(self, location: str) -> list[str]:
        """The addresses of all objects whose names begin with a location."""
        return [url for url in map(address, self.scene.objects()) if url.startswith(location)]

    def lines(self, url: str) -> list[str]:
        return text_of(self.scene, key_of(url)).splitlines()

    def copy(self, url: str) -> str:
        path = self.folder / key_of(url)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.scene.aws.client("s3").get_object(Bucket=BUCKET, Key=key_of(url))["Body"].read())
        return str(path)


def address(key: str) -> str:
    return f"s3://{BUCKET}/{key}"


def key_of(url: str) -> str:
    expect(url.startswith(f"s3://{BUCKET}/"), f"{url!r} is no address in the bucket")
    return url.removeprefix(f"s3://{BUCKET}/")


def query(table: dict[str, Any], bucket: Bucket) -> str:
    """What gives the rows of a table."""
    types = {column["Name"]: in_duckdb(column["Type"]) for column in table["StorageDescriptor"]["Columns"]}
    if table["StorageDescriptor"]["InputFormat"] == SYMLINKS:
        lists = bucket.below(table["StorageDescriptor"]["Location"])
        return records(types, [bucket.copy(url) for one in lists for url in bucket.lines(one)])
    template = table["Parameters"]["storage.location.template"]
    parts = [
        f"SELECT *, '{snapshot}' AS snapshot_id FROM ({records(types, files)})"
        for snapshot in sorted(snapshots(bucket, table["StorageDescriptor"]["Location"]))
        if (files := list(map(bucket.copy, bucket.below(template.replace("${snapshot_id}", snapshot)))))
    ]
    return " UNION ALL ".join(parts) or f"SELECT *, '' AS snapshot_id FROM ({records(types, [])})"


def snapshots(bucket: Bucket, location: str) -> set[str]:
    return {url.removeprefix(location).partition("/")[0] for url in bucket.below(location)}


def records(types: dict[str, str], files: list[str]) -> str:
    if not files:
        columns = ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in types.items())
        return f"SELECT {columns} WHERE FALSE"
    columns = ", ".join(f"\"{name}\": '{kind}'" for name, kind in types.items())
    return f"SELECT * FROM read_json({files}, format = 'newline_delimited', columns = {{{columns}}})"


def in_duckdb(glue: str) -> str:
    """A type of Glue's as DuckDB writes it."""
    plain = {"string": "VARCHAR", "bigint": "BIGINT", "double": "DOUBLE", "boolean": "BOOLEAN"}
    if glue in plain:
        return plain[glue]
    kind, _, inner = glue.removesuffix(">").partition("<")
    if kind == "array":
        return f"{in_duckdb(inner)}[]"
    expect(kind == "struct", f"{glue} is no type that scripts/catalog writes")
    fields = [field.partition(":") for field in split(inner)]
    return "STRUCT(" + ", ".join(f'"{name}" {in_duckdb(of)}' for name, _, of in fields) + ")"


def split(fields: str) -> Iterator[str]:
    """The fields of a struct, which are separated by commas outside of further brackets."""
    depth, start = 0, 0
    for place, letter in enumerate(fields):
        depth += {"<": 1, ">": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            yield fields[start:place]
            start = place + 1
    yield fields[start:]
