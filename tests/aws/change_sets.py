"""A server in front of moto's that keeps CloudFormation's change sets, and passes everything else on to moto.

Moto's own change sets neither expand SAM's transform nor give a stack its outputs, and `sam deploy` needs both. Here,
SAM's translator expands the transform, as in stack.py, and a change set that is executed creates or updates the stack
as moto's CreateStack and UpdateStack do, which take the templates of nested stacks from where SAM uploaded them.
"""

from __future__ import annotations

import datetime
import io
import json
import re
import threading
import urllib.parse
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

from werkzeug.serving import make_server

from . import stack as stacks
from .aws import ACCOUNT, REGION, Aws

# There is no code for this, so the AWS SAM CLI recognizes the text (samcli/lib/deploy/deployer.py).
NOTHING_CHANGES = "The submitted information didn't contain changes."


@dataclass(frozen=True)
class ChangeSet:
    # As it was sent, with its transform.
    template: dict[str, Any]
    # Those that were given; the others have their defaults.
    parameters: dict[str, str]
    tags: dict[str, str]


@dataclass
class Front:
    """Use it as a context manager."""

    aws: Aws
    # By the names of the stack and the change set.
    change_sets: dict[tuple[str, str], ChangeSet] = field(default_factory=dict)
    # What each stack was made of, by its name.
    executed: dict[str, ChangeSet] = field(default_factory=dict)

    def __enter__(self) -> Front:
        from moto.moto_server.werkzeug_app import MotoRequestHandler

        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=MotoRequestHandler)
        # SAM names templates by this address. Moto finds them if it says localhost.
        self.url = f"http://localhost:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()

    def _answer(self, environ: dict[str, Any], start_response: Callable) -> Iterable[bytes]:
        if not environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
            return self.aws.answer(environ, start_response)
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        sent = dict(urllib.parse.parse_qsl(body.decode(), keep_blank_values=True))
        action = sent.get("Action", "")
        answer = self._own_answer(action, sent)
        if answer is None:
            environ["wsgi.input"] = io.BytesIO(body)
            return self.aws.answer(environ, start_response)
        try:
            status = "200 OK"
            text = f"<{action}Response><{action}Result>{answer(sent)}</{action}Result></{action}Response>"
        # Moto says by all kinds of exceptions what is wrong with a stack. CloudFormation would say it in an event, and
        # take back what it had created.
        except Exception as problem:
            status = "400 Bad Request"
            error = element("Error", Code="ValidationError", Message=f"{type(problem).__name__}: {problem}")
            text = f"<ErrorResponse>{error}</ErrorResponse>"
        start_response(status, [("Content-Type", "text/xml")])
        return [text.encode()]

    def _own_answer(self, action: str, sent: dict[str, str]) -> Callable[[dict[str, str]], str] | None:
        """How to answer a request; None if that is left to moto."""
        match action:
            case "CreateChangeSet":
                return self._create
            case "DescribeChangeSet":
                return self._describe
            case "ExecuteChangeSet":
                return self._execute
            case "DescribeStackEvents" if self._in_review(sent["StackName"]):
                return self._events_of_a_review
        return None

    def _in_review(self, stack: str) -> bool:
        """Whether there is only a change set of the stack yet."""
        return stack not in self.executed and any(stack == name for name, _ in self.change_sets)

    def _create(self, sent: dict[str, str]) -> str:
        stack, name = sent["StackName"], sent["ChangeSetName"]
        body = sent.get("TemplateBody") or self._uploaded(sent["TemplateURL"])
        parameters = {}
        for item in members(sent, "Parameters"):
            parameter = item["ParameterKey"]
            if "ParameterValue" in item:
                parameters[parameter] = item["ParameterValue"]
            # It is to stay as it is.
            elif parameter in self.executed[stack].parameters:
                parameters[parameter] = self.executed[stack].parameters[parameter]
        tags = {tag["Key"]: tag["Value"] for tag in members(sent, "Tags")}
        self.change_sets[stack, name] = ChangeSet(stacks.parsed(body), parameters, tags)
        # Moto chooses the stack's own id later, and finds a stack by its name as well.
        return f"<Id>arn:aws:cloudformation:{REGION}:{ACCOUNT}:changeSet/{name}/0</Id><StackId>{stack}</StackId>"

    def _uploaded(self, url: str) -> str:
        bucket, _, key = urllib.parse.urlsplit(url).path.removeprefix("/").partition("/")
        return self.aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()

    def _describe(self, sent: dict[str, str]) -> str:
        """Says whether there are changes, and not which."""
        stack, change_set = self._named(sent)
        if change_set == self.executed.get(stack):
            return f"<Status>FAILED</Status><StatusReason>{NOTHING_CHANGES}</StatusReason>"
        return "<Status>CREATE_COMPLETE</Status><Changes/>"

    def _execute(self, sent: dict[str, str]) -> str:
        from moto.cloudformation.models import cloudformation_backends

        backend = cloudformation_backends[ACCOUNT][REGION]
        name, change_set = self._named(sent)
        # The translator changes what it is given.
        template = json.loads(json.dumps(change_set.template))
        if "Transform" in template:
            template = stacks.transformed(template, change_set.parameters)
        if name in self.executed:
            given = [{"ParameterKey": key, "ParameterValue": value} for key, value in change_set.parameters.items()]
            backend.update_stack(name, json.dumps(template), None, given, change_set.tags)
        else:
            try:
                created = backend.create_stack(name, json.dumps(template), change_set.parameters, tags=change_set.tags)
                # CloudFormation evaluates the outputs at once, and moto only when somebody asks.
                _ = created.outputs
            except Exception:
                # With a stack in its list that is half made, moto could not describe any.
                for half_made in [key for key, stack in backend.stacks.items() if stack.name == name]:
                    del backend.stacks[half_made]
                raise
        self.executed[name] = change_set
        return ""

    def _events_of_a_review(self, sent: dict[str, str]) -> str:
        """SAM shows what comes after the last of these. Moto has none before it creates the stack."""
        name = sent["StackName"]
        now = datetime.datetime.now(datetime.UTC).isoformat()
        event = element("member", StackName=name, ResourceStatus="REVIEW_IN_PROGRESS", EventId="0", Timestamp=now)
        return f"<StackEvents>{event}</StackEvents>"

    def _named(self, sent: dict[str, str]) -> tuple[str, ChangeSet]:
        """The stack, and its change set, which is named or given by its ARN."""
        stack, name = sent["StackName"], sent["ChangeSetName"]
        return stack, self.change_sets[stack, name.split("/")[1] if name.startswith("arn:") else name]


def members(sent: dict[str, str], name: str) -> list[dict[str, str]]:
    """A list of objects, as the query protocol writes it: `Tags.member.1.Key=…`."""
    found: dict[str, dict[str, str]] = {}
    for key, value in sent.items():
        if member := re.fullmatch(rf"{name}\.member\.(\d+)\.(\w+)", key):
            found.setdefault(member[1], {})[member[2]] = value
    return list(found.values())


def element(name: str, **children: str) -> str:
    return f"<{name}>{''.join(f'<{tag}>{escape(text)}</{tag}>' for tag, text in children.items())}</{name}>"
