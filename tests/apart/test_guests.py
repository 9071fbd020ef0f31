"""Who is in an OPC UA session, and for how long: by the agent's own users, as everywhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from edgeagent.apart.guests import Guests
from edgeagent.errors import CommandRefused
from edgeagent.model.callers import ANYBODY, NO_ROLE
from edgeagent.model.tokens import digest, new_token
from edgeagent.model.users import Token, User
from edgeagent.publish.authentication import Authentication, SignIn
from edgeagent.publish.throttle import FREE
from tests.publish.known import MES, TOKEN, Known

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
FINGERPRINT = "ab" * 32
CHIEF = User(name="chief", role="administrator", created=NOW, fingerprints=(FINGERPRINT,), common_names=("chief",))
HERE = "10.1.2.3"


class House:
    """Users that a test changes, the sessions, and what came of both."""

    def __init__(self, *users: User, anonymous: str = NO_ROLE, most: int = 8) -> None:
        self.known = Known(users)
        self.told: list[SignIn] = []
        self.ended: list[tuple[int, str]] = []
        self.now = NOW
        self.seconds = 0.0
        self.authentication = Authentication(self.known, None, self.told.append, lambda: self.now, lambda: self.seconds)
        self.guests = Guests(self.authentication, anonymous, most, lambda *ended: self.ended.append(ended))

    def refused(self, **shown: Any) -> str:
        with pytest.raises(CommandRefused) as caught:
            self.guests.open(HERE, **shown)
        return caught.value.kind

    def look(self) -> None:
        """What the watch does each second."""
        for peer in tuple(self.authentication._peers):
            peer.caller()


def test_a_user_shows_its_token_as_password() -> None:
    house = House(MES)
    identity = house.guests.open(HERE, TOKEN, user="mes")
    assert (identity.user, identity.role, identity.is_authenticated) == ("mes", "administrator", True)
    caller = house.guests.caller(identity.session)
    assert (caller.name, caller.transport, caller.peer, caller.token) == ("mes", "opcua", HERE, "0d5e1a7c")
    assert [(each.user, each.transport, each.peer, each.fault) for each in house.told] == [
        ("mes", "opcua", HERE, None)]  # fmt: skip


def test_another_users_token_is_a_wrong_one() -> None:
    house = House(MES, CHIEF)
    assert house.refused(token=TOKEN, user="chief") == "unauthenticated"
    assert house.told[-1].user is None
    assert "no user of this name" in (house.told[-1].fault or "")


def test_many_wrong_tokens_slow_down_their_address_and_no_other() -> None:
    house = House(MES)
    for _ in range(FREE):
        assert house.refused(token=new_token(), user="mes") == "unauthenticated"
    assert house.refused(token=TOKEN, user="mes") == "tooMany"
    assert house.guests.open("10.1.2.4", TOKEN, user="mes").user == "mes"
    house.seconds += 60
    assert house.guests.open(HERE, TOKEN, user="mes").user == "mes"


def test_who_shows_nothing_may_read_where_that_is_allowed_and_is_refused_elsewhere() -> None:
    assert House(MES).refused() == "unauthenticated"
    open_house = House(MES, anonymous="viewer")
    identity = open_house.guests.open("127.0.0.1")
    assert (identity.user, identity.role, identity.is_authenticated) == (ANYBODY, "viewer", False)


def test_a_certificate_counts_by_its_fingerprint_alone_and_until_its_end() -> None:
    house = House(CHIEF)
    later = (NOW + timedelta(days=1)).timestamp()
    identity = house.guests.open(HERE, fingerprint=FINGERPRINT, expires_s=later)
    assert (identity.user, identity.role) == ("chief", "administrator")
    assert house.refused(fingerprint="cd" * 32, expires_s=later) == "unauthenticated"
    assert house.refused(fingerprint=FINGERPRINT, expires_s=NOW.timestamp()) == "unauthenticated"
    assert house.refused(fingerprint=FINGERPRINT) == "unauthenticated"
    house.now += timedelta(days=2)
    house.look()
    assert [session for session, _ in house.ended] == [identity.session]


def test_a_revoked_user_is_out_at_once() -> None:
    house = House(MES)
    session = house.guests.open(HERE, TOKEN).session
    house.known.become(replace(MES, revoked=NOW))
    with pytest.raises(CommandRefused) as caught:
        house.guests.caller(session)
    assert caught.value.kind == "unauthenticated"
    assert [ended for ended, _ in house.ended] == [session]
    assert "revoked" in house.ended[0][1]
    assert len(house.guests) == 0


def test_a_session_ends_without_a_call_when_its_token_expires() -> None:
    token = new_token()
    mine = Token(id="12345678", sha256=digest(token), created=NOW, expires=NOW + timedelta(minutes=5))
    house = House(replace(MES, tokens=(mine,)))
    session = house.guests.open(HERE, token).session
    house.look()
    assert not house.ended
    house.now += timedelta(minutes=6)
    house.look()
    assert [ended for ended, _ in house.ended] == [session]


def test_who_may_do_certain_things_only_stays_when_the_file_changes_for_others() -> None:
    house = House(replace(MES, role=None, functions=("Status.PowerOn",)))
    identity = house.guests.open(HERE, TOKEN)
    assert identity.functions == ("Status.PowerOn",)
    house.known.become(*house.known.users, CHIEF)
    house.look()
    assert not house.ended
    house.known.become(replace(MES, role=None, functions=("Status.PowerOff",)))
    house.look()
    assert [ended for ended, _ in house.ended] == [identity.session]


def test_who_has_a_list_of_functions_in_place_of_its_role_comes_anew() -> None:
    house = House(MES)
    identity = house.guests.open(HERE, TOKEN)
    house.guests.look()
    assert not house.ended
    house.known.become(replace(MES, role=None, functions=("Event.Subscribe",)))
    house.guests.look()
    assert [ended for ended, _ in house.ended] == [identity.session]
    assert len(house.guests) == 0


def test_a_lower_role_counts_from_the_next_call_on() -> None:
    house = House(MES)
    session = house.guests.open(HERE, TOKEN).session
    house.known.become(replace(MES, role="viewer"))
    assert house.guests.caller(session).role == "viewer"


def test_a_session_that_was_closed_is_nobody_and_its_number_is_never_used_again() -> None:
    house = House(MES)
    first = house.guests.open(HERE, TOKEN).session
    house.guests.close(first)
    house.guests.close(first)
    second = house.guests.open(HERE, TOKEN).session
    assert second != first
    house.guests.clear()
    for session in (first, second):
        with pytest.raises(CommandRefused):
            house.guests.caller(session)
    assert not house.authentication._peers


def test_sessions_are_bounded() -> None:
    house = House(MES, most=2)
    for _ in range(2):
        house.guests.open(HERE, TOKEN)
    assert house.refused(token=TOKEN) == "tooMany"
