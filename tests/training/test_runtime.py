import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from skanticipate import MLP, RowView, SmoothedAnticipator
from skanticipate.training import runtime
from skanticipate.training.runtime import (
    callers_threads,
    resolve_device,
    resolve_dtype,
    seeded_global_stream,
    seeds_of,
    torch_threads,
)

CPU = torch.device("cpu")


def network(n_parameters=10):
    return torch.nn.Linear(n_parameters, 1, bias=False, device="meta")


@pytest.fixture(autouse=True)
def two_threads():
    """Start from two threads, so that one is a change."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("n_threads", "n_parameters", "inside"),
    [(None, 10, 1), (None, 6_000_000, 2), (3, 10, 3), (1, 6_000_000, 1)],
)
def test_threads_follow_the_wish_or_the_size(n_threads, n_parameters, inside):
    with torch_threads(n_threads, network(n_parameters)):
        assert torch.get_num_threads() == inside
    assert torch.get_num_threads() == 2


def test_threads_are_as_before_after_an_exception():
    with pytest.raises(ZeroDivisionError), torch_threads(3, network()):
        raise ZeroDivisionError
    assert torch.get_num_threads() == 2


def test_a_region_without_a_network_has_one_thread():
    with torch_threads(None):
        assert torch.get_num_threads() == 1


def test_a_region_inside_of_another_ends_with_the_number_of_the_outer_one():
    with torch_threads(1):
        with torch_threads(3):
            assert torch.get_num_threads() == 3
            with torch_threads(None, network(6_000_000)):
                assert torch.get_num_threads() == 2
            assert torch.get_num_threads() == 3
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


def test_what_is_not_ours_has_the_number_of_its_user():
    with callers_threads():
        assert torch.get_num_threads() == 2
    with torch_threads(1):
        with callers_threads():
            assert torch.get_num_threads() == 2
            with torch_threads(3):
                pass
            assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


def test_seeded_stream_repeats_and_leaves_the_global_one():
    torch.manual_seed(9)
    np.random.seed(9)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    draws = []
    for seed in (1, 1, 2):
        with seeded_global_stream(seed):
            draws.append(torch.rand(5))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert torch.equal(torch.get_rng_state(), before[0])
    assert_array_equal(np.random.get_state()[1], before[1])


def test_seeded_stream_queues_no_seed_for_devices_that_are_not_in_use(monkeypatch):
    queued = []
    for device in (torch.cuda, torch.mps, torch.xpu):
        for name in ("manual_seed", "manual_seed_all"):
            if hasattr(device, name):
                monkeypatch.setattr(device, name, queued.append)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    with seeded_global_stream(3):
        torch.rand(2)
    assert queued == []
    torch.manual_seed(3)
    assert queued  # which is what it keeps from


def test_seeded_stream_leaves_the_global_one_after_an_exception():
    before = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), seeded_global_stream(1):
        torch.rand(3)
        raise ZeroDivisionError
    assert torch.equal(torch.get_rng_state(), before)


def test_seeded_stream_has_one_user_at_a_time():
    entered = threading.Event()

    def enter():
        with seeded_global_stream(3):
            entered.set()

    other = threading.Thread(target=enter)
    with seeded_global_stream(3):
        first = torch.rand(2)
        other.start()
        assert not entered.wait(0.1)
        second = torch.rand(2)
    other.join()
    assert entered.is_set()
    with seeded_global_stream(3):
        assert torch.equal(torch.rand(4), torch.cat([first, second]))


def test_seeded_stream_may_be_entered_twice():
    with seeded_global_stream(1):
        first = torch.rand(3)
        with seeded_global_stream(2):
            torch.rand(3)
        second = torch.rand(3)
    with seeded_global_stream(1):
        assert torch.equal(torch.cat([first, second]), torch.rand(6))


@pytest.mark.parametrize(
    ("dtype", "stored", "expected"),
    [
        ("auto", "float64", torch.float64),
        ("auto", "float32", torch.float32),
        ("auto", "float16", torch.float32),
        ("auto", "int64", torch.float32),
        ("float32", "float64", torch.float32),
        ("float64", "float16", torch.float64),
    ],
)
def test_precision_follows_the_name_or_the_input(dtype, stored, expected):
    assert resolve_dtype(dtype, RowView(np.ones((2, 2), dtype=stored))) == expected


def test_device_follows_the_name_or_the_machine():
    assert resolve_device("cpu") == CPU
    assert resolve_device(CPU) == CPU
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert resolve_device("auto").type == expected


def test_small_network_of_ours_counts_as_small():
    module = MLP(8).build((4,), 3, generator=torch.Generator())
    with torch_threads(None, module):
        assert torch.get_num_threads() == 1


def test_a_region_within_one_of_the_same_number_leaves_it_as_it_is():
    with torch_threads(1):
        with torch_threads(1), torch_threads(None, network()):
            assert torch.get_num_threads() == 1
            with torch_threads(2):
                assert torch.get_num_threads() == 2
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


def test_code_that_is_not_ours_has_one_thread_in_a_forked_child(monkeypatch):
    monkeypatch.setattr(runtime, "_forked", True)
    outside = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with runtime.torch_threads(None), runtime.callers_threads():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(outside)


@pytest.mark.parametrize("wrong", [True, 2**31])
def test_a_number_that_torch_refuses_leaves_nothing_behind(wrong):
    with pytest.raises((TypeError, ValueError, RuntimeError, OverflowError)):
        with torch_threads(wrong):
            pass
    with torch_threads(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    torch.set_num_threads(3)
    with torch_threads(None, network(6_000_000)):  # the first to come in: the user's
        assert torch.get_num_threads() == 3


@pytest.mark.parametrize(
    ("largest", "stored", "expected"),
    [
        (2**24, "int64", torch.float32),
        (2**24 + 1, "int64", torch.float64),
        (-(2**24) - 1, "int32", torch.float64),
        (2**32 - 1, "uint32", torch.float64),
        (2**63, "uint64", torch.float64),
        (2**15, "uint16", torch.float32),
    ],
)
def test_whole_numbers_that_float32_cannot_tell_apart_are_wide(
    largest, stored, expected
):
    rows = np.zeros((3, 2), dtype=stored)
    rows[2, 1] = largest
    assert resolve_dtype("auto", RowView(rows)) == expected
    assert resolve_dtype("float32", RowView(rows)) == torch.float32
    near = {float(np.float32(k)) for k in (abs(largest), abs(largest) - 1)}
    assert expected == torch.float64 or len(near) == 2


def test_neighbouring_large_numbers_are_different_inputs():
    X = np.array([[2**24], [2**24 + 1]])
    model = SmoothedAnticipator(MLP(4), max_epochs=1, random_state=0).fit(X, [0, 1])
    assert model.feature_map(X).dtype == np.float64


def test_a_region_that_cannot_be_entered_leaves_no_trace():
    class Broken:
        def __enter__(self):
            raise OSError("broken")

        def __exit__(self, *_):
            raise AssertionError("It was never entered.")

    before = torch.get_num_threads()
    inside = torch.autocast("cpu", torch.bfloat16)
    with (
        pytest.raises(OSError, match="broken"),
        runtime._entered(runtime._Region(1), inside, Broken()),
    ):
        pass
    assert torch.get_num_threads() == before
    assert not torch.is_autocast_enabled("cpu")
    with torch_threads(3):
        assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == before


def test_seeds_are_words_of_a_sequence_that_random_state_begins():
    root = np.random.RandomState(7).randint(np.iinfo(np.int32).max)
    words = np.random.SeedSequence(root).generate_state(3).tolist()
    expected = {"init": words[0], "crop": words[1], 5: words[2]}
    assert seeds_of(7, ["init", "crop", 5]) == expected
    assert seeds_of(np.random.RandomState(7), ["init", "crop", 5]) == expected
    seeds_of(8, ["init"])
    assert seeds_of(np.int64(7), ["init", "crop", 5]) == expected
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(seeds_of, 7, ["init", "crop", 5]).result() == expected


def test_further_purposes_leave_the_seeds_of_the_first():
    few, many = seeds_of(0, "ab"), seeds_of(0, "abcdefgh")
    assert {name: many[name] for name in "ab"} == few
    assert len(set(many.values())) == 8


def test_a_random_state_instance_goes_on_and_none_is_drawn():
    stream = np.random.RandomState(0)
    assert seeds_of(stream, "a") != seeds_of(stream, "a")
    np.random.seed(3)
    one = seeds_of(None, "a")
    np.random.seed(3)
    assert seeds_of(None, "a") == one != seeds_of(None, "a")
