"""The template, translated as CloudFormation's transform does it, is created as a stack, in every
way to deploy it: what is created, and what the roles in it may do, is what our own evaluation says. The
invariants that template.py proves are about that evaluation."""

from __future__ import annotations

import json
from typing import Any

from . import stack as stacks
from .evaluation import Evaluation
from .scene import SNAPSHOT_URL, Failed, Scene, expect
from .stack import OTHER_FUNCTIONS, Launched

# What moto's CloudFormation cannot create; their properties are checked by cfn-lint alone.
UNKNOWN_TO_MOTO = {
    "AWS::Athena::NamedQuery",
    "AWS::CloudWatch::Alarm",
    "AWS::Glue::Database",
    "AWS::Glue::Table",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::QueuePolicy",
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
    """The stack was created; what it created is what the template says."""
    stack = scene.stack
    surprising = {name: kind for name, kind in stack.unknown.items() if kind not in UNKNOWN_TO_MOTO}
    expect(not surprising, f"not created: {surprising}")
    scene.notes.append(f"{len(stack.created)} resources created")
    scene.notes.append(f"moto cannot create {', '.join(sorted(set(stack.unknown.values())))}")

    # What the program would take from the environment is what the parameters say.
    expect(stack.variables["SNAPSHOT_URL"] == SNAPSHOT_URL, stack.variables)
    expect(stack.outputs["SnapshotUrl"] == SNAPSHOT_URL, stack.outputs)

    scheduled = json.loads(stack.outputs["ScheduleInput"])["instances"]
    functions = [instance["function"] for instance in scheduled]
    expect(functions == [stack.outputs["FunctionArn"], *OTHER_FUNCTIONS], scheduled)
    expect(all(instance["event"] == {} for instance in scheduled), scheduled)

    dashboard = scene.aws.client("cloudwatch").get_dashboard(DashboardName=stack.outputs["DashboardName"])
    widgets = json.loads(dashboard["DashboardBody"])["widgets"]
    expect(widgets, "the dashboard is empty")
    unresolved = [widget for widget in widgets if "${" in json.dumps(widget)]
    expect(not unresolved, unresolved)


def is_created(scene: Scene, name: str, parameters: dict[str, str]) -> None:
    """Moto and our own evaluation make the same of it."""
    template = stacks.translated(parameters)
    evaluation = Evaluation(template, parameters)
    refused = evaluation.refused_by()
    expect(not refused, f"refused: {refused}")
    launched = stacks.launch(scene.aws, name, template, parameters)
    expected = what_moto_creates(evaluation)
    stack_of = {logical: one for one in evaluation.stacks() for logical in one.resources}
    expect(launched.types == expected, {"created": launched.types, "expected": expected})

    for logical, kind in expected.items():
        if kind == "AWS::IAM::Role":
            right = evaluated_role(stack_of[logical].properties(logical))
            found = created_role(scene, launched, logical)
            expect(found == right, {"role": logical, "created": found, "expected": right})


def what_moto_creates(evaluation: Evaluation) -> dict[str, str]:
    """The type of each resource by logical name, nested stacks included, without those that moto cannot create."""
    return {
        logical: resource["Type"]
        for one in evaluation.stacks()
        for logical, resource in one.resources.items()
        if resource["Type"] not in UNKNOWN_TO_MOTO
    }


def evaluated_role(properties: dict[str, Any]) -> dict[str, Any]:
    """Who may take the role, and what each of its policies allows."""
    statements = {policy["PolicyName"]: policy["PolicyDocument"]["Statement"] for policy in properties["Policies"]}
    return {"trusted": properties["AssumeRolePolicyDocument"]["Statement"], "policies": statements}


def created_role(scene: Scene, launched: Launched, logical: str) -> dict[str, Any]:
    """The same of the role as moto has it, with logical names for those that CloudFormation chose."""
    role = launched.created[logical]
    iam = scene.aws.client("iam")
    found = {
        "trusted": iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]["Statement"],
        "policies": {
            name: stacks.role_policy(scene.aws, role, name)["Statement"]
            for name in iam.list_role_policies(RoleName=role)["PolicyNames"]
        },
    }
    text = json.dumps(found)
    own_names = {name: physical.rsplit("/", 1)[-1].rsplit(":", 1)[-1] for name, physical in launched.created.items()}
    # What is in a nested stack has a name that begins with that of the stack.
    for name, own_name in sorted(own_names.items(), key=lambda item: len(item[1]), reverse=True):
        if own_name.startswith("set-"):
            text = text.replace(own_name, f"<{name}>")
    # Moto forgets how the ARN of a log group ends (AWS: "AWS::Logs::LogGroup", return values).
    return json.loads(text.replace('<LogGroup>"', '<LogGroup>:*"'))
