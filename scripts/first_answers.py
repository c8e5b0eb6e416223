"""The three questions of the first `make deploy`: which secret, what to copy, and whom to tell.

An answer can be given beforehand, for scripts. Every answer is held to the template's own patterns before anything is
built or saved, and none may be a Clerk key.
"""

from __future__ import annotations

import pathlib
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml

# Who can do what.
ACCESS = "users,organizations,organization_roles,organization_permissions,organization_memberships"

# More names would hide the question.
MAX_SECRETS = 20

NOBODY = "nobody"

KEY = re.compile(r"sk_(live|test)_")
KEY_REFUSED = (
    "That is a Clerk key, or contains one. Nothing here asks for the key itself: it belongs into Secrets Manager "
    "(docs/deploy.md, step 1). It was not saved; if others can see this terminal or its history, rotate it"
)


class Refused(Exception):
    """Why an answer cannot be taken."""


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms, which parameters do not have."""


Loader.add_multi_constructor("!", lambda *_: None)


class Parameters:
    """The template's parameters, and what they accept."""

    def __init__(self, template: pathlib.Path):
        self._declared = yaml.load(template.read_text("utf-8"), Loader)["Parameters"]

    def problem(self, name: str, value: str) -> str | None:
        """Why CloudFormation would refuse this value."""
        if name not in self._declared:
            return f"{name} is no parameter of template.yaml"
        declared = self._declared[name]
        if "AllowedValues" in declared:
            allowed = [str(one) for one in declared["AllowedValues"]]
            return None if value in allowed else f"{name} must be one of {', '.join(map(repr, allowed))}"
        if declared["Type"] == "Number":
            least, most = declared["MinValue"], declared["MaxValue"]
            fits = re.fullmatch(r"\d+", value) and least <= int(value) <= most
            return None if fits else f"{name} must be a number from {least} to {most}"
        items = value.split(",") if declared["Type"] == "CommaDelimitedList" else [value]
        fits = all(re.search(declared["AllowedPattern"], item.strip()) for item in items)
        return None if fits else f"{name} {declared['ConstraintDescription']}"

    def expect(self, name: str, value: str) -> str:
        problem = self.problem(name, value)
        if problem:
            raise Refused(problem)
        return value


@dataclass(frozen=True)
class Secret:
    name: str
    arn: str


@dataclass(frozen=True)
class Asker:
    parameters: Parameters
    # Names of resources that can be copied.
    known: set[str]
    # The region that the stack goes to.
    region: str
    # Secrets of the account, if they may be listed.
    secrets: list[Secret]
    # The ARN of a secret that was named and is not among these; None if there is none.
    find: Callable[[str], str | None]
    # Whether to ask nobody.
    quiet: bool

    def answers(self, secret: str | None, resources: str | None, tell: str | None) -> dict[str, str]:
        """The parameters that follow from the answers. What is given is not asked."""
        found = {"ClerkSecretArn": self._answer(self._which_secret, self.secret, secret, self._likely_secret())}
        found["Resources"] = self._answer(self._what_to_copy, self.resources, resources, ACCESS)
        return found | self._answer(self._whom_to_tell, self.tell, tell, NOBODY)

    def _answer(self, question: Callable[[], str], take: Callable[[str], Any], given: str | None, default: str) -> Any:
        if given is not None or self.quiet:
            try:
                return take(given if given is not None else default)
            except Refused as problem:
                sys.exit(f"{problem}.")
        print(question())
        while True:
            answer = input(f"[{default}] " if default else "> ").strip() or default
            try:
                return take(answer)
            except Refused as problem:
                print(f"{problem}.")

    def _likely_secret(self) -> str:
        likely = [secret.name for secret in self.secrets if "clerk" in secret.name.lower()]
        return likely[0] if len(likely) == 1 else ""

    def _which_secret(self) -> str:
        listed = [f"  {number}  {secret.name}" for number, secret in enumerate(self.secrets[:MAX_SECRETS], 1)]
        if len(self.secrets) > MAX_SECRETS:
            listed.append(f"  and {len(self.secrets) - MAX_SECRETS} more")
        how = "its number, its name or its ARN" if listed else "its name or its ARN"
        return "\n".join([f"\n1 of 3: which secret contains Clerk's secret key? ({how})", *listed])

    def secret(self, answer: str) -> str:
        """The ARN of the secret that the answer means."""
        refuse_key(answer)
        if not answer:
            raise Refused("Name the secret that contains Clerk's secret key: SECRET=<name or ARN>")
        named = {secret.name: secret.arn for secret in self.secrets}
        numbered = {str(number): secret.arn for number, secret in enumerate(self.secrets[:MAX_SECRETS], 1)}
        arn = named.get(answer) or numbered.get(answer) or answer
        if not arn.startswith("arn:"):
            found = self.find(arn)
            if found is None:
                raise Refused(f"No secret {answer} can be seen in {self.region}. Give its full ARN, or create it first")
            arn = found
        self.parameters.expect("ClerkSecretArn", arn)
        region = arn.split(":")[3]
        if region != self.region:
            raise Refused(
                f"That secret is in {region}, and the stack goes to {self.region}. Both must be in one region"
            )
        return arn

    def _what_to_copy(self) -> str:
        return (
            "\n2 of 3: what is to be copied? The default says who can do what. Others, such as api_keys and sessions, "
            "are in docs/data.md."
        )

    def resources(self, answer: str) -> str:
        refuse_key(answer)
        names = [name.strip() for name in answer.split(",")]
        text = self.parameters.expect("Resources", ",".join(names))
        unknown = [name for name in names if name not in self.known]
        if unknown:
            raise Refused(f"{', '.join(unknown)} cannot be copied. There are {', '.join(sorted(self.known))}")
        return text

    def _whom_to_tell(self) -> str:
        return (
            "\n3 of 3: whom to tell when no snapshot is published, or something else is wrong? An e-mail address, the "
            f"ARN of an SNS topic, or {NOBODY}."
        )

    def tell(self, answer: str) -> dict[str, str]:
        refuse_key(answer)
        if answer == NOBODY:
            return {}
        name = "AlarmTopicArn" if answer.startswith("arn:") else "AlarmEmail"
        if self.parameters.problem(name, answer):
            raise Refused(f"{answer} is neither an e-mail address nor the ARN of an SNS topic, nor {NOBODY}")
        return {name: answer}


def refuse_key(answer: str) -> None:
    if KEY.search(answer):
        raise Refused(KEY_REFUSED)
