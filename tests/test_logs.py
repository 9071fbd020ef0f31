"""What is written of failures that come again and again, and how: as JSON, for people, in memory."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent import logs
from edgeagent.errors import BadAnswer, Silent
from edgeagent.logs import Detail, JsonFormatter, OncePerMinute, TextFormatter


class Watch:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def record(text: str, *arguments: object, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord("wire", level, "", 0, text, arguments, None)


def told(records: list[logging.LogRecord]) -> list[str]:
    return [each.getMessage() for each in records]


def written(*messages: tuple) -> list[str]:
    once = OncePerMinute(Watch())
    return [each for text, *names in messages for each in told(once.due(record(text, *names)))]


def test_a_failure_that_repeats_is_written_once_whatever_its_numbers():
    assert written(("%s: %d writes wait: %s", "store", 3, OSError("full")),
                   ("%s: %d writes wait: %s", "store", 4, OSError("still full"))) == ["store: 3 writes wait: full"]


def test_the_same_failure_of_another_machine_or_another_one_of_the_same_is_written_too():
    found = written(("%s: %s: %s", "M3", "loop", Silent("unit 3 did not answer")),
                    ("%s: %s: %s", "M7", "loop", Silent("unit 7 did not answer")),
                    ("%s: %s: %s", "M7", "loop", BadAnswer("7 bytes of noise")),
                    ("%s: %s: %s", "M7", "loop", BadAnswer("9 bytes of noise")))
    assert found == ["M3: loop: unit 3 did not answer", "M7: loop: unit 7 did not answer",
                     "M7: loop: 7 bytes of noise"]


def test_who_a_peer_is_and_what_it_said_does_not_make_another_failure():
    assert written(("%s sent %s", Detail("127.0.0.1:4000"), Detail("abc")),
                   ("%s sent %s", Detail("127.0.0.1:4001"), Detail("xyz"))) == ["127.0.0.1:4000 sent abc"]


def test_the_count_is_told_with_whatever_comes_next_after_the_minute():
    watch = Watch()
    once = OncePerMinute(watch)
    for _ in range(5):
        once.due(record("%s is full", "disk"))
    watch.now += 59.9
    assert told(once.due(record("beside", level=logging.INFO))) == ["beside"]
    watch.now += 0.2
    assert told(once.due(record("beside", level=logging.INFO))) == [
        "disk is full (told once; came 4 times more in 60 s)", "beside"]
    assert told(once.due(record("%s is full", "disk"))) == ["disk is full"]
    watch.now += 61
    assert told(once.due(record("beside", level=logging.INFO))) == ["beside"]


def test_what_is_not_told_yet_is_told_at_the_end():
    once = OncePerMinute(Watch())
    for _ in range(3):
        once.due(record("%s is full", "disk"))
    once.due(record("%s is slow", "disk"))
    assert told(once.rest()) == ["disk is full (told once; came 2 times more in 0 s)"]
    assert once.rest() == []


def test_no_more_lines_are_written_than_things_are_told_apart():
    once = OncePerMinute(Watch())
    lines = [line for name in range(5000) for line in once.due(record("%s is wrong", f"thing {name}"))]
    assert len(lines) == 257
    assert sum("came 4743 times more" in line for line in told(once.rest())) == 1


def test_messages_that_are_never_twice_the_same_are_bounded_as_well():
    once = OncePerMinute(Watch())
    lines = [line for number in range(5000) for line in once.due(record(f"<transport {number}> is broken"))]
    assert len(lines) == 513
    assert "came 4487 times more" in told(once.rest())[-1]


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_a_json_line_holds_no_number_that_json_does_not_know(number: float):
    found = json.loads(JsonFormatter().format(record("%s is odd", number)), parse_constant=pytest.fail)
    assert found["arguments"] == [str(number)]


def test_a_json_line_has_time_level_logger_message_and_arguments():
    line = JsonFormatter().format(record("%s: %d of %s", "M\n1", 3, Silent("no answer")))
    found = json.loads(line)
    assert "\n" not in line
    assert found.pop("time").endswith("Z")
    assert found == {"level": "warning", "logger": "wire", "message": "M\n1: 3 of no answer",
                     "template": "%s: %d of %s", "arguments": ["M\n1", 3, "no answer"]}


def test_an_exception_is_a_text_in_the_json_line():
    try:
        raise ValueError("7 is wrong")
    except ValueError:
        failed = logging.LogRecord("wire", logging.ERROR, "", 0, "it failed", (), sys.exc_info())
    found = json.loads(JsonFormatter().format(failed))
    assert found["exception"].startswith("Traceback")
    assert found["exception"].endswith("ValueError: 7 is wrong")
    lines = TextFormatter().format(failed).splitlines()
    assert all(line.startswith("    ") for line in lines[1:]), lines


@pytest.mark.parametrize(("level", "priority"), [(logging.INFO, "<6>{"), (logging.WARNING, "<4>{"),
                                                 (logging.ERROR, "<3>{"), (logging.CRITICAL, "<2>{")])
def test_systemds_priority_stands_before_the_json(level: int, priority: str):
    assert JsonFormatter(has_priority=True).format(record("x", level=level)).startswith(priority)


@given(st.text(max_size=3000))
def test_whatever_a_peer_says_stays_one_line_without_control_characters_and_bounded(said: str):
    line = JsonFormatter(has_priority=True).format(record("a peer said %s", said))
    assert line.isprintable()
    assert len(line) < 40_000
    if len(said) < 200:
        assert json.loads(line[3:])["arguments"] == [said]
    text = TextFormatter().format(record("a peer said %s", said))
    assert all(each.isprintable() for each in text.split("\n"))
    assert all(each.startswith("    ") for each in text.split("\n")[1:])
    assert len(text) < 13_000


def test_the_newest_lines_are_kept_in_memory_and_no_more():
    output = logs.Output("json", has_priority=False)
    output.setStream(Path(os.devnull).open("w"))  # noqa: SIM115  closed with the output
    try:
        for number in range(3000):
            output.handle(record("%d", number, level=logging.INFO))
        kept = output.recent()
        assert len(kept) == 2000
        assert json.loads(kept[-1])["message"] == "2999"
        for _ in range(600):
            output.handle(record("x" * 1900, level=logging.INFO))
        assert 400 << 10 < sum(map(len, output.recent())) <= 512 << 10
    finally:
        output.stream.close()
        output.close()


def test_a_message_that_cannot_be_written_ends_nobody(capsys: pytest.CaptureFixture):
    output = logs.Output("text", has_priority=False)
    output.handle(record("%d", "no number"))
    output.handle(record("%d", "no number"))
    output.close()
    assert "Logging error" in capsys.readouterr().err


_PROGRAM = """
import logging
from edgeagent import logs
logs.set_up(form={form!r})
for _ in range(3):
    logging.getLogger("a").warning("%s fails", "it")
"""


def own_journal(stderr: IO[str]) -> str:
    """What systemd would say of the journal if it read this file."""
    found = os.fstat(stderr.fileno())
    return f"{found.st_dev}:{found.st_ino}"


@pytest.mark.parametrize(("journal", "form", "first"), [
    ("own", None, '<4>{"time":'), ("own", "text", "20"), ("", None, "20"), ("", "json", '{"time":'),
    ("8:1", None, "20")])
def test_json_is_for_systemd_and_text_for_people_if_nothing_else_is_said_and_counts_are_told_at_exit(
    tmp_path: Path, journal: str, form: str | None, first: str
):
    with (tmp_path / "log").open("w") as log:
        told = own_journal(log) if journal == "own" else journal
        subprocess.run([sys.executable, "-P", "-c", _PROGRAM.format(form=form)], stderr=log, check=True,
                       env={**os.environ, "JOURNAL_STREAM": told})
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == 2, lines
    assert lines[0].startswith(first)
    assert "it fails (told once; came 2 times more" in lines[1]


def test_the_service_logs_as_it_is_told_to(tmp_path):
    (tmp_path / "agent.toml").write_text(
        "[openapps.http]\nport = 0\n[openapps.lines]\nport = 0\n[[machines]]\nid = \"A\"\n[[machines.sources]]\n"
        'kind = "modbus-tcp"\nmap = "reflow10"\nhost = "127.0.0.1"\nport = 1\n')
    command = [sys.executable, "-P", "-m", "edgeagent", "run", str(tmp_path / "agent.toml"), "--log", "json"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
                          env={**os.environ, "JOURNAL_STREAM": "8:1"}) as running:
        assert running.stderr is not None
        line = running.stderr.readline()
        running.terminate()
        running.communicate(timeout=20)
    assert json.loads(line.removeprefix("<6>"))["arguments"][0] == "A"
    assert running.returncode == 0
