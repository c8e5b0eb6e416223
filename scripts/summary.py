#!/usr/bin/env python3
"""Prints in a few lines what a sync wrote into a folder.

usage: summary.py RESPONSE FOLDER

RESPONSE is the file with clerk-sync's response, and FOLDER the folder that SNAPSHOT_URL named.
"""

import gzip
import itertools
import json
import shutil
import sys
from pathlib import Path

SHOWN_LINES = 2


def main():
    response_file, folder = Path(sys.argv[1]), Path(sys.argv[2])
    text = response_file.read_text(encoding="utf-8")
    if not text.strip():
        sys.exit("clerk-sync gave no response; see the error above.")
    response = json.loads(text)

    # The response of an error has no status.
    if response.get("status") != "complete":
        print(json.dumps(response, indent=2, ensure_ascii=False))
        sys.exit(0)

    snapshot = folder / "snapshots" / response["snapshot_id"]
    manifest = json.loads((snapshot / "manifest.json").read_text(encoding="utf-8"))
    print()
    print(response["message"])
    print()
    print_datasets(snapshot, manifest)
    print_first_lines(snapshot, manifest, "users")


def print_datasets(snapshot, manifest):
    """One line a dataset: rows, status, parts, stored size, folder."""
    print(f"{'dataset':<26}{'rows':>8}  {'status':<10}{'parts':>6}{'stored':>11}   folder")
    for name, dataset in manifest["datasets"].items():
        parts = dataset["parts"]
        size = sum(part["bytes"] for part in parts)
        where = f"{snapshot / name}/" if parts else "-"
        status = dataset["status"]
        print(f"{name:<26}{dataset['records']:>8,}  {status:<10}{len(parts):>6}{kilobytes(size):>11}   {where}")
    print()
    print(f"{'manifest':<14}{snapshot / 'manifest.json'}")
    print(f"{'newest':<14}{snapshot.parent.parent / 'latest.json'}")
    snapshots = sum(1 for entry in snapshot.parent.iterdir() if (entry / "manifest.json").is_file())
    print(f"{'snapshots':<14}{snapshots} in {snapshot.parent}/")


def kilobytes(size):
    return f"{size / 1000:,.1f} kB"


def print_first_lines(snapshot, manifest, name):
    """The first records of one dataset, each shortened to three lines of the terminal."""
    parts = manifest["datasets"].get(name, {}).get("parts", [])
    if not parts:
        return
    width = shutil.get_terminal_size().columns
    print()
    print(f"The first {SHOWN_LINES} lines of {name}:")
    print()
    with gzip.open(snapshot / parts[0]["key"], "rt", encoding="utf-8") as lines:
        for line in itertools.islice(lines, SHOWN_LINES):
            print(shortened("  " + line.rstrip("\n"), 3 * width))
            print()


def shortened(text, length):
    return text if len(text) <= length else text[: length - 1] + "…"


if __name__ == "__main__":
    main()
