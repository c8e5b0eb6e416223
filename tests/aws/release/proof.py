from __future__ import annotations

from ..scene import Failed, Scene
from . import archives, attestation, licensing, packages, readiness, serverless

PARTS = (readiness, archives, licensing, packages, attestation, serverless)


def prove(scene: Scene) -> None:
    for part in PARTS:
        try:
            scene.notes += part.prove(scene)
        except Failed as problem:
            raise Failed(f"{part.__name__.rpartition('.')[2]}: {problem}") from None
