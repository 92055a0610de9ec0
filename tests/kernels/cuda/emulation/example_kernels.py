"""CUDA sources for the tests of the emulator: correct kernels, and kernels with each error that it must find."""

import numpy as np

from tests.kernels.cuda.emulation.library import EmulatedLaunch

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

TEAMS = (
    HEAD
    + """
// Each block sends its number to all blocks of its cluster, several times: the weighted sum is the next number.
extern "C" __global__ void exchange(const int* x, int* y, int rounds) {
    int* shared = (int*)dynamic_shared();
    int ranks = block_size() / 32, rank = cluster_rank(), i = thread_index();
    int mine = x[block_y() * blocks_x() + block_x()];
    for (int round = 0; round < rounds; ++round) {
#ifndef NO_WAIT
        cluster_arrive();   // all blocks have started and have read the previous round's numbers
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
// In each round, each block transforms the result of the block before it.
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


def run(library, kernel, args=(), *, grid=(1, 1), threads=64, shared=1024, **options):
    """Run a kernel of a library once. options: fields of EmulatedLaunch."""
    library.run(EmulatedLaunch(kernel, grid, threads, shared, **options), list(args))


def float_rows(rows, n, seed=0):
    return np.random.default_rng(seed).standard_normal((rows, n)).astype(np.float32)
