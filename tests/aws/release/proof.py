from __future__ import annotations

import dataclasses

from ..scene import Failed, Scene
from . import archives, attestation, licensing, packages, readiness, serverless

PARTS = (readiness, archives, licensing, packages, attestation, serverless)


def prove(scene: Scene) -> None:
    # Other proofs have files of the same names.
    own = dataclasses.replace(scene, scratch=scene.scratch / "release-proof")
    own.scratch.mkdir()
    for part in PARTS:
        try:
            scene.notes += part.prove(own)
        except Failed as problem:
            raise Failed(f"{part.__name__.rpartition('.')[2]}: {problem}") from None
