"""Whole sequences on a device: the host side of the CUDA kernels, for any `cuda/device.py` Device.

The products that do not depend on the recurrence come before and after it, as in `reference/sequences.py`: x W_ih^T for
all steps at once, and dx, dW_ih, dW_hh, db from all da. Between them a *pass* runs (`cuda/runner.py`), at the level
that `cuda/levels.py` chooses:

    1   for each step, cuBLAS multiplies h[t] W_hh^T and a kernel computes the gates
    2   for each step, a kernel multiplies and computes the gates; its launches are replayed as CUDA graphs
    3   one kernel computes all steps, with W_hh on the chip

The arrays are the same at every level, so a forward pass and its backward pass can run at different levels. S is the
dtype of the arguments and A the dtype of sums and gates: float64 for float64, otherwise float32.

    h       (T+1, B, H)   S   h[0] is the initial state; `out` is h[1:]
    c       (T+1, B, H)   A   LSTM; in inference (B, H), overwritten by every step
    gates   (T, B, n, H)  A   the input product, then the gates: LSTM i, f, g, o; GRU n, r, z, q. The RNN has one, which
                              is stored in h[1:] from the start if S is A
    da      (T, B, n, H)  S   stored in `gates` if S is A and the cache is not kept

With the GRU's order n, r, z, q, the gradients of both its products are contiguous column ranges: n, r, z and r, z, q.

Nothing here synchronises with the device, so the values of lengths are never read. If lengths are given, x is copied
with zeros past the ends, and the kernels skip the padding in dout.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from minirnn_kernels import precision
from minirnn_kernels.cell import GRU, LSTM, RNN, Cell
from minirnn_kernels.contract import Arrays, Cache, CellKernels, Kernels
from minirnn_kernels.cuda.device import Array, Device
from minirnn_kernels.cuda.gates import GateStep, by_gate, gates, is_relu, step_forward
from minirnn_kernels.cuda.plans import STORAGES, Work, product, storage_of, unit_layout
from minirnn_kernels.cuda.runner import Pass, Runner
from minirnn_kernels.validation import validated


def kernels(device: Device, *, level: int | None = None, team: str | None = None) -> Kernels:
    """Return the record "cupy" on a device.

    level and team ("block", "cluster 4", "grid") restrict the choice of a plan, for tests. Without a level, each call
    reads MINIRNN_CUDA_LEVEL.
    """
    run = Runner(device, level, team)

    def of_cell(arguments: Callable[..., Arguments]) -> CellKernels:
        return CellKernels(
            partial(forward, run, arguments),
            partial(backward, run),
            partial(inference, run, arguments),
            partial(step, run, arguments),
        )

    record = Kernels(
        name="cupy",
        accepts=partial(accepts, device),
        gates=gates(device),
        rnn=of_cell(rnn_arguments),
        lstm=of_cell(lstm_arguments),
        gru=of_cell(partial(gru_arguments, device.xp)),
    )
    return validated(record, converts_upstreams=True)


def accepts(device: Device, *arrays: Any) -> bool:
    """Return whether all arrays are on this device and all float32, float64, float16 or bfloat16 (of ml_dtypes).

    Raises TypeError if only some of the arrays are on the device: nothing is moved implicitly.
    """
    here = [type(a) is device.xp.ndarray for a in arrays]
    if not any(here):
        return False
    homes = {str(a.device) for a, is_here in zip(arrays, here, strict=True) if is_here}
    elsewhere = {type(a).__module__.partition(".")[0] for a, is_here in zip(arrays, here, strict=True) if not is_here}
    if elsewhere or len(homes) > 1:
        raise TypeError(
            f"the arguments are on different devices: {' and '.join(sorted(homes | elsewhere))}; "
            'move them to the same one first, for instance with module.to("cupy") and cupy.asarray(x)'
        )
    if homes != {str(device.home)}:
        raise TypeError(
            f"the arrays are on {homes.pop()} while {device.home} is the current device; "
            "call this inside `with x.device:`"
        )
    dtype = arrays[0].dtype
    return dtype.name in STORAGES and dtype.isnative and all(a.dtype == dtype for a in arrays)


# ---- the arguments of a call ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Arguments:
    """The arguments of a forward pass, inference or a step. The blocks of W_ih and b are in the order of `gates`."""

    cell: Cell
    x: Array  # (T, B, I); in a step (B, I)
    h: Array  # (B, H): the initial state
    W_ih: Array  # (products * H, I)
    W_hh: Array  # (products * H, H)
    b: Array  # (products * H,): the biases that are added before the pass
    c: Array | None = None  # LSTM: (B, H)
    bias: Array | None = None  # GRU: (H,) A, b_hn, which is added in the pass
    lengths: Any = None  # (B,)
    relu: bool = False


def rnn_arguments(
    x: Array, h0: Array, W_ih: Array, W_hh: Array, b: Array, lengths: Any = None, *, nonlinearity: str = "tanh"
) -> Arguments:
    """Return the arguments of the RNN; shapes as in `contract`."""
    return Arguments(RNN, x, h0, W_ih, W_hh, b, lengths=lengths, relu=is_relu(nonlinearity))


def lstm_arguments(
    x: Array, h0: Array, c0: Array, W_ih: Array, W_hh: Array, b: Array, lengths: Any = None
) -> Arguments:
    """Return the arguments of the LSTM; shapes as in `contract`."""
    return Arguments(LSTM, x, h0, W_ih, W_hh, b, c=c0, lengths=lengths)


def gru_arguments(
    xp: Any, x: Array, h0: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array, lengths: Any = None
) -> Arguments:
    """Return the arguments of the GRU; shapes as in `contract`. W_ih and the biases of r, z, n become n, r, z."""
    H, A = h0.shape[1], storage_of(b_ih).accumulate
    b = xp.roll(b_ih.astype(A), H)
    b[H:] += b_hh[: 2 * H].astype(A, copy=False)
    bias = xp.ascontiguousarray(b_hh[2 * H :], A)
    return Arguments(GRU, x, h0, xp.roll(W_ih, H, axis=0), W_hh, b, bias=bias, lengths=lengths)


# ---- before and after a pass ---------------------------------------------------------------------------------------


def _rows(a: Array) -> Array:
    """Return (T, B, ...) as (T*B, K), so that one product covers all steps."""
    T, B = a.shape[:2]
    return a.reshape(T * B, int(np.prod(a.shape[2:])))


def _without_padding(xp: Any, x: Array, lengths: Array | None) -> Array:
    """Return x (T, B, I), or a copy with zeros past the ends of the sequences."""
    if lengths is None:
        return x
    inside = xp.arange(len(x), dtype=np.int32)[:, None] < lengths
    bits = np.dtype(f"u{x.itemsize}")  # selects on the bits, where zero is zero: CuPy's where() has no bfloat16
    return xp.where(inside[:, :, None], x.view(bits), bits.type(0)).view(x.dtype)


def _last(xp: Any, states: Array, lengths: Array | None) -> Array:
    """Return the state (B, H) after the last step of each sequence; states (T+1, B, H), states[t] after t steps."""
    return states[-1].copy() if lengths is None else states[lengths, xp.arange(states.shape[1])]


def _project(device: Device, rows: Array, given: Arguments, gates: Array, mode: str) -> None:
    """Fill the first columns of gates (N, n*H) with rows W_ih^T + b, for rows (N, I) of x."""
    a = gates[:, : len(given.b)]
    device.matmul(rows, given.W_ih.T, out=a, precision=mode)
    a += given.b.astype(gates.dtype, copy=False)


def _begin(run: Runner, given: Arguments, training: bool) -> tuple[Array, Pass]:
    """Return x with its padding zeroed, and a pass that is ready for its forward computation."""
    run.check()
    xp, mode, cell = run.device.xp, precision.current(), given.cell
    T, (B, H) = len(given.x), given.h.shape
    storage = storage_of(given.x)
    A = storage.accumulate
    lengths = None if given.lengths is None else xp.asarray(given.lengths, np.int32)
    x = _without_padding(xp, given.x, lengths)
    h = xp.empty((T + 1, B, H), x.dtype)
    h[0] = given.h
    gates = h[1:] if cell is RNN and x.dtype == A else xp.empty((T, B, unit_layout(cell).blocks * H), A)
    _project(run.device, _rows(x), given, _rows(gates), mode)
    c = None
    if given.c is not None:
        c = xp.empty((T + 1, B, H) if training else (B, H), A)
        (c[0] if training else c)[...] = given.c
    W_hh = xp.ascontiguousarray(given.W_hh, x.dtype)
    work = Work(cell, storage, T, B, H, product=product(storage, mode))
    return x, Pass(work, mode, W_hh, h, c, gates, given.bias, lengths, given.relu, training)


def _stored(p: Pass, a: Array | None) -> Array:
    """Return a result of a kernel in the dtype of the arguments."""
    assert a is not None
    return a.astype(p.h.dtype, copy=False)


# ---- the functions of the record -----------------------------------------------------------------------------------


def forward(run: Runner, arguments: Callable[..., Arguments], *given: Any, **options: Any) -> Arrays:
    """Return out, h_n (LSTM: and c_n), and the cache; arguments and shapes as in `contract`."""
    call, xp = arguments(*given, **options), run.device.xp
    x, p = _begin(run, call, training=True)
    run.run(p)
    if call.cell is RNN:
        p.gates = None  # the backward pass reads h
    finals = [_stored(p, _last(xp, states, p.lengths)) for states in (p.h, p.c) if states is not None]
    return p.h[1:], *finals, Cache(x, call.W_ih, p)


def inference(run: Runner, arguments: Callable[..., Arguments], *given: Any, **options: Any) -> Arrays:
    """Return out, h_n (LSTM: and c_n); arguments and shapes as in `contract`.

    There is only one array c. Every step overwrites it, except the rows that have ended.
    """
    _, p = _begin(run, arguments(*given, **options), training=False)
    run.run(p)
    finals = [_last(run.device.xp, p.h, p.lengths)] + ([] if p.c is None else [_stored(p, p.c)])
    return p.h[1:], *finals


def step(run: Runner, arguments: Callable[..., Arguments], *given: Any, **options: Any) -> Any:
    """Return h' (LSTM: h' and c') of one step of inference at level 1; arguments and shapes as in `contract`."""
    call = arguments(*given, **options)
    run.check()
    device, mode, cell = run.device, precision.current(), call.cell
    xp, (B, H), A = device.xp, call.h.shape, storage_of(call.x).accumulate
    gates = xp.empty((B, unit_layout(cell).blocks * H), A)
    _project(device, call.x, call, gates, mode)
    recurrent = device.matmul(call.h, call.W_hh.T, dtype=A, precision=mode)
    c_prev = c = None
    if call.c is not None:
        c_prev, c = xp.ascontiguousarray(call.c, A), xp.empty((B, H), A)
    h_prev, h = xp.ascontiguousarray(call.h), xp.empty((B, H), call.x.dtype)
    arrays = by_gate(gates, cell), h, recurrent, call.bias, c_prev, c, h_prev
    step_forward(device, GateStep(cell, *arrays, relu=call.relu))
    return h if c is None else (h, c.astype(h.dtype, copy=False))


def backward(run: Runner, dout: Array | None, dh_n: Array | None, *rest: Any, keep_cache: bool = False) -> Arrays:
    """Return dx, dh0, (LSTM: dc0,) dW_ih, dW_hh and the gradients of the biases; shapes as in `contract`.

    rest: the cache, for the LSTM after dc_n.
    """
    *dc_n, cache = rest
    run.check()
    x, W_ih, p = cache.take(keep_cache)
    p = replace(p)  # a kept cache is not changed
    _run_backward(run, p, dout, dh_n, *dc_n, keep_cache=keep_cache)
    dx, dW_ih, dW_hh, db_ih, db_hh = _products(run, p, x, W_ih)
    initial = [_stored(p, d) for d in ((p.dh0, p.carry) if p.work.cell is LSTM else (p.dh0,))]
    if p.work.cell is GRU:  # from n, r, z to r, z, n
        xp, H = run.device.xp, p.work.H
        return dx, *initial, xp.roll(dW_ih, -H, axis=0), dW_hh, xp.roll(db_ih, -H), db_hh
    return dx, *initial, dW_ih, dW_hh, db_ih


def _run_backward(
    run: Runner, p: Pass, dout: Array | None, dh_n: Array | None, dc_n: Array | None = None, *, keep_cache: bool
) -> None:
    """Run the backward pass: fill da, dh0 and carry."""
    xp, work, A = run.device.xp, p.work, p.work.storage.accumulate
    p.dout = None if dout is None else xp.ascontiguousarray(dout, p.h.dtype)
    p.dh_n, p.dc_n = (None if d is None else xp.ascontiguousarray(d, A) for d in (dh_n, dc_n))
    p.carry = None if work.cell is RNN else xp.zeros((work.B, work.H), A)
    p.dh0 = xp.empty((work.B, work.H), A)
    in_place = p.gates is not None and p.h.dtype == A and not keep_cache
    p.da = p.gates if in_place else xp.empty((work.T, work.B, work.unit.blocks * work.H), p.h.dtype)
    run.run(p, backward=True)


def _products(run: Runner, p: Pass, x: Array, W_ih: Array) -> tuple[Array, ...]:
    """Return dx, dW_ih, dW_hh and the gradients of the biases that belong to the two products."""
    assert p.da is not None
    matmul, da, unit, H = partial(run.device.matmul, precision=p.precision), _rows(p.da), p.work.unit, p.work.H
    inputs, recurrent = slice(0, unit.products * H), slice(unit.first * H, unit.blocks * H)
    da_ih, da_hh = da[:, inputs], da[:, recurrent]
    dx = matmul(da_ih, W_ih).reshape(x.shape)
    dW_ih, dW_hh = matmul(da_ih.T, _rows(x)), matmul(da_hh.T, _rows(p.h[:-1]))
    ones = run.device.xp.ones((1, len(da)), da.dtype)
    db = run.device.matmul(ones, da)[0]  # strict in every mode: TF32 would round da
    return dx, dW_ih, dW_hh, db[inputs], db[recurrent]
