"""What the files of a release are called. The metadata for `cargo binstall` in both Cargo.toml, the Homebrew formula
and the docs use these names."""

from __future__ import annotations

import pathlib

# The targets that static programs are built for, by the architecture's name at Lambda.
TRIPLES = {"x86_64": "x86_64-unknown-linux-musl", "arm64": "aarch64-unknown-linux-musl"}

# What is in the archives. The demo needs the third.
PROGRAMS = ("clerk-sync", "clerk-access", "clerk-sandbox")

CHECKSUMS = "SHA256SUMS"
SIGNATURE = f"{CHECKSUMS}.minisig"
STATEMENT = "provenance.intoto.json"
# The statement in an envelope with a signature; only if there is a key.
ENVELOPE = "provenance.intoto.jsonl"
FORMULA = "clerk-sync.rb"

# What the maintainer's key makes; what a second build without the key does not have.
OF_THE_KEY = (SIGNATURE, ENVELOPE)


# Where the archive alone goes, for `make test-release`.
TRIAL = pathlib.Path("target") / "test-release"


def folder(version: str) -> pathlib.Path:
    """Where the release goes, from the repository."""
    return pathlib.Path("target") / f"release-{version}"


def function(version: str, architecture: str) -> str:
    """The zip that Lambda runs."""
    return f"clerk-sync-{version}-lambda-{architecture}.zip"


def archive(version: str, architecture: str) -> str:
    """The archive with the programs. Without `.tar.gz`, the folder in it."""
    return f"clerk-sync-{version}-{TRIPLES[architecture]}.tar.gz"


def source(version: str) -> str:
    """The archive with the source, which macOS builds from. Without `.tar.gz`, the folder in it."""
    return f"clerk-sync-{version}-source.tar.gz"


def sam(version: str) -> str:
    """The zip that deploys with the AWS CLI alone."""
    return f"clerk-sync-{version}-sam.zip"


def licences(version: str) -> str:
    """The texts of all third-party licences."""
    return f"clerk-sync-{version}-third-party-licences.txt"


def stem(archive: str) -> str:
    return archive.removesuffix(".tar.gz").removesuffix(".zip")
