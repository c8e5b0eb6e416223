"""Evaluates a translated template with parameters like CloudFormation: which resources it creates, with
which properties, and which parameters its rules refuse. Moto does not do this for every resource.

Templates of nested stacks stand in the template itself, under `Nested`, by the name of the nested stack.

A name that CloudFormation would choose is the logical name in angle brackets: `<SyncFunction>`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .aws import ACCOUNT, REGION

PSEUDO_PARAMETERS = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackName": "clerk-sync",
    "AWS::URLSuffix": "amazonaws.com",
}

NO_VALUE = object()

ARNS = {
    "AWS::IAM::Role": f"arn:aws:iam::{ACCOUNT}:role/{{}}",
    "AWS::Events::Rule": f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{{}}",
    "AWS::Lambda::Function": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{{}}",
    "AWS::Logs::LogGroup": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{{}}:*",
    "AWS::S3::Bucket": "arn:aws:s3:::{}",
    "AWS::SNS::Topic": f"arn:aws:sns:{REGION}:{ACCOUNT}:{{}}",
    "AWS::SQS::Queue": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{{}}",
    "AWS::StepFunctions::StateMachine": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{{}}",
}

STACK = "AWS::CloudFormation::Stack"

# `Ref` of these is the ARN. Of a queue it is the address, which only outputs use.
KNOWN_BY_ARN = {"AWS::SNS::Topic", "AWS::StepFunctions::StateMachine"}


class Evaluation:
    def __init__(self, template: dict[str, Any], parameters: dict[str, str]):
        self._template = template
        self._nested: dict[str, Evaluation] = {}
        declared = template["Parameters"]
        # What has no default and is not given, and what is given and not declared.
        self.missing = sorted(name for name in declared if name not in parameters and "Default" not in declared[name])
        self.surplus = sorted(set(parameters) - set(declared))
        self.parameters = {
            name: str(parameters.get(name, of.get("Default", "<not given>"))) for name, of in declared.items()
        }
        self.resources: dict[str, dict[str, Any]] = {
            name: self._value(resource)
            for name, resource in template["Resources"].items()
            if self._exists(resource)
        }

    def properties(self, name: str) -> dict[str, Any]:
        return self.resources[name].get("Properties", {})

    def stacks(self) -> Iterator[Evaluation]:
        """This stack and those in it."""
        yield self
        for name, resource in self.resources.items():
            if resource["Type"] == STACK:
                yield from self.nested(name).stacks()

    def nested(self, name: str) -> Evaluation:
        """The stack that a resource of this stack is."""
        if name not in self._nested:
            given = self._value(self._template["Resources"][name]["Properties"]["Parameters"])
            self._nested[name] = Evaluation(self._template["Nested"][name], given)
        return self._nested[name]

    def outputs(self) -> dict[str, Any]:
        declared = self._template.get("Outputs", {})
        return {name: self._value(output["Value"]) for name, output in declared.items() if self._exists(output)}

    def arn(self, name: str) -> str:
        return self._attribute(name, "Arn")

    def refused_by(self) -> list[str]:
        """The objections of the rules, and of the parameters' own patterns and lists of values."""
        problems = [
            name
            for name, declared in self._template["Parameters"].items()
            if not accepts(declared, self.parameters[name])
        ]
        for rule in self._template.get("Rules", {}).values():
            assert set(rule) <= {"RuleCondition", "Assertions"}, rule
            if not self._value(rule.get("RuleCondition", True)):
                continue
            problems += [
                assertion["AssertDescription"]
                for assertion in rule["Assertions"]
                if not self._value(assertion["Assert"])
            ]
        return problems

    def _exists(self, resource: dict[str, Any]) -> bool:
        return "Condition" not in resource or self._condition(resource["Condition"])

    def _condition(self, name: str) -> bool:
        return self._value(self._template["Conditions"][name])

    def _value(self, value: Any) -> Any:
        if isinstance(value, list):
            items = (self._value(item) for item in value)
            return [item for item in items if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, given),) = value.items()
            # In a policy `Condition` is an object; in a template it is a condition's name.
            if name == "Condition" and isinstance(given, str):
                return self._condition(given)
            if name == "Ref" or name.startswith("Fn::"):
                return self._function(name, given)
        fields = {name: self._value(item) for name, item in value.items()}
        return {name: item for name, item in fields.items() if item is not NO_VALUE}

    def _function(self, name: str, given: Any) -> Any:
        if name == "Ref":
            return self._ref(given)
        if name == "Fn::If":
            return self._value(given[1] if self._condition(given[0]) else given[2])
        if name == "Fn::GetAtt":
            return self._attribute(*given)
        if name == "Fn::Sub":
            text, more = given if isinstance(given, list) else (given, {})
            return self._substituted(text, self._value(more))
        values = self._value(given)
        if name == "Fn::Join":
            return values[0].join(values[1])
        if name == "Fn::Split":
            return values[1].split(values[0])
        if name == "Fn::Equals":
            return str(values[0]) == str(values[1])
        if name == "Fn::Not":
            return not values[0]
        if name == "Fn::And":
            return all(values)
        if name == "Fn::Or":
            return any(values)
        raise NotImplementedError(name)

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in PSEUDO_PARAMETERS:
            return PSEUDO_PARAMETERS[name]
        if name in self.parameters:
            return _given(self._template["Parameters"][name], self.parameters[name])
        resource = self._template["Resources"][name]
        return self._attribute(name, "Arn" if resource["Type"] in KNOWN_BY_ARN else "Name")

    def _attribute(self, name: str, attribute: str) -> str:
        resource = self._template["Resources"][name]
        assert self._exists(resource), f"{name} is referred to, and not created"
        if resource["Type"] == STACK:
            return self.nested(name).outputs()[attribute.removeprefix("Outputs.")]
        chosen = self._value(resource.get("Properties", {}).get("BucketName", NO_VALUE))
        own_name = f"<{name}>" if chosen is NO_VALUE else chosen
        return ARNS[resource["Type"]].format(own_name) if attribute == "Arn" else own_name

    def _substituted(self, text: str, more: dict[str, Any]) -> str:
        def replaced(found: re.Match[str]) -> str:
            name = found[1]
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            if name in more:
                return str(more[name])
            resource, dot, attribute = name.partition(".")
            return self._attribute(resource, attribute) if dot else str(self._ref(name))

        return re.sub(r"\$\{([^}]+)\}", replaced, text)


def _given(declared: dict[str, Any], text: str) -> str | list[str]:
    if declared["Type"] == "CommaDelimitedList":
        return [item.strip() for item in text.split(",")]
    return text


def accepts(declared: dict[str, Any], text: str) -> bool:
    """Whether a parameter takes this text."""
    if "AllowedValues" in declared:
        return text in map(str, declared["AllowedValues"])
    if declared["Type"] == "Number":
        return int(declared.get("MinValue", text)) <= int(text) <= int(declared.get("MaxValue", text))
    given = _given(declared, text)
    items = given if isinstance(given, list) else [given]
    return all(re.fullmatch(declared.get("AllowedPattern", ".*"), item) for item in items)
