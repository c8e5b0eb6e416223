"""The template creates the expected resources, and roles with the expected permissions, for every
supported set of parameters. It is translated like by CloudFormation's transform."""

from __future__ import annotations

import json
from typing import Any

from . import stack as stacks
from .evaluation import Evaluation
from .roles import Role, roles
from .scene import SNAPSHOT_URL, Failed, Scene, expect
from .stack import OTHER_FUNCTIONS, Launched

# Types that moto's CloudFormation cannot create; only cfn-lint checks their properties.
UNKNOWN_TO_MOTO = {
    "AWS::Athena::NamedQuery",
    "AWS::CloudWatch::Alarm",
    "AWS::Glue::Database",
    "AWS::Glue::Table",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::S3::BucketPolicy",
    "AWS::Scheduler::Schedule",
}


def prove(scene: Scene) -> None:
    everything_is_created(scene)
    for number, (name, chosen) in enumerate(stacks.SETS.items()):
        try:
            is_created(scene, f"set-{number}", stacks.REQUIRED | chosen)
        except Failed as problem:
            raise Failed(f"with {name}: {problem}") from None
    scene.notes.append(f"{len(stacks.SETS)} sets of parameters: {', '.join(stacks.SETS)}")


def everything_is_created(scene: Scene) -> None:
    """The stack has the resources, variables and outputs of the template."""
    stack = scene.stack
    surprising = {
        name: kind for name, kind in stack.unknown.items() if kind not in UNKNOWN_TO_MOTO
    }
    expect(not surprising, f"not created: {surprising}")
    scene.notes.append(f"{len(stack.created)} resources created")
    scene.notes.append(f"moto cannot create {', '.join(sorted(set(stack.unknown.values())))}")

    # The environment variables of the program follow from the parameters.
    expect(stack.variables["SNAPSHOT_URL"] == SNAPSHOT_URL, stack.variables)
    expect(stack.outputs["SnapshotUrl"] == SNAPSHOT_URL, stack.outputs)

    scheduled = json.loads(stack.outputs["ScheduleInput"])["instances"]
    functions = [instance["function"] for instance in scheduled]
    expect(functions == [stack.outputs["FunctionArn"], *OTHER_FUNCTIONS], scheduled)
    expect(all(instance["event"] == {} for instance in scheduled), scheduled)

    dashboard = scene.aws.client("cloudwatch").get_dashboard(
        DashboardName=stack.outputs["DashboardName"]
    )
    widgets = json.loads(dashboard["DashboardBody"])["widgets"]
    expect(len(widgets) == 9, f"the dashboard has {len(widgets)} widgets")
    unresolved = [widget for widget in widgets if "${" in json.dumps(widget)]
    expect(not unresolved, unresolved)


def is_created(scene: Scene, name: str, parameters: dict[str, str]) -> None:
    """Moto creates the resources of our own evaluation, with the roles written out in roles.py."""
    template = stacks.translated(parameters)
    evaluation = Evaluation(template, parameters)
    refused = evaluation.refused_by()
    expect(not refused, f"refused: {refused}")
    launched = stacks.launch(scene.aws, name, template, parameters)
    expected = {
        logical: resource["Type"]
        for logical, resource in evaluation.resources.items()
        if resource["Type"] not in UNKNOWN_TO_MOTO
    }
    expect(launched.types == expected, {"created": launched.types, "expected": expected})

    written_out = roles(parameters)
    expect(set(written_out) == {role for role in expected if role.endswith("Role")}, expected)
    for logical, role in written_out.items():
        expect_role(logical, role, evaluated_role(evaluation.properties(logical)))
        expect_role(logical, role, created_role(scene, launched, logical, role.policy))


def expect_role(name: str, expected: Role, found: Role) -> None:
    expect(found.trusted == expected.trusted, {f"{name} trusts": found.trusted})
    expect(found.policy == expected.policy, {f"{name} has the policy": found.policy})
    wrong = [statement for statement in found.statements if statement not in expected.statements]
    missing = [statement for statement in expected.statements if statement not in found.statements]
    expect(found == expected, {"in": name, "wrong": wrong, "missing": missing})


def evaluated_role(properties: dict[str, Any]) -> Role:
    # No other property could give permissions.
    expect(set(properties) == {"Description", "AssumeRolePolicyDocument", "Policies"}, properties)
    (trusted,) = properties["AssumeRolePolicyDocument"]["Statement"]
    (policy,) = properties["Policies"]
    return Role(trusted, policy["PolicyName"], policy["PolicyDocument"]["Statement"])


def created_role(scene: Scene, launched: Launched, logical: str, policy: str) -> Role:
    """The role in moto, with logical names in place of the names that CloudFormation chose."""
    role = launched.created[logical]
    trust = scene.aws.client("iam").get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
    (trusted,) = trust["Statement"]
    statements = json.dumps(stacks.role_policy(scene.aws, role, policy)["Statement"])
    for name, physical in launched.created.items():
        own_name = physical.rsplit("/", 1)[-1].rsplit(":", 1)[-1]
        if own_name.startswith("set-"):
            statements = statements.replace(own_name, f"<{name}>")
    # Moto leaves out the end of a log group's ARN (AWS: "AWS::Logs::LogGroup", return values).
    statements = statements.replace('<LogGroup>"', '<LogGroup>:*"')
    return Role(trusted, policy, json.loads(statements))
