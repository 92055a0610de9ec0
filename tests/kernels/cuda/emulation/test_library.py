"""emulation/library.py: correct kernels give correct results in every order, and errors on a GPU are found."""

import numpy as np
import pytest

from tests.kernels.cuda.emulation.example_kernels import BLOCKS, SEEDS, TEAMS, WRONG, float_rows, run
from tests.kernels.cuda.emulation.library import LaunchError, build

# ---- barriers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_a_reduction_is_right_in_every_order(blocks, seed):
    x, y = float_rows(11, 200), np.zeros(11, np.float32)
    run(blocks, "sum", [x, y, np.int32(200)], grid=(11, 1), threads=256, seed=seed)
    np.testing.assert_allclose(y, x.sum(axis=1), rtol=1e-5, atol=1e-5)


def test_a_missing_barrier_is_found_with_some_seed():
    library = build(BLOCKS, ["-DNO_BARRIER"])
    x, y, found = float_rows(1, 200), np.zeros(1, np.float32), 0
    for seed in SEEDS:
        run(library, "sum", [x, y, np.int32(200)], threads=256, seed=seed)
        found += abs(y[0] - x.sum()) > 1e-3
    assert found > len(SEEDS) / 2


@pytest.mark.parametrize(("options", "right"), [([], True), (["-DNO_BARRIER"], False)])
def test_lanes_continue_in_any_order(options, right):
    library, results = build(BLOCKS, options), []
    for seed in SEEDS:
        x = np.arange(32, dtype=np.int32)
        run(library, "shift", [x], threads=32, seed=seed)
        results.append(np.array_equal(x, np.roll(np.arange(32), 1)))
    assert all(results) == right


def test_equal_seeds_give_equal_orders():
    library = build(BLOCKS, ["-DNO_BARRIER"])
    x = float_rows(1, 200)
    results = []
    for seed in (1, 1, 2):
        y = np.zeros(1, np.float32)
        run(library, "sum", [x, y, np.int32(200)], threads=256, seed=seed)
        results.append(y[0])
    assert results[0] == results[1] != results[2]


@pytest.mark.parametrize("at_once", [1, 2, 7, 100])
def test_every_block_runs_once_and_has_its_index(blocks, at_once):
    x = np.full((4, 5, 64), -1, np.int32)
    run(blocks, "where", [x], grid=(5, 4), at_once=at_once)
    assert np.array_equal(x, np.broadcast_to((np.arange(5) + 10 * np.arange(4)[:, None] + 400)[..., None], x.shape))


@pytest.mark.parametrize(
    ("kernel", "words"),
    [
        ("some_end", "divergent barrier"),
        ("some_wait_elsewhere", "divergent barrier"),
        ("some_lanes", "divergent barrier"),
        ("two_collectives", "deadlock"),
        ("twice", "arrives twice"),
        ("without_arriving", "without having arrived"),
        ("no_such_peer", "rank 2 of 1"),
    ],
)
def test_a_divergent_barrier_is_an_error(wrong, kernel, words):
    for seed in range(10):
        with pytest.raises(LaunchError, match=rf"{kernel}, seed {seed}: (.|\n)*{words}"):
            run(wrong, kernel, seed=seed)


def test_a_deadlock_says_which_threads_wait_where(wrong):
    with pytest.raises(LaunchError) as caught:
        run(wrong, "two_collectives")
    lines = WRONG[: WRONG.index("two_collectives")].count("\n") + 1
    assert f"62 (first: thread 0) at sync_block in <stdin>:{lines + 2}, " in str(caught.value)
    assert f" 2 (first: thread 5) at sync_warp in <stdin>:{lines + 1}" in str(caught.value)


def test_an_endless_wait_is_an_error(wrong):
    with pytest.raises(LaunchError, match=r"endless wait(.|\n)*load_acquire|nap"):
        run(wrong, "never_released", [np.zeros(1, np.int32)], polls=10_000)


def test_endless_work_is_an_error(wrong):
    with pytest.raises(LaunchError, match="no end after 100000 switches"):
        run(wrong, "no_end", [np.zeros(1, np.int32)], switches=100_000)


def test_the_c_librarys_switch_does_the_same():
    library = build(BLOCKS, ["-DEMULATION_UCONTEXT"])
    x, y = float_rows(3, 200), np.zeros(3, np.float32)
    run(library, "sum", [x, y, np.int32(200)], grid=(3, 1), threads=256, seed=1)
    np.testing.assert_allclose(y, x.sum(axis=1), rtol=1e-5, atol=1e-5)


# ---- shared memory -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [-1, 256])
def test_a_write_past_the_ends_of_shared_memory_is_an_error(wrong, at):
    run(wrong, "write_shared", [np.int32(255)])
    with pytest.raises(LaunchError, match=rf"1024 bytes of shared memory; a write at byte {4 * at}"):
        run(wrong, "write_shared", [np.int32(at)])


def test_unwritten_shared_memory_is_nan(wrong):
    x = np.zeros(64, np.float32)
    for _ in range(2):
        run(wrong, "read_shared", [x])
        assert np.isnan(x).all()


def test_a_stack_that_is_used_up_is_an_error(wrong):
    with pytest.raises(LaunchError, match="used up its stack"):
        run(wrong, "deep", [np.zeros(1, np.int32)], threads=1)


# ---- arguments -----------------------------------------------------------------------------------------------------


def read_only(array):
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([np.zeros(1, np.float32)], "takes 2 arguments, got 1"),
        ([np.zeros(1, np.float32), np.int64(0)], "argument 1 is of kind i, got l"),
        ([np.int64(0), np.int32(0)], "argument 0 is of kind w, got l"),
        ([np.zeros(1), np.int32(0)], "items of 4 bytes, got an array of 8"),
        ([read_only(np.zeros(1, np.float32)), np.int32(0)], "argument 0 is of kind w, got r"),
    ],
)
def test_arguments_of_the_wrong_kind_are_errors(wrong, args, words):
    with pytest.raises(LaunchError, match=words):
        run(wrong, "write_global", args)


def test_python_numbers_are_not_accepted(wrong):
    with pytest.raises(TypeError, match="not 0"):
        run(wrong, "write_shared", [0])


def test_a_source_that_does_not_compile():
    with pytest.raises(RuntimeError, match="refuses the source"):
        build('extern "C" __global__ void k() { nonsense(); }')


def test_an_unknown_kernel_is_an_error(wrong):
    with pytest.raises(LaunchError, match="no such kernel"):
        run(wrong, "nobody")


# ---- clusters and flags ---------------------------------------------------------------------------------------------


def exchanged(options, seed):
    x = np.arange(1, 17, dtype=np.int32).reshape(2, 8)
    y = np.zeros_like(x)
    run(
        build(TEAMS, options),
        "exchange",
        [x, y, np.int32(3)],
        grid=(8, 2),
        threads=128,
        shared=16,
        cluster=4,
        seed=seed,
    )
    teams = x.reshape(4, 4)
    for _ in range(3):
        teams = np.repeat((teams * np.arange(1, 5)).sum(axis=1, keepdims=True), 4, axis=1)
    return np.array_equal(y, teams.reshape(2, 8))


def test_blocks_of_a_cluster_exchange_numbers():
    assert all(exchanged([], seed) for seed in SEEDS)


def test_a_missing_wait_of_a_cluster_is_found_with_some_seed():
    assert not all(exchanged(["-DNO_WAIT"], seed) for seed in SEEDS)


def relayed(options, seed):
    blocks, rounds = 5, 4
    x, flags = np.zeros((blocks, 64), np.int32), np.zeros(blocks, np.int32)
    run(build(TEAMS, options), "relay", [flags, x, np.int32(rounds)], grid=(blocks, 1), at_once=blocks, seed=seed)
    value = 0
    for _ in range(blocks * rounds):
        value = (3 * value + 1) % 2**32
    return bool((x[-1].view(np.uint32) == value).all())


def test_blocks_wait_for_flags_of_others():
    assert all(relayed([], seed) for seed in SEEDS)


def test_a_flag_set_too_early_is_found_with_some_seed():
    assert not all(relayed(["-DNO_WAIT"], seed) for seed in SEEDS)


def test_blocks_that_wait_for_one_that_is_not_resident_are_an_error(wrong):
    run(wrong, "all_meet", [np.zeros(8, np.int32)], grid=(8, 1), at_once=8)
    with pytest.raises(LaunchError, match="endless wait"):
        run(wrong, "all_meet", [np.zeros(8, np.int32)], grid=(8, 1), at_once=4, polls=10_000)
