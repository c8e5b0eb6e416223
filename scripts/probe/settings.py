"""What the probe is told, all of it in environment variables."""

from __future__ import annotations

import ipaddress
import pathlib
import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field

from .rust import NotUnderstood

KEY = "CLERK_SECRET_KEY"

# Requests that a development instance answers in ten seconds (Clerk's documentation, "Rate
# limits").
DEVELOPMENT_LIMIT = 100

# The share of the limit that the probe uses: far from disturbing anybody.
SHARE = 0.2


class Misuse(Exception):
    """A variable is wrong. The message never repeats its value."""


@dataclass(frozen=True)
class Settings:
    # Never shown.
    key: str = field(repr=False)
    scheme: str
    host: str
    port: int | None
    # Whether this is Clerk's own address.
    is_clerks: bool
    api_version: str
    # Between two requests.
    interval_seconds: float
    # Whether to find out what happens at the request limit.
    reaches_limit: bool
    # Id of a user that somebody has deleted.
    deleted_user: str | None = field(repr=False)

    @property
    def kind(self) -> str:
        """The kind of instance that the key is for."""
        return "development" if self.key.startswith("sk_test_") else "production"


def read(environment: Mapping[str, str], root: pathlib.Path) -> Settings:
    """The settings in these variables.

    Raises Misuse if one is wrong, before anything is sent.
    """
    variables = {name: value.strip() for name, value in environment.items()}
    key = _key(variables.get(KEY, ""))
    reaches_limit = _switch(variables, "PROBE_RATE_LIMIT")
    if key.startswith("sk_live_"):
        if not _switch(variables, "LIVE"):
            raise Misuse(
                f"{KEY} is the key of a production instance (sk_live_…): requests with it count "
                "towards the limit that its users share, and the answers hold data of real people. "
                "Use the key of a development instance (sk_test_…), or set LIVE=1 to read "
                "production all the same"
            )
        if reaches_limit:
            raise Misuse(
                "PROBE_RATE_LIMIT=1 uses up the request limit, and a production instance's users "
                "would be refused: leave it out, or use a development instance's key (sk_test_…)"
            )
    address = variables.get("CLERK_API_URL") or _default(root, "DEFAULT_API_URL")
    scheme, host, port = _address(address)
    return Settings(
        key=key,
        scheme=scheme,
        host=host,
        port=port,
        is_clerks=host == _address(_default(root, "DEFAULT_API_URL"))[1],
        api_version=_api_version(
            variables.get("CLERK_API_VERSION") or _default(root, "DEFAULT_API_VERSION")
        ),
        interval_seconds=10 / (_limit(variables.get("CLERK_REQUESTS_PER_10S", "")) * SHARE),
        reaches_limit=reaches_limit,
        deleted_user=_user(variables.get("PROBE_DELETED_USER", "")),
    )


def _key(key: str) -> str:
    """The same mistakes as in src/secret_key.rs, in the same order."""
    wanted = "a Clerk secret key (sk_test_…)"
    if not key:
        raise Misuse(f"{KEY} is not set: export {wanted} of a development instance")
    if key.startswith("pk_"):
        raise Misuse(
            f"{KEY} is a publishable key (pk_…), which opens nothing here: export {wanted},"
            " which Clerk's dashboard shows under API keys"
        )
    if key[0] in "\"'`\u201c\u2018":
        raise Misuse(f"{KEY} is in quotation marks: export {wanted} without them")
    if re.match(r"(export )?\w*KEY\w*\s*=", key):
        raise Misuse(
            f"{KEY} is a whole line such as NAME=key: export {wanted} alone, from sk_ to its end"
        )
    if not re.fullmatch(r"[!-~]+", key):
        raise Misuse(
            f"{KEY} has white space, a control character or a non-ASCII character inside: "
            "copy it again"
        )
    if not key.startswith(("sk_test_", "sk_live_")):
        raise Misuse(f"{KEY} is not a Clerk secret key: export {wanted}")
    if key in ("sk_test_", "sk_live_"):
        raise Misuse(f"{KEY} is only the beginning of a key: copy it again in full")
    return key


def _switch(variables: Mapping[str, str], name: str) -> bool:
    value = variables.get(name, "")
    if value not in ("", "0", "1"):
        raise Misuse(f"{name} is neither 1 nor 0: set it to 1, or leave it out")
    return value == "1"


def _address(url: str) -> tuple[str, str, int | None]:
    wanted = "CLERK_API_URL must be an https URL, with or without /v1; http for loopback hosts only"
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise Misuse(wanted) from None
    is_plain = parts.path.rstrip("/") in ("", "/v1") and not parts.query and not parts.fragment
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host or ""))
    if not host or not is_plain or not is_safe or parts.username or parts.password:
        raise Misuse(wanted)
    return parts.scheme, host, port


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _api_version(version: str) -> str:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", version, re.ASCII):
        raise Misuse("CLERK_API_VERSION must be a date such as 2026-05-12")
    return version


def _limit(text: str) -> float:
    wanted = "CLERK_REQUESTS_PER_10S must be a number from 1 to 1000000"
    try:
        limit = float(text or DEVELOPMENT_LIMIT)
    except ValueError:
        raise Misuse(wanted) from None
    if not 1 <= limit <= 1_000_000:
        raise Misuse(wanted)
    return limit


def _user(user: str) -> str | None:
    if user and not re.fullmatch(r"user_[A-Za-z0-9]+", user):
        raise Misuse("PROBE_DELETED_USER must be the id of a user (user_…) that you have deleted")
    return user or None


def _default(root: pathlib.Path, constant: str) -> str:
    """The program's own default."""
    text = (root / "src/config/parse.rs").read_text(encoding="utf-8")
    found = re.search(rf'const {constant}: &str = "([^"]+)";', text)
    if not found:
        raise NotUnderstood(f"there is no constant {constant}")
    return found[1]
