"""What holds in every deployment of the template, whatever its parameters.

An invariant describes a mistake, not the text of the template, so a harmless change of the template needs
no change here. Each invariant comes with faults that it must notice: the proof plants them, one at a time,
in a copy of the template, and fails if the invariant does not complain.
"""

from __future__ import annotations

from . import alarms, function, notices, parameters, roles, schedules, storage
from .deployment import INVARIANTS, Deployment, Fault, Invariant

__all__ = [
    "INVARIANTS",
    "Deployment",
    "Fault",
    "Invariant",
    "alarms",
    "function",
    "notices",
    "parameters",
    "roles",
    "schedules",
    "storage",
]
