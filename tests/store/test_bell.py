from __future__ import annotations

import threading

from edgeagent.store.bell import Bell


def test_a_ring_before_the_wait_ends_it_at_once_and_only_that_one():
    bell = Bell()
    bell.ring()
    bell.ring()
    bell.wait()
    heard = threading.Event()

    def wait():
        bell.wait()
        heard.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert not heard.wait(0.05), "two rings before a wait are one"
    bell.ring()
    assert heard.wait(10)
    thread.join()


def test_a_wait_without_a_ring_ends_by_itself_where_it_may():
    bell = Bell()
    bell.wait(0.01)
    bell.ring()
    bell.wait()
