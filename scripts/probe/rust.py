"""Reads those forms of Rust in which the program states its lists and constants.

Whatever it does not understand is an error, because a list that is quietly left out would look like
one that was asked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field


class NotUnderstood(Exception):
    """The source has a form that this module does not know."""


@dataclass(frozen=True)
class Symbol:
    """A path that stands for itself, such as `Resource::Users`."""

    path: str

    @property
    def name(self) -> str:
        return self.path.rpartition("::")[2]


@dataclass(frozen=True)
class Call:
    """A call of something that is not defined in the source that was read."""

    path: str
    arguments: list


@dataclass(frozen=True)
class Record:
    """`Name { field: value, ..base }`, with the fields of the base."""

    name: str
    fields: dict[str, object]


@dataclass(frozen=True)
class Code:
    """A function or a closure, as its text."""

    text: str


@dataclass
class Source:
    """The constants and functions of some files. A name keeps its first meaning."""

    _begins: dict[str, tuple[str, int]] = field(default_factory=dict)
    _functions: dict[str, tuple[list[str], str, int]] = field(default_factory=dict)
    _codes: dict[str, Code] = field(default_factory=dict)

    def add(self, text: str) -> None:
        """Adds a file, without its tests."""
        text = text.partition("#[cfg(test)]")[0]
        for found in re.finditer(r"\bconst (\w+): [^=;]+? = ", text):
            self._begins.setdefault(found[1], (text, found.end()))
        for found in re.finditer(
            r"\n( *)(?:pub )?const fn (\w+)\((.*?)\) -> [A-Z]\w+ \{", text, re.DOTALL
        ):
            owners = re.findall(r"\nimpl (\w+)", text[: found.start()]) if found[1] else []
            path = "::".join([*owners[-1:], found[2]])
            parameters = re.findall(r"(\w+): ", found[3])
            self._functions.setdefault(path, (parameters, text, found.end()))
        for found in re.finditer(r"\n(?:pub )?fn (\w+)\(.*?\n\}", text, re.DOTALL):
            self._codes.setdefault(found[1], Code(found[0]))

    def constant(self, name: str) -> object:
        """The value of a constant.

        Raises NotUnderstood if there is none of that name, or if it has an unknown form.
        """
        if name not in self._begins:
            raise NotUnderstood(f"there is no constant {name}")
        text, begin = self._begins[name]
        return _Reader(self, text, begin, {}).expression()

    def meaning(self, path: str, bound: dict[str, object]) -> object:
        """The meaning of a path: of a parameter, a constant, a function, or itself."""
        if path in bound:
            return bound[path]
        if path in self._begins:
            return self.constant(path)
        return {"None": None, "true": True, "false": False}.get(
            path, self._codes.get(path, Symbol(path))
        )

    def call(self, path: str, arguments: list) -> object:
        """The result of a call."""
        if path == "Some":
            return arguments[0]
        if path not in self._functions:
            return Call(path, arguments)
        parameters, text, begin = self._functions[path]
        return _Reader(
            self, text, begin, dict(zip(parameters, arguments, strict=True))
        ).expression()


_TOKEN = re.compile(
    r"""(?:\s|//[^\n]*)*
    (?: (?P<text>"(?:[^"\\]|\\.)*")
      | (?P<lifetime>'\w+)
      | (?P<number>\d[\d_]*)
      | (?P<word>\w+)
      | (?P<mark>::|\.\.|\|\||\S)
    )""",
    re.VERBOSE | re.DOTALL,
)

_OPENING, _CLOSING = "([{", ")]}"


class _Reader:
    """Reads one expression from a place in a text."""

    def __init__(self, source: Source, text: str, begin: int, bound: dict[str, object]):
        self._source, self._text, self._at, self._bound = source, text, begin, bound

    def expression(self) -> object:
        kind, token = self._next()
        if kind == "text":
            return token[1:-1]
        if kind == "number":
            return int(token.replace("_", ""))
        if token == "&":
            return self.expression()
        if token in ("[", "("):
            return self._several(_CLOSING[_OPENING.index(token)])
        if token in ("|", "||"):
            return self._closure(has_parameters=token == "|")
        if kind == "word":
            return self._after_path(self._path(token))
        raise NotUnderstood(f"{token!r} begins no known form")

    def _path(self, path: str) -> str:
        while self._peek() == "::":
            self._next()
            kind, word = self._next()
            if kind != "word":
                raise NotUnderstood(f"{path}::{word} is no known path")
            path = f"{path}::{word}"
        return path

    def _after_path(self, path: str) -> object:
        following = self._peek()
        if following == "(":
            self._next()
            return self._source.call(path, self._several(")"))
        if following == "{" and path.rpartition("::")[2][0].isupper():
            self._next()
            return self._record(path)
        value = self._source.meaning(path, self._bound)
        if following == "[":
            self._next()
            (index,) = self._several("]")
            return value[index]
        return value

    def _several(self, closing: str) -> list:
        values = []
        while self._peek() != closing:
            values.append(self.expression())
            self._skip_comma(closing)
        self._next()
        return values

    def _record(self, name: str) -> Record:
        fields: dict[str, object] = {}
        while self._peek() != "}":
            _, token = self._next()
            if token == "..":
                base = self.expression()
                if not isinstance(base, Record):
                    raise NotUnderstood(f"the base of a {name} is not known")
                fields = base.fields | fields
            elif self._peek() == ":":
                self._next()
                fields[token] = self.expression()
            else:
                fields[token] = self._source.meaning(token, self._bound)
            self._skip_comma("}")
        self._next()
        return Record(name, fields)

    def _closure(self, has_parameters: bool) -> Code:
        while has_parameters and self._next()[1] != "|":
            pass
        begin, depth = self._at, 0
        while depth or self._peek() not in (",", *_CLOSING):
            _, token = self._next()
            depth += (token in _OPENING) - (token in _CLOSING)
        return Code(self._text[begin : self._at])

    def _skip_comma(self, closing: str) -> None:
        following = self._peek()
        if following == ",":
            self._next()
        elif following != closing:
            raise NotUnderstood(f"{following!r} stands where a comma or {closing!r} was expected")

    def _peek(self) -> str:
        begin = self._at
        _, token = self._next()
        self._at = begin
        return token

    def _next(self) -> tuple[str, str]:
        found = _TOKEN.match(self._text, self._at)
        if not found:
            raise NotUnderstood("the source ends in the middle of an expression")
        self._at = found.end()
        kind = found.lastgroup or ""
        return kind, found[kind]
