"""The inner loops of the packed kernels, as LLVM functions: a tile of a product, a transposition, and a copy."""

from typing import Any

from minirnn_kernels.cpu.emit.functions import function, loop
from minirnn_kernels.cpu.emit.vectors import I64, Emitter, Machine, Vector

# ---- a tile of a product ---------------------------------------------------------------------------------------------
#
#     c[r, :] (+)= sum over k of a[r, k] * panel[k, :]          for `rows` rows, `width` vectors wide
#
# The sums stay in registers over the whole of k: each step loads the vectors of one row of the panel, broadcasts one
# number for each row of a, and multiplies and adds each pair. With few rows, the sums of consecutive k are kept in
# separate registers (chains): a multiply-add takes four cycles until its result can be used, and independent sums hide
# that latency.
#
# In addition to the sums, a step needs registers for the values that it uses more than once. It holds the numbers or
# the vectors, whichever are fewer, and loads the others one by one (`extra_registers`). LLVM keeps the order in which
# this is emitted: a tile of four rows and three vectors takes all of 16 registers; if it held its numbers instead of
# its vectors, it would take 17 and spill to the stack at every step.
#
# Of the tiles that fit 16 registers, the one of six rows and two vectors reads least: 88 bytes for 12 multiply-adds.
# Three rows and four vectors read 140, most of it from a panel that is twice as large; once the panel comes from the L2
# cache, the sums wait for it.
#
# If two hardware threads share a core, each gets half of the instructions that the core can issue: three per cycle, or
# 18 during 12 multiply-adds. So instructions other than multiply-adds, loads and broadcasts cost time. Steps are
# unrolled four times. The rows of a are given as separate pointers, because LLVM, if it knew their common distance,
# would compute each pointer from the one before with an extra addition.

UNROLLED_STEPS = 4  # steps of k in the body of the loop, if sums are not kept in chains


def extra_registers(machine: Machine, rows: int, width: int) -> int:
    """Return how many registers a step takes besides the sums; unfused multiply-adds need one for the product."""
    return min(rows, width) + (1 if machine.fused else 2)


def tile_function(module: Any, dtype: Any, rows: int, width: int, across: bool) -> Any:
    """Return the LLVM function (K, panel, c, c_stride, v_stride, add, ahead, a[0], ..., a[rows - 1]).

    K                   terms of each sum
    panel               K rows of `width` vectors, contiguous
    c                   the first entry of the result; its rows are c_stride bytes apart, its vectors v_stride bytes
    add                 1 to add to c, 0 to overwrite it
    ahead               the memory to prefetch, one cache line for each k, or a null pointer; see `Machine.prefetch`
    a[r]                row r of the left side, contiguous. With `across`, the rows of the left side are neighbouring
                        columns of a panel of the machine's width; then only a[0] is passed
    """

    def body(
        e: Emitter, K: Any, panel: Any, c: Any, c_stride: Any, v_stride: Any, add: Any, ahead: Any, *a: Any
    ) -> None:
        builder = e.builder
        c_rows = [e.beyond(c, builder.mul(c_stride, I64(r))) for r in range(rows)]
        places = [e.beyond(c_rows[r], builder.mul(v_stride, I64(v))) for r in range(rows) for v in range(width)]
        a_rows = [e.at(a[0], r) for r in range(rows)] if across else list(a)
        a_stride = e.machine.panel * e.lanes if across else 1

        def step(k: Any, sums: list[Vector]) -> list[Vector]:
            line = e.at(panel, builder.mul(k, I64(width * e.lanes)))
            return _tile_step(e, line, a_rows, builder.mul(k, I64(a_stride)), width, sums)

        sums = _tile_sums(e, K, ahead, rows, width, _initial_sums(e, add, places), step)
        for value, place in zip(sums, places, strict=True):
            e.store(value, place)

    arguments = "ippiiip" + "p" * (1 if across else rows)
    return function(module, dtype, f"tile_{rows}x{width}{'_across' * across}", arguments, body)


def _initial_sums(e: Emitter, add: Any, places: list[Any]) -> list[Vector]:
    """Emit the loads of c if `add` is 1, and return c or zeros."""
    builder, entry = e.builder, e.builder.block
    loading, start = (builder.function.append_basic_block(name) for name in ("load", "start"))
    builder.cbranch(builder.icmp_signed("!=", add, I64(0)), loading, start)
    builder.position_at_end(loading)
    loaded = [e.load(place) for place in places]
    builder.branch(start)
    builder.position_at_end(start)
    zero = e.splat(0.0)
    return [e.choose((zero, entry), (value, loading)) for value in loaded]


def _tile_step(e: Emitter, line: Any, a_rows: list[Any], ak: Any, width: int, sums: list[Vector]) -> list[Vector]:
    """Emit sums[r, v] += a[r, k] * panel[k, v] for one k; `line` is row k of the panel, `ak` the offset of k in a."""
    rows = len(a_rows)
    vectors = (e.load(e.at(line, v * e.lanes)) for v in range(width))  # generators: loaded where they are used
    numbers = (e.broadcast(e.at(row, ak)) for row in a_rows)
    if rows < width:
        held = list(numbers)
        columns = [[e.fma(held[r], x, sums[r * width + v]) for r in range(rows)] for v, x in enumerate(vectors)]
        return [columns[v][r] for r in range(rows) for v in range(width)]
    held = list(vectors)
    return [e.fma(x, held[v], sums[r * width + v]) for r, x in enumerate(numbers) for v in range(width)]


def _tile_sums(e: Emitter, K: Any, ahead: Any, rows: int, width: int, sums: list[Vector], step: Any) -> list[Vector]:
    """Emit the loop over k: steps unrolled or in separate chains of sums, then the remaining steps one by one."""
    builder, n = e.builder, len(sums)
    free = e.machine.registers - extra_registers(e.machine, rows, width)
    products = 0 if e.machine.fused else 1  # LLVM begins the products of several steps at once
    chains = max(1, min(12 // (rows * min(width, 3)), free // (n + products)))
    at_once = UNROLLED_STEPS if chains == 1 and e.machine.fused else chains

    def steps(k: Any, flat: list[Vector]) -> list[Vector]:
        parts = [flat[j * n : (j + 1) * n] for j in range(chains)]
        if e.machine.prefetch:
            with builder.if_then(builder.icmp_signed("!=", builder.ptrtoint(ahead, I64), I64(0)), likely=False):
                for j in range(at_once):
                    e.prefetch(e.beyond(ahead, builder.mul(builder.add(k, I64(j)), I64(64))))
        for j in range(at_once):
            parts[j % chains] = step(builder.add(k, I64(j)), parts[j % chains])
        return [v for part in parts for v in part]

    whole = builder.sub(K, builder.srem(K, I64(at_once)))
    flat = loop(e, I64(0), whole, at_once, sums + [e.splat(0.0)] * (n * (chains - 1)), steps)
    sums = flat[:n]
    for j in range(1, chains):
        sums = [s + t for s, t in zip(sums, flat[j * n : (j + 1) * n], strict=True)]
    return loop(e, whole, K, 1, sums, step)


# ---- a transposition -------------------------------------------------------------------------------------------------
#
# Packing the weights for the forward pass turns rows into columns. A square with as many rows as a vector has lanes is
# transposed in registers: in the stage of distance d, rows r and r + d exchange the entries whose d-bit differs.


def transpose_function(module: Any, dtype: Any) -> Any:
    """Return the LLVM function (a, a_stride, c, c_stride): c[k, r] = a[r, k] for a square of lanes * lanes entries.

    Strides are in bytes, from one row to the next.
    """

    def body(e: Emitter, a: Any, a_stride: Any, c: Any, c_stride: Any) -> None:
        n = e.lanes
        rows = [e.load(e.beyond(a, e.builder.mul(a_stride, I64(r)))) for r in range(n)]
        d = n // 2
        while d:
            low = [k if not k & d else n + (k ^ d) for k in range(n)]  # entries of rows r and r + d without the bit
            high = [k | d if not k & d else n + k for k in range(n)]  # entries with the bit
            for r in range(n):
                if not r & d:
                    rows[r], rows[r + d] = (e.shuffle(rows[r], rows[r + d], chosen) for chosen in (low, high))
            d //= 2
        for k in range(n):
            e.store(rows[k], e.beyond(c, e.builder.mul(c_stride, I64(k))))

    return function(module, dtype, "transpose", "pipi", body)


# ---- copying rows ----------------------------------------------------------------------------------------------------


def panel_function(module: Any, dtype: Any) -> Any:
    """Return the LLVM function (a, a_stride, n, panel, sums), which copies n rows of a into a contiguous panel.

    A row of the panel is as wide as the machine's panels. The sum of all rows is added to `sums`. a_stride is in bytes.
    """

    def body(e: Emitter, a: Any, a_stride: Any, n: Any, panel: Any, sums: Any) -> None:
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

    return function(module, dtype, "panel", "piipp", body)
