"""Whatever is done to a record, `verify` finds it: a byte changed, a line cut, moved, doubled, forged, a file gone."""

from __future__ import annotations

import shutil
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeagent.store.audit.chain import Head, seal, unseal
from edgeagent.store.audit.segments import segment_files
from edgeagent.store.audit.tail import look
from edgeagent.store.audit.verification import remembered, verify
from edgeagent.store.backup import back_up
from edgeagent.store.restoring import lay
from tests.store.audit.records import command, recorded, with_audit


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A small record beside its store; not to be changed."""
    store = tmp_path_factory.mktemp("template") / "s.db"
    recorded(store, 4)
    return store


@pytest.fixture
def store(template, tmp_path):
    """A copy of it."""
    shutil.copytree(template.parent, tmp_path, dirs_exist_ok=True)
    return tmp_path / "s.db"


def lines_of(store: Path) -> list[bytes]:
    [file] = segment_files(store)
    return file.read_bytes().splitlines(keepends=True)


def faults(store: Path, data: bytes) -> list[str]:
    [file] = segment_files(store)
    file.write_bytes(data)
    return [fault.text for fault in verify(store).faults]


def test_a_whole_record_says_up_to_where(store):
    verdict = verify(store)
    assert verdict.is_whole
    assert not verdict.notes
    assert (verdict.lines, verdict.segments, verdict.whole_to) == (6, 1, verdict.head)
    last = unseal(lines_of(store)[-1])
    assert verdict.head == last.head == remembered(store).head


def test_the_hash_is_what_the_documentation_says(template):
    line = lines_of(template)[0]
    text, _, digest = line.rpartition(b',"hash":"')
    assert sha256(text).hexdigest().encode() == digest[:64]
    assert text.startswith(b'{"sequence":1,"previous":"' + b"0" * 64)


def test_every_changed_byte_is_found(store):
    [file] = segment_files(store)
    whole = file.read_bytes()
    with file.open("r+b", buffering=0) as opened:
        for place in range(len(whole)):
            opened.seek(place)
            opened.write(bytes([whole[place] ^ 1 << place % 8]))
            assert not verify(store).is_whole, place
            opened.seek(place)
            opened.write(whole[place : place + 1])
    assert verify(store).is_whole


@settings(max_examples=100)
@given(data=st.data())
def test_any_other_byte_anywhere_is_found(template, tmp_path_factory, data):
    whole = segment_files(template)[0].read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda value: value != whole[place]))
    folder = tmp_path_factory.mktemp("changed")
    shutil.copytree(template.parent, folder, dirs_exist_ok=True)
    assert faults(folder / "s.db", whole[:place] + bytes([value]) + whole[place + 1 :])


def test_every_cut_is_found_because_the_store_remembers_the_head(tmp_path):
    store = tmp_path / "s.db"
    recorded(store, 1)
    whole = segment_files(store)[0].read_bytes()
    for length in range(len(whole)):
        assert "the store remembers it" in faults(store, whole[:length])[-1]
    assert not faults(store, whole)


def test_what_was_done_is_said_in_words(store):
    first, second, third, *others = lines_of(store)
    rest = b"".join(others)
    assert faults(store, first + third + second + rest) == [
        "entry 2 is missing", "entry 2 stands after entry 3: moved, or written twice", "entry 3 is missing"]
    assert faults(store, first + second + second + third + rest) == [
        "entry 2 stands after entry 2: moved, or written twice"]
    assert faults(store, first + rest) == ["entries 2 to 3 are missing"]
    assert faults(store, second + third + rest) == ["entry 1 is missing"]
    assert faults(store, first + second[:30] + b"X" + second[31:] + third + rest) == [
        "the line after entry 1 is not as it was written"]
    assert faults(store, first + b"\n" + second + third + rest)[0] == "the line after entry 1 is not as it was written"


def test_a_forged_line_with_a_right_hash_of_its_own_does_not_belong_to_the_chain(store):
    first, second, third, *others = lines_of(store)
    stranger, _ = seal(Head(1, "ab" * 32), b'{"who":"nobody"}')
    [fault] = faults(store, first + stranger + third + b"".join(others))[:1]
    assert fault.startswith("entry 2 does not follow the entry 1:")
    forged, head = seal(unseal(first).head, b'{"who":"nobody"}')
    assert faults(store, first + forged + third + b"".join(others)) == [
        f"entry 3 does not follow the entry {head} before it"]
    assert second


def test_a_whole_chain_made_anew_is_found_by_what_the_store_remembers(store):
    lines, head = [], Head(0, "0" * 64)
    for raw in lines_of(store):
        line, head = seal(head, unseal(raw).entry.replace(b'"mes"', b'"x"'))
        lines.append(line)
    [fault] = faults(store, b"".join(lines))
    assert fault.startswith("entry 6 is not the one that was there: its hash was")


def test_a_head_that_was_written_down_is_held_against_the_record(store):
    heads = [unseal(line).head for line in lines_of(store)]
    assert verify(store, (heads[2], heads[4])).is_whole
    assert not verify(store, (Head(3, "0" * 64),)).is_whole
    [fault] = verify(store, (Head(99, "0" * 64),)).faults
    assert "it was written down, and the record ends at entry 6" in fault.text


def test_a_missing_file_is_found(tmp_path):
    store = tmp_path / "s.db"
    files = recorded(store, 20, segment_bytes=1500)
    assert len(files) > 3
    for file in files:
        data = file.read_bytes()
        file.unlink()
        assert "missing" in verify(store).faults[0].text
        file.write_bytes(data)
    assert verify(store).is_whole


def test_one_can_begin_after_what_is_known(store):
    lines = lines_of(store)
    assert faults(store, b"".join((*lines[:2], b"X" + lines[2][1:], *lines[3:])))
    assert not verify(store, first=3).is_whole
    assert verify(store, first=4).is_whole
    assert verify(store, first=4).lines == 3


def test_a_line_that_is_being_written_is_no_fault(store):
    [file] = segment_files(store)
    with file.open("ab") as opened:
        opened.write(b'{"sequence":7,"prev')
    verdict = verify(store)
    assert verdict.is_whole
    assert "is being written" in verdict.notes[0]


def test_a_line_without_end_takes_no_memory(store):
    [file] = segment_files(store)
    with file.open("ab") as opened:
        opened.truncate(50 << 20)
    verdict = verify(store)
    assert len(verdict.faults) == 100
    assert verdict.more > 100


def test_there_may_be_no_record_yet(tmp_path):
    verdict = verify(tmp_path / "s.db")
    assert verdict.is_whole
    assert verdict.head is None


@pytest.mark.parametrize("harm", ["first line", "moved", "last line"])
def test_the_next_start_finds_what_is_wrong_near_the_end_and_goes_on_after_it(store, harm):
    first, second, *others = lines_of(store)
    harmed = {"first line": [b"X" + first[1:], second, *others], "moved": [second, first, *others],
              "last line": [first, second, *others[:-1], b"X" + others[-1][1:]]}[harm]
    [file] = segment_files(store)
    file.write_bytes(b"".join(harmed))
    files = recorded(store, 2)
    assert len(files) == 2
    assert file.read_bytes() == b"".join(harmed)
    assert not look(store, remembered(store)).faults
    told = unseal(files[1].read_bytes().splitlines(keepends=True)[0])
    assert told.head.sequence == 7
    assert b"the record is broken" in told.entry
    assert verify(store, first=7).is_whole


def test_a_restored_backup_is_behind_the_record_and_no_fault(store, tmp_path):
    back_up(store, tmp_path / "b.db")
    [file] = recorded(store, 3)
    lay(tmp_path / "b.db", store)
    assert recorded(store, 2) == [file]
    assert_healthy(store)


def test_a_store_put_in_place_by_hand_is_behind_the_record_and_no_fault(store, tmp_path):
    shutil.copy(store, tmp_path / "old.db")
    back_up(store, tmp_path / "b.db")
    for older in ("old.db", "b.db"):
        [file] = recorded(store, 3)
        store.unlink()
        shutil.copy(tmp_path / older, store)
        assert verify(store).is_whole
        assert recorded(store, 2) == [file]
        assert_healthy(store)


def test_a_restore_does_not_hide_that_the_end_was_cut(store, tmp_path):
    back_up(store, tmp_path / "b.db")
    [file] = recorded(store, 3)
    last = verify(store).head
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:-2]))
    lay(tmp_path / "b.db", store)
    told = with_audit(store, broken)
    assert told == f"entries {last.sequence - 1} to {last.sequence} are missing: the store remembers {last}"


def test_a_backup_on_another_computer_begins_a_record_of_its_own_and_says_so(store, tmp_path):
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "s.db"
    back_up(store, other)
    head = verify(store).head
    assert verify(other).notes == [f"the store is a backup; the record where it was made stood at {head}"]
    assert with_audit(other, broken) is None
    assert str(head).encode() in lines_of(other)[0]
    assert_healthy(other)


def test_a_new_store_beside_an_old_record_goes_on_with_it_and_says_so(store):
    store.unlink()
    assert "whether its end was cut, nobody knows" in verify(store).notes[0]
    [file] = recorded(store, 1)
    assert b"remembers no head of the record" in file.read_bytes()
    assert_healthy(store)


def test_a_record_that_is_gone_is_a_fault(store):
    [file] = segment_files(store)
    file.unlink()
    assert "there is no record" in verify(store).faults[0].text
    assert with_audit(store, broken) == "the whole record is missing: entries 1 to 6"
    assert [fault.text for fault in verify(store).faults] == ["entries 1 to 6 are missing"]


def assert_healthy(store):
    verdict = verify(store)
    assert verdict.is_whole, verdict.faults
    assert with_audit(store, broken) is None


async def broken(audit):
    await audit.write(command())
    return audit.broken
