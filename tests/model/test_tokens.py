from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent.model.tokens import PREFIX, digest, mistake, new_token


def test_a_token_has_256_random_bits_behind_a_prefix_that_scanners_find() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(re.fullmatch(r"edgeagent_[0-9A-Za-z]{49}", token) for token in tokens)
    assert 62**43 > 2**256
    assert all(mistake(token) is None for token in tokens)


@given(st.data())
def test_no_slip_of_one_letter_and_no_swap_of_two_is_taken_for_a_token(data: st.DataObject) -> None:
    token = new_token()
    at = data.draw(st.integers(len(PREFIX), len(token) - 2))
    letter = data.draw(st.sampled_from("0aZ9"))
    for slip in (token[:at] + letter + token[at + 1 :], token[:at] + token[at + 1] + token[at] + token[at + 2 :]):
        assert slip == token or "checksum" in str(mistake(slip))


@pytest.mark.parametrize("text", ["", PREFIX, "hunter2", PREFIX + "é" * 49, PREFIX + "0" * 48, PREFIX + "0" * 49 + " "])
def test_what_is_no_token_is_told_its_form(text: str) -> None:
    assert "49 digits and letters" in str(mistake(text))


def test_what_is_kept_of_a_token_does_not_tell_it() -> None:
    token = new_token()
    assert re.fullmatch("[0-9a-f]{64}", digest(token))
    assert digest(token) != digest(new_token())
