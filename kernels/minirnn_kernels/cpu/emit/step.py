"""One step of a cell for a vector of hidden units, as intrinsics for the loops of `cpu/steps.py`.

With few rows in the batch, a step multiplies matrices by vectors. Each weight is used once per row, so packing the
weights, as the kernels for sequences do, gains nothing: they are read directly from the rows of W, and a changed weight
takes effect at the next step.

For as many units as a vector has lanes, a step

1. computes the product: row r of W times x is summed in vectors along the row, which gives one vector for each lane;
2. merges these vectors in pairs until one is left, whose lane r is the sum of all lanes of vector r;
3. does the same for the rows of the other gates, and then applies the equations of `emit/gates.py`.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minirnn_kernels.cpu.emit import gates, vectors
from minirnn_kernels.cpu.emit.functions import function, loop
from minirnn_kernels.cpu.emit.intrinsics import dtype_of
from minirnn_kernels.cpu.emit.vectors import I64, Emitter, Vector, scalar_type

# ---- the products ----------------------------------------------------------------------------------------------------
#
# Four rows of W at a time, and four vectors of each: sixteen independent sums: no multiply-add waits for another.

ROWS, CHUNKS = 4, 4


def sums_function(module: Any, dtype: Any) -> Any:
    """Return the LLVM function (x, W, I, h, V, H, n) -> a vector: lane r is the sum of W[r] * x and of V[r] * h.

    W (n, I) and V (n, H) are contiguous. If n is less than the number of lanes, the last row is repeated.
    """

    def body(e: Emitter, x: Any, W: Any, I: Any, h: Any, V: Any, H: Any, n: Any) -> Vector:
        builder, rows = e.builder, min(ROWS, e.lanes)
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
        return merged[0]

    returns = ir.VectorType(scalar_type(dtype), vectors.lanes(dtype))
    return function(module, dtype, "sums", "ppippii", body, returns)


def _add_products(e: Emitter, a: Any, places: list[Any], K: Any, totals: list[Vector]) -> list[Vector]:
    """Emit totals[r, j] += the products of a with row r, for the vectors whose number is j modulo CHUNKS."""
    builder = e.builder

    def step(chunks: int, load: Callable[[Any, Any], Vector]) -> Callable[[Any, list[Vector]], list[Vector]]:
        """Return the body of a loop over k that takes this many vectors, each with `load(pointer, k)`."""

        def body(k: Any, totals: list[Vector]) -> list[Vector]:
            at = [builder.add(k, I64(j * e.lanes)) for j in range(chunks)]
            numbers = [load(a, k) for k in at]
            totals = list(totals)
            for r, row in enumerate(places):
                for j in range(chunks):
                    totals[r * CHUNKS + j] = e.fma(load(row, at[j]), numbers[j], totals[r * CHUNKS + j])
            return totals

        return body

    def whole(pointer: Any, k: Any) -> Vector:
        return e.load(e.at(pointer, k))

    def rest(pointer: Any, k: Any) -> Vector:
        return e.load_first(builder.and_(K, I64(e.lanes - 1)), e.at(pointer, k))

    in_chunks, in_vectors = (builder.and_(K, I64(-entries)) for entries in (CHUNKS * e.lanes, e.lanes))  # rounded down
    totals = loop(e, I64(0), in_chunks, CHUNKS * e.lanes, totals, step(CHUNKS, whole))
    totals = loop(e, in_chunks, in_vectors, e.lanes, totals, step(1, whole))
    return loop(e, in_vectors, K, e.lanes, totals, step(1, rest))


def _merge(e: Emitter, a: Vector, b: Vector, distance: int) -> Vector:
    """Return a vector of sums of two lanes `distance` apart: of a where the lane's distance-bit is 0, of b where 1."""
    lanes = range(e.lanes)
    own = [k if not k & distance else e.lanes + k for k in lanes]
    other = [k ^ distance if not k & distance else e.lanes + (k ^ distance) for k in lanes]
    return e.shuffle(a, b, own) + e.shuffle(a, b, other)


# ---- the cells -------------------------------------------------------------------------------------------------------


class _Block:
    """The units `unit` to unit + lanes - 1 of one row of the batch: access to the arrays by name, and the products.

    At the end of a row, fewer units are left than a vector has lanes; `n` is their number, and no memory after them is
    read or written.
    """

    def __init__(self, context: Any, builder: Any, names: tuple[str, ...], kinds: tuple[Any, ...], values: Any) -> None:
        *arrays, row, unit = values
        views = {
            name: cgutils.create_struct_proxy(kind)(context, builder, value=value)
            for name, kind, value in zip(names, kinds, arrays, strict=True)
        }
        self.e = e = Emitter(builder, dtype_of(kinds[0]))
        self.I = builder.extract_value(views["x"].shape, 1)
        self.H = builder.extract_value(views["h"].shape, 1)
        self.unit, self.data = unit, {name: view.data for name, view in views.items()}
        left = builder.sub(self.H, unit)
        self.n = builder.select(builder.icmp_signed("<", left, I64(e.lanes)), left, I64(e.lanes))
        self.x = e.at(self.data["x"], builder.mul(row, self.I))
        self.h = e.at(self.data["h"], builder.mul(row, self.H))
        self.state = builder.add(builder.mul(row, self.H), unit)

    def sums(self, gate: int, of_x: bool = True, of_h: bool = True) -> Vector:
        """Return W_ih x + W_hh h of this gate, or one of the two terms."""
        e, builder = self.e, self.e.builder
        row = builder.add(builder.mul(I64(gate), self.H), self.unit)
        W = e.at(self.data["W_ih"], builder.mul(row, self.I))
        V = e.at(self.data["W_hh"], builder.mul(row, self.H))
        I, H = self.I if of_x else I64(0), self.H if of_h else I64(0)
        return Vector(e, builder.call(sums_function(builder.module, e.dtype), [self.x, W, I, self.h, V, H, self.n]))

    def bias(self, name: str, gate: int) -> Vector:
        """Return the biases of this gate."""
        at = self.e.builder.add(self.e.builder.mul(I64(gate), self.H), self.unit)
        return self.e.load_first(self.n, self.e.at(self.data[name], at))

    def load(self, name: str) -> Vector:
        """Return the entries of a state."""
        return self.e.load_first(self.n, self.e.at(self.data[name], self.state))

    def store(self, name: str, vector: Vector) -> None:
        """Store the entries of a new state."""
        self.e.store_first(self.n, vector, self.e.at(self.data[name], self.state))


def _tanh(u: _Block) -> None:
    u.store("h_next", *gates.rnn_tanh(u.sums(0), u.bias("b", 0)))


def _relu(u: _Block) -> None:
    u.store("h_next", *gates.rnn_relu(u.sums(0), u.bias("b", 0)))


def _lstm(u: _Block) -> None:
    a_i, a_f, a_g, a_o = (u.sums(gate) for gate in range(4))
    b_i, b_f, b_g, b_o = (u.bias("b", gate) for gate in range(4))
    *_, o, c = gates.lstm_cell(a_i, a_f, a_g, a_o, b_i, b_f, b_g, b_o, u.load("c"))
    u.store("c_next", c)
    u.store("h_next", *gates.lstm_output(o, c))


def _gru(u: _Block) -> None:
    a_r, a_z = (u.sums(gate) + u.bias("b_ih", gate) for gate in range(2))
    r, z = gates.gru_gates(a_r, a_z, u.bias("b_hh", 0), u.bias("b_hh", 1))
    q, a_n = u.sums(2, of_x=False), u.sums(2, of_h=False)
    *_, h = gates.gru_output(a_n, r, z, q, u.bias("b_ih", 2), u.bias("b_hh", 2), u.load("h"))
    u.store("h_next", h)


# ---- as Numba sees them: arguments are types here ------------------------------------------------------------------


def _block(cell: Callable[[_Block], None], **kinds: Any) -> Any:
    """Return the intrinsic of one cell for arrays of these Numba types, followed by the row and the first unit."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        cell(_Block(context, builder, tuple(kinds), tuple(kinds.values()), values))
        return context.get_dummy_value()

    return types.void(*kinds.values(), types.int64, types.int64), emit


@intrinsic
def tanh_block(typing, x, h, W_ih, W_hh, b, h_next, row, unit):
    """Compute a vector of an RNN's h_next, with tanh."""
    return _block(_tanh, x=x, h=h, W_ih=W_ih, W_hh=W_hh, b=b, h_next=h_next)


@intrinsic
def relu_block(typing, x, h, W_ih, W_hh, b, h_next, row, unit):
    """Compute a vector of an RNN's h_next, with relu."""
    return _block(_relu, x=x, h=h, W_ih=W_ih, W_hh=W_hh, b=b, h_next=h_next)


@intrinsic
def lstm_block(typing, x, h, c, W_ih, W_hh, b, h_next, c_next, row, unit):
    """Compute a vector of an LSTM's h_next and c_next."""
    return _block(_lstm, x=x, h=h, c=c, W_ih=W_ih, W_hh=W_hh, b=b, h_next=h_next, c_next=c_next)


@intrinsic
def gru_block(typing, x, h, W_ih, W_hh, b_ih, b_hh, h_next, row, unit):
    """Compute a vector of a GRU's h_next."""
    return _block(_gru, x=x, h=h, W_ih=W_ih, W_hh=W_hh, b_ih=b_ih, b_hh=b_hh, h_next=h_next)
