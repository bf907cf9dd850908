"""Calls that are made one ahead, in a thread."""

import os
import threading
import time

import pytest

from skanticipate.training.batches import ReadAhead


def test_calls_come_in_order_and_never_more_than_one_ahead():
    begun, done = [], []

    def read(key):
        begun.append(key)
        assert len(begun) <= len(done) + 2  # the one in use, and one that waits
        assert threading.current_thread() is not threading.main_thread()
        return key * 10

    ahead = ReadAhead(read)
    with ahead.over(iter(range(5))):
        for key in range(5):
            assert ahead(key) == 10 * key
            time.sleep(0.01)
            done.append(key)
    assert begun == list(range(5))


def test_the_next_is_read_while_the_last_is_used():
    begun = threading.Event()

    def read(key):
        if key == 1:
            begun.set()
        return key

    ahead = ReadAhead(read)
    with ahead.over([0, 1]):
        assert ahead(0) == 0
        assert begun.wait(10)  # nobody has asked for 1 yet


def test_outside_of_a_region_calls_are_made_here():
    ahead = ReadAhead(lambda key: (key, threading.current_thread()))
    assert ahead(3) == (3, threading.main_thread())
    with ahead.over([1]):
        assert ahead(1)[1] is not threading.main_thread()
    assert ahead(3) == (3, threading.main_thread())


def test_an_error_is_raised_by_the_call_that_asks():
    def read(key):
        return 1 // key

    ahead = ReadAhead(read)
    with ahead.over([1, 0, 1]):
        assert ahead(1) == 1
        with pytest.raises(ZeroDivisionError, match="integer division"):
            ahead(0)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_however_a_region_is_left_its_thread_has_ended(error):
    before, asked, slow = set(threading.enumerate()), [], threading.Event()

    def read(key):
        asked.append(key)
        if key == 1:
            slow.wait(0.2)
        return key

    ahead = ReadAhead(read)
    with pytest.raises(error), ahead.over(range(9)):
        ahead(0)
        raise error
    assert set(threading.enumerate()) == before
    assert asked in ([0], [0, 1])
    with ahead.over([7]):
        assert ahead(7) == 7


def test_where_no_thread_can_be_started_calls_are_made_here(monkeypatch):
    def start(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    ahead = ReadAhead(lambda key: key + 1)
    with ahead.over(range(3)):
        assert [ahead(key) for key in range(3)] == [1, 2, 3]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_forked_in_a_region_goes_on_without_the_thread():
    ahead = ReadAhead(lambda key: key + 1)
    with ahead.over(range(3)):
        assert ahead(0) == 1
        child = os.fork()
        if child == 0:
            try:
                good = [ahead(1), ahead(2)] == [2, 3]
                ahead._pool.shutdown()  # as at the end of the region
            finally:
                os._exit(0 if good else 1)
        for _ in range(200):
            finished, status = os.waitpid(child, os.WNOHANG)
            if finished:
                break
            time.sleep(0.05)
        else:
            os.kill(child, 9)
            os.waitpid(child, 0)
            pytest.fail("the child hangs")
        assert status == 0
        assert [ahead(1), ahead(2)] == [2, 3]
