"""`make deploy` asks three things once, refuses wrong answers before it builds, and builds for the architecture that it
deploys; `make invoke` invokes once, and fails if the function does or if a check is not ok.

A stand-in replaces SAM and does only what its own comment says. What CloudFormation would create from the template is
proven elsewhere.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import boto3

from .aws import ANYBODY, REGION, Answer, Refused
from .scene import KEY, Scene, expect
from .scripts import module
from .stack import ROOT, load

SAM = f"""#!{sys.executable}
# `sam build` reads parameters only from its own arguments, and uses the template's defaults for others.
import json, os, pathlib, struct, sys
with open("sam.log", "a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
if os.environ.get("SAM_FAILS") == sys.argv[1]:
    sys.exit(1)
if sys.argv[1] == "build":
    overrides = [word for word in sys.argv if word.startswith("Architecture=")]
    architecture = overrides[0].partition("=")[2] if overrides else "arm64"
    built = pathlib.Path(".aws-sam/build/SyncFunction")
    built.mkdir(parents=True, exist_ok=True)
    machine = {{"x86_64": 62, "arm64": 183}}[os.environ.get("BUILDS") or architecture]
    (built / "bootstrap").write_bytes(b"\\x7fELF" + bytes(14) + struct.pack("<H", machine))
"""

ACCESS = "users,organizations,organization_roles,organization_permissions,organization_memberships"
TOPIC_ARN = f"arn:aws:sns:{REGION}:123456789012:operations"

# Looks like a key, and is none.
A_KEY = "sk_live_not-a-key"


def prove(scene: Scene) -> None:
    place = scene.aws.settings(ANYBODY)
    secret = scene.aws.client("secretsmanager").describe_secret(SecretId="clerk")["ARN"]
    scene.aws.client("secretsmanager").create_secret(Name="database", SecretString="-")
    asks_three_things_once(Checkout.of(scene.scratch / "asked", place), secret)
    takes_answers_of_scripts(Checkout.of(scene.scratch / "quiet", place), secret)
    refuses_wrong_answers(Checkout.of(scene.scratch / "wrong", place), secret)
    leaves_nothing_half_done(Checkout.of(scene.scratch / "given-up", place), secret)
    deploys_other_stacks(Checkout.of(scene.scratch / "others", place), secret)
    checkout = Checkout.of(scene.scratch / "checkout", place)
    builds_what_it_deploys(checkout, secret)
    reads_what_sam_reads(checkout)
    knows_what_can_be_copied(checkout.script())
    asks_for_rust_first()
    invokes_once(scene, checkout)
    fails_if_a_check_is_not_ok(scene, checkout)
    waits_for_the_answer(checkout.script())


@dataclass
class Checkout:
    """A folder with the files that the script needs, and without anybody's samconfig.toml."""

    folder: pathlib.Path
    # The environment of whoever deploys.
    place: dict[str, str]

    @classmethod
    def of(cls, folder: pathlib.Path, place: dict[str, str]) -> Checkout:
        (folder / "scripts").mkdir(parents=True)
        for name in ("deploy", "first_answers.py", "lambda_target.py", "samconfig.py"):
            shutil.copy(ROOT / "scripts" / name, folder / "scripts")
        for name in ("events", "schemas"):
            shutil.copytree(ROOT / name, folder / name)
        shutil.copy(ROOT / "template.yaml", folder)
        zig = folder / ".venv/lib/python3/site-packages/ziglang/zig"
        sam = folder / ".tools/sam/bin/sam"
        for path, text in ((zig, ""), (sam, SAM)):
            path.parent.mkdir(parents=True)
            path.write_text(text, encoding="utf-8")
            path.chmod(0o755)
        return cls(folder, place)

    def run(self, *arguments: str, answers: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        """Runs the script without a terminal. It reads the answers, line by line."""
        return subprocess.run(
            self.command(*arguments),
            env=self.environment(variables),
            input=answers,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-B", str(self.folder / "scripts/deploy"), *arguments]

    def environment(self, variables: dict[str, str]) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder)} | self.place | variables

    def sam(self) -> list[list[str]]:
        """The commands of SAM since the last call."""
        log = self.folder / "sam.log"
        lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
        log.unlink(missing_ok=True)
        return [json.loads(line) for line in lines]

    def saved(self, config: str = "default") -> dict[str, Any]:
        """What samconfig.toml says about the deployment of a stack."""
        text = (self.folder / "samconfig.toml").read_text(encoding="utf-8")
        return tomllib.loads(text)[config]["deploy"]["parameters"]

    def expect_untouched(self, finished: subprocess.CompletedProcess[str]) -> None:
        """It failed, built nothing and saved nothing."""
        expect(finished.returncode != 0, {"succeeded": finished.stdout})
        told = self.sam()
        expect(not told, f"SAM was run all the same: {told}")
        left = sorted(path.name for path in self.folder.glob("samconfig*"))
        expect(not left, f"it left {left}")

    def script(self) -> ModuleType:
        return module(self.folder / "scripts" / "deploy")


def build(config: str, architecture: str) -> list[str]:
    override = ["--parameter-overrides", f"Architecture={architecture}"]
    return ["build", "--config-env", config, "--build-in-source", *override]


def deploy(config: str) -> list[str]:
    # Everything else is in samconfig.toml.
    return ["deploy", "--config-env", config]


def questions(finished: subprocess.CompletedProcess[str]) -> list[str]:
    return re.findall(r"^(\d of \d):", finished.stdout, re.MULTILINE)


def asks_three_things_once(checkout: Checkout, secret: str) -> None:
    # The second of the secrets, by its number; the default; an address.
    first = checkout.run(answers="2\n\nops@example.com\n")
    expect(first.returncode == 0, first.stdout + first.stderr)
    expect(questions(first) == ["1 of 3", "2 of 3", "3 of 3"], first.stdout)
    names = [line.split() for line in first.stdout.splitlines() if re.match(r"  \d  ", line)]
    # That which is named like Clerk comes first.
    expect(names == [["1", "clerk"], ["2", "database"]], first.stdout)
    expect(KEY not in first.stdout + first.stderr, "it shows the value of a secret")
    expect("account 123456789012" in first.stdout and REGION in first.stdout, first.stdout)
    told = checkout.sam()
    expect(told == [build("default", "arm64"), deploy("default")], told)
    saved = checkout.saved()
    overrides = saved.pop("parameter_overrides")
    database = overrides.pop("ClerkSecretArn")
    expect(":secret:database-" in database, database)
    expect(overrides == {"Resources": ACCESS, "AlarmEmail": "ops@example.com", "Architecture": "arm64"}, overrides)
    right = {
        "stack_name": "clerk-sync",
        "region": REGION,
        "capabilities": "CAPABILITY_IAM",
        "resolve_s3": True,
        "s3_prefix": "clerk-sync",
        "confirm_changeset": False,
        "fail_on_empty_changeset": False,
    }
    expect(saved == right, saved)

    # From then on samconfig.toml says everything, whatever the configuration of AWS says.
    before = (checkout.folder / "samconfig.toml").read_bytes()
    again = checkout.run(AWS_REGION="eu-west-1")
    expect(again.returncode == 0 and not questions(again), again.stdout + again.stderr)
    told = checkout.sam()
    expect(told == [build("default", "arm64"), deploy("default")], told)
    expect((checkout.folder / "samconfig.toml").read_bytes() == before, "a second deployment changes samconfig.toml")

    # A parameter that was changed there by hand is held to the template before anything is built.
    text = before.decode()
    for wrong, complaint in (
        (text.replace("ops@example.com", "nobody in particular"), "AlarmEmail must be empty or an e-mail address"),
        (text + 'Colour = "red"\n', "Colour is no parameter"),
        (text + 'Dashboard = "yes"\n', "Dashboard must be one of"),
        (text + 'MemorySize = "64"\n', "MemorySize must be a number from 128"),
        (text + "Colour = red\n", "samconfig.toml cannot be read"),
    ):
        (checkout.folder / "samconfig.toml").write_text(wrong, encoding="utf-8")
        refused = checkout.run()
        expect(refused.returncode != 0 and complaint in refused.stderr, {complaint: refused.stderr})
        expect(not checkout.sam(), "SAM was run all the same")


def takes_answers_of_scripts(checkout: Checkout, secret: str) -> None:
    checkout.expect_untouched(checkout.run("--yes", SECRET="neither-here-nor-there"))
    # The one secret that is named like Clerk is the default.
    quiet = checkout.run("--yes", TELL=TOPIC_ARN, RESOURCES="users, sessions", TAGS="team=identity cost=42")
    expect(quiet.returncode == 0 and not questions(quiet), quiet.stdout + quiet.stderr)
    told = checkout.sam()
    expect(told == [build("default", "arm64"), deploy("default")], told)
    saved = checkout.saved()
    overrides = {
        "ClerkSecretArn": secret,
        "Resources": "users,sessions",
        "AlarmTopicArn": TOPIC_ARN,
        "Architecture": "arm64",
    }
    expect(saved["parameter_overrides"] == overrides and saved["tags"] == "team=identity cost=42", saved)

    # Answers are for the first deployment. The same ones do no harm, others would have no effect.
    same = checkout.run(SECRET=secret, RESOURCES="users,sessions", TELL=TOPIC_ARN)
    expect(same.returncode == 0, same.stderr)
    checkout.sam()
    others = {"SECRET": "other", "RESOURCES": "users", "TELL": "nobody", "STACK": "other", "TAGS": "a=b"}
    for name, value in others.items():
        contradicted = checkout.run(**{name: value})
        expect(contradicted.returncode != 0 and name in contradicted.stderr, contradicted.stderr)
        expect(not checkout.sam(), "SAM was run all the same")


def refuses_wrong_answers(checkout: Checkout, secret: str) -> None:
    # Each wrong answer is asked for again; then the answers end.
    for answers, complaint in (
        ("nothing-here\n", "No secret nothing-here can be seen"),
        ("99\n", "No secret 99 can be seen"),
        ("arn:aws:s3:::bucket\n", "must be the full ARN of a Secrets Manager secret"),
        (secret.replace(REGION, "eu-west-1") + "\n", "is in eu-west-1, and the stack goes to"),
        ("\nusers;organizations\n", "must be names separated by commas"),
        ("\nusers,organisations\n", "organisations cannot be copied"),
        ("\ngrants\n", "grants cannot be copied"),
        ("\n\nthe operations team\n", "is neither an e-mail address nor"),
        ("\n\narn:aws:sqs:us-east-1:123456789012:queue\n", "is neither an e-mail address nor"),
    ):
        finished = checkout.run(answers=answers)
        expect(complaint in finished.stdout, {answers: finished.stdout})
        expect(
            questions(finished) == [f"{number} of 3" for number in range(1, answers.count("\n") + 1)], finished.stdout
        )
        checkout.expect_untouched(finished)
    # After a wrong answer, a right one counts.
    for number, answers in enumerate((f"{A_KEY}\nclerk\n\n\n", f"1\n{A_KEY}\n\n\n", f"1\n\n{A_KEY}\nnobody\n")):
        finished = checkout.run(answers=answers, CONFIG=f"corrected-{number}")
        expect(finished.returncode == 0 and "That is a Clerk key" in finished.stdout, finished.stdout + finished.stderr)
        written = (checkout.folder / "samconfig.toml").read_text(encoding="utf-8")
        shown = finished.stdout + finished.stderr + written + json.dumps(checkout.sam())
        expect(A_KEY not in shown, "the key is repeated or saved")
        overrides = checkout.saved(f"corrected-{number}")["parameter_overrides"]
        expect(overrides == {"ClerkSecretArn": secret, "Resources": ACCESS, "Architecture": "arm64"}, overrides)
    (checkout.folder / "samconfig.toml").unlink()
    for name in ("SECRET", "RESOURCES", "TELL"):
        finished = checkout.run("--yes", **{name: A_KEY})
        expect("That is a Clerk key" in finished.stderr and A_KEY not in finished.stderr, finished.stderr)
        checkout.expect_untouched(finished)
    unlike = {"CONFIG": "a.b", "STACK": "under_score", "ARCHITECTURE": "riscv", "RESOURCES": "everything"}
    for name, value in unlike.items():
        checkout.expect_untouched(checkout.run("--yes", **{name: value}))
    # A profile or region that does not exist is noticed before questions are asked.
    without = {name: value for name, value in checkout.place.items() if name != "AWS_REGION"}
    nowhere = Checkout(checkout.folder, without).run()
    expect("AWS_REGION" in nowhere.stderr and not questions(nowhere), nowhere.stderr)
    checkout.expect_untouched(nowhere)


def leaves_nothing_half_done(checkout: Checkout, secret: str) -> None:
    for answers in ("", "1\n", "1\n\n"):
        finished = checkout.run(answers=answers)
        expect("Nothing was saved" in finished.stderr, finished.stderr)
        checkout.expect_untouched(finished)
    with subprocess.Popen(
        checkout.command(),
        env=checkout.environment({"PYTHONUNBUFFERED": "1"}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as asking:
        assert asking.stdin and asking.stdout
        asking.stdin.write("1\n")
        asking.stdin.flush()
        while "2 of 3" not in asking.stdout.readline():
            expect(asking.poll() is None, "it ended before the second question")
        # It has printed the question, and is about to read the answer.
        interrupt_until_it_ends(asking)
        finished = subprocess.CompletedProcess([], asking.returncode, asking.stdout.read(), asking.stderr.read())
    expect(finished.returncode == 130 and "Traceback" not in finished.stderr, finished.stderr)
    checkout.expect_untouched(finished)

    # What was answered is kept if the build or the deployment fails.
    failed = checkout.run(answers="1\n\n\n", SAM_FAILS="build")
    expect(failed.returncode != 0 and checkout.sam() == [build("default", "arm64")], failed.stderr)
    again = checkout.run(SAM_FAILS="deploy")
    expect(again.returncode != 0 and not questions(again), again.stdout)
    expect(checkout.saved()["parameter_overrides"]["ClerkSecretArn"] == secret, checkout.saved())


def interrupt_until_it_ends(process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 60
    while process.poll() is None:
        expect(time.monotonic() < end, "Ctrl-C does not end it")
        process.send_signal(signal.SIGINT)
        try:
            process.wait(0.2)
        except subprocess.TimeoutExpired:
            continue


def deploys_other_stacks(checkout: Checkout, secret: str) -> None:
    # Somebody's own settings, which stay as they are.
    own = '# mine\nversion = 0.1\n[default.global.parameters]\nprofile = "audit"\n'
    (checkout.folder / "samconfig.toml").write_text(own, encoding="utf-8")
    other = checkout.run(answers="1\nusers\n\n", CONFIG="acme")
    expect(other.returncode == 0, other.stdout + other.stderr)
    told = checkout.sam()
    expect(told == [build("acme", "arm64"), deploy("acme")], told)
    expect((checkout.folder / "samconfig.toml").read_text(encoding="utf-8").startswith(own), "own settings are gone")
    saved = checkout.saved("acme")
    expect(saved["stack_name"] == "clerk-sync-acme" and saved["parameter_overrides"]["Resources"] == "users", saved)
    # Two configurations of one stack would replace each other's parameters.
    taken = checkout.run("--yes", CONFIG="initech", STACK="clerk-sync-acme")
    expect(taken.returncode != 0 and "is the stack of CONFIG=acme" in taken.stderr, taken.stderr)
    expect(not checkout.sam(), "SAM was run all the same")
    again = checkout.run(CONFIG="acme")
    expect(again.returncode == 0 and not questions(again), again.stdout + again.stderr)
    # A configuration without its parameters is not added to.
    text = (checkout.folder / "samconfig.toml").read_text(encoding="utf-8")
    half = text + '\n[half.deploy.parameters]\nstack_name = "half"\n'
    (checkout.folder / "samconfig.toml").write_text(half, encoding="utf-8")
    checkout.sam()
    refused = checkout.run("--yes", CONFIG="half", STACK="half-2")
    expect(refused.returncode != 0 and "[half.deploy.parameters]" in refused.stderr, refused.stderr)
    expect((checkout.folder / "samconfig.toml").read_text(encoding="utf-8") == half, "samconfig.toml was changed")
    expect(not checkout.sam(), "SAM was run all the same")


def builds_what_it_deploys(checkout: Checkout, secret: str) -> None:
    first = checkout.run("--yes", ARCHITECTURE="x86_64")
    expect(first.returncode == 0, first.stdout + first.stderr)
    told = checkout.sam()
    expect(told == [build("default", "x86_64"), deploy("default")], told)
    expect(checkout.saved()["parameter_overrides"]["Architecture"] == "x86_64", checkout.saved())
    # From then on samconfig.toml says which architecture it is.
    checkout.run()
    told = checkout.sam()
    expect(told == [build("default", "x86_64"), deploy("default")], told)
    contradicted = checkout.run(ARCHITECTURE="arm64")
    expect(contradicted.returncode and "samconfig.toml" in contradicted.stderr, contradicted.stderr)
    expect(not checkout.sam(), "SAM was run all the same")
    # As on a machine of the other architecture.
    mistaken = checkout.run(BUILDS="arm64")
    expect(mistaken.returncode and "not a program for x86_64" in mistaken.stderr, mistaken.stderr)
    told = checkout.sam()
    expect(told == [build("default", "x86_64")], told)


def reads_what_sam_reads(checkout: Checkout) -> None:
    """Also what `sam deploy --guided` wrote, as earlier versions of the script had it do."""
    default = load(ROOT / "template.yaml")["Parameters"]["Architecture"]["Default"]
    expect(default == checkout.script().DEFAULT_ARCHITECTURE, f"the template's default is {default}")
    samconfig = module(checkout.folder / "scripts" / "samconfig.py")
    for overrides, right in (
        ('Resources="users" Architecture="x86_64" MemorySize="256"', "x86_64"),
        ("Architecture=x86_64", "x86_64"),
        ("ParameterKey=Architecture,ParameterValue=x86_64", "x86_64"),
        (["Resources=users", "Architecture=x86_64"], "x86_64"),
        ([{"Architecture": "x86_64"}], "x86_64"),
        ({"Architecture": "x86_64"}, "x86_64"),
        ('Resources="Architecture=arm64"', None),
        ("", None),
    ):
        found = samconfig.overrides({"parameter_overrides": overrides}).get("Architecture")
        expect(found == right, f"{overrides}: {found}")
    spaced = samconfig.overrides({"parameter_overrides": 'ScheduleExpression="rate(15 minutes)" Redact="email, ip"'})
    expect(spaced == {"ScheduleExpression": "rate(15 minutes)", "Redact": "email, ip"}, spaced)
    guided = (
        "[default.deploy.parameters]\n"
        'stack_name = "mine"\nregion = "us-east-1"\nresolve_s3 = true\n'
        'parameter_overrides = "ClerkSecretArn=\\"arn:aws:secretsmanager:us-east-1:123456789012:secret:clerk-a1b2c3\\" '
        'Resources=\\"users, organizations\\" Architecture=\\"x86_64\\" ScheduleExpression=\\"rate(15 minutes)\\""\n'
    )
    (checkout.folder / "samconfig.toml").write_text(guided, encoding="utf-8")
    finished = checkout.run()
    expect(finished.returncode == 0 and not questions(finished), finished.stdout + finished.stderr)
    told = checkout.sam()
    expect(told == [build("default", "x86_64"), [*deploy("default"), "--capabilities", "CAPABILITY_IAM"]], told)


def knows_what_can_be_copied(script: ModuleType) -> None:
    source = (ROOT / "crates/snapshot/src/resource.rs").read_text(encoding="utf-8")
    declared = source.split('Resource, "resource":\n', 1)[1].split("named! {", 1)[0]
    right = set(re.findall(r'^    \w+ = "(\w+)",$', declared, re.MULTILINE))
    expect("sessions" in right and script.resources() == right, sorted(script.resources() ^ right))


def asks_for_rust_first() -> None:
    """Whoever lacks Rust is told so before questions are asked, or anything is installed."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("deploy", "package"):
        first = makefile.split(f"\n{target}:", 1)[1].split("\n")[1].strip()
        expect(first == "@scripts/requires rust python", f"make {target} begins with {first}")


def invokes_once(scene: Scene, checkout: Checkout) -> None:
    answers = [
        Answer({"status": "complete", "message": "größer"}),
        Answer({"errorType": "InvalidConfig", "errorMessage": "…"}, is_error=True),
        Refused(503, "ServiceUnavailableException"),
    ]
    (complete, failed, refused), events = invoked(scene, checkout, "sync-force", answers)
    expect(complete.returncode == 0, complete.stderr)
    expect(json.loads(complete.stdout) == answers[0].payload, complete.stdout)
    expect("größer" in complete.stdout and complete.stdout.count("\n") > 1, complete.stdout)
    expect(failed.returncode == 1 and "failed" in failed.stderr, failed.stderr)
    expect(json.loads(failed.stdout) == answers[1].payload, failed.stdout)
    expect(refused.returncode == 1 and "ServiceUnavailable" in refused.stderr, refused.stderr)
    sent = json.loads((ROOT / "events/sync-force.json").read_text(encoding="utf-8"))
    expect(events == [sent] * 3, f"invoked {len(events)} times: {events}")


def fails_if_a_check_is_not_ok(scene: Scene, checkout: Checkout) -> None:
    good = [{"check": name, "ok": True, "detail": "…"} for name in ("secret", "instance", "store")]
    bad = [good[0], {"check": "instance", "ok": False, "detail": "…"}, good[2] | {"ok": False}]
    (fine, wrong), _ = invoked(scene, checkout, "check", [Answer(good), Answer(bad)])
    expect(fine.returncode == 0 and "Not ok" not in fine.stderr, {fine.returncode: fine.stderr})
    expect(wrong.returncode == 1 and "Not ok: instance, store." in wrong.stderr, {wrong.returncode: wrong.stderr})
    # What the checks say is shown all the same.
    expect(json.loads(wrong.stdout) == bad, wrong.stdout)


def invoked(
    scene: Scene, checkout: Checkout, event: str, answers: list[Answer | Refused]
) -> tuple[list[subprocess.CompletedProcess[str]], list[Any]]:
    """What `make invoke` does with a function that answers so, once for each answer; and the events that the function
    was sent."""
    events: list[Any] = []

    def function(sent: Any) -> Answer:
        events.append(sent)
        answer = answers[len(events) - 1]
        if isinstance(answer, Refused):
            raise answer
        return answer

    name = scene.stack.outputs["FunctionName"]
    scene.aws.functions[name] = function
    settings = scene.aws.settings(ANYBODY) | {"AWS_DEFAULT_REGION": REGION, "STACK": "clerk"}
    try:
        return [checkout.run("invoke", event, **settings) for _ in answers], events
    finally:
        del scene.aws.functions[name]


def waits_for_the_answer(script: ModuleType) -> None:
    session = boto3.Session("key", "secret", region_name=REGION)
    config = script.lambda_client(session).meta.config
    function = load(ROOT / "template.yaml")["Resources"]["SyncFunction"]["Properties"]
    expect(config.read_timeout > function["Timeout"], f"gives up after {config.read_timeout} s")
    expect(config.retries["total_max_attempts"] == 1, str(config.retries))
    expect(config.tcp_keepalive, "does not keep the connection alive")
