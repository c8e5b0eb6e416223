"""The template, translated as CloudFormation's transform does it, is created as a stack."""

from __future__ import annotations

import json

from .scene import SNAPSHOT_URL, Scene, expect
from .stack import OTHER_FUNCTIONS

# What moto's CloudFormation cannot create; their properties are checked by cfn-lint alone.
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
    """The stack was created; what it created is what the template says."""
    stack = scene.stack
    surprising = {
        name: kind for name, kind in stack.unknown.items() if kind not in UNKNOWN_TO_MOTO
    }
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

    dashboard = scene.aws.client("cloudwatch").get_dashboard(
        DashboardName=stack.outputs["DashboardName"]
    )
    widgets = json.loads(dashboard["DashboardBody"])["widgets"]
    expect(len(widgets) == 9, f"the dashboard has {len(widgets)} widgets")
    unresolved = [widget for widget in widgets if "${" in json.dumps(widget)]
    expect(not unresolved, unresolved)
