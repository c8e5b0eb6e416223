"""What the program reads of each row, taken from the structs that it reads them into, and how rows
compare with that."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from .rust import NotUnderstood

# Where the structs of `wire::…` and `plain::…` are.
_FOLDERS = {"wire": "src/clerk/wire", "plain": "src/translate/plain"}

# Clerk's ids have about thirty characters; the program takes up to this many bytes.
_LONGEST_ID = 256

# The last millisecond of the year 9999.
_LATEST = 253_402_300_799_999


# Attributes, name and type of a field. No type here has a comma in it.
_FIELD = re.compile(r"\s*((?:#\[[^\]]*\]\s*)*)(?:pub(?:\([a-z]+\))? )?(\w+):\s*([^,]+),")


@dataclass(frozen=True)
class Kind:
    """A type of JSON: `text`, `id`, `time`, `whole` (number), `flag`, `list`, `object` or `any`."""

    name: str
    # Of a list's elements; `None` if nobody looks at them.
    of: Kind | None = None
    # Of an object.
    fields: tuple[Field, ...] = ()
    # Whether `null` will do.
    optional: bool = False


@dataclass(frozen=True)
class Field:
    name: str
    kind: Kind


@dataclass
class Judged:
    """What was seen in some rows. Fields have Clerk's names, with dots, and no indices."""

    rows: int = 0
    # Fields that are needed, and absent or of another type.
    unfit: set[str] = field(default_factory=set)
    # Other fields of another type: the program writes `null`.
    odd: set[str] = field(default_factory=set)
    # Fields that some row had, `null` included.
    present: set[str] = field(default_factory=set)
    # Every number that is a time, in milliseconds.
    times: list[float] = field(default_factory=list)


class Shapes:
    """The shapes of all rows."""

    def __init__(self, root: pathlib.Path):
        self._structs: dict[tuple[str, str], str] = {}
        for module, folder in _FOLDERS.items():
            for file in sorted((root / folder).glob("*.rs")):
                text = re.sub(
                    r"///?[^\n]*", "", file.read_text(encoding="utf-8").partition("#[cfg(test)]")[0]
                )
                for name, body in re.findall(
                    r"\bstruct (\w+)(?:<'a>)? \{(.*?)\n\}", text, re.DOTALL
                ):
                    self._structs[f"{module}/{file.name}", name] = body

    def of(self, row: str) -> Kind:
        """The shape of a row, such as `wire::User`.

        Raises NotUnderstood if there is no such struct, or it has a type that is not known.
        """
        module, _, name = row.partition("::")
        files = [
            file
            for file, struct in self._structs
            if struct == name and file.startswith(f"{module}/")
        ]
        if len(files) != 1:
            raise NotUnderstood(f"{len(files)} structs are called {row}")
        return self._object(files[0], name)

    def _object(self, file: str, name: str) -> Kind:
        body = self._structs.get((file, name))
        if body is None:
            # From another file of the same module.
            others = [
                key
                for key in self._structs
                if key[1] == name and key[0].split("/")[0] == file.split("/")[0]
            ]
            if len(others) != 1:
                raise NotUnderstood(f"{len(others)} structs are called {name}")
            file, body = others[0][0], self._structs[others[0]]
        fields = tuple(self._fields(file, body))
        if not fields:
            raise NotUnderstood(f"the struct {name} has no fields")
        return Kind("object", fields=fields)

    def _fields(self, file: str, body: str) -> Iterator[Field]:
        at = 0
        while body[at:].strip():
            found = _FIELD.match(body, at)
            if not found:
                raise NotUnderstood(f"a field of a struct in {file} is not known")
            at = found.end()
            attributes, name, written = found.groups()
            if "skip_deserializing" in attributes:
                continue
            renamed = re.search(r'rename(?:\(deserialize)? = "(\w+)"', attributes)
            is_id = re.search(r'"(?:optional_)?identifier"', attributes) is not None
            kind = self._kind(file, re.sub(r"&?'\w+ ?", "", written).replace("<>", ""), is_id)
            yield Field(renamed[1] if renamed else name, kind)

    def _kind(self, file: str, written: str, is_id: bool) -> Kind:
        name, _, inner = written.removesuffix(">").partition("<")
        match name:
            case "Option":
                kind = self._kind(file, inner, is_id)
                return Kind(kind.name, kind.of, kind.fields, optional=True)
            case "Vec":
                return Kind("list", of=self._kind(file, inner, is_id=False))
            case "Object":
                return self._object(file, inner.partition("<")[0])
            case "Passkeys":
                return Kind("list")
            case "Text":
                return Kind("id" if is_id else "text")
            case "Json" | "Bag" | "RawValue":
                return Kind("any", optional=True)
            case "Time" | "bool" | "i64":
                return Kind({"Time": "time", "bool": "flag", "i64": "whole"}[name])
        raise NotUnderstood(f"the type {written} of a field is not known")


def judge(kind: Kind, rows: list[dict], needed: frozenset[str]) -> Judged:
    """Compares rows with their shape."""
    judged = Judged(rows=len(rows))
    for row in rows:
        _judge_object(kind, row, needed, "", judged)
    return judged


def known_fields(kind: Kind, above: str = "") -> Iterator[str]:
    """Every field of a shape, by its name with dots."""
    for part in kind.fields:
        yield above + part.name
        yield from known_fields(part.kind.of or part.kind, f"{above}{part.name}.")


def _judge_object(
    kind: Kind, value: dict, needed: frozenset[str], above: str, judged: Judged
) -> None:
    for part in kind.fields:
        path = above + part.name
        if part.name in value:
            judged.present.add(path)
        content = value.get(part.name)
        if content is None:
            if path in needed or not part.kind.optional:
                judged.unfit.add(path)
        else:
            _judge_value(part.kind, content, needed, path, judged)


def _judge_value(
    kind: Kind, value: object, needed: frozenset[str], path: str, judged: Judged
) -> None:
    if not _is_of(kind, value):
        holds_needed = any(name == path or name.startswith(f"{path}.") for name in needed)
        (judged.unfit if holds_needed or not kind.optional else judged.odd).add(path)
    elif kind.name == "object":
        _judge_object(kind, value, needed, f"{path}.", judged)
    elif kind.name == "list" and kind.of:
        for element in value:
            _judge_element(kind.of, element, needed, path, judged)
    elif kind.name == "time":
        judged.times.append(value)


def _judge_element(
    kind: Kind, element: object, needed: frozenset[str], path: str, judged: Judged
) -> None:
    if element is None and kind.optional:
        return
    if not _is_of(kind, element):
        holds_needed = any(name.startswith(f"{path}.") for name in needed)
        (judged.unfit if holds_needed else judged.odd).add(path)
    elif kind.name == "object":
        _judge_object(kind, element, needed, f"{path}.", judged)


def _is_of(kind: Kind, value: object) -> bool:
    match kind.name:
        case "text":
            return isinstance(value, str)
        case "id":
            # An empty one counts as none, where there may be none.
            return (
                isinstance(value, str)
                and len(value.encode()) <= _LONGEST_ID
                and bool(value or kind.optional)
            )
        case "time":
            return _is_number(value) and value <= _LATEST
        case "whole":
            return _is_number(value) and isinstance(value, int)
        case "flag":
            return isinstance(value, bool)
        case "list":
            return isinstance(value, list)
        case "object":
            return isinstance(value, dict)
    return True


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
