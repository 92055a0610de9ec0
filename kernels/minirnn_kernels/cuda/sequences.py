"""Whole sequences on a device: the host's side of the CUDA kernels, for any `cuda_device.Device`.

What doesn't depend on the recurrence is done by products before and after it, as in `reference/sequences.py`: x W_ih^T
for all steps at once, and dx, dW_ih, dW_hh, db once all da are there. Between them a *pass* runs (`cuda/run.py`), at
the level that `cuda/levels.py` chooses:

    1   for each step, cuBLAS multiplies h[t] W_hh^T and a kernel computes the gates
    2   for each step, a kernel multiplies and computes the gates; its launches are replayed as CUDA graphs
    3   one kernel does all the steps, with W_hh on the chip

The arrays are the same at every level, so forward and backward are free to run at different ones. S is the dtype of the
arguments, A that of sums and gates: float64 for float64, else float32.

    h       (T+1, B, H)   S   the initial state in front; `out` is h[1:]
    c       (T+1, B, H)   A   LSTM; in inference (B, H), overwritten by every step
    gates   (T, B, n, H)  A   n = 4 (LSTM i, f, g, o; GRU n, r, z, q): the input product, then the gates. The RNN has
                              one, which is in h[1:] from the start where S is A
    da      (T, B, n, H)  S   in the place of `gates` where S is A and the cache isn't kept

The order n, r, z, q of the GRU makes the gradients into both its products plain column ranges: n, r, z and r, z, q.

Nothing here waits for the device, so lengths are never looked at: where they are given, x is copied with zeros past the
ends, and the kernels skip what is there in dout.
"""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from minirnn_kernels import precision
from minirnn_kernels.contract import Cache, CellKernels, Kernels
from minirnn_kernels.cuda.device import Array, Device
from minirnn_kernels.cuda.gates import by_gate, gates, is_relu, step_forward, storage_of
from minirnn_kernels.cuda.run import Pass, Runner
from minirnn_kernels.cuda.sequence_pass import GRU, LSTM, RNN, STORAGES, Cell


def kernels(device: Device, *, level: int | None = None, team: str | None = None) -> Kernels:
    """The record "cupy" on a device. level and team ("block", "cluster 4", "grid") narrow the choice: for tests.

    Without a level MINIRNN_CUDA_LEVEL is obeyed, at each call.
    """
    run = Runner(device, level, team)

    def of_cell(*functions: Any) -> CellKernels:
        return CellKernels(*(partial(function, run) for function in functions))

    return Kernels(
        name="cupy",
        accepts=partial(accepts, device),
        gates=gates(device),
        rnn=of_cell(rnn_forward, rnn_backward, rnn_inference, rnn_step),
        lstm=of_cell(lstm_forward, lstm_backward, lstm_inference, lstm_step),
        gru=of_cell(gru_forward, gru_backward, gru_inference, gru_step),
    )


def accepts(device: Device, *arrays: Any) -> bool:
    """Arrays of this device, all float32, all float64, all float16 or all bfloat16 (of ml_dtypes).

    TypeError where some are on the device and some elsewhere: nothing is moved without being asked.
    """
    here = [type(a) is device.xp.ndarray for a in arrays]
    if not any(here):
        return False
    homes = {str(a.device) for a, is_here in zip(arrays, here, strict=True) if is_here}
    elsewhere = {type(a).__module__.partition(".")[0] for a, is_here in zip(arrays, here, strict=True) if not is_here}
    if elsewhere or len(homes) > 1:
        raise TypeError(
            f"arrays of two devices meet: {' and '.join(sorted(homes | elsewhere))}; "
            'move them to one first, for instance with module.to("cupy") and cupy.asarray(x)'
        )
    if homes != {str(device.home)}:
        raise TypeError(
            f"the arrays are on {homes.pop()} while {device.home} is the current device; "
            "call this inside `with x.device:`"
        )
    dtype = arrays[0].dtype
    return dtype.name in STORAGES and dtype.isnative and all(a.dtype == dtype for a in arrays)


# ---- before and after a pass ---------------------------------------------------------------------------------------


def _rows(a: Array) -> Array:
    """(T, B, ...) -> (T*B, K), so that one product covers all steps."""
    T, B = a.shape[:2]
    return a.reshape(T * B, int(np.prod(a.shape[2:])))


def _without_padding(xp: Any, x: Array, lengths: Array | None) -> Array:
    """x (T, B, I), or a copy with zeros past the ends."""
    if lengths is None:
        return x
    inside = xp.arange(len(x), dtype=np.int32)[:, None] < lengths
    bits = np.dtype(f"u{x.itemsize}")  # zero is zero; CuPy's where() doesn't know bfloat16
    return xp.where(inside[:, :, None], x.view(bits), bits.type(0)).view(x.dtype)


def _last(xp: Any, states: Array, lengths: Array | None) -> Array:
    """states (T+1, B, H), entry t the state after t steps -> (B, H), the state after each sequence's last step."""
    return states[-1].copy() if lengths is None else states[lengths, xp.arange(states.shape[1])]


def _begin(
    run: Runner,
    cell: Cell,
    x: Array,
    h0: Array,
    c0: Array | None,
    W_ih: Array,
    W_hh: Array,
    b: Array,
    lengths: Any,
    training: bool,
    relu: bool = False,
) -> tuple[Array, Pass]:
    """x without padding, and a pass that is ready for its forward. W_ih and b in the order of `gates`."""
    run.check()
    xp, mode = run.device.xp, precision.current()
    T, (B, H) = len(x), h0.shape
    storage = storage_of(x)
    A = storage.accumulate
    if lengths is not None:
        lengths = xp.asarray(lengths, np.int32)
    x = _without_padding(xp, x, lengths)
    h = xp.empty((T + 1, B, H), x.dtype)
    h[0] = h0
    gates = h[1:] if cell is RNN and x.dtype == A else xp.empty((T, B, cell.blocks * H), A)
    a = _rows(gates)[:, : len(b)]
    run.device.matmul(_rows(x), W_ih.T, out=a, precision=mode)
    a += b.astype(A, copy=False)
    c = None
    if c0 is not None:
        c = xp.empty((T + 1, B, H) if training else (B, H), A)
        (c[0] if training else c)[...] = c0
    W_hh = xp.ascontiguousarray(W_hh, x.dtype)
    return x, Pass(cell, storage, mode, T, B, H, W_hh, h, c, gates, lengths=lengths, relu=relu, training=training)


def _gradients(
    run: Runner, p: Pass, dout: Array | None, dh_n: Array | None, dc_n: Array | None, keep_cache: bool
) -> None:
    """Run the way back of a pass: da, dh0 and carry are there afterwards."""
    xp, A = run.device.xp, p.storage.accumulate
    p.dout = None if dout is None else xp.ascontiguousarray(dout, p.h.dtype)
    p.dh_n = None if dh_n is None else xp.ascontiguousarray(dh_n, A)
    p.dc_n = None if dc_n is None else xp.ascontiguousarray(dc_n, A)
    p.carry = None if p.cell is RNN else xp.zeros((p.B, p.H), A)
    p.dh0 = xp.empty((p.B, p.H), A)
    in_place = p.gates is not None and p.h.dtype == A and not keep_cache
    p.da = p.gates if in_place else xp.empty((p.T, p.B, p.cell.blocks * p.H), p.h.dtype)
    run.backward(p)


def _products(run: Runner, p: Pass, x: Array, W_ih: Array, inputs: slice, recurrent: slice) -> tuple[Array, ...]:
    """-> dx, dW_ih, dW_hh and two sums over the rows of da. The slices: which columns of da belong to each product."""
    assert p.da is not None
    matmul, da = partial(run.device.matmul, precision=p.precision), _rows(p.da)
    da_ih, da_hh = da[:, inputs], da[:, recurrent]
    dx = matmul(da_ih, W_ih).reshape(x.shape)
    dW_ih, dW_hh = matmul(da_ih.T, _rows(x)), matmul(da_hh.T, _rows(p.h[:-1]))
    ones = run.device.xp.ones((1, len(da)), da.dtype)
    db = run.device.matmul(ones, da)[0]  # summed like the others, whatever the dtype; strict: TF32 would round da
    return dx, dW_ih, dW_hh, db[inputs], db[recurrent]


def _stored(p: Pass, a: Array | None) -> Array:
    """A result of a kernel, in the dtype of the arguments."""
    assert a is not None
    return a.astype(p.h.dtype, copy=False)


ALL = slice(None)

# ---- RNN -----------------------------------------------------------------------------------------------------------


def rnn_forward(
    run: Runner,
    x: Array,
    h0: Array,
    W_ih: Array,
    W_hh: Array,
    b: Array,
    lengths: Any = None,
    *,
    nonlinearity: str = "tanh",
) -> tuple[Array, Array, Cache]:
    """-> out, h_n, cache; shapes as in `contract`."""
    x, p = _begin(run, RNN, x, h0, None, W_ih, W_hh, b, lengths, True, is_relu(nonlinearity))
    run.forward(p)
    p.gates = None  # the way back reads h
    return p.h[1:], _last(run.device.xp, p.h, p.lengths), Cache(x, W_ih, p)


def rnn_backward(
    run: Runner, dout: Array | None, dh_n: Array | None, cache: Cache, *, keep_cache: bool = False
) -> tuple[Array, ...]:
    """-> dx, dh0, dW_ih, dW_hh, db; shapes as in `contract`."""
    x, W_ih, p = _take(run, cache, keep_cache)
    _gradients(run, p, dout, dh_n, None, keep_cache)
    dx, dW_ih, dW_hh, db, _ = _products(run, p, x, W_ih, ALL, ALL)
    return dx, _stored(p, p.dh0), dW_ih, dW_hh, db


def rnn_inference(
    run: Runner,
    x: Array,
    h0: Array,
    W_ih: Array,
    W_hh: Array,
    b: Array,
    lengths: Any = None,
    *,
    nonlinearity: str = "tanh",
) -> tuple[Array, Array]:
    """-> out, h_n; shapes as in `contract`."""
    _, p = _begin(run, RNN, x, h0, None, W_ih, W_hh, b, lengths, False, is_relu(nonlinearity))
    run.forward(p)
    return p.h[1:], _last(run.device.xp, p.h, p.lengths)


def rnn_step(
    run: Runner, x: Array, h: Array, W_ih: Array, W_hh: Array, b: Array, *, nonlinearity: str = "tanh"
) -> Array:
    """-> h'; shapes as in `contract`."""
    relu = is_relu(nonlinearity)
    (h_next,) = _step(run, RNN, x, h, None, W_ih, W_hh, b, None, relu)
    return h_next


# ---- LSTM ----------------------------------------------------------------------------------------------------------


def lstm_forward(
    run: Runner, x: Array, h0: Array, c0: Array, W_ih: Array, W_hh: Array, b: Array, lengths: Any = None
) -> tuple[Array, Array, Array, Cache]:
    """-> out, h_n, c_n, cache; shapes as in `contract`."""
    x, p = _begin(run, LSTM, x, h0, c0, W_ih, W_hh, b, lengths, True)
    run.forward(p)
    xp = run.device.xp
    h_n, c_n = _last(xp, p.h, p.lengths), _stored(p, _last(xp, p.c, p.lengths))
    return p.h[1:], h_n, c_n, Cache(x, W_ih, p)


def lstm_backward(
    run: Runner,
    dout: Array | None,
    dh_n: Array | None,
    dc_n: Array | None,
    cache: Cache,
    *,
    keep_cache: bool = False,
) -> tuple[Array, ...]:
    """-> dx, dh0, dc0, dW_ih, dW_hh, db; shapes as in `contract`."""
    x, W_ih, p = _take(run, cache, keep_cache)
    _gradients(run, p, dout, dh_n, dc_n, keep_cache)
    dx, dW_ih, dW_hh, db, _ = _products(run, p, x, W_ih, ALL, ALL)
    return dx, _stored(p, p.dh0), _stored(p, p.carry), dW_ih, dW_hh, db


def lstm_inference(
    run: Runner, x: Array, h0: Array, c0: Array, W_ih: Array, W_hh: Array, b: Array, lengths: Any = None
) -> tuple[Array, Array, Array]:
    """-> out, h_n, c_n; shapes as in `contract`. One c is overwritten by every step, and stays past a row's end."""
    _, p = _begin(run, LSTM, x, h0, c0, W_ih, W_hh, b, lengths, False)
    run.forward(p)
    return p.h[1:], _last(run.device.xp, p.h, p.lengths), _stored(p, p.c)


def lstm_step(run: Runner, x: Array, h: Array, c: Array, W_ih: Array, W_hh: Array, b: Array) -> tuple[Array, Array]:
    """-> h', c'; shapes as in `contract`."""
    h_next, c_next = _step(run, LSTM, x, h, c, W_ih, W_hh, b, None)
    return h_next, c_next


# ---- GRU -----------------------------------------------------------------------------------------------------------


def _gru_input(xp: Any, W_ih: Array, b_ih: Array, b_hh: Array) -> tuple[Array, Array, Array]:
    """W_ih and the biases that can be added before the loop, in the order n, r, z; and the bias of q, which can't."""
    H = len(b_ih) // 3
    A = storage_of(b_ih).accumulate
    b = xp.roll(b_ih.astype(A), H)
    b[H:] += b_hh[: 2 * H].astype(A, copy=False)
    return xp.roll(W_ih, H, axis=0), b, xp.ascontiguousarray(b_hh[2 * H :], A)


def gru_forward(
    run: Runner, x: Array, h0: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array, lengths: Any = None
) -> tuple[Array, Array, Cache]:
    """-> out, h_n, cache; shapes as in `contract`."""
    W_nrz, b_nrz, b_q = _gru_input(run.device.xp, W_ih, b_ih, b_hh)
    x, p = _begin(run, GRU, x, h0, None, W_nrz, W_hh, b_nrz, lengths, True)
    p.bias = b_q
    run.forward(p)
    return p.h[1:], _last(run.device.xp, p.h, p.lengths), Cache(x, W_nrz, p)


def gru_backward(
    run: Runner, dout: Array | None, dh_n: Array | None, cache: Cache, *, keep_cache: bool = False
) -> tuple[Array, ...]:
    """-> dx, dh0, dW_ih, dW_hh, db_ih, db_hh; shapes as in `contract`."""
    x, W_nrz, p = _take(run, cache, keep_cache)
    H, xp = p.H, run.device.xp
    _gradients(run, p, dout, dh_n, None, keep_cache)
    dx, dW_nrz, dW_hh, db_nrz, db_hh = _products(run, p, x, W_nrz, slice(0, 3 * H), slice(H, 4 * H))
    dW_ih, db_ih = xp.roll(dW_nrz, -H, axis=0), xp.roll(db_nrz, -H)
    return dx, _stored(p, p.dh0), dW_ih, dW_hh, db_ih, db_hh


def gru_inference(
    run: Runner, x: Array, h0: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array, lengths: Any = None
) -> tuple[Array, Array]:
    """-> out, h_n; shapes as in `contract`."""
    W_nrz, b_nrz, b_q = _gru_input(run.device.xp, W_ih, b_ih, b_hh)
    _, p = _begin(run, GRU, x, h0, None, W_nrz, W_hh, b_nrz, lengths, False)
    p.bias = b_q
    run.forward(p)
    return p.h[1:], _last(run.device.xp, p.h, p.lengths)


def gru_step(run: Runner, x: Array, h: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array) -> Array:
    """-> h'; shapes as in `contract`."""
    W_nrz, b_nrz, b_q = _gru_input(run.device.xp, W_ih, b_ih, b_hh)
    (h_next,) = _step(run, GRU, x, h, None, W_nrz, W_hh, b_nrz, b_q)
    return h_next


# ---- shared by the cells -------------------------------------------------------------------------------------------


def _take(run: Runner, cache: Cache, keep: bool) -> tuple[Array, Array, Pass]:
    """x, W_ih and the pass of a cache; one that is kept stays as it was."""
    run.check()
    x, W_ih, p = cache.take(keep)
    return x, W_ih, replace(p)


def _step(
    run: Runner,
    cell: Cell,
    x: Array,
    h: Array,
    c: Array | None,
    W_ih: Array,
    W_hh: Array,
    b: Array,
    bias: Array | None,
    relu: bool = False,
) -> tuple[Array, ...]:
    """One step of inference at level 1: h', and c' where there is a c."""
    run.check()
    device, mode = run.device, precision.current()
    xp, (B, H), storage = device.xp, h.shape, storage_of(x)
    A = storage.accumulate
    gates = xp.empty((B, cell.blocks * H), A)
    a = gates[:, : len(b)]
    device.matmul(x, W_ih.T, out=a, precision=mode)
    a += b.astype(A, copy=False)
    recurrent = device.matmul(h, W_hh.T, dtype=A, precision=mode)
    h_prev = xp.ascontiguousarray(h)
    c_prev = c_next = None
    if c is not None:
        c_prev, c_next = xp.ascontiguousarray(c, A), xp.empty((B, H), A)
    h_next = xp.empty((B, H), x.dtype)
    step_forward(
        device, cell, storage, recurrent, bias, by_gate(gates, cell), c_prev, c_next, h_prev, h_next, relu=relu
    )
    return (h_next,) if c_next is None else (h_next, c_next.astype(x.dtype, copy=False))
