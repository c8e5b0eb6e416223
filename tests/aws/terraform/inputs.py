"""The module's variables are the template's parameters: their names, their defaults, and what they take and refuse,
alone and together."""

from __future__ import annotations

import functools
import json
import pathlib
import re
import shutil
from collections.abc import Iterator
from typing import Any

from ..evaluation import Evaluation, accepts
from ..scene import Failed, expect
from ..stack import REQUIRED, ROOT, load
from ..template import ACCEPTED, REFUSED
from .comparison import LEFT_OUT, call, variable
from .core import Call, Configuration, literal, terraform

# Variables that are no parameters: names, tags and the zip are things that CloudFormation and SAM see to.
OWN = {"name", "package_file", "tags"}

# Besides the values of all sets of parameters, right and wrong ones.
TEXTS = [
    "", " ", "true", "false", "True", "yes", "0", "1", "2", "1.0", "1.01", "0.5", ".5", ".0", "1.", "007", "-1", "1e3",
    "30", "100", "365", "1000", "1440", "1441", "99999", "100000", "1000000", "26.5",
    "users", "Users", "users,", "users, organizations", "users organizations",
    "none", "gzip", "lz4", "public", "public,private", "public, secret", "email", "address",
    "https://clerk.example", "http://clerk.example", "https://clerk.example/?a=b", "https://a@b",
    "2026-05-12", "2026-5-1",
    "ab", "abc", "a.b.c", "Abc", "a-", "a" * 63, "a" * 64, "A/B", "a//b", "/a", "a/", ".a", "a/..", "x=1/y=2",
    "123456789012", "12345678901", "1234567890123",
    "arn:aws:kms:us-east-1:123456789012:key/a-b", "arn:aws:kms:us-east-1:123456789012:alias/a",
    "arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/a", "arn:aws:sns:us-east-1:123456789012:a_b",
    "arn:aws:sns:us-east-1:1234:a", "arn:aws:sns:us-east-1:123456789012:a:b",
    "arn:aws:secretsmanager:us-east-1:123456789012:secret:clerk/key-a1b2c3",
    "arn:aws:secretsmanager:us-east-1:123456789012:secret:", "arn:aws:iam::123456789012:policy/a/b",
    "arn:aws:iam::aws:policy/PowerUserAccess", "arn:aws:iam::aws:role/a",
    "sk_test_abc", "my sk_live_ key", "a field", "a" * 256, "a" * 257,
    "subnet-0a1b", "subnet-0a,subnet-0b", "subnet-0a, subnet-0b", "subnet-xyz", "sg-0a", "sg-0a,sg-0b", "sg-", "sg-0a,",
    "rate(1 day)", "cron(0 3 * * ? *)", "rate()", "every day", "at(2026-01-01T00:00:00)",
    "UTC", "Europe/Berlin", "Etc/GMT+1", "Europe Berlin", "ENABLED", "DISABLED", "enabled",
    "AES256", "aws:kms", "aes256",
    "GOVERNANCE", "COMPLIANCE", "arm64", "x86_64", "arm", "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "info",
    "PassThrough", "Active", "ClerkSync", "Acme/Clerk:1", ":a", "Acme Clerk", "a" * 255, "a@b", "a@b@c", "a b@c", "@b",
    "privileged", "all", "access", "off", "/", "/a/", "/a", "//", "/a b/",
]  # fmt: skip
NUMBERS = [0, 1, 2, 3, 29, 30, 90, 91, 127, 128, 168, 169, 3653, 3654, 10240, 10241, 36500, 36501]


def complaints(module: pathlib.Path, folder: pathlib.Path) -> list[str]:
    """What is wrong with the variables of a copy of the module. Writes to a new folder."""
    folder.mkdir()
    text = (module / "variables.tf").read_text(encoding="utf-8")
    names = set(re.findall(r'^variable "(\w+)"', text, re.MULTILINE))
    wanted = {variable(name) for name in parameters()} | OWN
    found = [f"variables: {sorted(names ^ wanted)} are not in both"] if names != wanted else []
    common = {name: of for name, of in parameters().items() if variable(name) in names}
    found += other_defaults(text, folder, common)
    found += other_limits(text, folder / "limits", common)
    return found


def parameters() -> dict[str, dict[str, Any]]:
    """Those of the template that the module has."""
    declared = the_template()["Parameters"]
    return {name: of for name, of in declared.items() if name not in LEFT_OUT}


def other_defaults(text: str, folder: pathlib.Path, common: dict[str, dict[str, Any]]) -> Iterator[str]:
    alone = folder / "variables"
    alone.mkdir()
    (alone / "variables.tf").write_text(text, encoding="utf-8")
    outputs = {variable(name): {"value": f"${{var.{variable(name)}}}"} for name in common}
    (alone / "outputs.tf.json").write_text(json.dumps({"output": outputs}), encoding="utf-8")
    required = {variable(name): value for name, value in REQUIRED.items()} | {"package_file": "clerk-sync.zip"}
    # Whoever passes on a variable that is not set passes on null.
    required |= {variable(name): None for name, of in common.items() if "Default" in of}
    given = Configuration(folder / "defaults", {"defaults": Call(alone, required)}).apply()["defaults"].outputs
    for name, of in common.items():
        if "Default" in of and given[variable(name)] != of["Default"]:
            yield f"{variable(name)} is {given[variable(name)]} by default, and the parameter is {of['Default']}"
        if ("Default" in of) == (name in REQUIRED):
            raise Failed(f"{name}: REQUIRED in stack.py is not what has no default")


def other_limits(text: str, folder: pathlib.Path, common: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Terraform judges each condition for each value: as expressions, because a use of the module for each value
    would take it an hour."""
    conditions = {}
    for name, body in re.findall(r'^variable "(\w+)" \{\n(.*?)^\}$', text, re.MULTILINE | re.DOTALL):
        found = re.findall(r"condition\s+= (.*?)\n\s+error_message", body, re.DOTALL)
        conditions[name] = " && ".join(f"({one})" for one in found).replace(f"var.{name}", "value") or "true"
    lines = [f"locals {{\n  texts = {literal(texts())}\n  numbers = {literal(NUMBERS)}\n}}"]
    for name, of in common.items():
        values = "numbers" if of["Type"] == "Number" else "texts"
        judged = f"[for value in local.{values} : {conditions[variable(name)]}]"
        lines.append(f'output "{variable(name)}" {{\n  value = {judged}\n}}')
    folder.mkdir()
    (folder / "main.tf").write_text("\n".join(lines) + "\n", encoding="utf-8")
    applied = terraform(folder, "apply", "-auto-approve", "-no-color")
    expect(applied.status == 0, applied.output[-4000:])
    outputs = json.loads(terraform(folder, "output", "-json").output)
    for name, of in common.items():
        tried = NUMBERS if of["Type"] == "Number" else texts()
        for value, takes in zip(tried, outputs[variable(name)]["value"], strict=True):
            if takes != accepts(of, str(value)):
                yield f"{variable(name)} {'takes' if takes else 'refuses'} {value!r}, and the parameter does not"


def texts() -> list[str]:
    sets = [*ACCEPTED, *(tried for tried, _ in REFUSED)]
    return sorted({*TEXTS, *(value for tried in sets for value in tried.values())})


def wrong_together(module: pathlib.Path, folder: pathlib.Path) -> list[str]:
    """Combinations that the module takes and the template refuses, or the other way round, or for another reason."""
    folder.mkdir()
    # Nothing else decides.
    alone = folder / "alone"
    alone.mkdir()
    for file in ("variables.tf", "rules.tf"):
        shutil.copy(module / file, alone / file)
    sets = [one for one in [*ACCEPTED, *(refused for refused, _ in REFUSED)] if not one.keys() & LEFT_OUT]
    by_itself = [one for one in sets if any(reason in parameters() for reason in refused_by_template(one))]
    # Terraform looks at rules only if every variable is right by itself.
    together = [one for one in sets if one not in by_itself]
    return [
        *refused_otherwise(alone, folder / "variables", by_itself),
        *refused_otherwise(alone, folder / "rules", together),
    ]


def refused_otherwise(module: pathlib.Path, folder: pathlib.Path, sets: list[dict[str, str]]) -> Iterator[str]:
    calls = {f"set{place}": call(module, one) for place, one in enumerate(sets)}
    problems = Configuration(folder, calls).problems()
    yield from (f"{problem.text}, nowhere in particular" for problem in problems if problem.call not in calls)
    for key, one in zip(calls, sets, strict=True):
        reasons = sorted(problem.variable or message(problem.text) for problem in problems if problem.call == key)
        wanted = sorted(map(of_the_module, refused_by_template(one)))
        if reasons != wanted:
            yield f"{one}: refused because of {reasons}, by the template because of {wanted}"


def rules() -> set[str]:
    """The reasons of the template's rules, in the words of the module."""
    found = the_template()["Rules"].values()
    return {of_the_module(one["AssertDescription"]) for rule in found for one in rule["Assertions"]}


def refused_by_template(tried: dict[str, str]) -> list[str]:
    # Rules are about parameters alone.
    return Evaluation(the_template() | {"Resources": {}}, REQUIRED | tried).refused_by()


@functools.cache
def the_template() -> dict[str, Any]:
    return load(ROOT / "template.yaml")


def message(text: str) -> str:
    """The reason that a rule gives, in one line."""
    return " ".join(text.partition(": ")[2].split()).removesuffix(".")


def of_the_module(text: str) -> str:
    """A reason of the template in the words of the module."""
    for name in sorted(parameters(), key=len, reverse=True):
        # "Notices say" is a word that begins a sentence.
        text = re.sub(rf"\b{name}\b(?! say)", variable(name), text)
    return " ".join(text.split()).replace("this stack", "this module").removesuffix(".")
