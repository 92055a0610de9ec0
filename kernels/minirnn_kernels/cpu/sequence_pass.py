"""The recurrent cells over a sequence, in stretches of work that are divided among threads.

    forward     packs the weights; then the steps in order
    backward    packs the weights; then the steps in reverse order, in which gates become their gradients; then, in any
                order, dx and the gradients of the weights

A batch is one matrix of rows, a row for each step of each sequence; a step is a run of rows. The schedule (T, 6) has
one entry per step, whose columns are FIRST (the first row), COUNT (the number of rows), and the first row of the step
in h, c and G: H_BEFORE, C_BEFORE (the states before the step), C_AFTER, G_FIRST. Shorter sequences come last, so that
the sequences of a step are the first ones of the step before.

Threads share a pass in one of two ways. *By rows*: each thread computes all steps of some sequences, and never waits.
*By units*: each thread computes, at every step, some units of all sequences, and then waits at a barrier for the other
threads. This is better with few sequences, or if the weights do not fit in the L2 cache, because each thread then reads
only a part of them.

G (rows, blocks * Hp) holds first the pre-activations, then the gates, then their gradients, as in
`reference/sequences.py`:

                blocks in G     of W_ih     of W_hh
    RNN         a               a           a
    LSTM        i f g o         i f g o     i f g o
    GRU         n r z q         n r z         r z q

`job.py` documents the arrays and their widths: the padding is zero, and stays zero. In inference h has no gradient, so
its rows have no padding. One cache line after each row of G is unused: if the distance between rows were a power of
two, the same entry of all rows would compete for a few sets of the L1 cache.

Parameters are those of `products.py`, and

    part        the number of this part, of job.parts; the parts can run at the same time
    job         a record with the fields of `job.FIELDS`
    now         the entry of the schedule for the current step
    u           the first unit of a vector of units
    start       the first sequence of this part's share
"""

from typing import Any

from numba import carray

from minirnn_kernels.cpu.barrier import parts_at_once, wait
from minirnn_kernels.cpu.compilation import compiled
from minirnn_kernels.cpu.emit.intrinsics import (
    at,
    copy_panel,
    gru_backward,
    gru_gates,
    gru_output,
    integers,
    lanes,
    lstm_backward,
    lstm_cell,
    lstm_output,
    pointer,
    rnn_relu,
    rnn_relu_backward,
    rnn_tanh,
    rnn_tanh_backward,
)
from minirnn_kernels.cpu.job import GRU_ID, LSTM_ID, RNN_ID
from minirnn_kernels.cpu.products import PANEL, multiply, pack_columns, pack_rows

FIRST, COUNT, H_BEFORE, C_BEFORE, C_AFTER, G_FIRST = range(6)  # the columns of the schedule
K_BLOCK = 1024  # rows of a panel that are used together, few enough to stay in the L2 cache
TERMS_BLOCK = 768  # terms that a weight's gradient sums in registers between loading and storing it
ROWS_BLOCK = 96  # rows that are multiplied by all panels, one panel at a time
BLOCKS = 4  # blocks of G for the LSTM and the GRU; the RNN has one


# ---- where the arrays are --------------------------------------------------------------------------------------------


@compiled
def matrix(address: int, rows: int, columns: int, like: Any) -> Any:
    """Return the array (rows, columns) at this address."""
    return carray(pointer(address, like), (rows, columns))


@compiled
def schedule(part: int, job: Any) -> Any:
    """Return the schedule (T, 6) of this part's rows."""
    whole = carray(integers(job.schedule), (job.parts, job.T, 6))
    return whole[0 if job.by_units else part]


@compiled
def gates_array(job: Any, like: Any) -> Any:
    """Return G without the empty line after each row."""
    return matrix(job.G, job.G_rows, job.Gw, like)[:, : job.Hp if job.cell == RNN_ID else BLOCKS * job.Hp]


@compiled
def share(part: int, parts: int, n: int) -> Any:
    """Return the range (first, last) of this part's share of n items; `last` is not included."""
    return n * part // parts, n * (part + 1) // parts


# ---- forward -------------------------------------------------------------------------------------------------------


@compiled
def bundles_of(job: Any, like: Any) -> Any:
    """Return the number of bundles in the packed weights, and the width of a bundle in columns; see `pack_columns`."""
    units = units_of(job, like)
    return job.Hp // units, units * job.gates


@compiled
def units_of(job: Any, like: Any) -> int:
    """Return the number of units in a bundle."""
    return (PANEL if job.cell == RNN_ID else 1) * lanes(like)


@compiled
def multiply_bundle(
    like: Any, p: int, n: int, a: int, a_stride: int, P: Any, c: int, c_stride: int, add: int, job: Any
) -> None:
    """Multiply n rows of a by bundle p of P, into the entries of its units in each block of n rows of G at c."""
    L, size, vectors = lanes(like), P.itemsize, 3 if job.cell == GRU_ID else PANEL
    block = size * (L if job.cell == RNN_ID else job.Hp)  # from one vector of a row to the next
    panels = max(1, job.gates // vectors)
    panel = P.shape[1] // panels
    c += p * units_of(job, like) * size
    for j in range(panels):
        multiply(
            like, vectors, n, a, a_stride, False, panel // (vectors * L), at(P, p, j * panel),
            c + j * vectors * block, c_stride, block, add, job.prefetch * at(P, p, (j + 1) * panel),
        )  # fmt: skip


@compiled
def forward_steps(part: int, job: Any, like: Any) -> None:
    """Compute all steps of this part: first the input products of a chunk of steps, then these steps in order."""
    parts = parts_at_once(part, job)
    if parts == 0:
        return
    s = schedule(part, job)
    bundles, width = bundles_of(job, like)
    first, last = share(part if parts > 1 else 0, parts, bundles)
    P_ih = packed(part, job, job.P_ih, bundles, job.I * width, like)
    P_hh = packed(part, job, job.P_hh, bundles, job.H * width, like)
    pack_columns(like, matrix(job.W_ih, job.gates * job.H, job.I, like), job.gates, P_ih, first, last)
    pack_columns(like, matrix(job.W_hh, job.gates * job.H, job.H, like), job.gates, P_hh, first, last)
    for t0 in range(0, job.T, job.chunk):
        t1 = min(t0 + job.chunk, job.T)
        project(s, t0, t1, P_ih, first, last, job, like)
        for t in range(t0, t1):
            step(s[t], P_hh, first, last, job, like)
            wait(job, parts, t + 2)  # the first arrival was in `parts_at_once`


@compiled
def packed(part: int, job: Any, address: int, panels: int, size: int, like: Any) -> Any:
    """Return the array of packed weights that this part fills and reads; parts that share units share one array.

    If parts share rows, each has its own copy: reading data that another core has written is slow, on some CPUs slower
    than packing the weights again.
    """
    first = 0 if job.by_units else part * panels
    return matrix(address, first + panels, size, like)[first:]


@compiled
def project(s: Any, t0: int, t1: int, P: Any, first: int, last: int, job: Any, like: Any) -> None:
    """G = x W_ih^T for steps t0 to t1 and some bundles. Steps with adjacent rows are combined into one product."""
    x, G = matrix(job.x, job.rows, job.I, like), gates_array(job, like)
    L = lanes(like)
    for p in range(first, last):
        t = t0
        while t < t1:
            row, to, n = s[t, FIRST], s[t, G_FIRST], s[t, COUNT]
            t += 1
            while t < t1 and s[t, FIRST] == row + n and s[t, G_FIRST] == to + n:
                n += s[t, COUNT]
                t += 1
            multiply_bundle(like, p, n, at(x, row, 0), x.strides[0], P, at(G, to, 0), G.strides[0], 0, job)
    if job.cell == GRU_ID:
        q = 3 * job.Hp  # this block gets no part of the input product
        for t in range(t0, t1):
            for row in range(s[t, G_FIRST], s[t, G_FIRST] + s[t, COUNT]):
                G[row, q + first * L : q + last * L] = 0


@compiled
def step(now: Any, P: Any, first: int, last: int, job: Any, like: Any) -> None:
    """G += h_prev W_hh^T for some bundles, and the gates of each while its pre-activations are in the cache."""
    h, G = matrix(job.h, job.batch + job.rows, job.h_width, like), gates_array(job, like)
    L = lanes(like)
    h_block = job.Hp if job.cell == GRU_ID else 0
    n, before, to = now[COUNT], now[H_BEFORE], now[G_FIRST]
    units = units_of(job, like)
    for p in range(first, last):
        multiply_bundle(like, p, n, at(h, before, 0), h.strides[0], P, at(G, to, h_block), G.strides[0], 1, job)
        for u in range(p * units, min((p + 1) * units, job.Hp), L):
            clear_beyond(job.H, u, G, to, n, job, L)
            if job.cell == LSTM_ID:
                lstm_units(u, now, G, h, job, like)
            elif job.cell == GRU_ID:
                gru_units(u, now, G, h, job, like)
            else:
                rnn_units(u, now, G, h, job, like)


@compiled
def clear_beyond(H: int, u: int, G: Any, to: int, n: int, job: Any, L: int) -> None:
    """Zero the entries of a vector of units beyond H, where NaN or infinity in x times a zero weight gives NaN."""
    if u + L <= H:
        return
    for row in range(to, to + n):
        for block in range(u, G.shape[1], job.Hp):
            for k in range(max(0, H - u), L):
                G[row, block + k] = 0


@compiled
def lstm_units(u: int, now: Any, G: Any, h: Any, job: Any, like: Any) -> None:
    """Turn pre-activations into gates, c and h, for a vector of units and all rows of a step."""
    c, b = matrix(job.c, job.c_rows, job.Hw, like), matrix(job.b, BLOCKS, job.Hp, like)
    s = G.itemsize * job.Hp
    bias = (at(b, 0, u), at(b, 1, u), at(b, 2, u), at(b, 3, u))
    for j in range(now[COUNT]):
        g = at(G, now[G_FIRST] + j, u)
        c_prev, c_next = at(c, now[C_BEFORE] + j, u), at(c, now[C_AFTER] + j, u)
        a = (g, g + s, g + 2 * s, g + 3 * s, bias[0], bias[1], bias[2], bias[3], c_prev)
        lstm_cell(like, lanes(like), a, (g, g + s, g + 2 * s, g + 3 * s, c_next))
    for j in range(now[COUNT]):
        o, c_next = at(G, now[G_FIRST] + j, 3 * job.Hp + u), at(c, now[C_AFTER] + j, u)
        lstm_output(like, job.h_width - u, (o, c_next), (at(h, job.batch + now[FIRST] + j, u),))


@compiled
def gru_units(u: int, now: Any, G: Any, h: Any, job: Any, like: Any) -> None:
    """Turn pre-activations into n, r, z, q and h, for a vector of units and all rows of a step."""
    b = matrix(job.b, BLOCKS, job.Hp, like)
    s = G.itemsize * job.Hp
    for j in range(now[COUNT]):
        g = at(G, now[G_FIRST] + j, u)
        gates = (g + s, g + 2 * s)
        gru_gates(like, lanes(like), (g + s, g + 2 * s, at(b, 1, u), at(b, 2, u)), gates)
    for j in range(now[COUNT]):
        g = at(G, now[G_FIRST] + j, u)
        h_prev, h_next = at(h, now[H_BEFORE] + j, u), at(h, job.batch + now[FIRST] + j, u)
        a = (g, g + s, g + 2 * s, g + 3 * s, at(b, 0, u), at(b, 3, u), h_prev)
        gru_output(like, job.h_width - u, a, (g, g + 3 * s, h_next))


@compiled
def rnn_units(u: int, now: Any, G: Any, h: Any, job: Any, like: Any) -> None:
    """Turn pre-activations into h, for a vector of units and all rows of a step."""
    b = matrix(job.b, 1, job.Hp, like)
    for j in range(now[COUNT]):
        a = (at(G, now[G_FIRST] + j, u), at(b, 0, u))
        h_next = (at(h, job.batch + now[FIRST] + j, u),)
        if job.relu:
            rnn_relu(like, job.h_width - u, a, h_next)
        else:
            rnn_tanh(like, job.h_width - u, a, h_next)


# ---- backward ------------------------------------------------------------------------------------------------------


@compiled
def backward_steps(part: int, job: Any, like: Any) -> None:
    """Compute all steps of this part in reverse order: gates become their gradients, and d moves back in time."""
    gates, width = job.gates, PANEL * lanes(like)
    size = gates * job.Hp * width
    first, last = share(part, job.parts, job.Iw // width)
    P_ih = matrix(job.P_ih, job.Iw // width, size, like)  # read by all parts after these steps
    pack_rows(like, matrix(job.W_ih, gates * job.H, job.I, like), gates, P_ih, first, last)
    parts = parts_at_once(part, job)
    if parts == 0:
        return
    s = schedule(part, job)
    first, last = share(part if parts > 1 else 0, parts, job.Hw // width)
    P_hh = packed(part, job, job.P_hh, job.Hw // width, size, like)
    pack_rows(like, matrix(job.W_hh, gates * job.H, job.H, like), gates, P_hh, first, last)
    start = 0 if job.by_units else carray(integers(job.starts), job.parts)[part]
    for t in range(job.T - 1, -1, -1):
        step_gates_backward(s[t], start, first, last, job, like)
        wait(job, parts, job.T - t + 1)
        step_product_backward(s[t], start, P_hh, first, last, job, like)


@compiled
def step_gates_backward(now: Any, start: int, first: int, last: int, job: Any, like: Any) -> None:
    """Turn gates into their gradients, and dc, dh into the parts that bypass the product, for some panels of units."""
    L = lanes(like)
    G, h = gates_array(job, like), matrix(job.h, job.batch + job.rows, job.Hw, like)
    c, d = matrix(job.c, job.c_rows, job.Hw, like), matrix(job.d, 2 * job.batch, job.Hw, like)
    dout = matrix(job.dout, job.rows, job.Hw, like)
    s = G.itemsize * job.Hp
    for j in range(now[COUNT]):
        row = now[FIRST] + j
        from_ = row if job.dout_rows else 0  # without dout, one row of zeros serves all rows
        for u in range(first * PANEL * L, min(last * PANEL * L, job.Hp), L):
            g, dout_, dh, dc = at(G, row, u), at(dout, from_, u), at(d, start + j, u), at(d, job.batch + start + j, u)
            if job.cell == LSTM_ID:
                c_prev, c_next = at(c, now[C_BEFORE] + j, u), at(c, now[C_AFTER] + j, u)
                gates = (g, g + s, g + 2 * s, g + 3 * s)
                lstm_backward(like, L, (g, g + s, g + 2 * s, g + 3 * s, c_prev, c_next, dout_, dh, dc), (*gates, dc))
            elif job.cell == GRU_ID:
                h_prev = at(h, now[H_BEFORE] + j, u)
                gru_backward(
                    like, L, (g, g + s, g + 2 * s, g + 3 * s, h_prev, dout_, dh), (g, g + s, g + 2 * s, g + 3 * s, dh)
                )
            elif job.relu:
                rnn_relu_backward(like, L, (at(h, job.batch + row, u), dout_, dh), (g,))
            else:
                rnn_tanh_backward(like, L, (at(h, job.batch + row, u), dout_, dh), (g,))


@compiled
def step_product_backward(now: Any, start: int, P: Any, first: int, last: int, job: Any, like: Any) -> None:
    """dh (+)= da W_hh for some panels, in blocks of terms, so that G stays in the cache from panel to panel."""
    G, d = gates_array(job, like), matrix(job.d, 2 * job.batch, job.Hw, like)
    L, K = lanes(like), job.gates * job.Hp
    width = PANEL * L
    h_block = job.Hp if job.cell == GRU_ID else 0
    for k in range(0, K, K_BLOCK):
        terms = min(K_BLOCK, K - k)
        add = 1 if k > 0 or job.cell == GRU_ID else 0
        for p in range(first, last):
            multiply(
                like, PANEL, now[COUNT], at(G, now[FIRST], h_block + k), G.strides[0], False, terms,
                at(P, p, k * width), at(d, start, p * width), d.strides[0], L * d.itemsize, add,
                job.prefetch * at(P, p + 1, k * width),
            )  # fmt: skip


@compiled
def gradients_x(part: int, job: Any, like: Any) -> None:
    """dx = dG W_ih for some of the rows."""
    G, dx = gates_array(job, like), matrix(job.dx, job.rows, job.Iw, like)
    L, K = lanes(like), job.gates * job.Hp
    width = PANEL * L
    P = matrix(job.P_ih, job.Iw // width, K * width, like)
    first, last = share(part, job.parts, job.rows)
    for row in range(first, last, ROWS_BLOCK):
        n = min(ROWS_BLOCK, last - row)
        for k in range(0, K, K_BLOCK):
            for p in range(len(P)):
                multiply(
                    like, PANEL, n, at(G, row, k), G.strides[0], False, min(K_BLOCK, K - k), at(P, p, k * width),
                    at(dx, row, p * width), dx.strides[0], L * dx.itemsize, 1 if k > 0 else 0,
                    job.prefetch * at(P, p + 1, k * width),
                )  # fmt: skip


@compiled
def gradients_weights(part: int, job: Any, like: Any) -> None:
    """dW_ih = dG^T x, dW_hh = dG^T h_prev and db = the sums of dG, for this part's rows of the results.

    TERMS_BLOCK rows of all matrices are packed at a time: x and h_prev into panels, and G panel by panel; the columns
    of a panel of G are the rows of the product's left side.
    """
    G, x, h = gates_array(job, like), matrix(job.x, job.rows, job.Iw, like), matrix(job.h_prev, job.rows, job.Hw, like)
    dW_ih = matrix(job.dW_ih, job.gates * job.Hp, job.Iw, like)
    dW_hh = matrix(job.dW_hh, job.gates * job.Hp, job.Hw, like)
    db = matrix(job.db, 1, G.shape[1] + PANEL * lanes(like), like)
    width = PANEL * lanes(like)
    terms = TERMS_BLOCK * width
    scratch = matrix(job.scratch + part * job.scratch_size, 2 + (job.Iw + job.Hw) // width, terms, like)
    sums, block = scratch[:1], scratch[1:2]
    x_panels, h_panels = scratch[2 : 2 + job.Iw // width], scratch[2 + job.Iw // width :]
    sums[0, :width] = 0
    columns, of_x = G.shape[1], job.gates * job.Hp
    before_h = columns - of_x  # the GRU's first block is not in W_hh, its last not in W_ih
    first, last = share(part, job.parts, -(-columns // width))
    for t in range(0, max(job.rows, 1), TERMS_BLOCK):  # at least once: without rows, the gradients are 0
        n = min(TERMS_BLOCK, job.rows - t)
        for p in range(len(x_panels)):
            copy_panel(like, at(x, t, p * width), x.strides[0], n, at(x_panels, p, 0), at(sums, 0, 0))
        for p in range(len(h_panels)):
            copy_panel(like, at(h, t, p * width), h.strides[0], n, at(h_panels, p, 0), at(sums, 0, 0))
        for m in range(first * width, last * width, width):
            copy_panel(like, at(G, t, m), G.strides[0], n, at(block, 0, 0), at(db, 0, m))
            end = min(width, of_x - m)
            rows_of_gradient(like, block, 0, end, n, x_panels, dW_ih, m, t > 0, job)
            begin = max(0, before_h - m)
            rows_of_gradient(like, block, begin, min(width, columns - m), n, h_panels, dW_hh, m - before_h, t > 0, job)


@compiled
def rows_of_gradient(
    like: Any, block: Any, begin: int, end: int, terms: int, panels: Any, dW: Any, row: int, add: bool, job: Any
) -> None:
    """Multiply columns `begin` to `end` of the block by all panels, and write the products to rows of dW.

    `row` is the row of dW for column 0. With `add`, the products are added to dW.
    """
    width = PANEL * lanes(like)
    size = block.itemsize
    if end <= begin:
        return
    for p in range(len(panels)):
        multiply(
            like, PANEL, end - begin, at(block, 0, begin), size, True, terms, at(panels, p, 0),
            at(dW, row + begin, p * width), dW.strides[0], lanes(like) * size, 1 if add else 0,
            job.prefetch * at(panels, p + 1, 0),
        )  # fmt: skip


# ---- the stretches of work, called by address; all parts of one stretch end before the next begins ---------------


def forward(part: int, job: Any, like: Any) -> None:
    """Run `forward_steps`; job is a pointer to the record."""
    forward_steps(part, carray(job, 1)[0], like)


def backward_first(part: int, job: Any, like: Any) -> None:
    """Run `backward_steps`; job is a pointer to the record."""
    backward_steps(part, carray(job, 1)[0], like)


def backward_second(part: int, job: Any, like: Any) -> None:
    """Compute the gradients of the weights and of x; job is a pointer to the record."""
    record = carray(job, 1)[0]
    gradients_weights(part, record, like)
    gradients_x(part, record, like)


FORWARD = (forward,)
BACKWARD = (backward_first, backward_second)
