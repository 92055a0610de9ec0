"""The recurrent cells over a sequence, in stretches of work that threads share.

    forward     packs the weights; the steps in their order
    backward    packs the weights; the steps in the opposite order, in which gates become their gradients; and then what
                is left, and in no order: dx, and the weights' gradients

A sequence batch is one matrix of rows, a row for each step of each sequence; a step is a run of rows. A schedule says
where: its entry [t] holds the run's first row and its number of rows, and the first of the rows of h, c and G that
belong to it. Sequences that end sooner come last, so that the rows of a step are the first ones of the step before.

Threads share a pass in one of two ways. *By rows*: each computes all steps of some sequences, and no step waits for
anybody. *By units*: each computes, at every step, some units of all sequences, and then waits for the others; that is
better where there are few sequences, or where the weights are larger than the second-level cache, of which each thread
now reads only its part.

G (rows, blocks * Hp) is in turn the pre-activations, the gates, and their gradients, as in `reference/sequences.py`:

                blocks in G     of W_ih     of W_hh
    RNN         a               a           a
    LSTM        i f g o         i f g o     i f g o
    GRU         n r z q         n r z         r z q

H is filled up to whole vectors, Hp, in G, and to whole panels, Hw, in h, c and what comes back; I likewise, Iw. What
is filled in is zero, and stays zero. An inference's h, which nothing comes back to, isn't filled up: rows of it are
h_width long. Behind each row of G, Gw long, a line stays empty: if rows began a power of two apart, the same entry of
all of them would have to share a few places of the first-level cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray

from minirnn_kernels.cpu.compilation import compiled
from minirnn_kernels.cpu.emit.intrinsics import (
    at,
    atomic_add,
    atomic_exchange_if,
    copy_panel,
    give_way,
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
from minirnn_kernels.cpu.products import PANEL, multiply, pack_columns, pack_rows

RNN, LSTM, GRU = 1, 4, 3  # a cell's number is how many gates its weights have
FIRST, COUNT, H_BEFORE, C_BEFORE, C_AFTER, G_FIRST = range(6)  # an entry of the schedule
K_BLOCK = 1024  # rows of a panel that are used together: they have to stay in the second-level cache
TERMS_BLOCK = 768  # terms that a weight's gradient sums in registers, between one load and store of it and the next
ROWS_BLOCK = 96  # rows that are multiplied by one panel after the other

# What a pass is told: numbers, then addresses of arrays.
JOB = np.dtype(
    [
        (name, np.int64)
        for name in """
            cell relu parts by_units far T rows batch I H Hp Hw Iw Gw h_width chunk G_rows c_rows dout_rows
            schedule starts met x h c G W_ih W_hh P_ih P_hh b h_prev dout d dx dW_ih dW_hh db scratch scratch_size
        """.split()  # noqa: SIM905
    ]
)


# ---- what stands where ---------------------------------------------------------------------------------------------


@compiled
def matrix(address: int, rows: int, columns: int, like: Any) -> Any:
    """The array (rows, columns) at this address."""
    return carray(pointer(address, like), (rows, columns))


@compiled
def schedule(part: int, job: Any) -> Any:
    """(T, 6), of this part's rows."""
    whole = carray(integers(job.schedule), (job.parts, job.T, 6))
    return whole[0 if job.by_units else part]


@compiled
def gates_array(job: Any, like: Any) -> Any:
    return matrix(job.G, job.G_rows, job.Gw, like)[:, : job.Hp if job.cell == RNN else 4 * job.Hp]


@compiled
def share(part: int, parts: int, n: int) -> Any:
    """The first and the last of n things that are this part's."""
    return n * part // parts, n * (part + 1) // parts


# ---- meeting -------------------------------------------------------------------------------------------------------


@compiled
def wait(job: Any, number: int) -> None:
    """Come to the meeting, and stay until all parts have come for the `number`-th time."""
    atomic_add(job.met, 1)
    tries = 0
    while atomic_add(job.met, 0) < number * job.parts:
        tries += 1
        if tries > 2000:
            give_way()


@compiled
def parts_at_once(part: int, job: Any) -> int:
    """How many parts run at the same time, and so can wait for each other: all; or 1, this one, and 0 for the others.

    Threads that were asked for need not be given. So a part that has waited for long shuts the door and works alone;
    who comes later has nothing to do.
    """
    here = atomic_add(job.met, 1) + 1
    tries = 0
    while 0 < here < job.parts:
        tries += 1
        give_way()
        if tries > 100_000 and atomic_exchange_if(job.met, here, -(1 << 40)) == here:
            return 1
        here = atomic_add(job.met, 0)
    return job.parts if here > 0 else 0


# ---- forward -------------------------------------------------------------------------------------------------------


@compiled
def bundles_of(job: Any, like: Any) -> Any:
    """How many bundles of panels the weights of the forward are, and how wide; `pack_columns` says what is in one."""
    units = units_of(job, like)
    return job.Hp // units, units * job.cell


@compiled
def units_of(job: Any, like: Any) -> int:
    """How many units are in a bundle."""
    return (PANEL if job.cell == RNN else 1) * lanes(like)


@compiled
def multiply_bundle(
    like: Any, p: int, n: int, a: int, a_stride: int, P: Any, c: int, c_stride: int, add: int, job: Any
) -> None:
    """n rows of a times bundle p of P -> what of n rows of G from c on belongs to its units, in each block."""
    L, size, vectors = lanes(like), P.itemsize, 3 if job.cell == GRU else PANEL
    block = size * (L if job.cell == RNN else job.Hp)  # from one vector of a row to the next
    panels = max(1, job.cell // vectors)
    panel = P.shape[1] // panels
    c += p * units_of(job, like) * size
    for j in range(panels):
        multiply(
            like, vectors, n, a, a_stride, False, panel // (vectors * L), at(P, p, j * panel),
            c + j * vectors * block, c_stride, block, add, job.far * at(P, p, (j + 1) * panel),
        )  # fmt: skip


@compiled
def forward_steps(part: int, job: Any, like: Any) -> None:
    number, parts = 1, 1
    if job.by_units:
        parts = parts_at_once(part, job)
        if parts == 0:
            return
    s = schedule(part, job)
    bundles, width = bundles_of(job, like)
    first, last = share(part if parts > 1 else 0, parts, bundles)
    P_ih = packed(part, job, job.P_ih, bundles, job.I * width, like)
    P_hh = packed(part, job, job.P_hh, bundles, job.H * width, like)
    pack_columns(like, matrix(job.W_ih, job.cell * job.H, job.I, like), job.cell, P_ih, first, last)
    pack_columns(like, matrix(job.W_hh, job.cell * job.H, job.H, like), job.cell, P_hh, first, last)
    for t0 in range(0, job.T, job.chunk):
        t1 = min(t0 + job.chunk, job.T)
        project(s, t0, t1, P_ih, first, last, job, like)
        for t in range(t0, t1):
            step(s[t], P_hh, first, last, job, like)
            if parts > 1:
                number += 1
                wait(job, number)


@compiled
def packed(part: int, job: Any, address: int, panels: int, size: int, like: Any) -> Any:
    """Where this part packs weights, and reads them: a place of its own, or, if units are shared, its part of one.

    What another core has written is slow to fetch, on some CPUs slower than to pack it again.
    """
    first = 0 if job.by_units else part * panels
    return matrix(address, first + panels, size, like)[first:]


@compiled
def project(s: Any, t0: int, t1: int, P: Any, first: int, last: int, job: Any, like: Any) -> None:
    """G = x W_ih^T for steps t0 to t1: some bundles. Steps whose rows follow one another are one product."""
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
    if job.cell == GRU:
        for t in range(t0, t1):
            for row in range(s[t, G_FIRST], s[t, G_FIRST] + s[t, COUNT]):
                G[row, 3 * job.Hp + first * L : 3 * job.Hp + last * L] = 0


@compiled
def step(now: Any, P: Any, first: int, last: int, job: Any, like: Any) -> None:
    """G += h_prev W_hh^T for some bundles, and the gates of each while its pre-activations are near."""
    h, G = matrix(job.h, job.batch + job.rows, job.h_width, like), gates_array(job, like)
    L = lanes(like)
    h_block = job.Hp if job.cell == GRU else 0
    n, before, to = now[COUNT], now[H_BEFORE], now[G_FIRST]
    units = units_of(job, like)
    for p in range(first, last):
        multiply_bundle(like, p, n, at(h, before, 0), h.strides[0], P, at(G, to, h_block), G.strides[0], 1, job)
        for u in range(p * units, min((p + 1) * units, job.Hp), L):
            clear_beyond(job.H, u, G, to, n, job, L)
            if job.cell == LSTM:
                lstm_units(u, now, G, h, job, like)
            elif job.cell == GRU:
                gru_units(u, now, G, h, job, like)
            else:
                rnn_units(u, now, G, h, job, like)


@compiled
def clear_beyond(H: int, u: int, G: Any, to: int, n: int, job: Any, L: int) -> None:
    """Zero what a vector of units from u on has beyond H: there a NaN or an infinity of x times zero isn't zero."""
    if u + L <= H:
        return
    for row in range(to, to + n):
        for block in range(u, G.shape[1], job.Hp):
            for k in range(max(0, H - u), L):
                G[row, block + k] = 0


@compiled
def lstm_units(u: int, now: Any, G: Any, h: Any, job: Any, like: Any) -> None:
    """A vector of units from u on, for all rows of a step: pre-activations -> gates, c, h."""
    c, b = matrix(job.c, job.c_rows, job.Hw, like), matrix(job.b, 4, job.Hp, like)
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
    """The same: pre-activations -> n, r, z, q, h."""
    b = matrix(job.b, 4, job.Hp, like)
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
    """The same: pre-activations -> h."""
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
    """d (2 * batch, Hw) holds dh and dc, on entry those of each sequence's last step."""
    gates, width = job.cell, PANEL * lanes(like)
    size = gates * job.Hp * width
    first, last = share(part, job.parts, job.Iw // width)
    P_ih = matrix(job.P_ih, job.Iw // width, size, like)  # read by all parts, after these steps
    pack_rows(like, matrix(job.W_ih, gates * job.H, job.I, like), gates, P_ih, first, last)
    number, parts = 1, 1
    if job.by_units:
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
        if parts > 1:
            number += 1
            wait(job, number)
        step_product_backward(s[t], start, P_hh, first, last, job, like)


@compiled
def step_gates_backward(now: Any, start: int, first: int, last: int, job: Any, like: Any) -> None:
    """Gates -> their gradients, and dc, dh -> what goes past the product, for the units of some panels."""
    L = lanes(like)
    G, h = gates_array(job, like), matrix(job.h, job.batch + job.rows, job.Hw, like)
    c, d = matrix(job.c, job.c_rows, job.Hw, like), matrix(job.d, 2 * job.batch, job.Hw, like)
    dout = matrix(job.dout, job.rows, job.Hw, like)
    s = G.itemsize * job.Hp
    for j in range(now[COUNT]):
        row = now[FIRST] + j
        from_ = row if job.dout_rows else 0  # without dout there is one row of zeros
        for u in range(first * PANEL * L, min(last * PANEL * L, job.Hp), L):
            g, dout_, dh, dc = at(G, row, u), at(dout, from_, u), at(d, start + j, u), at(d, job.batch + start + j, u)
            if job.cell == LSTM:
                c_prev, c_next = at(c, now[C_BEFORE] + j, u), at(c, now[C_AFTER] + j, u)
                gates = (g, g + s, g + 2 * s, g + 3 * s)
                lstm_backward(like, L, (g, g + s, g + 2 * s, g + 3 * s, c_prev, c_next, dout_, dh, dc), (*gates, dc))
            elif job.cell == GRU:
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
    """dh (+)= da W_hh, for some panels; a block of terms after the other, so that what is read again is near."""
    G, d = gates_array(job, like), matrix(job.d, 2 * job.batch, job.Hw, like)
    L, K = lanes(like), job.cell * job.Hp
    width = PANEL * L
    h_block = job.Hp if job.cell == GRU else 0
    for k in range(0, K, K_BLOCK):
        terms = min(K_BLOCK, K - k)
        add = 1 if k > 0 or job.cell == GRU else 0
        for p in range(first, last):
            multiply(
                like, PANEL, now[COUNT], at(G, now[FIRST], h_block + k), G.strides[0], False, terms,
                at(P, p, k * width), at(d, start, p * width), d.strides[0], L * d.itemsize, add,
                job.far * at(P, p + 1, k * width),
            )  # fmt: skip


@compiled
def gradients_x(part: int, job: Any, like: Any) -> None:
    """dx = dG W_ih, for some of the rows."""
    G, dx = gates_array(job, like), matrix(job.dx, job.rows, job.Iw, like)
    L, K = lanes(like), job.cell * job.Hp
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
                    job.far * at(P, p + 1, k * width),
                )  # fmt: skip


@compiled
def gradients_weights(part: int, job: Any, like: Any) -> None:
    """dW_ih = dG^T x, dW_hh = dG^T h_prev, db = the sums of dG: some columns of G are this part's rows of the results.

    As many rows of all matrices as one sum takes are packed at a time: x and h_prev into panels, and of G one panel's
    columns after the other, whose columns are then the rows of the product's left side.
    """
    G, x, h = gates_array(job, like), matrix(job.x, job.rows, job.Iw, like), matrix(job.h_prev, job.rows, job.Hw, like)
    dW_ih = matrix(job.dW_ih, job.cell * job.Hp, job.Iw, like)
    dW_hh = matrix(job.dW_hh, job.cell * job.Hp, job.Hw, like)
    db = matrix(job.db, 1, G.shape[1] + PANEL * lanes(like), like)
    width = PANEL * lanes(like)
    terms = TERMS_BLOCK * width
    scratch = matrix(job.scratch + part * job.scratch_size, 2 + (job.Iw + job.Hw) // width, terms, like)
    sums, block = scratch[:1], scratch[1:2]
    x_panels, h_panels = scratch[2 : 2 + job.Iw // width], scratch[2 + job.Iw // width :]
    sums[0, :width] = 0
    columns, of_x = G.shape[1], job.cell * job.Hp
    before_h = columns - of_x  # of the GRU's blocks the first has no part in W_hh, and the last none in W_ih
    first, last = share(part, job.parts, -(-columns // width))
    for t in range(0, max(job.rows, 1), TERMS_BLOCK):  # once at least, since no rows give zeros
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
    """Columns `begin` to `end` of the block, times all panels -> rows of dW, the block's column 0 being `row`."""
    width = PANEL * lanes(like)
    size = block.itemsize
    if end <= begin:
        return
    for p in range(len(panels)):
        multiply(
            like, PANEL, end - begin, at(block, 0, begin), size, True, terms, at(panels, p, 0),
            at(dW, row + begin, p * width), dW.strides[0], lanes(like) * size, 1 if add else 0,
            job.far * at(panels, p + 1, 0),
        )  # fmt: skip


# ---- what can be called by address: one for each stretch between two meetings of the threads -----------------------


def forward(part: int, job: Any, like: Any) -> None:
    forward_steps(part, carray(job, 1)[0], like)


def backward_first(part: int, job: Any, like: Any) -> None:
    backward_steps(part, carray(job, 1)[0], like)


def backward_second(part: int, job: Any, like: Any) -> None:
    record = carray(job, 1)[0]
    gradients_weights(part, record, like)
    gradients_x(part, record, like)
