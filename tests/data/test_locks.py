import multiprocessing
import os
import signal
import threading
import time

import pytest

from skanticipate.data.locks import locked


def test_threads_go_one_after_the_other(tmp_path):
    inside, most = [], []

    def work():
        for _ in range(20):
            with locked(tmp_path / "a.lock"):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.001)
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 80
    assert max(most) == 1
    assert not list(tmp_path.iterdir())


def test_another_lock_is_free(tmp_path):
    with locked(tmp_path / "a.lock"), locked(tmp_path / "b.lock"):
        pass


def test_an_error_inside_frees_it(tmp_path):
    for _ in range(2):
        with pytest.raises(KeyError), locked(tmp_path / "a.lock"):
            raise KeyError


@pytest.mark.skipif(os.name != "posix", reason="links need rights elsewhere")
def test_no_file_is_made_through_a_link(tmp_path):
    (tmp_path / "a.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"a\.lock"), locked(tmp_path / "a.lock"):
        pass
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_the_lock_of_a_process_that_was_killed_blocks_nobody(tmp_path):
    path, context = tmp_path / "a.lock", multiprocessing.get_context("fork")
    held = context.Event()

    def hold():
        with locked(path):
            held.set()
            time.sleep(60)

    process = context.Process(target=hold)
    process.start()
    assert held.wait(20)
    waiting = threading.Thread(target=lambda: locked(path).__enter__(), daemon=True)
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()  # as long as the other lives
    os.kill(process.pid, signal.SIGKILL)
    waiting.join(20)
    assert not waiting.is_alive()
    process.join()
