"""The inner loops of the packed kernels, as LLVM functions: a tile of a product, a transposition, and a copy.

They are emitted once into each module that needs them, and called from there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

from minirnn_kernels.cpu.emit.vectors import I32, I64, Emitter, Machine, Vector

# ---- a tile of a product ---------------------------------------------------------------------------------------------
#
#     c[r, :] (+)= sum over k of a[r, k] * panel[k, :]          for `rows` rows, some vectors wide
#
# The sums stay in registers over the whole of k: each step loads the vectors of one row of the panel, broadcasts one
# number for each row of a, and multiplies and adds each pair. With few rows the sums of consecutive k are kept apart,
# because a multiply-add takes four cycles until its result can be used, and these are what hides them.
#
# Beside the sums a step needs registers for what it uses more than once. It holds the numbers or the vectors, whichever
# are fewer, and takes the others one by one (`registers_beside`). LLVM keeps to the order in which this is written: a
# tile of four rows and three vectors takes all of 16 registers, and if it held its numbers, not its vectors, it would
# take 17, and go through the stack at every step.
#
# Of the tiles that fit 16 registers, the one of six rows and two vectors reads least: 88 bytes for 12 multiply-adds.
# Three rows and four vectors take 140, most of it from a panel that is twice as large: once that comes from the
# second-level cache, it is what the sums wait for.


STEPS = 4  # of k, that are written out where sums are not kept apart


def registers_beside(machine: Machine, rows: int, width: int) -> int:
    """Registers that a step takes beside the sums; without a fused multiply-add there is a product to keep, too."""
    return min(rows, width) + (1 if machine.fused else 2)


#
# Where a neighbour shares the core, a thread is given half of the instructions that the core can take up: three in a
# cycle, or 18 while 12 multiply-adds are done. So what is not a multiply-add, a load or a broadcast counts. Steps are
# written out four at a time; the rows of a come as pointers of their own, because LLVM, if it knew that they are
# equally far apart, would walk from one to the next by an addition for each.


def tile_function(module: Any, dtype: Any, rows: int, width: int, across: bool) -> Any:
    """The LLVM function (K, panel, c, c_stride, v_stride, add, ahead, a[0], ..., a[rows - 1]) for this many rows.

    c_stride is from one row of c to the next, v_stride between its vectors, in bytes. add is 1 to add to c, 0 to
    overwrite it. Memory from `ahead` on, one line for each k, is brought near, a later panel; none, if it is a null
    pointer. (Not on every machine: `Machine.prefetch`.) The entries of a row of a stand one after the other; or,
    `across`, they are a column of a panel of the machine's width, and a[r] is one number after a[r - 1]: only a[0] is
    given.
    """
    name = f"tile_{rows}x{width}{'_across' * across}"
    if known := module.globals.get(_name(dtype, name)):
        return known
    e, function = _function(module, dtype, name, "ippiiip" + "p" * (1 if across else rows))
    builder = e.builder
    K, panel, c, c_stride, v_stride, add, ahead, *a_rows = function.args
    if across:
        a_rows = [e.at(a_rows[0], r) for r in range(rows)]
    k_stride = e.machine.panel * e.lanes if across else 1

    c_rows = [e.beyond(c, builder.mul(c_stride, I64(r))) for r in range(rows)]
    places = [e.beyond(c_rows[r], builder.mul(v_stride, I64(v))) for r in range(rows) for v in range(width)]
    entry, loading, start = builder.block, function.append_basic_block("load"), function.append_basic_block("start")
    builder.cbranch(builder.icmp_signed("!=", add, I64(0)), loading, start)
    builder.position_at_end(loading)
    loaded = [e.load(place) for place in places]
    builder.branch(start)
    builder.position_at_end(start)
    zero = e.splat(0.0)
    sums = []
    for value in loaded:
        phi = builder.phi(e.type)
        phi.add_incoming(zero.value, entry)
        phi.add_incoming(value.value, loading)
        sums.append(Vector(e, phi))

    def step(k: Any, sums: list[Vector]) -> list[Vector]:
        line = e.at(panel, builder.mul(k, I64(width * e.lanes)))
        ak = builder.mul(k, I64(k_stride))
        vectors = (e.load(e.at(line, v * e.lanes)) for v in range(width))  # loaded where they are taken from here
        numbers = (e.broadcast(e.at(row, ak)) for row in a_rows)
        if rows < width:
            held = list(numbers)
            columns = [[e.fma(held[r], x, sums[r * width + v]) for r in range(rows)] for v, x in enumerate(vectors)]
            return [columns[v][r] for r in range(rows) for v in range(width)]
        held = list(vectors)
        return [e.fma(x, held[v], sums[r * width + v]) for r, x in enumerate(numbers) for v in range(width)]

    free = e.machine.registers - registers_beside(e.machine, rows, width)
    products = 0 if e.machine.fused else 1  # LLVM begins those of several steps at once
    apart = max(1, min(12 // (rows * min(width, 3)), free // (rows * width + products)))
    chains = [sums, *([zero] * len(sums) for _ in range(apart - 1))]
    n, at_once = len(sums), STEPS if apart == 1 and e.machine.fused else apart

    def steps(k: Any, flat: list[Vector]) -> list[Vector]:
        parts = [flat[j * n : (j + 1) * n] for j in range(apart)]
        if e.machine.prefetch:
            with builder.if_then(builder.icmp_signed("!=", builder.ptrtoint(ahead, I64), I64(0)), likely=False):
                for j in range(at_once):
                    e.prefetch(e.beyond(ahead, builder.mul(builder.add(k, I64(j)), I64(64))))
        for j in range(at_once):
            parts[j % apart] = step(builder.add(k, I64(j)), parts[j % apart])
        return [v for part in parts for v in part]

    whole = builder.sub(K, builder.srem(K, I64(at_once)))
    flat = loop(e, I64(0), whole, at_once, [v for chain in chains for v in chain], steps)
    sums = flat[:n]
    for j in range(1, apart):
        sums = [s + t for s, t in zip(sums, flat[j * n : (j + 1) * n], strict=True)]
    sums = loop(e, whole, K, 1, sums, step)
    for value, place in zip(sums, places, strict=True):
        e.store(value, place)
    builder.ret_void()
    return function


def _name(dtype: Any, name: str) -> str:
    return f"minirnn_{name}_{np.dtype(dtype).name}"


def _function(module: Any, dtype: Any, name: str, arguments: str) -> tuple[Emitter, Any]:
    """A new LLVM function without a result, one copy in a program; p is a pointer to dtype, i an integer."""
    scalar = ir.FloatType() if np.dtype(dtype) == np.float32 else ir.DoubleType()
    kinds = {"p": scalar.as_pointer(), "i": I64}
    type_ = ir.FunctionType(ir.VoidType(), [kinds[a] for a in arguments])
    function = ir.Function(module, type_, _name(dtype, name))
    function.linkage = "linkonce_odr"
    function.attributes.add("noinline")
    return Emitter(ir.IRBuilder(function.append_basic_block("entry")), dtype), function


def loop(
    e: Emitter,
    first: Any,
    last: Any,
    by: int,
    values: list[Vector],
    body: Callable[[Any, list[Vector]], list[Vector]],
) -> list[Vector]:
    """for k in range(first, last, by): values = body(k, values). -> values"""
    builder = e.builder
    function = builder.function
    before = builder.block
    head = function.append_basic_block("head")
    inside = function.append_basic_block("body")
    after = function.append_basic_block("after")
    builder.branch(head)
    builder.position_at_end(head)
    k = builder.phi(I64)
    k.add_incoming(first, before)
    phis = [builder.phi(e.type) for _ in values]
    for phi, value in zip(phis, values, strict=True):
        phi.add_incoming(value.value, before)
    builder.cbranch(builder.icmp_signed("<", k, last), inside, after)
    builder.position_at_end(inside)
    results = body(k, [Vector(e, phi) for phi in phis])
    k.add_incoming(builder.add(k, I64(by)), builder.block)
    for phi, value in zip(phis, results, strict=True):
        phi.add_incoming(value.value, builder.block)
    builder.branch(head)
    builder.position_at_end(after)
    return [Vector(e, phi) for phi in phis]


# ---- a transposition -------------------------------------------------------------------------------------------------
#
# Packing the weights for the forward pass turns rows into columns. A square of as many rows as a vector has lanes is
# transposed in registers: in the stage of distance d, rows r and r + d exchange the entries whose d-bit differs.


def transpose_function(module: Any, dtype: Any) -> Any:
    """The LLVM function (a, a_stride, c, c_stride): c[k, r] = a[r, k] for a square of lanes * lanes entries.

    Strides are in bytes, from one row to the next.
    """
    if known := module.globals.get(_name(dtype, "transpose")):
        return known
    e, function = _function(module, dtype, "transpose", "pipi")
    a, a_stride, c, c_stride = function.args
    n = e.lanes
    rows = [e.load(e.beyond(a, e.builder.mul(a_stride, I64(r)))) for r in range(n)]
    d = n // 2
    while d:
        low = [k if not k & d else n + (k ^ d) for k in range(n)]  # of rows r and r + d: the entries without the bit
        high = [k | d if not k & d else n + k for k in range(n)]
        for r in range(n):
            if not r & d:
                rows[r], rows[r + d] = _shuffle(e, rows[r], rows[r + d], low), _shuffle(e, rows[r], rows[r + d], high)
        d //= 2
    for k in range(n):
        e.store(rows[k], e.beyond(c, e.builder.mul(c_stride, I64(k))))
    e.builder.ret_void()
    return function


def _shuffle(e: Emitter, a: Vector, b: Vector, lanes: list[int]) -> Vector:
    chosen = ir.Constant(ir.VectorType(I32, len(lanes)), lanes)
    return Vector(e, e.builder.shuffle_vector(a.value, b.value, chosen))


# ---- copying rows ----------------------------------------------------------------------------------------------------


def panel_function(module: Any, dtype: Any) -> Any:
    """The LLVM function (a, a_stride, n, panel, sums): a panel's vectors of n rows, one row after the other.

    The sum of all rows is added to `sums`. a_stride is in bytes.
    """
    if known := module.globals.get(_name(dtype, "panel")):
        return known
    e, function = _function(module, dtype, "panel", "piipp")
    a, a_stride, n, panel, sums = function.args
    builder, width = e.builder, e.machine.panel

    def step(k: Any, totals: list[Vector]) -> list[Vector]:
        row = e.beyond(a, builder.mul(k, a_stride))
        to = e.at(panel, builder.mul(k, I64(width * e.lanes)))
        vectors = [e.load(e.at(row, v * e.lanes)) for v in range(width)]
        for v, vector in enumerate(vectors):
            e.store(vector, e.at(to, v * e.lanes))
        return [total + vector for total, vector in zip(totals, vectors, strict=True)]

    places = [e.at(sums, v * e.lanes) for v in range(width)]
    for total, place in zip(loop(e, I64(0), n, 1, [e.load(p) for p in places], step), places, strict=True):
        e.store(total, place)
    builder.ret_void()
    return function
