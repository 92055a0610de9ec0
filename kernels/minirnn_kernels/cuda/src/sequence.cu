// A whole sequence, or one step of it, in one kernel: the recurrent product and the gates.
//
// The hidden units are divided among the blocks of a *team*. Each block holds the rows of W_hh of its units in
// shared memory, and keeps them there from step to step. A step is
//
//     forward     a      = gates[t] + h[t] W_hh^T      for the block's units, from h of all units
//                 h[t+1] = the cell's gates of a
//     backward    dh     = da[t+1] W_hh + dout[t]      for the block's units, from da of all units
//                 da[t]  = the backward pass of the cell's gates
//
// followed by a barrier of the team, because the next step needs h (or da) of all units. A team is a single block; or a
// thread-block cluster, whose blocks write h into each other's shared memory; or as many blocks as the GPU runs at
// once, which exchange h through global memory. Several teams run in parallel, each on 16 rows of the batch at a time.
//
// With last - first = 1 there is no barrier: the next launch continues. The same kernels, recorded in a CUDA graph,
// thus compute sequences whose weights don't fit on the chip.
//
// Shared memory: W [rows][W_pitch] | state [16][state_pitch] | partial [splits][16][partial_pitch], where `rows` is
// products * units in the forward pass and units in the backward pass. Eight warps share a product: there are units / 8
// groups of columns, and the sum over k of each group is divided into `splits` parts. The parts are added in a fixed
// order, so that equal calls give equal bits.

#include "device.cuh"
#include "numbers.cuh"
#include "cells.cuh"
#include "product.cuh"

enum { THREADS = 256, WARPS = THREADS / WARP };

#if CLUSTER > 1
#define TEAMWORK CLUSTER_OF(CLUSTER) THREADS_AT_MOST(THREADS)
#else
#define TEAMWORK THREADS_AT_MOST(THREADS)
#endif

struct Pass {
    int T, B, H;
    int units;     // hidden units of a block, a multiple of 8
    int chunk;     // columns of the state in shared memory at once, a multiple of 16 * splits
    int splits;    // parts of a sum over k: 1, 2, 4 or 8
    int resident;  // whether W stays in shared memory; otherwise its chunks are loaded again at every step
    int grid;      // whether the team is gridDim.x blocks that exchange h in global memory; otherwise CLUSTER blocks
    int training;  // whether gates and every c are kept
    int relu;      // whether the RNN's nonlinearity is relu
    int base;      // added to the kernels' `first` and `last`
    int spin_limit;       // the maximum number of polls of another block's flag
    Accumulate* gates;    // [T, B, blocks, H], pre-activations without the recurrent part; with `training` the gates
    const Storage* W_hh;  // [products * H, H], the recurrent weights
    const Accumulate* bias;  // [H], GRU: b_hn; else null
    Storage* h;              // [T + 1, B, H], the hidden state at every step; h[0] is the initial state
    Accumulate* c;           // [T + 1, B, H], LSTM: the cell state at every step; in inference [B, H], updated in place
    const int* lengths;      // [B], or null: T for all rows
    const Storage* dout;     // [T, B, H], or null
    const Accumulate* dh_n;  // [B, H], or null: added at the last step of each row
    const Accumulate* dc_n;  // [B, H], LSTM, or null: added at the last step of each row
    Accumulate* carry;       // [B, H], initially zeros; LSTM: dc, finally dc0; GRU: z * dh; RNN: null
    Storage* da;             // [T, B, blocks, H], filled; can be `gates` if the types are equal
    Accumulate* dh0;         // [B, H], filled
    int* flags;              // [blocks of the grid], zeros at first: with `grid`, how many tiles each block has done
    int* error;              // in host memory; 1 if a block stopped waiting
};

// ---- shared memory -------------------------------------------------------------------------------------------------

struct Shared {
    Storage* W;
    Storage* state;
    Accumulate* partial;
    int W_pitch, state_pitch, partial_pitch, rows;
};

DEVICE int pitch(int columns) {
    const int line = 128 / sizeof(Storage);
    return (columns + line - 1) / line * line + 16 / sizeof(Storage);
}

// K: the number of terms of each sum of the product.
DEVICE Shared shared_memory(const Pass& pass, int rows, int K) {
    Shared block;
    int chunks = (K + pass.chunk - 1) / pass.chunk;
    block.rows = rows;
    block.W_pitch = pitch(pass.resident ? chunks * pass.chunk : pass.chunk);
    block.state_pitch = pitch(pass.chunk);
    block.partial_pitch = rows % 32 ? rows : rows + 8;  // otherwise the rows of a tile would begin in the same bank
    block.W = (Storage*)dynamic_shared();
    block.state = block.W + rows * block.W_pitch;
    block.partial = (Accumulate*)(block.state + TILE_ROWS * block.state_pitch);
    return block;
}

// The number of tiles of the batch that this block computes.
DEVICE int own_tiles(int B) {
    int stride = blocks_y() * TILE_ROWS;
    return (B - block_y() * TILE_ROWS + stride - 1) / stride;
}

DEVICE Storage zero() { return stored(0); }
DEVICE Accumulate not_a_number() { return from_bits(0x7fc00000); }

// Load a number or a vector: Plain from memory that no block writes, Fresh from memory that other blocks write.
struct Plain {
    template <class T>
    DEVICE T read(const T* p) {
        return *p;
    }
};
struct Fresh {
    template <class T>
    DEVICE T read(const T* p) {
        return load_fresh(p);
    }
};

// A warp fills a row of `columns` numbers in shared memory: the first `there` numbers from `from`, the rest with zeros.
// A lane issues AHEAD loads before it uses the first result, which hides their latency.
template <class Memory>
DEVICE void load_row(Storage* to, const Storage* from, int there, int columns, bool by_vectors) {
    enum { AHEAD = 8, VECTOR = sizeof(Quad) / sizeof(Storage) };
    const Quad none = {0, 0, 0, 0};
    int lane = thread_index() % WARP;
    if (by_vectors) {
        for (int k0 = lane * VECTOR; k0 < columns; k0 += AHEAD * WARP * VECTOR) {
            Quad q[AHEAD];
            UNROLL
            for (int i = 0; i < AHEAD; ++i) {
                int k = k0 + i * WARP * VECTOR;
                q[i] = k < there ? Memory::read((const Quad*)(from + k)) : none;
            }
            UNROLL
            for (int i = 0; i < AHEAD; ++i) {
                int k = k0 + i * WARP * VECTOR;
                if (k < columns) *(Quad*)(to + k) = staged(q[i]);
            }
        }
    } else {
        for (int k = lane; k < columns; k += WARP) to[k] = staged(k < there ? Memory::read(from + k) : zero());
    }
}

// Whether rows of `columns` numbers, with this stride, consist of whole aligned vectors.
DEVICE bool by_vectors(const Storage* source, long long stride, int columns) {
    const int vector = sizeof(Quad) / sizeof(Storage);
    return columns % vector == 0 && stride % vector == 0 && (unsigned long long)source % sizeof(Quad) == 0;
}

// Load the rows of W_hh of the block's units, which begin with unit0, columns k0 to k0 + columns. For eight units at a
// time, the rows of each product follow each other, so that a warp's tile has all products that the gates of these
// units need.
DEVICE void load_W_forward(const Shared& block, const Pass& pass, int unit0, int k0, int columns) {
    int H = pass.H;
    bool vectors = by_vectors(pass.W_hh, H, H);
    for (int row = thread_index() / WARP; row < block.rows; row += WARPS) {
        int product = row / 8 % Cell::products, unit = unit0 + row / (8 * Cell::products) * 8 + row % 8;
        const Storage* its = pass.W_hh + ((long long)product * H + unit) * H + k0;
        load_row<Plain>(block.W + row * block.W_pitch, its, unit < H ? H - k0 : 0, columns, vectors);
    }
}

// Load columns unit0 to unit0 + units of W_hh, transposed, for the terms k0 to k0 + columns.
DEVICE void load_W_backward(const Shared& block, const Pass& pass, int unit0, int k0, int columns) {
    enum { AHEAD = 8, STRIDE = 4 * WARPS };
    int lane = thread_index() % WARP, warp = thread_index() / WARP, H = pass.H, K = Cell::products * H;
    for (int row = lane % 8; row < block.rows; row += 8) {
        const Storage* its = pass.W_hh + unit0 + row;
        Storage* to = block.W + row * block.W_pitch;
        for (int first = lane / 8 + 4 * warp; first < columns; first += AHEAD * STRIDE) {
            Storage w[AHEAD];
            UNROLL
            for (int i = 0; i < AHEAD; ++i) {
                int k = first + i * STRIDE;
                w[i] = k < columns && k0 + k < K && unit0 + row < H ? its[(long long)(k0 + k) * H] : zero();
            }
            UNROLL
            for (int i = 0; i < AHEAD; ++i) {
                int k = first + i * STRIDE;
                if (k < columns) to[k] = staged(w[i]);
            }
        }
    }
}

// Load state [16][chunk] from an array of rows x columns numbers with this row stride; the rest is zero.
DEVICE void load_state(const Shared& block, const Storage* source, long long stride, int rows, int columns, int chunk) {
    bool vectors = by_vectors(source, stride, columns);
    for (int row = thread_index() / WARP; row < TILE_ROWS; row += WARPS) {
        Storage* to = block.state + row * block.state_pitch;
        int there = row < rows ? (columns < chunk ? columns : chunk) : 0;
        load_row<Fresh>(to, source + row * stride, there, chunk, vectors);
    }
}

// partial += state W^T over one chunk; a warp's tile has N columns.
template <int N>
DEVICE void multiply(const Shared& block, const Pass& pass, int W_column, bool first_chunk) {
    int groups = pass.units / 8, part = pass.chunk / pass.splits;
    for (int job = thread_index() / WARP; job < groups * pass.splits; job += WARPS) {
        int group = job % groups, split = job / groups;
        Tile<N> tile;
        Tile<N>::clear(tile);
        Tile<N>::add(
            tile, block.state + split * part, block.state_pitch,
            block.W + group * N * block.W_pitch + W_column + split * part, block.W_pitch, part);
        Accumulate* partial = block.partial + split * TILE_ROWS * block.partial_pitch + group * N;
        int pitch = block.partial_pitch;
        Tile<N>::each(tile, [=](int row, int column, Accumulate sum) {
            Accumulate& place = partial[row * pitch + column];
            place = first_chunk ? sum : place + sum;
        });
    }
}

// An entry of the product: the sum of its parts.
DEVICE Accumulate total(const Shared& block, int splits, int row, int column) {
    Accumulate sum = 0;
    for (int split = 0; split < splits; ++split) {
        sum = sum + block.partial[(split * TILE_ROWS + row) * block.partial_pitch + column];
    }
    return sum;
}

// ---- barriers ------------------------------------------------------------------------------------------------------

// A barrier of all threads of the cluster, or of the block if CLUSTER is 1.
DEVICE void cluster_barrier() {
    jitter();
#if CLUSTER > 1
    cluster_arrive();
    cluster_wait();
#else
    sync_block();
#endif
}

// Write x to the same position in the shared memory of every block of the cluster.
DEVICE void publish(Storage* place, Storage x) {
#if CLUSTER > 1
    UNROLL
    for (int rank = 0; rank < CLUSTER; ++rank) *peer(place, rank) = x;
#else
    *place = x;
#endif
}

// Announce how many tiles this block has done, counted over all steps.
DEVICE void arrive_grid(const Pass& pass, int done) {
    sync_block();
    jitter();
    if (thread_index() == 0) store_release(pass.flags + block_y() * blocks_x() + block_x(), done);
}

// Wait until all blocks of the team have done this many tiles. With several tiles per step, a block computes one tile
// while the flag of another is on its way. After spin_limit polls, a block stops waiting: from then on its results are NaN,
// and it sets the error word of the host.
DEVICE void wait_for_grid(const Pass& pass, int done, bool& gave_up) {
    jitter();
    for (int block = thread_index(); block < blocks_x(); block += THREADS) {
        const int* flag = pass.flags + block_y() * blocks_x() + block;
        for (int spins = 0; !gave_up && load_acquire(flag) < done; ++spins) {
            nap();
            if (spins >= pass.spin_limit) {
                gave_up = true;
                store_system(pass.error, 1);
            }
        }
    }
    gave_up = sync_block_or(gave_up);
}

// ---- forward -------------------------------------------------------------------------------------------------------

// Compute steps first to last, both counted from pass.base, but not past T.
KERNEL void TEAMWORK forward(const Pass* given, int first, int last) {
    enum { N = 8 * Cell::products };
    const Pass pass = *given;  // a copy, because values behind a pointer are loaded again after every store
    const int T = pass.T, B = pass.B, H = pass.H, units = pass.units, chunk = pass.chunk;
    const int unit0 = block_x() * units;
    const long long step = (long long)B * H;
    const Shared block = shared_memory(pass, Cell::products * units, H);
    bool gave_up = false;
    first += pass.base;
    last = last + pass.base < T ? last + pass.base : T;
    if (first >= last) return;
    int done = 0;  // tiles, counted over all steps
    const int tiles = own_tiles(B);

    if (pass.resident) load_W_forward(block, pass, unit0, 0, (H + chunk - 1) / chunk * chunk);
    for (int t = first; t < last; ++t) {
        for (int row0 = block_y() * TILE_ROWS; row0 < B; row0 += blocks_y() * TILE_ROWS) {
            if (pass.grid && t > first) wait_for_grid(pass, done - tiles + 1, gave_up);
            for (int k = 0; k < H; k += chunk) {
                if (pass.grid || t == first) {
                    load_state(block, pass.h + t * step + (long long)row0 * H + k, H, B - row0, H - k, chunk);
                }
                if (!pass.resident) load_W_forward(block, pass, unit0, k, chunk);
                sync_block();
                multiply<N>(block, pass, pass.resident ? k : 0, k == 0);
                if (pass.grid) sync_block();
            }
            if (!pass.grid) cluster_barrier();  // no block reads h[t] after this
            for (int entry = thread_index(); entry < TILE_ROWS * units; entry += THREADS) {
                int row = row0 + entry / units, u = entry % units, unit = unit0 + u;
                if (row >= B || unit >= H) continue;
                long long place = (long long)row * H + unit;
                Accumulate* gates = pass.gates + (t * step + (long long)row * H) * Cell::blocks + unit;
                Accumulate a[Cell::blocks], c_prev = 0, c = 0, h;
                enum { projected = Cell::first ? 3 : Cell::blocks };  // the GRU's q has no part of x
                UNROLL
                for (int g = 0; g < Cell::blocks; ++g) a[g] = g < projected ? gates[g * H] : pass.bias[unit];
                Accumulate* its_c = pass.c ? pass.c + (pass.training ? t * step : 0) + place : 0;
                if (its_c) c_prev = *its_c;
                Accumulate h_prev = widen(pass.h[t * step + place]);
                UNROLL
                for (int g = 0; g < projected; ++g) {
                    if (t + 1 < T) prefetch(gates + step * Cell::blocks + g * H);
                }
                UNROLL
                for (int g = Cell::first; g < Cell::blocks; ++g) {
                    int column = u / 8 * N + (g - Cell::first) * 8 + u % 8;
                    a[g] = a[g] + total(block, pass.splits, row - row0, column);
                }
                Cell::forward(a, c_prev, h_prev, c, h, pass.relu);
                if (pass.lengths && t >= pass.lengths[row]) h = 0, c = c_prev;
                if (gave_up) h = c = not_a_number();
                if (its_c) its_c[pass.training ? step : 0] = c;
                if (pass.training && Cell::blocks > 1) {
                    UNROLL
                    for (int g = 0; g < Cell::blocks; ++g) gates[g * H] = a[g];
                }
                pass.h[(t + 1) * step + place] = stored(h);
                if (!pass.grid) {
                    publish(block.state + (row - row0) * block.state_pitch + unit, staged(stored(h)));
                }
            }
            if (!pass.grid) cluster_barrier();  // every block has h[t + 1]
            ++done;
            if (pass.grid && t + 1 < last) arrive_grid(pass, done);
        }
    }
}

// ---- backward ------------------------------------------------------------------------------------------------------

// Compute steps first to last, counted from the end and from pass.base: step s belongs to time t = T - 1 - s. Step T is
// dh0: the product of da[0] alone.
KERNEL void TEAMWORK backward(const Pass* given, int first, int last) {
    enum { N = 8 };
    const Pass pass = *given;  // a copy, because values behind a pointer are loaded again after every store
    const int T = pass.T, B = pass.B, H = pass.H, units = pass.units, chunk = pass.chunk, K = Cell::products * H;
    const int unit0 = block_x() * units;
    const long long step = (long long)B * H;
    const Shared block = shared_memory(pass, units, K);
    bool gave_up = false;
    first += pass.base;
    last = last + pass.base < T + 1 ? last + pass.base : T + 1;
    if (first >= last) return;
    int done = 0;  // tiles, counted over all steps
    const int tiles = own_tiles(B);

    if (pass.resident) load_W_backward(block, pass, unit0, 0, (K + chunk - 1) / chunk * chunk);
    for (int s = first; s < last; ++s) {
        const int t = T - 1 - s;
        for (int row0 = block_y() * TILE_ROWS; row0 < B; row0 += blocks_y() * TILE_ROWS) {
            if (pass.grid && s > first) wait_for_grid(pass, done - tiles + 1, gave_up);
            const Storage* da_next = pass.da + ((t + 1) * step + (long long)row0 * H) * Cell::blocks + Cell::first * H;
            if (!pass.grid && s == 0) load_state(block, pass.da, 0, 0, 0, chunk);  // zeros, including the columns past the last
            for (int k = 0; k < K && s > 0; k += chunk) {
                if (pass.grid || s == first) {
                    load_state(block, da_next + k, Cell::blocks * H, B - row0, K - k, chunk);
                }
                if (!pass.resident) load_W_backward(block, pass, unit0, k, chunk);
                sync_block();
                multiply<N>(block, pass, pass.resident ? k : 0, k == 0);
                if (pass.grid) sync_block();
            }
            if (!pass.grid) cluster_barrier();  // no block reads da[t + 1] after this
            for (int entry = thread_index(); entry < TILE_ROWS * units; entry += THREADS) {
                int row = row0 + entry / units, u = entry % units, unit = unit0 + u;
                if (row >= B || unit >= H) continue;
                long long place = (long long)row * H + unit;
                Accumulate dh = s > 0 ? total(block, pass.splits, row - row0, u) : 0;
                Accumulate carry = pass.carry ? pass.carry[place] : 0;
                if (gave_up) dh = not_a_number();
                if (t < 0) {
                    pass.dh0[place] = dh + Cell::past_the_products(carry);
                    continue;
                }
                Accumulate da[Cell::blocks];
                long long gates_at = (t * step + (long long)row * H) * Cell::blocks + unit;
                int length = pass.lengths ? pass.lengths[row] : T;
                if (t < length) {
                    Accumulate a[Cell::blocks], c_prev = 0, c = 0;
                    UNROLL
                    for (int g = 0; g < Cell::blocks; ++g) {
                        a[g] = Cell::blocks > 1 ? pass.gates[gates_at + g * H] : 0;
                        if (Cell::blocks > 1 && t > 0) prefetch(pass.gates + gates_at - step * Cell::blocks + g * H);
                    }
                    if (pass.c) c_prev = pass.c[t * step + place], c = pass.c[(t + 1) * step + place];
                    if (pass.dout) dh = dh + widen(pass.dout[t * step + place]);
                    if (pass.dh_n && t == length - 1) dh = dh + pass.dh_n[place];
                    if (pass.dc_n && t == length - 1) carry = carry + pass.dc_n[place];
                    Accumulate h_prev = widen(pass.h[t * step + place]);
                    Accumulate h = widen(pass.h[(t + 1) * step + place]);
                    Cell::backward(a, c_prev, c, h_prev, h, dh, carry, da, pass.relu);
                    if (gave_up) da[0] = not_a_number();
                    if (pass.carry) pass.carry[place] = carry;
                } else {
                    UNROLL
                    for (int g = 0; g < Cell::blocks; ++g) da[g] = 0;
                }
                UNROLL
                for (int g = 0; g < Cell::blocks; ++g) {
                    pass.da[gates_at + g * H] = stored(da[g]);
                    if (!pass.grid && g >= Cell::first) {
                        int column = (g - Cell::first) * H + unit;
                        publish(block.state + (row - row0) * block.state_pitch + column, staged(stored(da[g])));
                    }
                }
            }
            if (!pass.grid) cluster_barrier();  // every block has da[t]
            ++done;
            if (pass.grid && s + 1 < last) arrive_grid(pass, done);
        }
    }
}

// ---- the end of a graph: the next replay continues with the next steps ---------------------------------------------

KERNEL void advance(Pass* pass, int steps) { pass->base += steps; }
