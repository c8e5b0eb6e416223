"""What Clerk's error codes mean to the program: its own table, src/clerk/answer_codes.rs."""

from __future__ import annotations

import pathlib
import re

from .rust import NotUnderstood

# Clerk's documented codes; the second column is the status.
_DOCUMENTED = "tests/fixtures/clerk-error-codes.tsv"

# Clerk's answer at the request limit, which is missing from its list of codes.
_UNLISTED = {"too_many_requests"}

NO_CODE = "no code of Clerk's"
UNKNOWN_CODE = "a code that no table of this program has"


class Codes:
    """The codes of the program's tables."""

    def __init__(self, root: pathlib.Path):
        text = (root / "src/clerk/answer_codes.rs").read_text(encoding="utf-8")
        table = text.partition("const WITHOUT_THE_FEATURE")[2].partition("];")[0]
        self._rows = re.findall(r'Code::(Is|Begins|Ends)\("(\w+)"\)', table)
        statuses = re.search(r"STATUSES_WITHOUT_THE_FEATURE: [^=]*= \[([\d, ]+)\]", text)
        if not self._rows or table.count("Code::") != len(self._rows) or not statuses:
            raise NotUnderstood("the table of codes in src/clerk/answer_codes.rs is not known")
        self._statuses = {int(status) for status in statuses[1].split(",")}
        lines = (root / _DOCUMENTED).read_text(encoding="utf-8").splitlines()[1:]
        self._documented = {line.partition("\t")[0] for line in lines} | _UNLISTED

    def is_without_the_feature(self, status: int, code: str | None) -> bool:
        """Whether an answer says that the feature is off: the program then skips the list."""
        if code is None or status not in self._statuses:
            return False
        matches = {"Is": code.__eq__, "Begins": code.startswith, "Ends": code.endswith}
        return any(matches[how](text) for how, text in self._rows)

    def is_documented(self, code: str | None) -> bool:
        """Whether Clerk's documentation lists the code."""
        return code in self._documented

    def shown(self, code: str | None) -> str:
        """A code for the report: one that Clerk documents, for anything else might be a value."""
        if code is None:
            return NO_CODE
        return f"`{code}`" if self.is_documented(code) else UNKNOWN_CODE
