"""Text frames as a server sends them, held against RFC 6455, section 5.2."""

import pytest

from edgeagent.publish.transports.websocket import framed


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, "81 00"), (125, "81 7d"), (126, "81 7e 00 7e"), (256, "81 7e 01 00"), (65535, "81 7e ff ff"),
        (65536, "81 7f 00 00 00 00 00 01 00 00"),
    ],
)  # fmt: skip
def test_a_frame_tells_its_length_in_the_fewest_bytes_and_is_not_masked(size, head):
    message = b"x" * size
    assert framed(message) == bytes.fromhex(head) + message
