"""The emulator itself: right kernels give right results under every order, and what is wrong on a GPU is seen."""

import sys

import numpy as np
import pytest

from tests.kernels.cuda.emulation import emulator
from tests.kernels.cuda.emulation.emulator import EmulatedDevice, LaunchError, build, to_tf32

pytestmark = pytest.mark.skipif(emulator.missing() is not None, reason=str(emulator.missing()))

SEEDS = range(50)

HEAD = """
struct half { unsigned short bits; };
struct bf16 { unsigned short bits; };
"""

BLOCKS = (
    HEAD
    + """
extern "C" __global__ void __launch_bounds__(256) sum(const float* x, float* y, int n) {
    float* s = (float*)dynamic_shared();
    int i = thread_index();
    s[i] = i < n ? x[(long long)block_x() * n + i] : 0;
    sync_block();
    for (int half = block_size() / 2; half > 0; half /= 2) {
        if (i < half) s[i] += s[i + half];
#ifndef NO_BARRIER
        sync_block();
#endif
    }
    if (i == 0) y[block_x()] = s[0];
}
extern "C" __global__ void shift(int* x) {
    int left = x[(thread_index() + 31) % 32];
#ifndef NO_BARRIER
    sync_warp();
#endif
    x[thread_index()] = left;
}
extern "C" __global__ void where(int* x) {
    int block = block_y() * blocks_x() + block_x();
    x[block * block_size() + thread_index()] = block_x() + 10 * block_y() + 100 * blocks_y();
}
"""
)

WRONG = (
    HEAD
    + """
extern "C" __global__ void some_end() {
    if (thread_index() < 40) return;
    sync_block();
}
extern "C" __global__ void some_wait_elsewhere() {
    if (thread_index() < 40) sync_block();
    else sync_block();
}
extern "C" __global__ void some_lanes() {
    float sum[4];
    unsigned a[4], b[2];
    if (thread_index() % 32 != 5) mma_tf32(sum, a, b);
}
extern "C" __global__ void two_collectives() {
    if (thread_index() % 32 == 5) sync_warp();
    else sync_block();
}
extern "C" __global__ void never_released(const int* flag) {
    while (load_acquire(flag) == 0) nap();
}
extern "C" __global__ void no_end(int* x) {
    for (;;) sync_block(), x[0] = 1;
}
extern "C" __global__ void all_meet(int* flags) {
    store_release(flags + block_x(), 1);
    for (int k = 0; k < blocks_x(); ++k) {
        while (load_acquire(flags + k) == 0) nap();
    }
}
extern "C" __global__ void write_shared(int at) {
    ((float*)dynamic_shared())[at] = 1;
}
extern "C" __global__ void write_global(float* x, int at) {
    x[at] = 1;
}
extern "C" __global__ void read_shared(float* x) {
    x[thread_index()] = ((float*)dynamic_shared())[thread_index()];
}
extern "C" __global__ void deep(int* x) {
    volatile char much[64600];
    for (int k = 0; k < 64600; ++k) much[k] = k;
    x[0] = much[0];
}
extern "C" __global__ void twice() {
    cluster_arrive();
    cluster_arrive();
}
extern "C" __global__ void without_arriving() {
    cluster_wait();
}
extern "C" __global__ void no_such_peer() {
    peer((int*)dynamic_shared(), 2);
}
"""
)


@pytest.fixture(scope="module")
def blocks():
    return build(BLOCKS)


@pytest.fixture(scope="module")
def wrong():
    return build(WRONG)


def run(library, kernel, args=(), *, grid=(1, 1), block=64, shared=1024, **options):
    library.run(kernel, grid, block, shared, list(args), **options)


def float_rows(rows, n, seed=0):
    return np.random.default_rng(seed).standard_normal((rows, n)).astype(np.float32)


# ---- barriers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_a_reduction_is_right_in_every_order(blocks, seed):
    x, y = float_rows(11, 200), np.zeros(11, np.float32)
    run(blocks, "sum", [x, y, np.int32(200)], grid=(11, 1), block=256, seed=seed)
    np.testing.assert_allclose(y, x.sum(axis=1), rtol=1e-5, atol=1e-5)


def test_a_missing_barrier_is_seen_under_some_seed():
    library = build(BLOCKS, ["-DNO_BARRIER"])
    x, y, found = float_rows(1, 200), np.zeros(1, np.float32), 0
    for seed in SEEDS:
        run(library, "sum", [x, y, np.int32(200)], block=256, seed=seed)
        found += abs(y[0] - x.sum()) > 1e-3
    assert found > len(SEEDS) / 2


@pytest.mark.parametrize(("options", "right"), [([], True), (["-DNO_BARRIER"], False)])
def test_lanes_go_on_in_any_order(options, right):
    library, results = build(BLOCKS, options), []
    for seed in SEEDS:
        x = np.arange(32, dtype=np.int32)
        run(library, "shift", [x], block=32, seed=seed)
        results.append(np.array_equal(x, np.roll(np.arange(32), 1)))
    assert all(results) == right


def test_equal_seeds_give_equal_orders():
    library = build(BLOCKS, ["-DNO_BARRIER"])
    x = float_rows(1, 200)
    results = []
    for seed in (1, 1, 2):
        y = np.zeros(1, np.float32)
        run(library, "sum", [x, y, np.int32(200)], block=256, seed=seed)
        results.append(y[0])
    assert results[0] == results[1] != results[2]


@pytest.mark.parametrize("at_once", [1, 2, 7, 100])
def test_every_block_runs_once_and_knows_its_place(blocks, at_once):
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


def test_a_deadlock_says_who_waits_where(wrong):
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
        run(wrong, "no_end", [np.zeros(1, np.int32)], steps=100_000)


# ---- memory --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [-1, 256])
def test_a_write_past_the_ends_of_shared_memory_is_an_error(wrong, at):
    run(wrong, "write_shared", [np.int32(255)])
    with pytest.raises(LaunchError, match=rf"1024 bytes of shared memory; somebody wrote at byte {4 * at}"):
        run(wrong, "write_shared", [np.int32(at)])


def test_shared_memory_that_nobody_wrote_is_nan(wrong):
    x = np.zeros(64, np.float32)
    for _ in range(2):
        run(wrong, "read_shared", [x])
        assert np.isnan(x).all()


def test_a_stack_that_is_used_up_is_an_error(wrong):
    with pytest.raises(LaunchError, match="used up its stack"):
        run(wrong, "deep", [np.zeros(1, np.int32)], block=1)


@pytest.mark.parametrize("shape", [(3, 4), (0,), ()])
@pytest.mark.parametrize("where", ["before", "after"])
def test_a_write_past_the_ends_of_an_array_is_an_error(shape, where):
    device = EmulatedDevice(source=lambda configuration, name: (WRONG, []))
    arrays = [device.xp.zeros(shape, np.float32) for _ in range(3)]
    x = arrays[1]
    with pytest.raises(LaunchError, match="past the ends of an array, float32"):
        device.launch(None, "", "write_global", (1, 1), 1, 0, [x, np.int32(-1 if where == "before" else x.size)])


def test_arrays_of_the_device_are_as_numpys():
    xp = EmulatedDevice().xp
    assert np.isnan(xp.empty((2, 3), np.float32)).all()
    assert np.isnan(xp.empty_like(xp.zeros(3, np.float16))).all()
    made = xp.concatenate([xp.zeros((2, 2)), xp.full((1, 2), 3.0)])
    assert np.array_equal(made, [[0, 0], [0, 0], [3, 3]])
    assert made.ctypes.data % 256 == 0
    assert xp.asfortranarray(made).flags.f_contiguous
    out = np.zeros((3, 2))
    assert xp.add(made, 1, out=out) is out
    assert xp.float32 is np.float32


def test_what_is_freed_becomes_nan():
    device = EmulatedDevice()
    x = device.xp.zeros(5)
    (piece,) = (p for p, name in device.memory._pieces.values() if name.startswith("float64"))
    view = x[1:]
    del x
    assert not piece.inner.view(np.float64).any()
    del view
    assert np.isnan(piece.inner.view(np.float64)).all()


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
def test_arguments_of_other_kinds_are_errors(wrong, args, words):
    with pytest.raises(LaunchError, match=words):
        run(wrong, "write_global", args)


def test_python_numbers_are_no_arguments(wrong):
    with pytest.raises(TypeError, match="not 0"):
        run(wrong, "write_shared", [0])


def test_a_source_that_does_not_compile():
    with pytest.raises(RuntimeError, match="refuses the source"):
        build('extern "C" __global__ void k() { nonsense(); }')


def test_a_kernel_that_is_not_there(wrong):
    with pytest.raises(LaunchError, match="no such kernel"):
        run(wrong, "nobody")


# ---- clusters and flags --------------------------------------------------------------------------------------------

TEAMS = (
    HEAD
    + """
// Each block tells all of its cluster what it has, several times: the sum goes on as the next number.
extern "C" __global__ void exchange(const int* x, int* y, int rounds) {
    int* shared = (int*)dynamic_shared();
    int ranks = block_size() / 32, rank = cluster_rank(), i = thread_index();
    int mine = x[block_y() * blocks_x() + block_x()];
    for (int round = 0; round < rounds; ++round) {
#ifndef NO_WAIT
        cluster_arrive();   // all have read the numbers of the round before, and all blocks have begun
        cluster_wait();
#endif
        if (i < ranks) *peer(shared + rank, i) = mine;
        cluster_arrive();
        cluster_wait();
        mine = 0;
        for (int k = 0; k < ranks; ++k) mine += shared[k] * (k + 1);
        sync_block();
    }
    if (i == 0) y[block_y() * blocks_x() + block_x()] = mine;
}
// Each block adds to what the block before it made of the round.
extern "C" __global__ void relay(int* flags, int* x, int rounds) {
    for (int round = 0; round < rounds; ++round) {
        int before = block_x() ? block_x() - 1 : blocks_x() - 1;
        int steps = block_x() ? round + 1 : round;
        if (thread_index() == 0) {
            while (load_acquire(flags + before) < steps) nap();
        }
        sync_block();
        int got = fresh(x + before * block_size() + thread_index());
        x[block_x() * block_size() + thread_index()] = 3 * got + 1;
#ifndef NO_WAIT
        sync_block();
#endif
        if (thread_index() == 0) store_release(flags + block_x(), round + 1);
    }
}
"""
)


def exchanged(options, seed):
    x = np.arange(1, 17, dtype=np.int32).reshape(2, 8)
    y = np.zeros_like(x)
    run(build(TEAMS, options), "exchange", [x, y, np.int32(3)], grid=(8, 2), block=128, shared=16, cluster=4, seed=seed)
    teams = x.reshape(4, 4)
    for _ in range(3):
        teams = np.repeat((teams * np.arange(1, 5)).sum(axis=1, keepdims=True), 4, axis=1)
    return np.array_equal(y, teams.reshape(2, 8))


def test_blocks_of_a_cluster_exchange_numbers():
    assert all(exchanged([], seed) for seed in SEEDS)


def test_a_missing_wait_of_a_cluster_is_seen_under_some_seed():
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


def test_a_flag_set_too_early_is_seen_under_some_seed():
    assert not all(relayed(["-DNO_WAIT"], seed) for seed in SEEDS)


def test_blocks_that_wait_for_one_that_is_not_resident_are_an_error(wrong):
    run(wrong, "all_meet", [np.zeros(8, np.int32)], grid=(8, 1), at_once=8)
    with pytest.raises(LaunchError, match="endless wait"):
        run(wrong, "all_meet", [np.zeros(8, np.int32)], grid=(8, 1), at_once=4, polls=10_000)


def test_a_cooperative_launch_has_all_its_blocks_at_once():
    device = EmulatedDevice(blocks=8, source=lambda configuration, name: (WRONG, []))
    flags = device.xp.zeros(9, np.int32)
    device.launch(None, "", "all_meet", (8, 1), 32, 0, [flags], cooperative=True)
    with pytest.raises(LaunchError, match="a cooperative launch of 9 blocks, 8 can be there"):
        device.launch(None, "", "all_meet", (9, 1), 32, 0, [flags], cooperative=True)


# ---- numbers -------------------------------------------------------------------------------------------------------

NUMBERS = (
    HEAD
    + """
extern "C" __global__ void to_floats(const short* x, float* y, int n) {
    for (int k = thread_index(); k < n; k += block_size()) y[k] = half_to_float(x[k]);
}
extern "C" __global__ void to_halfs(const float* x, short* y, int n) {
    for (int k = thread_index(); k < n; k += block_size()) y[k] = float_to_half(x[k]);
}
extern "C" __global__ void to_tf32s(const float* x, int* y, int n) {
    for (int k = thread_index(); k < n; k += block_size()) y[k] = to_tf32(x[k]);
}
extern "C" __global__ void product_tf32(const int* A, const int* B, float* C) {   // (16, 8) (8, 8)
    int g = thread_index() / 4, t = thread_index() % 4;
    unsigned a[4] = {(unsigned)A[g * 8 + t], (unsigned)A[(g + 8) * 8 + t], (unsigned)A[g * 8 + t + 4],
                     (unsigned)A[(g + 8) * 8 + t + 4]};
    unsigned b[2] = {(unsigned)B[t * 8 + g], (unsigned)B[(t + 4) * 8 + g]};
    float* c[4] = {C + g * 8 + 2 * t, C + g * 8 + 2 * t + 1, C + (g + 8) * 8 + 2 * t, C + (g + 8) * 8 + 2 * t + 1};
    float sum[4] = {*c[0], *c[1], *c[2], *c[3]};
    mma_tf32(sum, a, b);
    for (int i = 0; i < 4; ++i) *c[i] = sum[i];
}
template <class S>
void product(const short* A, const short* B, float* C) {   // (16, 16) (16, 8)
    auto pair = [](const short* p, int stride) {
        return (unsigned)(unsigned short)p[0] | (unsigned)(unsigned short)p[stride] << 16;
    };
    int g = thread_index() / 4, t = thread_index() % 4;
    unsigned a[4] = {pair(A + g * 16 + 2 * t, 1), pair(A + (g + 8) * 16 + 2 * t, 1), pair(A + g * 16 + 2 * t + 8, 1),
                     pair(A + (g + 8) * 16 + 2 * t + 8, 1)};
    unsigned b[2] = {pair(B + 2 * t * 8 + g, 8), pair(B + (2 * t + 8) * 8 + g, 8)};
    float* c[4] = {C + g * 8 + 2 * t, C + g * 8 + 2 * t + 1, C + (g + 8) * 8 + 2 * t, C + (g + 8) * 8 + 2 * t + 1};
    float sum[4] = {*c[0], *c[1], *c[2], *c[3]};
    mma_16<S>(sum, a, b);
    for (int i = 0; i < 4; ++i) *c[i] = sum[i];
}
extern "C" __global__ void product_half(const short* A, const short* B, float* C) { product<half>(A, B, C); }
extern "C" __global__ void product_bf16(const short* A, const short* B, float* C) { product<bf16>(A, B, C); }
"""
)


@pytest.fixture(scope="module")
def numbers():
    return build(NUMBERS)


def test_every_half_is_the_float_that_numpy_makes_of_it(numbers):
    x = np.arange(2**16, dtype=np.uint16).view(np.int16)
    y = np.zeros(2**16, np.float32)
    run(numbers, "to_floats", [x, y, np.int32(2**16)])
    np.testing.assert_array_equal(y, x.view(np.float16).astype(np.float32))
    assert np.array_equal(np.signbit(y), np.signbit(x.view(np.float16)))


def test_floats_are_rounded_to_halfs_as_numpy_does(numbers):
    halfs = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32)
    ties = (halfs[1:] + halfs[:-1]) / 2
    above, below = np.nextafter(ties, np.float32(np.inf)), np.nextafter(ties, np.float32(0))
    special = np.array([65519.996, 65520, 1e10, np.inf, np.nan, 1e-30, 2.0**-25], np.float32)
    x = np.concatenate([halfs, ties, above, below, special])
    x = np.concatenate([x, -x])
    y = np.zeros(x.size, np.int16)
    run(numbers, "to_halfs", [x, y, np.int32(x.size)])
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(y.view(np.float16), x.astype(np.float16))


def test_tf32_has_ten_bits_and_ties_go_away_from_zero(numbers):
    x = np.array([1, 1 + 2**-10, 1 + 2**-11, -1 - 2**-11, 1 + 2**-11 - 2**-23, np.inf, -np.inf, np.nan, 0], np.float32)
    expected = np.array([1, 1 + 2**-10, 1 + 2**-10, -1 - 2**-10, 1, np.inf, -np.inf, np.nan, 0], np.float32)
    y = np.zeros(x.size, np.int32)
    run(numbers, "to_tf32s", [x, y, np.int32(x.size)])
    np.testing.assert_array_equal(y.view(np.float32), expected)
    np.testing.assert_array_equal(to_tf32(x), expected)


@pytest.mark.parametrize("kind", ["tf32", "half", "bf16"])
def test_tensor_cores_multiply(numbers, kind):
    rng = np.random.default_rng(1)
    K = 8 if kind == "tf32" else 16
    A, B, C = (rng.standard_normal(shape).astype(np.float32) for shape in ((16, K), (K, 8), (16, 8)))
    if kind == "tf32":  # the bits below the upper 19 don't count
        cut = lambda x: (x.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)
        exact, args = [cut(A), cut(B)], [A.view(np.int32), B.view(np.int32)]
    elif kind == "half":
        exact = [A.astype(np.float16), B.astype(np.float16)]
        args = [x.view(np.int16) for x in exact]
    else:
        exact = [(x.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32) for x in (A, B)]
        args = [(x.view(np.uint32) >> 16).astype(np.uint16).view(np.int16) for x in exact]
    expected = C.astype(np.float64) + exact[0].astype(np.float64) @ exact[1].astype(np.float64)
    run(numbers, f"product_{kind}", [*args, C], block=32)
    np.testing.assert_allclose(C, expected, rtol=2**-23, atol=2**-40)
    assert (np.abs(C) <= np.abs(expected) + 2**-40).all()  # cut off, not rounded


def test_a_tensor_core_takes_whole_warps(numbers):
    with pytest.raises(LaunchError, match="less than 32 lanes"):
        run(
            numbers, "product_half", [*(np.zeros(256, np.int16) for _ in range(2)), np.zeros(128, np.float32)], block=16
        )


def test_the_c_librarys_switch_does_the_same():
    library = build(BLOCKS, ["-DEMULATION_UCONTEXT"])
    x, y = float_rows(3, 200), np.zeros(3, np.float32)
    run(library, "sum", [x, y, np.int32(200)], grid=(3, 1), block=256, seed=1)
    np.testing.assert_allclose(y, x.sum(axis=1), rtol=1e-5, atol=1e-5)


# ---- the device ----------------------------------------------------------------------------------------------------


def test_matmul_rounds_once():
    device = EmulatedDevice()
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((5, 40), (40, 3)))
    exact = a.astype(np.float64) @ b.astype(np.float64)
    assert np.array_equal(device.matmul(a, b), exact.astype(np.float32))
    out = np.zeros((5, 3))
    assert device.matmul(a, b, out) is out
    assert np.array_equal(out, exact)
    halfs = a.astype(np.float16), b.astype(np.float16)
    assert device.matmul(*halfs).dtype == np.float16
    assert device.matmul(*halfs, dtype=np.float32).dtype == np.float32
    fast = device.matmul(a, b, precision="fast")
    assert 1e-5 < np.abs(fast - exact).max() < 1e-2
    assert not device.matmul(a[:, :0], b[:0]).any()


def test_a_graph_does_its_launches_when_it_is_replayed():
    device = EmulatedDevice(source=lambda configuration, name: (WRONG, []))
    x = device.xp.zeros(3, np.float32)
    launch = lambda: device.launch(None, "", "write_global", (1, 1), 1, 0, [x, np.int32(1)])
    graph = device.graph("key", launch)
    assert not x.any()
    for _ in range(2):
        x[...] = 0
        graph.replay()
        assert x.tolist() == [0, 1, 0]
    assert device.log == ["write_global"] * 2


@pytest.mark.parametrize(
    "forbidden",
    [
        lambda device: device.xp.empty(3),
        lambda device: device.xp.zeros(3),
        lambda device: device.matmul(np.zeros((1, 1)), np.zeros((1, 1))),
        lambda device: device.record(np.zeros((), "i4,f8")[()]),
    ],
)
def test_a_capture_takes_launches_only(forbidden):
    device = EmulatedDevice()
    with pytest.raises(RuntimeError, match="in the capture of a graph"):
        device.graph("key", lambda: forbidden(device))
    forbidden(device)


def test_a_record_is_read_by_its_address_and_written_anew():
    device = EmulatedDevice()
    dtype = np.dtype([("n", np.int32), ("p", np.uint64)], align=True)
    record = device.record(np.array((3, 4), dtype)[()])
    address = device.address(record)
    assert int.from_bytes((record.tobytes())[:4], sys.byteorder) == 3
    assert device.record(np.array((5, 6), dtype)[()], record) is record
    assert device.address(record) == address
    assert record["n"] == 5
    assert device.address(None) == 0
