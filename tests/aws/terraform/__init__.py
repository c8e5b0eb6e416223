"""deploy/terraform makes what template.yaml makes.

Terraform itself creates the module, with a stand-in for AWS's provider; what it creates is compared with what
CloudFormation would make of the template, for many sets of parameters. So what is shown of the template's policies
(permissions.py, invariants/) holds for the module's as well.
"""

from __future__ import annotations

from .proof import prove

__all__ = ["prove"]
