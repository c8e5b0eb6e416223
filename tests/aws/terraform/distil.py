"""Writes provider.json: which arguments and attributes AWS's provider for Terraform has, for the types that
deploy/terraform uses.

usage: python -m tests.aws.terraform.distil FOLDER

FOLDER is where the npm package @cdktn/provider-aws is unpacked (`npm pack @cdktn/provider-aws`, 46 MB). Its code is
generated from the schema of the provider itself, and names the provider's version. The package is of no other use
here, so it is not installed; run this when the module needs another type, or a newer provider.
"""

from __future__ import annotations

import json
import pathlib
import re
import sys
from typing import Any

from .provider import SCHEMAS

RESOURCES = [
    "cloudwatch_event_rule",
    "cloudwatch_event_target",
    "cloudwatch_log_group",
    "cloudwatch_metric_alarm",
    "iam_role",
    "iam_role_policy",
    "lambda_function",
    "lambda_function_event_invoke_config",
    "s3_bucket",
    "s3_bucket_lifecycle_configuration",
    "s3_bucket_notification",
    "s3_bucket_object_lock_configuration",
    "s3_bucket_ownership_controls",
    "s3_bucket_policy",
    "s3_bucket_public_access_block",
    "s3_bucket_server_side_encryption_configuration",
    "s3_bucket_versioning",
    "scheduler_schedule",
    "sns_topic",
    "sns_topic_policy",
    "sns_topic_subscription",
    "sqs_queue",
    "sqs_queue_policy",
]
DATA_SOURCES = ["caller_identity", "partition", "region"]

SIMPLE = {"string": "string", "number": "number", "boolean": "bool", "any": "dynamic"}
GETTERS = {
    "getStringAttribute": "string",
    "getNumberAttribute": "number",
    "getBooleanAttribute": "bool",
    "getListAttribute": ["list", "string"],
    "getNumberListAttribute": ["list", "number"],
}

# A comment that the generator writes above each property, and the first statement of its getter.
PROPERTY = re.compile(
    r"// (\w+) - computed: (true|false), optional: (true|false), required: (true|false)\n"
    r"(?:\s+_\w+(?: = .*)?;\n)?\s+get \w+\(\) \{\n\s+return (?:[\w.]+\()*this\.(\w+)"
)
ARGUMENT = re.compile(
    r"^\s+(\w+): \{\n\s+value: .*\n\s+isBlock: (true|false),\n\s+type: \"(\w+)\",\n\s+storageClassType: \"(\w+)\"",
    re.MULTILINE,
)


def main(folder: pathlib.Path) -> None:
    schemas = {
        "version": "",
        "resources": {f"aws_{name}": block(read(folder, name), "") for name in RESOURCES},
        "data_sources": {f"aws_{name}": block(read(folder, f"data_aws_{name}"), "") for name in DATA_SOURCES},
    }
    text = (folder / "lib" / "sqs-queue" / "index.d.ts").read_text(encoding="utf-8")
    (schemas["version"],) = set(re.findall(r"hashicorp/aws/([\d.]+)/", text))
    SCHEMAS.write_text(text_of(schemas), encoding="utf-8")


def text_of(schemas: dict[str, Any]) -> str:
    """JSON with a line for each type, so that a newer version shows what is new."""
    parts = [f'"version": {json.dumps(schemas["version"])}']
    for kind in ("resources", "data_sources"):
        types = [f'"{name}": {json.dumps(of, sort_keys=True)}' for name, of in schemas[kind].items()]
        parts.append(f'"{kind}": {{\n' + ",\n".join(types) + "\n}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def read(folder: pathlib.Path, name: str) -> str:
    return (folder / "lib" / name.replace("_", "-") / "index.js").read_text(encoding="utf-8")


def block(code: str, name: str) -> dict[str, Any]:
    """The attributes and blocks of the resource itself (no name), or of the block with this name in the code."""
    if name:
        properties = code.split(f"class {name}OutputReference ", 1)[1].split("\nclass ", 1)[0]
        function = f"function {name[0].lower()}{name[1:]}ToHclTerraform("
        arguments = code.split(function, 1)[1].split("\n}\n", 1)[0]
    else:
        properties = re.split(r"\nclass \w+ extends cdktn\.Terraform(?:Resource|DataSource) ", code)[1]
        arguments = properties.split("synthesizeHclAttributes() {", 1)[1]
    types = {found[0]: found[1:] for found in ARGUMENT.findall(arguments)}
    made: dict[str, Any] = {"attributes": {}, "blocks": {}}
    for attribute, computed, optional, required, getter in PROPERTY.findall(properties):
        is_block, kind, stored = types.get(attribute, ("false", "", ""))
        if is_block == "true":
            inner = stored.removesuffix("List") if f"class {stored}OutputReference" not in code else stored
            made["blocks"][attribute] = block(code, inner) | {
                "nesting": {"list": "list", "set": "set", "struct": "single"}[kind],
                "required": required == "true",
                "single": f"class {inner}List " not in code,
            }
        elif kind or getter in GETTERS:
            flags = {"computed": computed, "optional": optional, "required": required}
            made["attributes"][attribute] = {
                "type": type_of(kind, stored) if kind else GETTERS[getter],
                "is": sorted(flag for flag, value in flags.items() if value == "true"),
            }
        # What else is computed has a structure of its own, which no module reads.
    return made


def type_of(kind: str, stored: str) -> Any:
    if kind == "simple":
        return SIMPLE[stored]
    return [kind, SIMPLE[stored.removesuffix("List").removesuffix("Map")]]


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
