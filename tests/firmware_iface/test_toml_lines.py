import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_iface.toml_lines import key_lines

TEXT = '''\
# a comment with [brackets] = "and more"
top = 1

[a.b]
"quo/ted".c = """
two lines [x] = {
"""
list = [
  1, # one
  { deep = [2,
      3] },
]
[[rows]]
x = { y = 'z # no comment', "w\\u0041" = 2 }
[[rows]]
[rows.inner]
k = 1979-05-27 07:32:00
'''


@pytest.mark.parametrize(("path", "line"), [
    (("top",), 2), (("a",), 4), (("a", "b"), 4), (("a", "b", "quo/ted"), 5), (("a", "b", "quo/ted", "c"), 5),
    (("a", "b", "list"), 8), (("a", "b", "list", 0), 9), (("a", "b", "list", 1), 10),
    (("a", "b", "list", 1, "deep"), 10), (("a", "b", "list", 1, "deep", 1), 11),
    (("rows", 0), 13), (("rows", 0, "x", "y"), 14), (("rows", 0, "x", "wA"), 14),
    (("rows", 1), 15), (("rows", 1, "inner"), 16), (("rows", 1, "inner", "k"), 17),
])  # fmt: skip
def test_a_key_is_found_on_its_line(path, line):
    tomllib.loads(TEXT)
    assert key_lines(TEXT)[path] == line


def _paths(value, path=()):
    if path:
        yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _paths(inner, (*path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _paths(inner, (*path, index))


_PARTS = st.sampled_from(
    ["a", "b", "[", "]", "[[", "]]", "{", "}", "=", ",", "\n", " ", ".", "1", '"x y"', "'q'", '"""', "'''", "#", "\\"]
)


@given(st.lists(_PARTS, max_size=25).map("".join))
def test_every_key_that_tomllib_finds_has_a_line(text):
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    lines = key_lines(text)
    assert all(path in lines for path in _paths(document))


def test_every_key_of_a_larger_text_has_a_line():
    lines = key_lines(TEXT)
    assert all(path in lines for path in _paths(tomllib.loads(TEXT)))
