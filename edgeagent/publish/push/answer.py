"""What came of a POST: taken, rejected for what is in it, or not now; and why, in words for people."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Literal, NamedTuple

import aiohttp

MOST_SAID = 200
"""Characters of an answer that are told."""

_REJECTED = frozenset((400, 413, 422))
"""Statuses that speak of what was sent; all others but 2xx speak of something else, which may be another tomorrow."""

_WORDS = {
    400: "it cannot read what was sent", 401: "it does not know the token", 403: "the agent may not tell it events",
    404: "there is nothing at this address", 405: "it takes no POST at this address", 408: "it was not sent in time",
    413: "it is too large", 422: "it does not accept what was sent", 429: "it was asked too often",
}  # fmt: skip


class Answer(NamedTuple):
    """What came of a POST.

    Attributes:
        reason: in words, empty where it was taken. said: the beginning of what the MES said about it.
        status: of HTTP; None where there was no answer.
        wait_s: how long the MES asks to be left alone; None where it does not.
    """

    outcome: Literal["taken", "rejected", "stopped"]
    reason: str = ""
    said: str = ""
    status: int | None = None
    wait_s: float | None = None


def judged(status: int, headers: Mapping[str, str], said: str) -> Answer:
    """What a status says."""
    if 200 <= status < 300:
        return Answer("taken", status=status)
    if 300 <= status < 400:
        place = headers.get("Location", "")
        reason = f"HTTP {status}: it names another address, which is not followed; write that as its url"
        return Answer("stopped", reason, place if place.isprintable() else "", status)
    reason = f"HTTP {status}: {_WORDS.get(status) or _phrase(status)}"
    if status in _REJECTED:
        return Answer("rejected", reason, said, status)
    return Answer("stopped", reason, said, status, _wait_s(headers.get("Retry-After")))


def unanswered(error: Exception, timeout_s: float) -> str:
    """Why there was no answer."""
    for kind, words in (
        (aiohttp.ClientConnectorDNSError, "its name is not known here (DNS)"),
        (TimeoutError, f"it did not answer in {timeout_s:g} s"),
        (aiohttp.ServerDisconnectedError, "it ended the connection before it answered"),
        (aiohttp.ClientResponseError, "what it answers is not HTTP"),
        (aiohttp.ClientPayloadError, "what it answers is not HTTP"),
        (aiohttp.ClientConnectorCertificateError, f"its certificate is not trusted: {_untrusted(error)}"),
        (OSError, _of_system(error)),
    ):
        if isinstance(error, kind):
            return words
    return f"the connection failed: {str(error)[:MOST_SAID] or type(error).__name__}"


def _untrusted(error: Exception) -> str:
    fault = getattr(error, "certificate_error", error)
    return str(getattr(fault, "verify_message", "") or fault)[:MOST_SAID]


def _of_system(error: Exception) -> str:
    cause = getattr(error, "os_error", error)
    for fault in (cause, cause.__cause__):
        if hasattr(fault, "library"):  # an SSLError, without its module
            return f"TLS failed: {str(getattr(fault, 'reason', None) or fault).replace('_', ' ').lower()}"
    if isinstance(cause, ConnectionRefusedError):
        return "nobody listens there"
    return f"the connection failed: {getattr(cause, 'strerror', None) or str(cause) or type(cause).__name__}"


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase.lower()
    except ValueError:
        return "a status that has no meaning"


def _wait_s(text: str | None) -> float | None:
    """Read Retry-After: seconds, or a date (RFC 9110, 10.2.3); None where it is neither."""
    if text is None:
        return None
    if text.strip().isascii() and text.strip().isdigit():
        return float(text.strip()[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
