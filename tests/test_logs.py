"""What is written of failures that come again and again."""

import logging

from edgeagent.errors import BadAnswer, Silent
from edgeagent.logs import OncePerMinute


def written(*messages: tuple) -> list[str]:
    once = OncePerMinute()
    records = [logging.LogRecord("wire", logging.WARNING, "", 0, text, tuple(names), None)
               for text, *names in messages]
    return [record.getMessage() for record in records if once.filter(record)]


def test_a_failure_that_repeats_is_written_once_whatever_its_numbers():
    assert written(("%s: %d writes wait: %s", "store", 3, OSError("full")),
                   ("%s: %d writes wait: %s", "store", 4, OSError("still full"))) == ["store: 3 writes wait: full"]


def test_the_same_failure_of_another_machine_or_another_one_of_the_same_is_written_too():
    told = written(("%s: %s: %s", "M3", "loop", Silent("unit 3 did not answer")),
                   ("%s: %s: %s", "M7", "loop", Silent("unit 7 did not answer")),
                   ("%s: %s: %s", "M7", "loop", BadAnswer("7 bytes of noise")),
                   ("%s: %s: %s", "M7", "loop", BadAnswer("9 bytes of noise")))
    assert told == ["M3: loop: unit 3 did not answer", "M7: loop: unit 7 did not answer",
                    "M7: loop: 7 bytes of noise"]
