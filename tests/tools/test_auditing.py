"""`edgeagent audit` as administrators and auditors type it."""

from __future__ import annotations

import csv
import io
import json

import pytest

from edgeagent.cli import main
from edgeagent.model.audit import AuditEntry
from edgeagent.store.audit.segments import segment_files
from edgeagent.store.audit.verification import verify
from tests.store.audit.records import command, recorded, with_audit


@pytest.fixture
def store(tmp_path):
    recorded(tmp_path / "s.db")
    return tmp_path / "s.db"


def audit(*arguments):
    return main(["audit", *map(str, arguments)])


def test_verify_tells_the_head_and_fails_where_the_record_is_not_whole(store, capsys):
    assert audit("verify", "--store", store) == 0
    head = str(verify(store).head)
    assert capsys.readouterr().out == f"{store}: 5 entries in 1 files\nwhole, up to {head}\n"
    assert audit("verify", "--store", store, "--head", head) == 0
    [file] = segment_files(store)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-1]))
    capsys.readouterr()
    assert audit("verify", "--store", store) == 1
    told = capsys.readouterr().out
    assert "NOT WHOLE; nothing is wrong up to 4:" in told
    assert f"entry {head} is missing: the store remembers it" in told
    assert audit("verify", "--store", store, "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["whole"], told["wholeTo"]["sequence"], len(told["faults"])) == (False, 4, 1)


def test_where_nothing_is_nothing_is_whole(store, tmp_path, capsys):
    for nowhere in (tmp_path / "mistyped.db", tmp_path / "mistyped" / "s.db"):
        for what in ("verify", "export", "accept"):
            assert audit(what, "--store", nowhere, *(("--reason", "x") if what == "accept" else ())) == 1
            assert f"{nowhere}: neither a store nor an audit record is there" in capsys.readouterr().err
    store.unlink(missing_ok=True)
    assert audit("verify", "--store", store) == 0, "the record of a store that is gone"


def test_a_head_is_checked_as_it_is_typed(store, capsys):
    with pytest.raises(SystemExit):
        audit("verify", "--store", store, "--head", "5")
    assert "is no head" in capsys.readouterr().err


def test_the_lines_that_are_exported_are_those_of_the_record(store, tmp_path, capsys):
    assert audit("export", "--store", store) == 0
    assert capsys.readouterr().out.encode() == segment_files(store)[0].read_bytes()
    output = tmp_path / "out.jsonl"
    assert audit("export", "--store", store, "--output", output) == 0
    assert output.read_bytes() == segment_files(store)[0].read_bytes()
    assert audit("export", "--store", store, "--output", output) == 1
    assert "is there already" in capsys.readouterr().err


def test_a_table_gives_back_what_was_recorded(store, capsys):
    entry = command(7, peer="192.0.2.7:4711", reason='a "quoted", long\nreason', before={"°C": 1.5}, outcome="done")
    write(store, entry)
    assert audit("export", "--store", store, "--format", "csv", "--user", "mes") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out, newline="")))
    assert len(rows) == 4
    row = rows[-1]
    assert (row["who"], row["function"], row["reason"]) == (entry.who, entry.function, entry.reason)
    assert (json.loads(row["values"]), json.loads(row["before"])) == (entry.values, entry.before)
    assert f"{row['sequence']}:{row['hash']}" in [str(verify(store).head), f"7:{row['hash']}"]


def write(store, *entries):
    async def use(record):
        await record.write(*entries)

    with_audit(store, use)


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(1)", "\tx", "\r=1"])
def test_no_cell_is_a_formula(store, capsys, text):
    write(store, AuditEntry(time="2026-11-21T21:53:00Z", kind="refusal", who=text, reason=text))
    assert audit("export", "--store", store, "--format", "csv") == 0
    rows = csv.DictReader(io.StringIO(capsys.readouterr().out, newline=""))
    [row] = [row for row in rows if row["kind"] == "refusal"]
    assert (row["who"], row["reason"]) == (f"'{text}", f"'{text}")


def test_entries_are_chosen_by_time_and_caller(store, capsys):
    def write_at(*times):
        write(store, *(AuditEntry(time=time, kind="grant", who=f"at {time[11:13]}") for time in times))

    write_at("2026-11-22T05:00:00.000Z", "2026-11-22T06:00:00.000Z", "2026-11-22T07:00:00.000Z")
    assert audit("export", "--store", store, "--since", "2026-11-22T06:00:00Z", "--until", "2026-11-22T08:00:00+01:00",
                 "--user", "at 06") == 0  # fmt: skip
    [line] = capsys.readouterr().out.splitlines()
    assert json.loads(line)["entry"]["who"] == "at 06"


def test_changed_lines_are_left_out_and_told(store, capsys):
    [file] = segment_files(store)
    file.write_bytes(file.read_bytes().replace(b'"mes"', b'"you"', 1))
    assert audit("export", "--store", store) == 1
    told = capsys.readouterr()
    assert (len(told.out.splitlines()), "1 lines are not as they were written" in told.err) == (4, True)


def test_what_is_broken_is_accepted_at_the_next_start(store, capsys):
    assert audit("accept", "--store", store, "--reason", "nothing") == 0
    assert "nothing to accept" in capsys.readouterr().out
    [file] = segment_files(store)
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:-1]))

    async def broken(record):
        return record.broken

    assert with_audit(store, broken)
    assert audit("accept", "--store", store, "--reason", "the disk was copied by hand") == 0
    assert "taken up at the agent's next start" in capsys.readouterr().out
    assert with_audit(store, broken) is None
    capsys.readouterr()
    assert audit("export", "--store", store) == 0
    assert "accepted that the record is broken: the disk was copied by hand" in capsys.readouterr().out
