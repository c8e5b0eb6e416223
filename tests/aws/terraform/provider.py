"""A stand-in for AWS's provider: Terraform asks it what types there are, plans and creates with it, and nothing exists.

It has the provider's own schema (provider.json, see distil.py), so Terraform refuses an argument that the provider
does not have, or one of another type. It knows nothing of AWS beyond that, except how ARNs are made of names: a wrong
value of the right type is not noticed here.

Terraform connects to a provider that already runs if TF_REATTACH_PROVIDERS says where. So it runs in this process.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import msgpack

from ..aws import ACCOUNT, REGION

SCHEMAS = pathlib.Path(__file__).with_name("provider.json")
SOURCE = "registry.terraform.io/hashicorp/aws"

UNKNOWN = msgpack.ExtType(0, b"\x00")

# The name of a resource, and what else AWS makes of it.
NAMES = {
    "aws_cloudwatch_event_rule": "name",
    "aws_cloudwatch_log_group": "name",
    "aws_cloudwatch_metric_alarm": "alarm_name",
    "aws_iam_role": "name",
    "aws_iam_role_policy": "name",
    "aws_lambda_function": "function_name",
    "aws_s3_bucket": "bucket",
    "aws_scheduler_schedule": "name",
    "aws_sns_topic": "name",
    "aws_sqs_queue": "name",
}
ARNS = {
    "aws_cloudwatch_event_rule": f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{{name}}",
    "aws_cloudwatch_log_group": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{{name}}",
    "aws_iam_role": f"arn:aws:iam::{ACCOUNT}:role{{path}}{{name}}",
    "aws_lambda_function": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{{function_name}}",
    "aws_s3_bucket": "arn:aws:s3:::{bucket}",
    "aws_sns_topic": f"arn:aws:sns:{REGION}:{ACCOUNT}:{{name}}",
    "aws_sqs_queue": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{{name}}",
}
QUEUE_URL = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{{name}}"
# What the provider calls `id` of these is not the name.
IDS = {"aws_sqs_queue": QUEUE_URL, "aws_sns_topic": ARNS["aws_sns_topic"]}
# Terraform appends 26 digits to a prefix.
SUFFIX = "20261129000000000000000001"

DATA = {
    "aws_caller_identity": {"account_id": ACCOUNT, "id": ACCOUNT},
    "aws_partition": {"partition": "aws", "dns_suffix": "amazonaws.com", "id": "aws"},
    "aws_region": {"region": REGION, "name": REGION, "id": REGION},
}


def schemas() -> dict[str, Any]:
    return json.loads(SCHEMAS.read_text(encoding="utf-8"))


@contextlib.contextmanager
def running() -> Iterator[dict[str, str]]:
    """A running provider, and the environment variables by which Terraform finds it."""
    pb, service = _messages()
    server = grpc.server(ThreadPoolExecutor(max_workers=8))
    service.add_ProviderServicer_to_server(_servicer(pb, service), server)
    with tempfile.TemporaryDirectory() as folder:
        socket = f"{folder}/provider"
        server.add_insecure_port(f"unix://{socket}")
        server.start()
        place = {"Network": "unix", "String": socket}
        reattach = {"Protocol": "grpc", "ProtocolVersion": 6, "Pid": os.getpid(), "Test": True, "Addr": place}
        try:
            yield {"TF_REATTACH_PROVIDERS": json.dumps({SOURCE: reattach})}
        finally:
            server.stop(grace=None).wait()


def _messages() -> tuple[Any, Any]:
    """The modules that grpcio-tools generates of plugin.proto, which it looks for in `sys.path`."""
    sys.path.insert(0, str(SCHEMAS.parent))
    try:
        return grpc.protos_and_services("plugin.proto")
    finally:
        sys.path.pop(0)


def _servicer(pb: Any, service: Any) -> Any:
    known = schemas()

    class Provider(service.ProviderServicer):
        def GetProviderSchema(self, request: Any, context: Any) -> Any:
            return pb.GetProviderSchema.Response(
                provider=_schema(pb, {"attributes": {}, "blocks": {}}),
                resource_schemas={name: _schema(pb, block) for name, block in known["resources"].items()},
                data_source_schemas={name: _schema(pb, block) for name, block in known["data_sources"].items()},
            )

        def accept(self, request: Any, context: Any) -> Any:
            return pb.Checked.Response()

        ValidateProviderConfig = ValidateResourceConfig = ValidateDataResourceConfig = accept
        ConfigureProvider = accept

        def UpgradeResourceState(self, request: Any, context: Any) -> Any:
            state = json.loads(request.raw_state.json)
            return pb.UpgradeResourceState.Response(upgraded_state=_packed(pb, state))

        def ReadResource(self, request: Any, context: Any) -> Any:
            return pb.ReadResource.Response(new_state=request.current_state)

        def PlanResourceChange(self, request: Any, context: Any) -> Any:
            planned = _unpacked(request.proposed_new_state)
            if planned is not None and _unpacked(request.prior_state) is None:
                planned = _with_unknowns(known["resources"][request.type_name], planned)
            # As most of the real provider is: what it computes may differ a little from what was asked for.
            return pb.PlanResourceChange.Response(planned_state=_packed(pb, planned), legacy_type_system=True)

        def ApplyResourceChange(self, request: Any, context: Any) -> Any:
            planned = _unpacked(request.planned_state)
            created = planned and _created(request.type_name, planned)
            return pb.ApplyResourceChange.Response(new_state=_packed(pb, created), legacy_type_system=True)

        def ReadDataSource(self, request: Any, context: Any) -> Any:
            state = _unpacked(request.config) | DATA[request.type_name]
            return pb.ReadDataSource.Response(state=_packed(pb, state))

        def StopProvider(self, request: Any, context: Any) -> Any:
            return pb.StopProvider.Response()

    return Provider()


def _schema(pb: Any, block: dict[str, Any]) -> Any:
    return pb.Schema(block=_block(pb, block))


def _block(pb: Any, block: dict[str, Any]) -> Any:
    return pb.Schema.Block(
        attributes=[
            pb.Schema.Attribute(
                name=name, type=json.dumps(attribute["type"]).encode(), **dict.fromkeys(attribute["is"], True)
            )
            for name, attribute in block["attributes"].items()
        ],
        block_types=[
            pb.Schema.NestedBlock(
                type_name=name,
                block=_block(pb, nested),
                nesting=pb.Schema.NestedBlock.NestingMode.Value(nested["nesting"].upper()),
                min_items=int(nested["required"]) if nested["nesting"] != "single" else 0,
                max_items=int(nested["single"]) if nested["nesting"] != "single" else 0,
            )
            for name, nested in block["blocks"].items()
        ],
    )


def _with_unknowns(block: dict[str, Any], planned: dict[str, Any]) -> dict[str, Any]:
    """What AWS chooses is not known before the resource is created."""
    return {name: UNKNOWN if value is None and _is_computed(block, name) else value for name, value in planned.items()}


def _is_computed(block: dict[str, Any], name: str) -> bool:
    return "computed" in block["attributes"].get(name, {"is": []})["is"]


def _created(kind: str, planned: dict[str, Any]) -> dict[str, Any]:
    state = {name: None if value == UNKNOWN else value for name, value in planned.items()}
    own = NAMES.get(kind)
    if own and state[own] is None:
        prefix = state.get("bucket_prefix") or state.get("name_prefix") or "terraform-"
        state[own] = f"{prefix}{SUFFIX}"
    if kind == "aws_iam_role":
        state["path"] = state["path"] or "/"
    if kind in ARNS:
        state["arn"] = ARNS[kind].format(**state)
    if kind == "aws_sqs_queue":
        state["url"] = QUEUE_URL.format(**state)
    state["id"] = IDS.get(kind, f"{{{own}}}" if own else "<id>").format(**state)
    return state


def _unpacked(value: Any) -> Any:
    # Large numbers come as texts; there are none here.
    return msgpack.unpackb(value.msgpack, strict_map_key=False)


def _packed(pb: Any, value: Any) -> Any:
    return pb.DynamicValue(msgpack=msgpack.packb(value))
