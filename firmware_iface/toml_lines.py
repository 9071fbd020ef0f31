"""Where each key of a TOML text stands: tomllib tells values, not lines."""

from __future__ import annotations

import re
import tomllib

KeyPath = tuple[str | int, ...]
"""Names of tables and keys from the top down; an integer counts the elements of an array."""

_TOKEN = re.compile(
    r"""
      (?P<blank> [ \t\r]+ | \#[^\n]* )
    | (?P<quoted> \"{3} (?: \\. | [^\\] )*? \"{3,5} | '{3} .*? '{3,5} | "(?: \\. | [^"\\\n] )*" | '[^'\n]*' )
    | (?P<newline> \n )
    | (?P<mark> [\[\]{}=,] )
    | (?P<bare> [^\s\[\]{}=,\#"']+ )
    """,
    re.VERBOSE | re.DOTALL,
)


def key_lines(text: str) -> dict[KeyPath, int]:
    """Find the line (from 1) of every header, key and array element of a text that tomllib has accepted."""
    return _Scan(text).lines


class _Scan:
    """One pass over the tokens, with the table that a header opened."""

    def __init__(self, text: str) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._last_element: dict[KeyPath, int] = {}
        self._tokens = _tokens(text)
        self._place = 0
        table: KeyPath = ()
        while self._place < len(self._tokens):
            if self._peek() == "\n":
                self._next()
            elif self._peek() == "[":
                table = self._header()
            else:
                self._pair(table)

    def _peek(self) -> str:
        return self._tokens[self._place][0]

    def _next(self) -> tuple[str, int]:
        self._place += 1
        return self._tokens[self._place - 1]

    def _header(self) -> KeyPath:
        _, line = self._next()
        is_array = self._peek() == "["
        if is_array:
            self._next()
        *parents, name = self._key("]")
        if is_array:
            self._next()
        table: KeyPath = ()
        for parent in parents:
            table = self._note(self._current((*table, parent)), line)
        table = (*table, name)
        if is_array:
            self._note(table, line)
            self._last_element[table] = self._last_element.get(table, -1) + 1
        return self._note(self._current(table), line)

    def _current(self, table: KeyPath) -> KeyPath:
        """An array of tables is meant by its last element."""
        return (*table, self._last_element[table]) if table in self._last_element else table

    def _pair(self, table: KeyPath) -> None:
        line = self._tokens[self._place][1]
        for name in self._key("="):
            table = self._note((*table, name), line)
        self._value(table)

    def _key(self, end: str) -> list[str]:
        names: list[str] = []
        while (token := self._next()[0]) != end:
            names.extend([_unquoted(token)] if token[0] in "\"'" else [name for name in token.split(".") if name])
        return names

    def _value(self, path: KeyPath) -> None:
        first, _ = self._next()
        if first == "{":
            while self._peek() != "}":
                if self._peek() in ",\n":
                    self._next()
                else:
                    self._pair(path)
            self._next()
        elif first == "[":
            self._elements(path)
        else:
            while self._place < len(self._tokens) and self._peek() not in ",]}\n":
                self._next()

    def _elements(self, path: KeyPath) -> None:
        index = 0
        while self._peek() != "]":
            if self._peek() in ",\n":
                self._next()
            else:
                self._value(self._note((*path, index), self._tokens[self._place][1]))
                index += 1
        self._next()

    def _note(self, path: KeyPath, line: int) -> KeyPath:
        self.lines.setdefault(path, line)
        return path


def _tokens(text: str) -> list[tuple[str, int]]:
    tokens = []
    line = 1
    for match in _TOKEN.finditer(text):
        if match.lastgroup != "blank":
            tokens.append((match.group(), line))
        line += match.group().count("\n")
    return tokens


def _unquoted(token: str) -> str:
    if "\\" not in token:
        return token[1:-1]
    return next(iter(tomllib.loads(f"{token} = 0")))
