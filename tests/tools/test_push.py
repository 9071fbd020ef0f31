"""What `edgeagent push` prints for people."""

from __future__ import annotations

from typing import Any

from edgeagent.tools.push import shown

SET_ASIDE = {
    "target": "mes", "stream": "5f0c", "sequence": 1042, "topic": "Board.Lost", "at": "2026-11-21T21:53:00.000Z",
    "by": "mes", "reason": "HTTP 422: it does not accept what was sent (\x1b[2Jno lane 2)", "again": True,
}  # fmt: skip
STANDING: dict[str, Any] = {
    "target": "mes", "url": "https://mes/", "state": "waiting", "reason": None, "since": "2026-11-21T21:53:00.000Z",
    "lastSuccess": None, "nextTrySeconds": None, "stream": "5f0c", "acknowledged": 7, "head": None, "lag": 0,
    "lagSeconds": None, "setAsideCount": 0, "setAside": [],
}  # fmt: skip


def text(**more: Any) -> str:
    return "\n".join(shown({"targets": [STANDING | more]}, None))


def test_a_line_that_is_well_is_told_in_two_lines() -> None:
    assert text().splitlines()[0].startswith("mes (https://mes/) is waiting since 2026-11-2")
    assert text().splitlines()[1:] == ["  everything is delivered; last success: none since the start"]


def test_a_stopped_line_tells_why_where_and_when_it_tries_again() -> None:
    told = text(state="stopped", reason="HTTP 401: \x1b[2J", nextTrySeconds=12.5, head=8, lag=31, lagSeconds=90.0)
    assert "  why: HTTP 401: \\x1b[2J" in told
    assert "  tries again in 12.5 s; at once with edgeagent push retry" in told
    assert "  31 events are not delivered; next is event 8, of 90 s ago" in told


def test_a_stopped_line_that_tries_now_or_owes_nothing_says_so() -> None:
    assert "  tries now; edgeagent push status tells what comes of it" in text(state="stopped", reason="no", lag=3)
    assert "  tries again with the next event" in text(state="stopped", reason="no")


def test_what_is_set_aside_is_a_table_without_control_characters() -> None:
    told = text(setAsideCount=120, setAside=[SET_ASIDE])
    assert "  120 set aside, the newest 1:" in told
    assert "1042" in told
    assert "to be sent again; HTTP 422" in told
    assert "\x1b" not in told
    assert max(map(len, shown({"targets": [STANDING | {"setAsideCount": 1, "setAside": [SET_ASIDE]}]}, 80))) <= 80


def test_where_nothing_is_pushed_it_says_what_to_add() -> None:
    assert list(shown({"targets": []}, None)) == [
        "events are pushed nowhere; add [[openapps.push]] to the configuration"]
