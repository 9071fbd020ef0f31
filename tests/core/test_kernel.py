import socket

from edgeagent._core.kernel import send_to_all


def pair() -> tuple[socket.socket, socket.socket]:
    near, far = socket.socketpair()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    return near, far


def test_every_socket_is_sent_the_same():
    pairs = [pair() for _ in range(300)]
    assert send_to_all([near.fileno() for near, _ in pairs], b"told") == []
    assert [far.recv(99) for _, far in pairs] == [b"told"] * 300
    for near, far in pairs:
        near.close(), far.close()


def test_a_socket_that_takes_a_part_or_nothing_is_named_with_what_it_took():
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    (reads, reader), (broken, gone) = pair(), pair()
    gone.close()
    data = bytes(range(256)) * 40_000
    with near, far, reads, reader, broken:
        ((index, taken),) = send_to_all([near.fileno()], data)
        assert (index, 0 < taken < len(data)) == (0, True)
        descriptors = [near.fileno(), reads.fileno(), broken.fileno(), 1 << 20]
        assert send_to_all(descriptors, b"told") == [(0, 0), (2, 0), (3, 0)]
        assert reader.recv(99) == b"told"
        heard = b""
        while len(heard) < taken:
            heard += far.recv(1 << 20)
        assert heard == data[:taken]


def test_nothing_and_nobody_are_no_fault():
    near, far = pair()
    with near, far:
        assert send_to_all([], b"told") == []
        assert send_to_all([near.fileno()], b"") == []
