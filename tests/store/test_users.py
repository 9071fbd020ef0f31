"""The users' file: read strictly, replaced as a whole, never lost."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent.errors import StoreError
from edgeagent.model.tokens import digest, new_token
from edgeagent.model.users import Token, User, changes
from edgeagent.store.users import KnownUsers, Users, change, decoded, encoded, read

MADE = datetime(2026, 11, 1, tzinfo=UTC)


def user(name: str, token: str | None = None, role: str = "viewer") -> User:
    made = Token(id=digest(name)[:8], sha256=digest(token or new_token()), created=MADE)
    return User(name=name, role=role, tokens=(made,), created=MADE, changed_by="root")  # type: ignore[arg-type]


def add(file: Path, *users: User) -> Users:
    return change(file, lambda before: (*before, *users))


def test_what_is_written_is_read_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    file = tmp_path / "users.json"
    assert read(file) == ()
    token = new_token()
    written = add(file, user("mes", token), user("panel"))
    assert read(file) == written
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert token not in file.read_text()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["users.json", "users.json.lock"]


GOOD = msgspec.json.decode(encoded((user("mes"),)))


def changed(where: str, value: object) -> bytes:
    document = msgspec.json.decode(msgspec.json.encode(GOOD))
    table = document
    *tables, key = where.split(".")
    for part in tables:
        table = table[int(part) if part.isdecimal() else part]
    table[key] = value
    return msgspec.json.encode(document)


DAMAGED = {
    "empty": b"", "cut": encoded((user("mes"),))[:-40], "not UTF-8": b'{"layout": 1, "users": ["\xff"]}',
    "nested": b"[" * 100_000, "another layout": changed("layout", 2), "unknown key": changed("users.0.admin", True),
    "unknown role": changed("users.0.role", "root"), "no role": changed("users.0.role", None),
    "role and functions": changed("users.0.functions", ["Status.Get"]),
    "no time zone": changed("users.0.created", "2026-11-01T00:00:00"),
    "no hash": changed("users.0.tokens.0.sha256", "ABC"), "a name with a blank": changed("users.0.name", "a b"),
    "the name of anybody": changed("users.0.name", "loopback"),
    "one user twice": changed("users", GOOD["users"] * 2),
    "a function that is none": changed("users.0.functions", ["*"]),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_file_lets_nobody_in_is_told_and_is_never_overwritten(
    tmp_path: Path, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "users.json"
    add(file, user("mes"))
    known = KnownUsers(file)
    assert [each.name for each in known.now()] == ["mes"]
    file.write_bytes(DAMAGED[case])
    assert known.now() == ()
    assert "is damaged" in str(known.health())
    assert "is damaged" in caplog.text
    with pytest.raises(StoreError, match="is damaged"):
        add(file, user("other"))
    assert file.read_bytes() == DAMAGED[case]
    file.write_bytes(encoded((user("again"),)))
    assert [each.name for each in known.now()] == ["again"]
    assert known.health() is None


@given(st.binary(max_size=400) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["layout", "users", "name", "role"]), inner),
).map(msgspec.json.encode))
def test_whatever_the_file_holds_it_is_users_or_a_sentence(text: bytes) -> None:
    try:
        users = decoded(text)
    except ValueError as error:
        assert str(error)
    else:
        assert decoded(encoded(users)) == users


_NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,20}", fullmatch=True).filter(lambda name: name != "loopback")
_TIMES = st.datetimes(timezones=st.just(UTC))


@given(st.lists(st.builds(
    User, name=_NAMES, role=st.none(), functions=st.lists(st.sampled_from(["Status.Get", "Board.Find"])).map(tuple),
    created=_TIMES, revoked=st.none() | _TIMES, changed_by=st.text(max_size=128),
), max_size=5, unique_by=lambda each: each.name).map(tuple))
def test_users_come_back_as_they_were_written(users: Users) -> None:
    assert decoded(encoded(users)) == users


def test_a_file_that_others_may_write_proves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "users.json"
    add(file, user("mes"))
    file.chmod(0o620)
    with pytest.raises(StoreError, match="chmod 600"):
        read(file)
    assert KnownUsers(file).now() == ()


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    for make in (os.mkfifo, os.mkdir):
        file = tmp_path / f"{make.__name__}.json"
        make(file)
        with pytest.raises(StoreError, match="is no file"):
            read(file)


def test_a_change_that_cannot_be_read_again_is_not_written(tmp_path: Path) -> None:
    file = tmp_path / "users.json"
    before = add(file, user("mes"))
    with pytest.raises(StoreError, match="the user mes is there twice"):
        add(file, user("mes"))
    assert read(file) == before


_ADDING = """
import sys
from pathlib import Path
from edgeagent.store.users import change
from tests.store.test_users import user
for n in range(10):
    change(Path(sys.argv[1]), lambda users: (*users, user(f"{sys.argv[2]}{n}")))
"""


def test_commands_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    file = tmp_path / "users.json"
    root = Path(__file__).parents[2]
    programs = [subprocess.Popen([sys.executable, "-c", _ADDING, str(file), name], cwd=root) for name in "abc"]
    known = KnownUsers(file)
    while any(program.poll() is None for program in programs):
        known.now()
        assert known.fault is None, "whoever reads finds a whole file"
    assert [program.returncode for program in programs] == [0, 0, 0]
    assert {each.name for each in known.now()} == {f"{name}{n}" for name in "abc" for n in range(10)}


def test_what_changed_is_told_once_also_what_changed_while_nobody_looked(tmp_path: Path) -> None:
    file = tmp_path / "users.json"
    told: list[str] = []
    known = KnownUsers(file, lambda before, now: told.extend(f"{it.user} {it.what}" for it in changes(before, now)))
    add(file, user("mes"), user("old"))
    known.begin((user("old"), user("gone")))
    token = digest("mes")[:8]
    assert told[:3] == ["gone was taken out of the file", "mes was added and may viewer", f"mes got the token {token}"]
    told.clear()
    known.now()
    assert told == []
    change(file, lambda users: (msgspec.structs.replace(users[0], role="engineer", tokens=(), revoked=MADE),))
    known.now()
    assert told == ["mes may engineer, before viewer", "mes was revoked", f"mes lost the token {token}",
                    "old was taken out of the file"]  # fmt: skip
