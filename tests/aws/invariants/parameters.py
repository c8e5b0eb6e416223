"""The parameters of the template."""

from __future__ import annotations

import re

from ..stack import NOTICES, templates
from .deployment import Change, Complaints, Deployment, drop, fault, invariant, put


def declare(name: str, **declared: object) -> Change:
    return lambda template: template["Parameters"][name].update(declared)


def forget(name: str, field: str) -> Change:
    return lambda template: template["Parameters"][name].pop(field)


def groups(template: dict) -> list[dict]:
    return template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]


UNUSED = {"Type": "String", "Default": "", "AllowedPattern": "^$", "ConstraintDescription": "must be empty"}


@invariant(
    fault("a parameter without effect", lambda template: template["Parameters"].update(Unused=UNUSED)),
    fault(
        "a setting that is not handed on",
        lambda template: template["Resources"]["SyncFunction"]["Properties"]["Environment"]["Variables"].pop(
            "LEASE_SECONDS"
        ),
    ),
    fault(
        "a parameter of a nested stack without effect",
        lambda template: template["Nested"]["AlarmsStack"]["Parameters"].update(Unused=UNUSED),
    ),
)
def every_parameter_has_an_effect(stack: Deployment) -> Complaints:
    for template in templates(stack.template):
        used = names_in(template.get("Conditions", {})) | names_in(template["Resources"])
        for name in sorted(set(template["Parameters"]) - used):
            yield f"{name} is not used"


@invariant(
    fault("a parameter that is not passed on", drop("AlarmsStack", "Properties", "Parameters", "Function")),
    fault("a parameter that is not there", put("AlarmsStack", "Properties", "Parameters", "Topic", value="")),
    fault(
        "a value that a nested stack refuses",
        put("NoticesStack", "Properties", "Parameters", "Notices", value="everything"),
        **NOTICES,
    ),
    fault(
        "an address that a nested stack refuses",
        lambda template: template["Nested"]["Catalog"]["Parameters"]["SnapshotUrl"].update(AllowedPattern="^s3://$"),
        DatabaseName="clerk",
    ),
)
def nested_stacks_get_what_they_ask_for(stack: Deployment) -> Complaints:
    for one in stack.stacks:
        yield from (f"{name} is not given" for name in one.missing)
        yield from (f"{name} is given, which nothing declares" for name in one.surplus)
        if not one.missing:
            yield from (f"refused: {problem}" for problem in one.refused_by())


def names_in(value: object) -> set[str]:
    """What `Ref` and `Fn::Sub` refer to."""
    if isinstance(value, str):
        return set(re.findall(r"\$\{(\w+)", value))
    if isinstance(value, list):
        return set().union(*map(names_in, value))
    if not isinstance(value, dict):
        return set()
    found = set().union(*map(names_in, value.values()))
    return found | {value["Ref"]} if "Ref" in value else found


@invariant(
    fault("a parameter in no group", lambda template: groups(template)[0]["Parameters"].pop()),
    fault("a parameter in two groups", lambda template: groups(template)[0]["Parameters"].append("LogLevel")),
    fault("a group that names no parameter", lambda template: groups(template)[0]["Parameters"].append("Gone")),
)
def every_parameter_is_in_one_group(stack: Deployment) -> Complaints:
    shown = [name for group in groups(stack.template) for name in group["Parameters"]]
    if sorted(shown) != sorted(stack.template["Parameters"]):
        yield f"{sorted(set(stack.template['Parameters']) ^ set(shown))} or one of the others is not shown once"


@invariant(
    fault("a text that may be anything", forget("SnapshotPrefix", "AllowedPattern")),
    fault("a refusal that does not say why", forget("SnapshotPrefix", "ConstraintDescription")),
    fault("a number without end", forget("MemorySize", "MaxValue")),
    fault("a parameter that nobody explained", forget("MemorySize", "Description")),
    fault("a default that is refused", declare("LogLevel", Default="LOUD")),
    fault("a pattern that refuses its own default", declare("ScheduleTimezone", AllowedPattern="^[0-9]+$")),
)
def every_parameter_is_validated(stack: Deployment) -> Complaints:
    for name, declared in stack.template["Parameters"].items():
        if "AllowedValues" in declared:
            wanted = {"Description"}
        elif declared["Type"] == "Number":
            wanted = {"Description", "MinValue", "MaxValue"}
        else:
            wanted = {"Description", "AllowedPattern", "ConstraintDescription"}
        missing = wanted - set(declared)
        if missing:
            yield f"{name} has no {', '.join(sorted(missing))}"
            # What it would refuse cannot be told.
            return
    # Nothing is wrong with these parameters, the defaults among them.
    yield from (f"refused: {problem}" for problem in stack.refused_by())
