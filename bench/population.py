"""The instances that are copied, and the fewest requests that copying one takes."""

import pathlib
from dataclasses import dataclass

# Rows in a page, the most that Clerk allows.
PAGE = 500

# The resources that the benchmarks copy.
RESOURCES = (
    "users,organizations,organization_roles,organization_permissions,organization_memberships"
)

# Schemas of files and datasets that are not resources.
_NO_RESOURCES = {"change", "changes_latest", "changes_summary", "entitlements", "grants", "latest", "manifest"}


def every_resource() -> set[str]:
    """All resources: those that have their own schema, and memberships."""
    schemas = (pathlib.Path(__file__).parent.parent / "schemas").glob("*.schema.json")
    named = {schema.name.split(".")[0] for schema in schemas} - _NO_RESOURCES
    return named | set(RESOURCES.split(","))


@dataclass(frozen=True)
class Population:
    """Rows of a synthetic instance; roles and permissions have the sandbox's own numbers."""

    users: int
    organizations: int
    memberships: int
    # Rows in each of the other lists.
    other_rows: int = 3
    # Added to each user's public metadata.
    metadata_bytes: int = 0

    @classmethod
    def of(cls, users: int) -> "Population":
        """One organization for 20 users, two memberships for each user."""
        return cls(users, users // 20, users * 2)

    def __str__(self) -> str:
        return (
            f"{self.users:,} users, {self.organizations:,} organizations, "
            f"{self.memberships:,} memberships"
        )

    @property
    def fewest_requests(self) -> int:
        """One page for each 500 rows of each list; roles and permissions have one page each."""
        lists = (self.users, self.organizations, self.memberships)
        return sum(-(-rows // PAGE) for rows in lists) + 2

    @property
    def allowed_requests(self) -> float:
        """1.02 times the fewest, plus 80 for counts."""
        return 1.02 * self.fewest_requests + 80

    @property
    def allowed_memory(self) -> int:
        """64 MiB plus 16 bytes a user, in bytes."""
        return 64 * 2**20 + 16 * self.users
