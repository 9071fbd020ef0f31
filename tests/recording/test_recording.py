"""A recording's file: what is written is read again, and what breaks it ends it without harm."""

import random
import resource
import signal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeagent.errors import RecordingError
from edgeagent.recording.entries import VERSION, Beat, End, Failure, Header, MapText, Memory, Part, Wire
from edgeagent.recording.reader import Recording
from edgeagent.recording.writer import RecordingWriter

HEADER = Header(VERSION, "0.1.0", 10**18, "agent.toml", "[[machines]]", {"oven": MapText("[map]", "0011aabb")})
ENTRIES = [
    Memory("RO1", b"\x00\xff", 1, -2, True, ((3, b"row"),), 4, 5, False),
    Memory("the agent", None, 0, 0, False, (), 4, 5, True),
    Wire("rs485", True, bytes(range(256)), 6, 7),
    Beat("RO1", 1, "values", (Part("holding", 65535, 1, b"\0\1", 8, 9), Part("coil", 3, 9, b"\1\1", 8, 9)), 8, 9, 10,
         2**62, True),
    Beat("RO1", 0, "fast", (), 0, 0, 11, 12, False),
    Failure("rs485/5", "silent", "unit 5 did not answer", 13, 14),
]  # fmt: skip


def written(path, entries=ENTRIES, limit=1 << 20) -> RecordingWriter:
    writer = RecordingWriter(path, HEADER, limit)
    for entry in entries:
        writer.add(entry)
    writer.close()
    return writer


def test_entries_come_back_as_they_were_taken(tmp_path):
    written(tmp_path / "a.rec")
    recording = Recording(tmp_path / "a.rec")
    assert recording.header == HEADER
    assert list(recording.entries()) == [*ENTRIES, End("closed")]
    assert recording.ended == "closed"


def test_a_recording_cut_at_any_byte_gives_every_whole_entry_before(tmp_path):
    written(tmp_path / "a.rec")
    data = (tmp_path / "a.rec").read_bytes()
    sizes = [len(msgspec.msgpack.encode(entry)) for entry in (HEADER, *ENTRIES)]
    for length in range(sizes[0], len(data)):
        (tmp_path / "cut.rec").write_bytes(data[:length])
        recording = Recording(tmp_path / "cut.rec")
        whole = max(n for n in range(len(sizes) + 1) if sum(sizes[:n]) <= length)
        assert list(recording.entries()) == ENTRIES[:whole - 1]
        assert recording.ended.startswith("cut off")


def test_what_is_no_recording_is_refused_and_damage_is_told_with_its_place(tmp_path):
    file = tmp_path / "a.rec"
    for wrong in (b"", b"hello, world", bytes(1000), msgspec.msgpack.encode(["edgeagent recording", 1]), b"\xc1",
                  msgspec.msgpack.encode(End("closed")), b"\xdd\xff\xff\xff\xff" + bytes(100)):
        file.write_bytes(wrong)
        with pytest.raises(RecordingError, match="is no recording of edgeagent"):
            Recording(file)
    file.write_bytes(msgspec.msgpack.encode(msgspec.structs.replace(HEADER, version=9)))
    with pytest.raises(RecordingError, match="version 9"):
        Recording(file)
    with pytest.raises(RecordingError, match="cannot be read"):
        Recording(tmp_path / "none.rec")
    file.write_bytes(msgspec.msgpack.encode(HEADER) + msgspec.msgpack.encode(ENTRIES[0]) + b"\xc1\0\0")
    entries = Recording(file).entries()
    assert next(entries) == ENTRIES[0]
    with pytest.raises(RecordingError, match=r"damaged from byte \d+ on"):
        next(entries)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 10**6))
def test_garbage_in_a_recording_is_told_and_nothing_else(tmp_path_factory, garbage, seed):
    file = tmp_path_factory.mktemp("garbage") / "a.rec"
    data = bytearray(b"".join(map(msgspec.msgpack.encode, (HEADER, *ENTRIES))))
    at = random.Random(seed).randrange(len(data))
    data[at:at + len(garbage)] = garbage
    file.write_bytes(data)
    try:
        for entry in Recording(file).entries():
            assert isinstance(entry, Header | Memory | Beat | Wire | Failure | End)
    except RecordingError:
        pass


def test_a_recording_ends_at_its_size_and_says_so(tmp_path, caplog):
    writer = written(tmp_path / "a.rec", ENTRIES * 1000, limit=20_000)
    assert (tmp_path / "a.rec").stat().st_size <= 20_000
    assert "as large as it may be" in writer.ended
    assert len(caplog.records) == 1
    last = list(Recording(tmp_path / "a.rec").entries())[-1]
    assert last == End(writer.ended)


def test_a_recording_too_small_for_what_makes_it_understood_is_refused_at_once(tmp_path):
    with pytest.raises(RecordingError, match=r"a\.rec: the configuration and its maps alone take 0\.000 MB.*0\.0002"):
        written(tmp_path / "a.rec", limit=200)
    assert not (tmp_path / "a.rec").exists()


def test_a_full_disk_ends_the_recording_and_nothing_else(tmp_path, caplog):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        writer = written(tmp_path / "a.rec", ENTRIES * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert "cannot be written" in writer.ended
    assert len(caplog.records) == 1
    writer.add(ENTRIES[0])
    recording = Recording(tmp_path / "a.rec")
    assert len(list(recording.entries())) > 10
    assert recording.ended.startswith("cut off")


def test_a_recording_never_overwrites_a_file(tmp_path):
    (tmp_path / "a.rec").write_bytes(b"evidence")
    with pytest.raises(RecordingError, match="exists already"):
        RecordingWriter(tmp_path / "a.rec", HEADER, 1000)
    with pytest.raises(RecordingError, match="cannot be recorded to"):
        RecordingWriter(tmp_path / "none" / "a.rec", HEADER, 1000)
    assert (tmp_path / "a.rec").read_bytes() == b"evidence"
