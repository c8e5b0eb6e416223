"""Signatures with a key of minisign that the maintainer brings: one over the checksums, in minisign's format, and one
over the statement of provenance, in an envelope (DSSE). Both are Ed25519, of one key, and made without the network.

Environment variables:
  MINISIGN_KEY_FILE   the file with the secret key, as `minisign -G` writes it
  MINISIGN_KEY        or its content, for the secrets of a workflow
  MINISIGN_PASSWORD   the key's password, if it has one
"""

from __future__ import annotations

import base64
import json
import os
import pathlib
import sys
from collections.abc import Mapping

PAYLOAD_TYPE = "application/vnd.in-toto+json"


class KeyUnusable(Exception):
    """There is a key, and it cannot sign."""


class Key:
    """A secret key that is ready to sign."""

    def __init__(self, secret):
        self._secret = secret

    def signature(self, data: bytes, name: str, seconds: int) -> bytes:
        """The content of `<name>.minisig` for a file of this name and content. `seconds`, since 1970, is its time."""
        comment = f"timestamp:{seconds}\tfile:{name}\thashed"
        about = "signature of a release of clerk-sync"
        signed = self._secret.sign(data, untrusted_comment=about, trusted_comment=comment)
        return bytes(signed) + b"\n"

    def envelope(self, statement: str) -> str:
        """The statement in an envelope, on one line: DSSE 1.0 (https://github.com/secure-systems-lab/dsse)."""
        payload = statement.encode()
        encoded = f"DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} {len(payload)} ".encode() + payload
        # Algorithm, number of the key, and the signature alone.
        line = base64.b64decode(bytes(self._secret.sign(encoded, prehash=False)).splitlines()[1])
        number, signature = line[2:10], line[10:]
        signatures = [{"keyid": number[::-1].hex().upper(), "sig": base64.b64encode(signature).decode()}]
        body = base64.b64encode(payload).decode()
        return json.dumps({"payload": body, "payloadType": PAYLOAD_TYPE, "signatures": signatures}) + "\n"


def without_key(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for programs that need no key."""
    return {name: value for name, value in environment.items() if not name.startswith("MINISIGN_")}


def key(environment: Mapping[str, str] = os.environ) -> Key | None:
    """The key of the environment; None if it names none.

    Raises:
        KeyUnusable: it cannot be read, is no secret key, or the password is wrong.
    """
    content, where = given(environment)
    if content is None:
        return None
    try:
        import minisign
    except ImportError:
        raise KeyUnusable("py-minisign is missing. Run: scripts/python-environment test release") from None
    try:
        secret = minisign.SecretKey.from_bytes(content)
        if secret.is_encrypted():
            secret.decrypt(password(environment, where))
    # Its messages say nothing of the key; where it is damaged, those of base64 might.
    except minisign.Error as problem:
        raise KeyUnusable(f"{where} is no secret key of minisign that can be used: {problem}") from None
    except ValueError:
        raise KeyUnusable(f"{where} is no secret key of minisign, as `minisign -G` writes one") from None
    return Key(secret)


def given(environment: Mapping[str, str]) -> tuple[bytes | None, str]:
    """The content of the key, and what to call it."""
    file, content = environment.get("MINISIGN_KEY_FILE"), environment.get("MINISIGN_KEY")
    if file and content:
        raise KeyUnusable("MINISIGN_KEY_FILE and MINISIGN_KEY both name a key. Set one of them")
    if file:
        try:
            return pathlib.Path(file).expanduser().read_bytes(), "MINISIGN_KEY_FILE"
        except OSError as problem:
            raise KeyUnusable(f"MINISIGN_KEY_FILE cannot be read: {problem.strerror}") from None
    return (content.encode() if content else None), "MINISIGN_KEY"


def password(environment: Mapping[str, str], where: str) -> str:
    if found := environment.get("MINISIGN_PASSWORD"):
        return found
    if sys.stdin.isatty():
        import getpass

        return getpass.getpass(f"Password of {where}: ")
    raise KeyUnusable(f"{where} has a password. Set MINISIGN_PASSWORD")
