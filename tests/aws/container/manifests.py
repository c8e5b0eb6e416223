"""What deploy/kubernetes/cronjob.yaml must and must not say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from ..stack import ROOT
from . import image
from .faults import Fault

CRONJOB = ROOT / "deploy" / "kubernetes" / "cronjob.yaml"

FAULTS = (
    Fault("root", "runAsNonRoot: true", "runAsNonRoot: false"),
    Fault("another user than the image's", "runAsUser: 65532", "runAsUser: 1000"),
    Fault("the group root", "runAsGroup: 65532", "runAsGroup: 0"),
    Fault("any system call", "            seccompProfile: { type: RuntimeDefault }\n", ""),
    Fault("more rights than at the start", "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true"),
    Fault("a file system that can be written", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"),
    Fault("capabilities", "capabilities: { drop: [ALL] }", "capabilities: { drop: [NET_RAW] }"),
    Fault("a capability", "capabilities: { drop: [ALL] }", "capabilities: { drop: [ALL], add: [SYS_ADMIN] }"),
    Fault(
        "all rights",
        "                readOnlyRootFilesystem: true",
        "                privileged: true\n                readOnlyRootFilesystem: true",
    ),
    Fault(
        "the network of the node",
        "          restartPolicy: Never",
        "          hostNetwork: true\n          restartPolicy: Never",
    ),
    Fault("files of the node", "emptyDir: { sizeLimit: 4Gi }", "hostPath: { path: /tmp }"),
    Fault("a folder without a limit", "emptyDir: { sizeLimit: 4Gi }", "emptyDir: {}"),
    Fault("no place for large comparisons", "mountPath: /tmp", "mountPath: /var/tmp"),
    Fault("a second job", "concurrencyPolicy: Forbid", "concurrencyPolicy: Allow"),
    Fault("a job that is killed", "concurrencyPolicy: Forbid", "concurrencyPolicy: Replace"),
    Fault("jobs that are made up for", "  startingDeadlineSeconds: 300\n", ""),
    Fault("six attempts", "      backoffLimit: 1\n", ""),
    Fault("a job without end", "      activeDeadlineSeconds: 14400\n", ""),
    Fault("a pause that is a failure", "values: [75]", "values: [76]"),
    Fault(
        "a pause that ends the job",
        "- action: Ignore\n            onExitCodes",
        "- action: FailJob\n            onExitCodes",
    ),
    Fault("wrong settings, again and again", "values: [2, 3]", "values: [3]"),
    Fault(
        "a rule for another container",
        "{ containerName: clerk-sync, operator: In, values: [75] }",
        "{ containerName: main, operator: In, values: [75] }",
    ),
    Fault("attempts in one pod", "restartPolicy: Never", "restartPolicy: OnFailure"),
    Fault("no time to store what was read", "terminationGracePeriodSeconds: 60", "terminationGracePeriodSeconds: 1"),
    Fault("a token for Kubernetes", "          automountServiceAccountToken: false\n", ""),
    Fault("a token for Kubernetes in every pod", "\nautomountServiceAccountToken: false\n", "\n"),
    Fault("another service account", "serviceAccountName: clerk-sync", "serviceAccountName: default"),
    Fault("a service account without a role", "eks.amazonaws.com/role-arn", "example.com/role-arn"),
    Fault("another version every day", "REGISTRY/clerk-sync:0.1.0", "REGISTRY/clerk-sync:latest"),
    Fault(
        "memory without a limit",
        "limits: { memory: 256Mi, ephemeral-storage: 4Gi }",
        "limits: { ephemeral-storage: 4Gi }",
    ),
    Fault(
        "no memory that is reserved",
        "requests: { cpu: 250m, memory: 128Mi, ephemeral-storage: 64Mi }",
        "requests: { cpu: 250m }",
    ),
    Fault("a setting that does not exist", "name: SNAPSHOT_INTERVAL_MINUTES", "name: SNAPSHOT_INTERVAL"),
    Fault(
        "the key itself",
        "{ name: CLERK_SECRET_ID, value: clerk/secret-key }",
        "{ name: CLERK_SECRET_KEY, value: sk_live_a }",
    ),
    Fault("a bucket of anybody", '                - { name: EXPECTED_BUCKET_OWNER, value: "123456789012" }\n', ""),
    Fault("a command that does not exist", 'args: ["sync"]', 'args: ["synchronize"]'),
)

# What the SDK reads.
OF_THE_SDK = {"AWS_REGION"}
NEEDED = {"SNAPSHOT_URL", "RESOURCES", "CLERK_SECRET_ID", "AWS_REGION", "EXPECTED_BUCKET_OWNER"}
# What a store of what is in flight takes, and some more.
LEAST_GRACE_SECONDS = 30


def complaints(text: str) -> Iterator[str]:
    account, cronjob = yaml.safe_load_all(text)
    job = cronjob["spec"]["jobTemplate"]["spec"]
    pod = job["template"]["spec"]
    yield from complaints_about_schedule(cronjob["spec"], job)
    yield from complaints_about_identity(account, pod)
    yield from complaints_about_pod(pod)
    for container in pod["containers"]:
        yield from complaints_about_container(container)
        yield from complaints_about_settings(environment(container))


def container(text: str) -> dict[str, Any]:
    _, cronjob = yaml.safe_load_all(text)
    (found,) = cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    return found


def environment(container: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in container["env"]}


def complaints_about_schedule(schedule: dict[str, Any], job: dict[str, Any]) -> Iterator[str]:
    if schedule.get("concurrencyPolicy") != "Forbid":
        yield "two jobs may run at once"
    if "startingDeadlineSeconds" not in schedule:
        yield "jobs that were missed are made up for"
    if job.get("backoffLimit", 6) > 1:
        yield "failures are tried more than twice"
    if "activeDeadlineSeconds" not in job:
        yield "a job may run for ever, and no other starts then"
    if job["template"]["spec"]["terminationGracePeriodSeconds"] < LEAST_GRACE_SECONDS:
        yield "a pod is killed before it has stored what was read"
    names = {container["name"] for container in job["template"]["spec"]["containers"]}
    actions = {
        status: rule["action"]
        for rule in job["podFailurePolicy"]["rules"]
        if "onExitCodes" in rule and rule["onExitCodes"]["containerName"] in names
        for status in rule["onExitCodes"]["values"]
    }
    # docs/reference.md, "Exit statuses".
    if actions != {75: "Ignore", 2: "FailJob", 3: "FailJob"}:
        yield f"exit statuses are treated as {actions}"


def complaints_about_identity(account: dict[str, Any], pod: dict[str, Any]) -> Iterator[str]:
    if pod.get("serviceAccountName") != account["metadata"]["name"]:
        yield "the pod has another service account"
    if "eks.amazonaws.com/role-arn" not in account["metadata"]["annotations"]:
        yield "the service account has no role"
    for name, one in (("service account", account), ("pod", pod)):
        if one.get("automountServiceAccountToken") is not False:
            yield f"the {name} gets a token for Kubernetes"


def complaints_about_pod(pod: dict[str, Any]) -> Iterator[str]:
    security = pod.get("securityContext", {})
    user = int(image.user(image.CONTAINERFILE.read_text(encoding="utf-8")))
    if security.get("runAsNonRoot") is not True:
        yield "the pod may run as root"
    if (security.get("runAsUser"), security.get("runAsGroup")) != (user, user):
        yield f"the pod does not run as the image's user, {user}"
    if security.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "every system call is allowed"
    if pod.get("restartPolicy") != "Never":
        yield "the rules for exit statuses need restartPolicy Never"
    yield from (f"the pod has {name}" for name in ("hostNetwork", "hostPID", "hostIPC") if pod.get(name))
    for volume in pod.get("volumes", []):
        if not volume.get("emptyDir", {}).get("sizeLimit"):
            yield f"{volume['name']} is no folder with a limit"


def complaints_about_container(container: dict[str, Any]) -> Iterator[str]:
    security = container.get("securityContext", {})
    wanted = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    if security != wanted:
        yield f"the container has {security}"
    if not re.search(r":\d+\.\d+\.\d+(@sha256:\w+)?$", container["image"]):
        yield f"{container['image']} names no version"
    resources = container.get("resources", {})
    if "memory" not in resources.get("limits", {}) or not {"cpu", "memory"} <= resources.get("requests", {}).keys():
        yield f"the resources are {resources}"
    if [mount["mountPath"] for mount in container.get("volumeMounts", [])] != ["/tmp"]:
        yield "/tmp cannot be written"
    if container["args"] != ["sync"]:
        yield f"it runs {container['args']}"


def complaints_about_settings(given: dict[str, str]) -> Iterator[str]:
    declared = (ROOT / "src" / "config" / "parse.rs").read_text(encoding="utf-8")
    known = set(re.findall(r'const SETTING_\w+: &str = "(\w+)";', declared)) | OF_THE_SDK
    yield from (f"{name} is no setting" for name in given.keys() - known)
    yield from (f"{name} is not set" for name in NEEDED - given.keys())
    if "CLERK_SECRET_KEY" in given or any("sk_" in value for value in given.values()):
        yield "the key is in the manifest"
