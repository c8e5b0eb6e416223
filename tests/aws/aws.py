"""AWS on this machine: moto's server in this process, with five features that moto lacks.

- The functions passed to it, which run the real program, answer Lambda's `Invoke`.
- IAM: the actions of Secrets Manager and KMS are permitted for a secret and a key, not for everything or nothing.
- S3's conditional writes are atomic: one request at a time.
- KMS signs a digest as it is, instead of hashing it once more.
- CloudFormation: a template may refer to the outputs of a nested stack.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import urllib.parse
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import boto3
from werkzeug.serving import make_server

from ..support.moto_kms import honour_digests

REGION = "us-east-1"
ACCOUNT = "123456789012"

INVOKE = re.compile(r"^/2015-03-31/functions/(?P<function>[^/]+)/invocations$")


@dataclass(frozen=True)
class Credentials:
    key_id: str
    secret: str
    token: str | None = None

    def settings(self) -> dict[str, str]:
        """The environment variables that every SDK reads."""
        settings = {"AWS_ACCESS_KEY_ID": self.key_id, "AWS_SECRET_ACCESS_KEY": self.secret}
        return settings | ({"AWS_SESSION_TOKEN": self.token} if self.token else {})


# Moto accepts these as long as it does not enforce policies.
ANYBODY = Credentials("testing", "testing")


@dataclass(frozen=True)
class Answer:
    """The answer of a Lambda function: its response, or the error it ended with."""

    payload: Any
    is_error: bool = False


class Refused(Exception):
    """Lambda's own error, before any function is started."""

    def __init__(self, status: int, code: str):
        super().__init__(code)
        self.status = status
        self.code = code


# A function: from an event to its answer.
Function = Callable[[Any], Answer]


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, list[str]]


@dataclass
class Aws:
    """A running moto. Use it as a context manager, once in a process: moto's state is global."""

    functions: dict[str, Function] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    credentials: Credentials = ANYBODY
    # Actions to refuse, by the header that names them, and how often.
    refused: dict[str, int] = field(default_factory=dict)

    def __enter__(self) -> Aws:
        from moto.cloudformation.models import Stack
        from moto.core import config
        from moto.kms.responses import KmsResponse
        from moto.moto_server.werkzeug_app import (
            DomainDispatcherApplication,
            MotoRequestHandler,
            create_backend_app,
        )
        from moto.secretsmanager.responses import SecretsManagerResponse

        # Moto warns about each resource type it does not know; the proof lists them in one line.
        warnings.filterwarnings("ignore", message="Tried to parse AWS::")
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        # Moto's interpreter warns about every missing path, although `IsPresent` asks for it.
        logging.getLogger("moto").setLevel(logging.CRITICAL)
        config.default_user_config["stepfunctions"]["execute_state_machine"] = True
        SecretsManagerResponse._determine_resource = _named("SecretId")  # type: ignore[attr-defined]
        KmsResponse._determine_resource = _named("KeyId")  # type: ignore[attr-defined]
        honour_digests()
        Stack.get_cfn_attribute = _output_of  # type: ignore[attr-defined]

        def backend(service: Any) -> Any:
            app = create_backend_app(service)
            # A bug in moto shows its trace instead of "500 Internal Server Error".
            app.config["PROPAGATE_EXCEPTIONS"] = True
            return app

        self._moto = DomainDispatcherApplication(backend)
        self._turn = threading.Lock()
        self._server = make_server(
            "127.0.0.1", 0, self.answer, threaded=True, request_handler=MotoRequestHandler
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        # Where moto's Step Functions look for Lambda.
        os.environ["MOTO_PORT"] = str(self._server.server_port)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=self.credentials.key_id,
            aws_secret_access_key=self.credentials.secret,
            aws_session_token=self.credentials.token,
        )

    def settings(self, credentials: Credentials) -> dict[str, str]:
        """The environment of a program that uses this AWS."""
        place = {"AWS_ENDPOINT_URL": self.url, "AWS_REGION": REGION}
        return place | credentials.settings()

    def assume(self, role_arn: str) -> Credentials:
        """Credentials of a role. Only before `enforce_policies`: no policy here allows assuming roles."""
        answer = self.client("sts").assume_role(RoleArn=role_arn, RoleSessionName="function")
        given = answer["Credentials"]
        return Credentials(
            given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"]
        )

    def enforce_policies(self) -> None:
        """From now on moto enforces policies; this object itself may do everything."""
        from moto import settings
        from moto.core.authorization import ActionAuthenticatorMixin

        everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        iam = self.client("iam")
        iam.create_user(UserName="tests")
        iam.put_user_policy(
            UserName="tests",
            PolicyName="everything",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [everything]}),
        )
        key = iam.create_access_key(UserName="tests")["AccessKey"]
        self.credentials = Credentials(key["AccessKeyId"], key["SecretAccessKey"])
        settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
        ActionAuthenticatorMixin.request_count = 0

    def trust_everybody(self) -> None:
        """Stops enforcing policies."""
        from moto import settings

        settings.INITIAL_NO_AUTH_ACTION_COUNT = float("inf")
        self.credentials = ANYBODY

    def refuse(self, target: str, times: int) -> None:
        """Refuses the next requests for an action, named as in the header X-Amz-Target."""
        self.refused[target] = times

    def answer(self, environ: dict[str, Any], start_response: Callable) -> Iterable[bytes]:
        """Answers a request, as a WSGI application."""
        path = environ["PATH_INFO"]
        query = urllib.parse.parse_qs(environ["QUERY_STRING"])
        self.requests.append(Request(environ["REQUEST_METHOD"], path, query))
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        if self.refused.get(target, 0) > 0:
            self.refused[target] -= 1
            start_response("400 Refused", [("Content-Type", "application/x-amz-json-1.1")])
            return [b'{"__type":"AccessDeniedException","message":"refused"}']
        invoke = INVOKE.match(path)
        if invoke:
            return self._invoke(urllib.parse.unquote(invoke["function"]), environ, start_response)
        with self._turn:
            return self._moto(environ, start_response)

    def _invoke(
        self, function: str, environ: dict[str, Any], start_response: Callable
    ) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        try:
            answer = self.functions[function](json.loads(body or b"{}"))
        except Refused as refused:
            headers = [("x-amzn-ErrorType", refused.code), ("x-amzn-RequestId", "none")]
            start_response(f"{refused.status} Refused", headers)
            return [json.dumps({"message": "Refused"}).encode()]
        headers = [("Content-Type", "application/json")]
        if answer.is_error:
            headers.append(("X-Amz-Function-Error", "Unhandled"))
        start_response("200 OK", headers)
        return [json.dumps(answer.payload).encode()]


def _named(parameter: str) -> Callable[[Any], str]:
    """The resource of an action: what this parameter of the request names."""

    def resource(response: Any) -> str:
        named = json.loads(response.body or "{}").get(parameter, "*")
        return named if isinstance(named, str) else "*"

    return resource


def _output_of(stack: Any, attribute: str) -> str:
    """An attribute of a nested stack: `Outputs.` and a name."""
    name = attribute.removeprefix("Outputs.")
    if name not in stack.template_dict.get("Outputs", {}):
        raise LookupError(f"{stack.name} has no output {name}")
    return stack.output_map[name].value
