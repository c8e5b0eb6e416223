"""The `bootstrap` of the zip handles every event under Lambda's runtime interface, in an environment
like Lambda's."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import time
import zipfile
from typing import Any

from .lambda_runtime import CONFINE, Environment
from .scene import Failed, Scene, expect
from .scripts import module
from .stack import ROOT, packaged, templates

# The status with which each event of events/ is answered. Of a pair, the machine's speed decides.
STATUSES = {
    "check": None,
    "status": None,
    "lookup": None,
    "lookup-membership": None,
    "lookup-invitation": None,
    "sync": "complete",
    "scheduled-rule": "complete",
    "scheduler": "complete",
    "sync-force": "complete",
    "sync-users-only": "complete",
    "sync-lists": "complete",
    "sync-restart": "complete",
    "sync-accept-shrink": "complete",
    "changes": "complete",
    "sync-short-budget": "partial",
}

# A little more than the program reserves before the deadline.
RESERVE_SECONDS = 20.0


def prove(scene: Scene) -> None:
    bootstrap = unpacked(scene)
    confinement = strongest_confinement(bootstrap)
    writable = places_to_write(scene, confinement)
    expect(confinement != "namespace" or writable == ["/tmp"], f"can be written: {writable}")
    scene.notes.append(f"confined by: {confinement}; can be written: {', '.join(writable)}")
    names = sorted(path.stem for path in (ROOT / "events").glob("*.json"))
    expect(names == sorted(STATUSES), f"events/ holds {names}, the proof knows {sorted(STATUSES)}")

    scene.empty_bucket()
    with scene.sandbox() as clerk:
        clerk.behave(latency_ms=20)
        log = scene.scratch / "environment.log"
        settings = scene.settings(clerk)
        with Environment(bootstrap, settings, log, confinement=confinement) as function:
            for name, status in STATUSES.items():
                event = json.loads((ROOT / "events" / f"{name}.json").read_text(encoding="utf-8"))
                answer = function.invoke(event)
                expect(not answer.is_error, {name: answer.payload})
                expect(status is None or answer.payload["status"] == status, {name: answer.payload})
            pauses_before_its_deadline(function)
            error = function.invoke({"action": "snyc"})
            expect(error.is_error and error.payload["errorType"] == "InvalidEvent", error.payload)
            lines = function.lines()
    expect_lambda_log(lines)
    reported = metrics(lines)
    watched = metrics_watched()
    expect(watched <= reported, f"watched and not reported: {sorted(watched - reported)}")
    scene.notes.append(f"{len(STATUSES)} events accepted; {len(lines)} log lines, all of them JSON")
    scene.notes.append(f"{len(watched)} metrics that alarms and dashboard watch, all reported")


def pauses_before_its_deadline(function: Environment) -> None:
    """The deadline leaves only the reserve, so the program takes one step, and answers in time."""
    began = time.monotonic()
    answer = function.invoke({"force": True, "restart": True}, RESERVE_SECONDS + 0.01)
    took = time.monotonic() - began
    expect(not answer.is_error and answer.payload["status"] == "partial", answer.payload)
    expect(answer.payload["reason"] == "time_budget", answer.payload)
    expect(took < RESERVE_SECONDS, f"answered after {took:.1f} s")
    for _ in range(50):
        answer = function.invoke({})
        if answer.is_error or answer.payload["status"] != "partial":
            break
    expect(not answer.is_error and answer.payload["status"] == "complete", answer.payload)


def unpacked(scene: Scene) -> pathlib.Path:
    """The program, zipped like by `make package` and unpacked like by Lambda."""
    package = module(ROOT / "scripts" / "package")
    archive = scene.scratch / "clerk-sync.zip"
    package.write(archive, scene.program.read_bytes(), compression=1)
    folder = scene.scratch / "task"
    folder.mkdir()
    with zipfile.ZipFile(archive) as zipped:
        (entry,) = zipped.infolist()
        expect(entry.filename == "bootstrap", f"the zip holds {entry.filename}")
        zipped.extract(entry, folder)
        (folder / entry.filename).chmod(entry.external_attr >> 16)
    return folder / "bootstrap"


def strongest_confinement(bootstrap: pathlib.Path) -> str:
    """The strongest confinement that this machine permits."""
    for confinement in ("namespace", "user"):
        command = [CONFINE, confinement, bootstrap]
        tried = subprocess.run([*command, "--version"], capture_output=True, check=False)
        if tried.returncode == 0:
            return confinement
    raise Failed("this machine permits neither a mount namespace nor another user")


def places_to_write(scene: Scene, confinement: str) -> list[str]:
    """The places, of those worth trying, where a program confined like this can write."""
    probe = scene.scratch / "probe"
    probe.write_text(
        "#!/bin/sh\n"
        'for place in / /mnt /root /home /var/tmp /dev/shm "$PWD" /tmp; do\n'
        '  (: >"$place/clerk-sync-probe") 2>/dev/null && echo "$place"\n'
        '  rm -f "$place/clerk-sync-probe" 2>/dev/null\n'
        "done\n"
        "exit 0\n",
        encoding="utf-8",
    )
    probe.chmod(0o755)
    tried = subprocess.run(
        [CONFINE, confinement, probe], capture_output=True, text=True, check=True, cwd="/"
    )
    return sorted(set(tried.stdout.split()))


def expect_lambda_log(lines: list[dict[str, Any]]) -> None:
    for line in lines:
        for key in ("timestamp", "level", "message"):
            expect(key in line, {"no": key, "line": line})


# A metric: its namespace, its name, and the names of its dimensions.
Metric = tuple[str, str, frozenset[str]]


def metrics(lines: list[dict[str, Any]]) -> set[Metric]:
    """The metrics that CloudWatch reads from the log (AWS documentation, "Specification: Embedded metric
    format"), each with a number and a value for every dimension."""
    found = set()
    for line in lines:
        for directive in line.get("_aws", {}).get("CloudWatchMetrics", []):
            for dimensions in directive["Dimensions"]:
                expect(all(isinstance(line.get(name), str) for name in dimensions), line)
                for metric in directive["Metrics"]:
                    expect(isinstance(line.get(metric["Name"]), int | float), line)
                    found.add((directive["Namespace"], metric["Name"], frozenset(dimensions)))
    return found


def metrics_watched() -> set[Metric]:
    """The function's own metrics that the template's alarms and dashboard use."""
    outermost = packaged()
    namespace = outermost["Parameters"]["MetricsNamespace"]["Default"]
    watched = {(namespace, "Rows", frozenset({"Function", "Dataset"}))}
    resources = {name: one for template in templates(outermost) for name, one in template["Resources"].items()}
    for resource in resources.values():
        properties = resource["Properties"]
        if properties.get("Namespace") == {"Ref": "MetricsNamespace"}:
            dimensions = frozenset(item["Name"] for item in properties["Dimensions"])
            watched.add((namespace, properties["MetricName"], dimensions))
    widgets = json.dumps(resources["OverviewDashboard"])
    shown = r'\["\$\{MetricsNamespace\}", "(\w+)", "(\w+)", '
    for name, dimension in re.findall(shown, widgets.replace('\\"', '"')):
        watched.add((namespace, name, frozenset({dimension})))
    return watched
