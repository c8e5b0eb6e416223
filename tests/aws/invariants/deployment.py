"""What an invariant examines, one deployment of the template, and how the proof plants a fault in it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..evaluation import Evaluation
from ..stack import REQUIRED, templates

Template = dict[str, Any]
Change = Callable[[Template], None]

# What is wrong with a deployment, a sentence each.
Complaints = Iterator[str]


class Deployment:
    """The template with one set of parameters, as CloudFormation would create it. What is in nested stacks is taken
    together with the rest: their resources have names that occur once."""

    def __init__(self, template: Template, parameters: dict[str, str]):
        evaluation = Evaluation(template, REQUIRED | parameters)
        self.template = template
        self.parameters = evaluation.parameters
        self.stacks = list(evaluation.stacks())
        self._evaluation = evaluation
        self._of = {name: one for one in self.stacks for name in one.resources}
        self.resources = {name: one.resources[name] for name, one in self._of.items()}
        twice = sum(len(one.resources) for one in self.stacks) - len(self.resources)
        assert twice == 0, "two stacks use one name for a resource"

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """The properties of each resource of a type, by its name."""
        return {
            name: resource.get("Properties", {})
            for name, resource in self.resources.items()
            if resource["Type"] == kind
        }

    def arns(self, kind: str) -> dict[str, str]:
        """The ARN of each resource of a type, and which it is."""
        return {self._of[name].arn(name): name for name in self.of_type(kind)}

    def refused_by(self) -> list[str]:
        return self._evaluation.refused_by()

    @property
    def function(self) -> dict[str, Any]:
        (properties,) = self.of_type("AWS::Lambda::Function").values()
        return properties

    @property
    def function_arn(self) -> str:
        (arn,) = self.arns("AWS::Lambda::Function")
        return arn

    @property
    def variables(self) -> dict[str, str]:
        return self.function["Environment"]["Variables"]

    @property
    def place(self) -> tuple[str, str]:
        """The bucket that the function writes to, and what all keys begin with."""
        bucket, slash, prefix = self.variables["SNAPSHOT_URL"].removeprefix("s3://").partition("/")
        return bucket, prefix + slash


@dataclass(frozen=True)
class Fault:
    """A mistake in the template that an invariant has to notice, in a deployment with `parameters`."""

    what: str
    change: Change
    parameters: dict[str, str]

    def planted(self, template: Template) -> Deployment:
        changed = copy.deepcopy(template)
        self.change(changed)
        if changed == template:
            raise AssertionError(f"the fault {self.what!r} changes nothing")
        return Deployment(changed, self.parameters)


@dataclass(frozen=True)
class Invariant:
    """Something that holds in every deployment."""

    complaints: Callable[[Deployment], Complaints]
    faults: tuple[Fault, ...]

    @property
    def name(self) -> str:
        return self.complaints.__name__


INVARIANTS: list[Invariant] = []


def invariant(*faults: Fault) -> Callable[[Callable[[Deployment], Complaints]], Callable[[Deployment], Complaints]]:
    """Registers an invariant together with the faults that show that it can fail."""

    def register(complaints: Callable[[Deployment], Complaints]) -> Callable[[Deployment], Complaints]:
        INVARIANTS.append(Invariant(complaints, faults))
        return complaints

    return register


def fault(what: str, *changes: Change, **parameters: str) -> Fault:
    def change(template: Template) -> None:
        for one in changes:
            one(template)

    return Fault(what, change, parameters)


@dataclass(frozen=True)
class Sid:
    """The statement of this name, in a path: it may stand inside `Fn::If`."""

    name: str


Step = str | int | Sid


def put(*path: Step, value: Any) -> Change:
    """Sets what stands at a path below `Resources`, of the template that has its first step."""

    def change(template: Template) -> None:
        above = _follow(resources_with(template, path[0]), path[:-1])
        above[path[-1]] = value

    return change


def drop(*path: Step) -> Change:
    """Removes what stands at a path below `Resources`, of the template that has its first step."""

    def change(template: Template) -> None:
        above = _follow(resources_with(template, path[0]), path[:-1])
        del above[path[-1]]

    return change


def add(*path: Step, value: Any) -> Change:
    """Appends to the list that stands at a path below `Resources`, of the template that has its first step."""

    def change(template: Template) -> None:
        _follow(resources_with(template, path[0]), path).append(value)

    return change


def resources_with(template: Template, name: Step) -> dict[str, Any]:
    """The resources of the template, nested ones included, that has one of this name; otherwise of the outermost."""
    for one in templates(template):
        if name in one["Resources"]:
            return one["Resources"]
    return template["Resources"]


def _follow(value: Any, path: tuple[Step, ...]) -> Any:
    for step in path:
        value = _statement(value, step.name) if isinstance(step, Sid) else value[step]
    return value


def _statement(value: Any, sid: str) -> dict[str, Any]:
    (found,) = _statements(value, sid)
    return found


def _statements(value: Any, sid: str) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if value.get("Sid") == sid:
            yield value
        for item in value.values():
            yield from _statements(item, sid)
    elif isinstance(value, list):
        for item in value:
            yield from _statements(item, sid)


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
