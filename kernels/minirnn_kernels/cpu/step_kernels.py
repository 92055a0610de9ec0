"""One step of a cell for a few rows: the instructions, and the compiled functions that `cpu/steps.py` calls.

With few rows in the batch a step is a product of matrices with vectors. Each weight is used once a row, so nothing is
gained by packing the weights, as the kernels for sequences do: they are read as they stand, in W's own rows, and a
weight that was changed a moment ago is the weight that counts.

What a step does, for as many units as a vector has lanes at a time:

1. The product. Row r of W times x is summed in vectors along the row. That gives `lanes` vectors, one for each row.
2. They are merged in pairs until one vector is left, whose lane r is the sum of all lanes of vector r.
3. So do the rows of the other gates; then the cell's equations, as in `gates.py`, on these vectors.

Past the second-level cache memory sets the pace, and two threads, each with half of the units, have twice the cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from minirnn_kernels.cpu.compilation import compiled, compiled_threads
from minirnn_kernels.cpu.emit import vectors
from minirnn_kernels.cpu.emit.tiles import loop
from minirnn_kernels.cpu.emit.vectors import I32, I64, Emitter, Vector, activate, sigmoid, tanh

# ---- the products ----------------------------------------------------------------------------------------------------
#
# Four rows of W at a time, and four vectors of each: sixteen sums, so that no multiply-add waits for the one before.

ROWS, CHUNKS = 4, 4


def sums_function(module: Any, dtype: Any) -> Any:
    """The LLVM function (x, W, I, h, V, H, n) -> a vector: lane r has the sum over k of W[r, k] x[k] and V[r, k] h[k].

    W (n, I) and V (n, H) have their entries one after the other. Of n rows fewer than the lanes, the last is repeated.
    """
    name = f"minirnn_sums_{np.dtype(dtype).name}"
    if name in module.globals:
        return module.globals[name]
    scalar = ir.FloatType() if np.dtype(dtype) == np.float32 else ir.DoubleType()
    pointer, vector = scalar.as_pointer(), ir.VectorType(scalar, vectors.lanes(dtype))
    function = ir.Function(module, ir.FunctionType(vector, [pointer, pointer, I64, pointer, pointer, I64, I64]), name)
    function.linkage = "linkonce_odr"
    function.attributes.add("noinline")
    x, W, I, h, V, H, n = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    e = Emitter(builder, dtype)
    rows = min(ROWS, e.lanes)
    last_row = builder.sub(n, I64(1))
    sums = builder.alloca(e.type, e.lanes)

    def of_rows(first: Any, _: list[Vector]) -> list[Vector]:
        totals = [e.splat(0.0)] * (rows * CHUNKS)
        for a, matrix, K in ((x, W, I), (h, V, H)):
            places = []
            for r in range(rows):
                row = builder.add(first, I64(r))
                row = builder.select(builder.icmp_signed("<", row, last_row), row, last_row)
                places.append(e.at(matrix, builder.mul(row, K)))
            totals = _add_products(e, a, places, K, totals)
        for r in range(rows):
            p, q, s, t = totals[r * CHUNKS : (r + 1) * CHUNKS]
            place = builder.gep(sums, [builder.add(first, I64(r))])
            builder.store(((p + q) + (s + t)).value, place)
        return []

    loop(e, I64(0), I64(e.lanes), rows, [], of_rows)
    merged = [Vector(e, builder.load(builder.gep(sums, [I64(r)]))) for r in range(e.lanes)]
    distance = e.lanes // 2
    while distance:
        merged = [_merge(e, merged[r], merged[r + distance], distance) for r in range(distance)]
        distance //= 2
    builder.ret(merged[0].value)
    return function


def _add_products(e: Emitter, a: Any, places: list[Any], K: Any, totals: list[Vector]) -> list[Vector]:
    """totals[r, j] += the products of a with row r, of the chunks whose number is j modulo CHUNKS."""
    rows, builder = len(places), e.builder

    def step(chunks: int) -> Callable[[Any, list[Vector]], list[Vector]]:
        def body(k: Any, totals: list[Vector]) -> list[Vector]:
            at = [builder.add(k, I64(j * e.lanes)) for j in range(chunks)]
            numbers = [e.load(e.at(a, k)) for k in at]
            totals = list(totals)
            for r in range(rows):
                for j in range(chunks):
                    totals[r * CHUNKS + j] = e.fma(e.load(e.at(places[r], at[j])), numbers[j], totals[r * CHUNKS + j])
            return totals

        return body

    def whole(entries: int) -> Any:  # K rounded down
        return builder.and_(K, I64(-entries))

    totals = loop(e, I64(0), whole(CHUNKS * e.lanes), CHUNKS * e.lanes, totals, step(CHUNKS))
    totals = loop(e, whole(CHUNKS * e.lanes), whole(e.lanes), e.lanes, totals, step(1))

    def tail(k: Any, totals: list[Vector]) -> list[Vector]:
        left = builder.and_(K, I64(e.lanes - 1))
        numbers = e.load_first(left, e.at(a, k))
        totals = list(totals)
        for r in range(rows):
            totals[r * CHUNKS] = e.fma(e.load_first(left, e.at(places[r], k)), numbers, totals[r * CHUNKS])
        return totals

    return loop(e, whole(e.lanes), K, e.lanes, totals, tail)


def _merge(e: Emitter, a: Vector, b: Vector, distance: int) -> Vector:
    """Lanes without the distance's bit: a's, with it: b's; each plus the one at that distance in its vector."""
    lanes = range(e.lanes)
    own = [k if not k & distance else e.lanes + k for k in lanes]
    other = [k ^ distance if not k & distance else e.lanes + (k ^ distance) for k in lanes]
    return _shuffle(e, a, b, own) + _shuffle(e, a, b, other)


def _shuffle(e: Emitter, a: Vector, b: Vector, lanes: list[int]) -> Vector:
    chosen = ir.Constant(ir.VectorType(I32, len(lanes)), lanes)
    return Vector(e, e.builder.shuffle_vector(a.value, b.value, chosen))


# ---- the cells -------------------------------------------------------------------------------------------------------


class _Block:
    """The units `unit` to unit + lanes - 1 of one row of the batch, in the making: arguments by name, and the product.

    Where fewer units are left than a vector has lanes, `n` says how many; nothing past them is read or written.
    """

    def __init__(self, context: Any, builder: Any, names: tuple[str, ...], signature: Any, arguments: Any) -> None:
        *arrays, row, unit = arguments
        kinds = dict(zip(names, signature.args, strict=False))
        views = {
            name: cgutils.create_struct_proxy(kind)(context, builder, value=value)
            for (name, kind), value in zip(kinds.items(), arrays, strict=True)
        }
        self.e = e = Emitter(builder, np.float32 if kinds["x"].dtype == types.float32 else np.float64)
        self.I = builder.extract_value(views["x"].shape, 1)
        self.H = builder.extract_value(views["h"].shape, 1)
        self.unit, self.data = unit, {name: view.data for name, view in views.items()}
        left = builder.sub(self.H, unit)
        self.n = builder.select(builder.icmp_signed("<", left, I64(e.lanes)), left, I64(e.lanes))
        self.x = e.at(self.data["x"], builder.mul(row, self.I))
        self.h = e.at(self.data["h"], builder.mul(row, self.H))
        self.state = builder.add(builder.mul(row, self.H), unit)

    def sums(self, gate: int, of_x: bool = True, of_h: bool = True) -> Vector:
        """W_ih x and W_hh h of this gate, added up, or one of them."""
        e, builder = self.e, self.e.builder
        row = builder.add(builder.mul(I64(gate), self.H), self.unit)
        W = e.at(self.data["W_ih"], builder.mul(row, self.I))
        V = e.at(self.data["W_hh"], builder.mul(row, self.H))
        I, H = self.I if of_x else I64(0), self.H if of_h else I64(0)
        function = sums_function(builder.module, e.dtype)
        return Vector(e, builder.call(function, [self.x, W, I, self.h, V, H, self.n]))

    def bias(self, name: str, gate: int) -> Vector:
        builder = self.e.builder
        at = builder.add(builder.mul(I64(gate), self.H), self.unit)
        return self.e.load_first(self.n, self.e.at(self.data[name], at))

    def load(self, name: str) -> Vector:
        return self.e.load_first(self.n, self.e.at(self.data[name], self.state))

    def store(self, vector: Vector, name: str) -> None:
        self.e.store_first(self.n, vector, self.e.at(self.data[name], self.state))


def _rnn_tanh(u: _Block) -> None:
    (h,) = activate(tanh(u.sums(0) + u.bias("b", 0)))
    u.store(h, "h_next")


def _rnn_relu(u: _Block) -> None:
    a = u.sums(0) + u.bias("b", 0)
    u.store(u.e.where(a < 0, u.e.splat(0.0), a), "h_next")  # in this form NaN stays NaN


def _lstm(u: _Block) -> None:
    i, f, g, o = (u.sums(gate) + u.bias("b", gate) for gate in range(4))
    i, f, g, o = activate(sigmoid(i), sigmoid(f), tanh(g), sigmoid(o))
    c = f * u.load("c") + i * g
    (tanh_c,) = activate(tanh(c))
    u.store(c, "c_next")
    u.store(o * tanh_c, "h_next")


def _gru(u: _Block) -> None:
    a_r, a_z = (u.sums(gate) + u.bias("b_ih", gate) + u.bias("b_hh", gate) for gate in range(2))
    r, z = activate(sigmoid(a_r), sigmoid(a_z))
    a_hn = u.sums(2, of_x=False) + u.bias("b_hh", 2)
    (n,) = activate(tanh(u.sums(2, of_h=False) + u.bias("b_ih", 2) + r * a_hn))
    u.store((1 - z) * n + z * u.load("h"), "h_next")


def _emitting(cell: Callable[[_Block], None], names: tuple[str, ...]) -> Any:
    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        cell(_Block(context, builder, names, signature, arguments))
        return context.get_dummy_value()

    return emit


# ---- as Numba sees them: arguments are types here ------------------------------------------------------------------

_RNN = ("x", "h", "W_ih", "W_hh", "b", "h_next")
_LSTM = ("x", "h", "c", "W_ih", "W_hh", "b", "h_next", "c_next")
_GRU = ("x", "h", "W_ih", "W_hh", "b_ih", "b_hh", "h_next")


@intrinsic
def _tanh_block(typing, x, h, W_ih, W_hh, b, h_next, row, unit):
    return types.void(x, h, W_ih, W_hh, b, h_next, row, unit), _emitting(_rnn_tanh, _RNN)


@intrinsic
def _relu_block(typing, x, h, W_ih, W_hh, b, h_next, row, unit):
    return types.void(x, h, W_ih, W_hh, b, h_next, row, unit), _emitting(_rnn_relu, _RNN)


@intrinsic
def _lstm_block(typing, x, h, c, W_ih, W_hh, b, h_next, c_next, row, unit):
    return types.void(x, h, c, W_ih, W_hh, b, h_next, c_next, row, unit), _emitting(_lstm, _LSTM)


@intrinsic
def _gru_block(typing, x, h, W_ih, W_hh, b_ih, b_hh, h_next, row, unit):
    return types.void(x, h, W_ih, W_hh, b_ih, b_hh, h_next, row, unit), _emitting(_gru, _GRU)


@intrinsic
def _lanes(typing, a):
    def emit(context, builder, signature, arguments):
        return I64(vectors.lanes(np.float32 if a.dtype == types.float32 else np.float64))

    return types.int64(a), emit


# ---- all units, and the units in parts -------------------------------------------------------------------------------
#
# A thread's part is a range of units, of every row: its weights stay in the cache of its core from step to step.


@compiled
def _part_of(x, H, part, parts):
    """The first unit of this part: a multiple of the lanes, or H."""
    blocks = (H + _lanes(x) - 1) // _lanes(x)
    return min(H, blocks * part // parts * _lanes(x))


@compiled
def rnn_units(x, h, W_ih, W_hh, b, h_next, relu, part, parts):
    H = h.shape[1]
    for unit in range(_part_of(x, H, part, parts), _part_of(x, H, part + 1, parts), _lanes(x)):
        for row in range(len(x)):
            if relu:
                _relu_block(x, h, W_ih, W_hh, b, h_next, row, unit)
            else:
                _tanh_block(x, h, W_ih, W_hh, b, h_next, row, unit)


@compiled
def lstm_units(x, h, c, W_ih, W_hh, b, h_next, c_next, part, parts):
    H = h.shape[1]
    for unit in range(_part_of(x, H, part, parts), _part_of(x, H, part + 1, parts), _lanes(x)):
        for row in range(len(x)):
            _lstm_block(x, h, c, W_ih, W_hh, b, h_next, c_next, row, unit)


@compiled
def gru_units(x, h, W_ih, W_hh, b_ih, b_hh, h_next, part, parts):
    H = h.shape[1]
    for unit in range(_part_of(x, H, part, parts), _part_of(x, H, part + 1, parts), _lanes(x)):
        for row in range(len(x)):
            _gru_block(x, h, W_ih, W_hh, b_ih, b_hh, h_next, row, unit)


@compiled_threads
def rnn_parts(x, h, W_ih, W_hh, b, h_next, relu, parts):
    for part in prange(parts):
        rnn_units(x, h, W_ih, W_hh, b, h_next, relu, part, parts)


@compiled_threads
def lstm_parts(x, h, c, W_ih, W_hh, b, h_next, c_next, parts):
    for part in prange(parts):
        lstm_units(x, h, c, W_ih, W_hh, b, h_next, c_next, part, parts)


@compiled_threads
def gru_parts(x, h, W_ih, W_hh, b_ih, b_hh, h_next, parts):
    for part in prange(parts):
        gru_units(x, h, W_ih, W_hh, b_ih, b_hh, h_next, part, parts)
