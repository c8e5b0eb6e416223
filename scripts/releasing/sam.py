"""The zip that deploys with the AWS CLI alone: template.yaml and its nested templates with the place of the code as
parameters, the function for both architectures, and how to.

The templates are this repository's, with the few changes below. A change whose text does not occur exactly once fails,
so that a template that was changed is not released without them.
"""

from __future__ import annotations

import pathlib

from . import names, packing
from .packing import File

HERE = pathlib.Path(__file__).parent

NESTED = ("alarms", "catalog", "dashboard", "latest", "notices", "queries", "state-machine")
# What the outermost template nests; the catalog nests the others.
DIRECTLY = ("alarms", "catalog", "dashboard", "notices", "state-machine")

# CloudFormation takes no larger one in a request that holds the template itself.
MAX_BYTES = 51_200

PLACE = "https://s3.${AWS::Region}.${AWS::URLSuffix}/${CodeBucket}/${CodePrefix}"

BUILD = """\
    Metadata:
      BuildMethod: rust-cargolambda
      BuildProperties:
        Binary: clerk-sync
"""
GROUPS = "    ParameterGroups:\n"
GROUP = """\
      - Label: { default: Where this release is }
        Parameters: [CodeBucket, CodePrefix]
"""
PARAMETERS = "\nParameters:\n  # What to read\n"
OWN_PARAMETERS = """
Parameters:
  # Where this release is
  CodeBucket:
    Type: String
    Description: Bucket, in the region of this stack, that the files of this release were copied to.
    AllowedPattern: '^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$'
    ConstraintDescription: must be the name of a bucket
  CodePrefix:
    Type: String
    Description: Folder in that bucket with the files of this release, without leading and trailing slashes.
    AllowedPattern: "^[A-Za-z0-9_=-][A-Za-z0-9_=.-]*(/[A-Za-z0-9_=-][A-Za-z0-9_=.-]*)*$"
    ConstraintDescription: must be a path such as clerk-sync/0.1.0

  # What to read
"""
CODE = "      CodeUri: .\n"
OWN_CODE = """\
      CodeUri:
        Bucket: !Ref CodeBucket
        Key: !Sub ${CodePrefix}/function-${Architecture}.zip
"""
CATALOG = "      TemplateURL: deploy/catalog.yaml\n      Parameters:\n"
OF_THE_CATALOG = "# `sam deploy` replaces the two TemplateURLs by addresses in S3.\n"
CATALOG_PARAMETERS = "\nParameters:\n"
OWN_CATALOG_PARAMETER = """
Parameters:
  TemplatesUrl:
    Type: String
    Description: Address of the folder with the nested templates of this release.
    AllowedPattern: '^https://[^ ]+[^ /]$'
"""


class TemplateChanged(Exception):
    """A template no longer has what the release replaces."""


def pack(
    path: pathlib.Path, functions: dict[str, bytes], *, version: str, licences: str, repository: str | None
) -> None:
    """Writes the zip, with the zip of the function for each architecture.

    Raises:
        TemplateChanged: a template has another form, or is too large for a request.
    """
    more = f"\nDocumentation: {repository}/blob/v{version}/docs/deploy.md\n" if repository else ""
    files = [
        *(File(name, text.encode()) for name, text in templates(pathlib.Path(".")).items()),
        *(File(f"function-{architecture}.zip", zipped) for architecture, zipped in functions.items()),
        File("README.md", packing.filled(HERE / "sam.md", version=version, more=more)),
        File("LICENSE", pathlib.Path("LICENSE").read_bytes()),
        File("third-party-licences.txt", licences.encode()),
    ]
    top = names.stem(path.name)
    packing.zipped(path, [File(f"{top}/{file.name}", file.content) for file in files])


def templates(root: pathlib.Path) -> dict[str, str]:
    """The templates to release, by their path in the zip."""
    found = {f"deploy/{name}.yaml": (root / "deploy" / f"{name}.yaml").read_text("utf-8") for name in NESTED}
    found["deploy/catalog.yaml"] = catalog(found["deploy/catalog.yaml"])
    found["template.yaml"] = outermost((root / "template.yaml").read_text("utf-8"))
    for name, text in found.items():
        if len(text.encode()) > MAX_BYTES:
            raise TemplateChanged(f"{name} is larger than {MAX_BYTES} bytes in the release. Shorten it.")
    return found


def outermost(text: str) -> str:
    text = once(text, BUILD, "")
    text = once(text, GROUPS, GROUPS + GROUP)
    text = once(text, PARAMETERS, OWN_PARAMETERS)
    text = once(text, CODE, OWN_CODE)
    text = once(text, CATALOG, CATALOG + f"        TemplatesUrl: !Sub {PLACE}/deploy\n")
    for name in DIRECTLY:
        text = once(text, f"TemplateURL: deploy/{name}.yaml\n", f"TemplateURL: !Sub {PLACE}/deploy/{name}.yaml\n")
    return text


def catalog(text: str) -> str:
    text = once(text, OF_THE_CATALOG, "")
    text = once(text, CATALOG_PARAMETERS, OWN_CATALOG_PARAMETER)
    for name in set(NESTED) - set(DIRECTLY):
        text = once(text, f"TemplateURL: {name}.yaml\n", f"TemplateURL: !Sub ${{TemplatesUrl}}/{name}.yaml\n")
    return text


def once(text: str, old: str, new: str) -> str:
    if text.count(old) != 1:
        first = old.strip().splitlines()[0]
        raise TemplateChanged(
            f"the text beginning with {first!r} occurs {text.count(old)} times in a template, not once. "
            "Correct scripts/releasing/sam.py."
        )
    return text.replace(old, new)
