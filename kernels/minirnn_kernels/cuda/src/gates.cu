// The gates of one step, for all rows and units: one pass over memory, 16 bytes at a time if the arrays allow it.
// cuBLAS computes the products with W_hh.
//
// Strides are in elements. The value of gate g of unit u in row b is at g * gate_stride + b * row_stride + u. Any
// number of blocks and threads is possible: blockIdx.y runs over rows, blockIdx.x and the threads over units.
//
// The structs Forward and Backward document the parameters of the two kernels, which have the same names and order.

#include "device.cuh"
#include "numbers.cuh"
#include "cells.cuh"

// N neighbouring numbers, which are read and written together.
template <class T, int N>
struct __attribute__((aligned(sizeof(T) * N))) Pack {
    T x[N];
};

template <int N, class T>
DEVICE Pack<T, N> load(const T* p) {
    return *(const Pack<T, N>*)p;
}
template <int N>
DEVICE Pack<Accumulate, N> load_wide(const Accumulate* p) {
    Pack<Accumulate, N> wide = {};
    return p ? load<N>(p) : wide;
}

DEVICE bool is_aligned(const void* p) { return (unsigned long long)p % 16 == 0; }

// ---- forward -------------------------------------------------------------------------------------------------------

struct Forward {
    const Accumulate* recurrent;  // [B, products * H], h_prev W_hh^T; null if `gates` includes it
    const Accumulate* bias;       // [H], GRU: b_hn, added to the recurrent part of q; or null
    Accumulate* gates;            // [blocks, B, H], pre-activations that become the gates (the RNN's keep their values)
    long long gate_stride, row_stride;
    const Accumulate* c_prev;  // [B, H], LSTM: the cell state before the step; else null
    long long c_prev_stride;
    Accumulate* c;  // [B, H], LSTM: the cell state after the step; can be c_prev; else null
    long long c_stride;
    const Storage* h_prev;  // [B, H], GRU: the hidden state before the step; else null
    long long h_prev_stride;
    Storage* h;  // [B, H], the hidden state after the step; can be the RNN's gates
    long long h_stride;
    const int* lengths;  // [B], or null: rows with t >= length get h = 0 and c = c_prev
    int t, B, H, relu;   // the time step, the sizes, and whether the RNN's nonlinearity is relu
};

// Compute N units of row b, beginning with u.
template <int N>
DEVICE void forward_units(const Forward& x, long long b, int u) {
    bool running = !x.lengths || x.t < x.lengths[b];
    Accumulate* gates = x.gates + b * x.row_stride + u;
    Pack<Accumulate, N> a[Cell::blocks], c_prev = {}, c;
    Pack<Storage, N> h_prev = {}, h;
    UNROLL
    for (int g = 0; g < Cell::blocks; ++g) {
        bool alone = x.recurrent && Cell::first == 1 && g == 3;  // the GRU's q: `gates` contains no term of q
        a[g] = alone ? load_wide<N>(x.bias ? x.bias + u : 0) : load<N>(gates + g * x.gate_stride);
        if (x.recurrent && g >= Cell::first) {
            const Accumulate* its = x.recurrent + b * Cell::products * x.H + (g - Cell::first) * x.H + u;
            Pack<Accumulate, N> more = load<N>(its);
            UNROLL
            for (int i = 0; i < N; ++i) a[g].x[i] = a[g].x[i] + more.x[i];
        }
    }
    if (x.c) c_prev = load<N>(x.c_prev + b * x.c_prev_stride + u);
    if (x.h_prev) h_prev = load<N>(x.h_prev + b * x.h_prev_stride + u);
    UNROLL
    for (int i = 0; i < N; ++i) {
        Accumulate its[Cell::blocks], c_new = 0, h_new = 0;
        UNROLL
        for (int g = 0; g < Cell::blocks; ++g) its[g] = a[g].x[i];
        Cell::forward(its, c_prev.x[i], widen(h_prev.x[i]), c_new, h_new, x.relu);
        UNROLL
        for (int g = 0; g < Cell::blocks; ++g) a[g].x[i] = its[g];
        c.x[i] = running ? c_new : c_prev.x[i];
        h.x[i] = stored(running ? h_new : 0);
    }
    if (running && Cell::blocks > 1) {
        UNROLL
        for (int g = 0; g < Cell::blocks; ++g) *(Pack<Accumulate, N>*)(gates + g * x.gate_stride) = a[g];
    }
    if (x.c) *(Pack<Accumulate, N>*)(x.c + b * x.c_stride + u) = c;
    *(Pack<Storage, N>*)(x.h + b * x.h_stride + u) = h;
}

KERNEL void gates_forward(
    const Accumulate* recurrent, const Accumulate* bias, Accumulate* gates, long long gate_stride, long long row_stride,
    const Accumulate* c_prev, long long c_prev_stride, Accumulate* c, long long c_stride, const Storage* h_prev,
    long long h_prev_stride, Storage* h, long long h_stride, const int* lengths, int t, int B, int H, int relu) {
    enum { N = 16 / sizeof(Accumulate) };
    Forward x = {recurrent, bias, gates, gate_stride, row_stride, c_prev, c_prev_stride, c, c_stride,
                 h_prev, h_prev_stride, h, h_stride, lengths, t, B, H, relu};
    long long strides = gate_stride | row_stride | c_prev_stride | c_stride | h_prev_stride | h_stride | H;
    bool packs = strides % N == 0 && is_aligned(recurrent) && is_aligned(bias) && is_aligned(gates) &&
                 is_aligned(c_prev) && is_aligned(c) && is_aligned(h_prev) && is_aligned(h);
    int first = block_x() * block_size() + thread_index(), step = blocks_x() * block_size();
    for (int b = block_y(); b < B; b += blocks_y()) {
        if (packs) {
            for (int u = first * N; u < H; u += step * N) forward_units<N>(x, b, u);
        } else {
            for (int u = first; u < H; u += step) forward_units<1>(x, b, u);
        }
    }
}

// ---- backward ------------------------------------------------------------------------------------------------------

struct Backward {
    const Accumulate* gates;  // [blocks, B, H], LSTM, GRU: the gates; else null
    long long gate_stride, row_stride;
    const Accumulate* c_prev;  // [B, H], LSTM: the cell state before the step; else null
    long long c_prev_stride;
    const Accumulate* c;  // [B, H], LSTM: the cell state after the step; else null
    long long c_stride;
    const Storage* h_prev;  // [B, H], GRU: the hidden state before the step; else null
    long long h_prev_stride;
    const Storage* h;  // [B, H], RNN: the hidden state after the step; else null
    long long h_stride;
    const Accumulate* recurrent;  // [B, H], da W_hh of the next step, or null
    long long recurrent_stride;
    const Storage* dout;     // [B, H], or null
    const Accumulate* dh_n;  // [B, H], or null: added at the last step of each row
    const Accumulate* dc_n;  // [B, H], LSTM, or null: added at the last step of each row
    Accumulate* carry;       // [B, H], in place, LSTM: dc, which becomes dc_prev; GRU: z * dh of the next step, then of this
    long long carry_stride;
    Storage* da;  // [blocks, B, H], filled; can be the gates, or the RNN's recurrent gradient
    long long da_gate_stride, da_row_stride;
    const int* lengths;       // [B], or null: T for all rows; rows with t >= length get da = 0
    int T, t, B, H, relu;     // the number of steps, the time step, the sizes, and whether the nonlinearity is relu
};

template <int N>
DEVICE void backward_units(const Backward& x, long long b, int u) {
    int length = x.lengths ? x.lengths[b] : x.T;
    Storage* to = x.da + b * x.da_row_stride + u;
    Pack<Storage, N> da[Cell::blocks];
    if (x.t < length) {
        bool last = x.t == length - 1;
        Pack<Accumulate, N> a[Cell::blocks], c_prev = {}, c = {}, carry = {}, dh = {}, dh_n = {}, dc_n = {};
        Pack<Storage, N> h_prev = {}, h = {}, dout = {};
        if (Cell::blocks > 1) {
            UNROLL
            for (int g = 0; g < Cell::blocks; ++g) a[g] = load<N>(x.gates + g * x.gate_stride + b * x.row_stride + u);
        }
        if (x.c) c_prev = load<N>(x.c_prev + b * x.c_prev_stride + u), c = load<N>(x.c + b * x.c_stride + u);
        if (x.h_prev) h_prev = load<N>(x.h_prev + b * x.h_prev_stride + u);
        if (x.h) h = load<N>(x.h + b * x.h_stride + u);
        if (x.carry) carry = load<N>((const Accumulate*)x.carry + b * x.carry_stride + u);
        if (x.recurrent) dh = load<N>(x.recurrent + b * x.recurrent_stride + u);
        if (x.dout) dout = load<N>(x.dout + b * x.H + u);
        if (x.dh_n && last) dh_n = load<N>(x.dh_n + b * x.H + u);
        if (x.dc_n && last) dc_n = load<N>(x.dc_n + b * x.H + u);
        UNROLL
        for (int i = 0; i < N; ++i) {
            Accumulate its[Cell::blocks], its_da[Cell::blocks], its_carry = carry.x[i] + dc_n.x[i];
            Accumulate its_dh = dh.x[i];
            if (x.dout) its_dh = its_dh + widen(dout.x[i]);
            if (x.dh_n && last) its_dh = its_dh + dh_n.x[i];
            UNROLL
            for (int g = 0; g < Cell::blocks; ++g) its[g] = Cell::blocks > 1 ? a[g].x[i] : 0;
            Cell::backward(
                its, c_prev.x[i], c.x[i], widen(h_prev.x[i]), widen(h.x[i]), its_dh, its_carry, its_da, x.relu);
            UNROLL
            for (int g = 0; g < Cell::blocks; ++g) da[g].x[i] = stored(its_da[g]);
            carry.x[i] = its_carry;
        }
        if (x.carry) *(Pack<Accumulate, N>*)(x.carry + b * x.carry_stride + u) = carry;
    } else {
        UNROLL
        for (int g = 0; g < Cell::blocks; ++g) {
            UNROLL
            for (int i = 0; i < N; ++i) da[g].x[i] = stored(0);
        }
    }
    UNROLL
    for (int g = 0; g < Cell::blocks; ++g) *(Pack<Storage, N>*)(to + g * x.da_gate_stride) = da[g];
}

KERNEL void gates_backward(
    const Accumulate* gates, long long gate_stride, long long row_stride, const Accumulate* c_prev,
    long long c_prev_stride, const Accumulate* c, long long c_stride, const Storage* h_prev, long long h_prev_stride,
    const Storage* h, long long h_stride, const Accumulate* recurrent, long long recurrent_stride, const Storage* dout,
    const Accumulate* dh_n, const Accumulate* dc_n, Accumulate* carry, long long carry_stride, Storage* da,
    long long da_gate_stride, long long da_row_stride, const int* lengths, int T, int t, int B, int H, int relu) {
    enum { N = 16 / sizeof(Accumulate) };
    Backward x = {gates, gate_stride, row_stride, c_prev, c_prev_stride, c, c_stride, h_prev, h_prev_stride, h, h_stride,
                  recurrent, recurrent_stride, dout, dh_n, dc_n, carry, carry_stride, da, da_gate_stride, da_row_stride,
                  lengths, T, t, B, H, relu};
    long long strides = gate_stride | row_stride | c_prev_stride | c_stride | h_prev_stride | h_stride |
                        recurrent_stride | carry_stride | da_gate_stride | da_row_stride | H;
    bool packs = strides % N == 0 && is_aligned(gates) && is_aligned(c_prev) && is_aligned(c) && is_aligned(h_prev) &&
                 is_aligned(h) && is_aligned(recurrent) && is_aligned(dout) && is_aligned(dh_n) && is_aligned(dc_n) &&
                 is_aligned(carry) && is_aligned(da);
    int first = block_x() * block_size() + thread_index(), step = blocks_x() * block_size();
    for (int b = block_y(); b < B; b += blocks_y()) {
        if (packs) {
            for (int u = first * N; u < H; u += step * N) backward_units<N>(x, b, u);
        } else {
            for (int u = first; u < H; u += step) backward_units<1>(x, b, u);
        }
    }
}
