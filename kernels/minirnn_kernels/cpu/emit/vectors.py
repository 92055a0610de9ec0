"""Vectors of a CPU's full width, written as LLVM's intermediate representation: the words of the Numba kernels.

Numba compiles Python loops, but it has no vector type: whether a loop becomes vector instructions is LLVM's guess, and
for the inner loop of a product, or for an exponential, it guesses badly. Here the vectors are explicit. `Vector` has
Python's operators, each of which emits one instruction, so that the equations below read as they do in `gates.py`:

    c = f * c_prev + i * g
    h = o * tanh(c)

Nothing in this file runs at a kernel's run time: it is run once by the compiler, through the intrinsics of
`cpu/emit/intrinsics.py`.

How wide vectors are, how many registers hold them, how many rows a product's tile has, and whether multiply and add are
one instruction is read from the CPU (`Machine`).
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from llvmlite import binding, ir

I1, I32, I64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)


@dataclass(frozen=True)
class Machine:
    """What the kernels have to know of a CPU."""

    name: str
    vector_bytes: int
    registers: int  # for vectors
    panel: int  # vectors in a row of a product's panel
    rows: dict[
        int, int
    ]  # of a product's tile, for each number of vectors in a row of it; `cpu/emit/tiles.py` says what fits
    prefetch: bool  # a tile asks for the memory of a later panel; a CPU that sees it coming only loses time by that
    fused: bool  # multiply and add in one instruction; where there is none, llvm.fma would be a slow library call


def machine_of(features: dict[str, bool], architecture: str) -> Machine:
    """The machine with these CPU features, of an architecture as in LLVM's triples."""
    if architecture.startswith(("aarch64", "arm64")):
        return Machine("NEON", 16, 32, 4, {3: 6, 4: 6}, True, True)
    fused = bool(features.get("fma"))
    if features.get("avx512f"):
        return Machine("AVX-512", 64, 32, 4, {3: 6, 4: 6}, True, fused)
    if features.get("avx2"):
        return Machine("AVX2", 32, 16, 2, {2: 6, 3: 4}, False, fused)
    return Machine("generic", 16, 16, 2, {2: 6, 3: 3}, False, False)


@cache
def machine() -> Machine:
    """The machine that runs this process."""
    return machine_of(dict(binding.get_host_cpu_features()), binding.get_process_triple())


def lanes(dtype: Any) -> int:
    """Numbers of `dtype` in a vector of this machine."""
    return machine().vector_bytes // int(np.dtype(dtype).itemsize)


class Emitter:
    """An IR builder together with the dtype of its vectors."""

    def __init__(self, builder: Any, dtype: Any) -> None:
        self.builder = builder
        self.machine = machine()
        self.dtype = np.dtype(dtype)
        self.scalar = ir.FloatType() if self.dtype == np.float32 else ir.DoubleType()
        self.integer = I32 if self.dtype == np.float32 else I64
        self.lanes = lanes(dtype)
        self.suffix = f"v{self.lanes}f{8 * self.dtype.itemsize}"
        self.type = ir.VectorType(self.scalar, self.lanes)
        self.integers = ir.VectorType(self.integer, self.lanes)

    # ---- memory: pointers are typed; a vector may stand at any multiple of its entries' size

    def at(self, pointer: Any, index: Any) -> Any:
        """pointer + index, in entries."""
        return self.builder.gep(pointer, [index if isinstance(index, ir.Value) else I64(index)])

    def beyond(self, pointer: Any, offset: Any) -> Any:
        """pointer + offset, in bytes."""
        byte = ir.IntType(8).as_pointer()
        moved = self.builder.gep(self.builder.bitcast(pointer, byte), [offset])
        return self.builder.bitcast(moved, pointer.type)

    def prefetch(self, pointer: Any) -> None:
        """Bring the line at `pointer` into the second-level cache; an address that is no memory is ignored."""
        place = self.builder.bitcast(pointer, ir.IntType(8).as_pointer())
        self._call("prefetch", "p0", ir.VoidType(), [place, I32(0), I32(2), I32(1)])

    def _as_vector(self, pointer: Any) -> Any:
        return self.builder.bitcast(pointer, self.type.as_pointer())

    def load(self, pointer: Any) -> Vector:
        """`lanes` entries from `pointer` on."""
        value = self.builder.load(self._as_vector(pointer), align=self.dtype.itemsize)
        return Vector(self, value)

    def store(self, vector: Vector, pointer: Any) -> None:
        """To `lanes` entries from `pointer` on."""
        self.builder.store(vector.value, self._as_vector(pointer), align=self.dtype.itemsize)

    def load_first(self, n: Any, pointer: Any) -> Vector:
        """The first n entries from `pointer` on, zeros in the other lanes; nothing behind them is touched."""
        whole = self.is_whole(n)
        with self.builder.if_else(whole) as (then, otherwise):
            with then:
                full = self.load(pointer)
                full_block = self.builder.block
            with otherwise:
                arguments = [self._as_vector(pointer), I32(self.dtype.itemsize), self.mask(n), self.splat(0.0).value]
                part = self._call("masked.load", f"{self.suffix}.p0", self.type, arguments)
                part_block = self.builder.block
        phi = self.builder.phi(self.type)
        phi.add_incoming(full.value, full_block)
        phi.add_incoming(part, part_block)
        return Vector(self, phi)

    def store_first(self, n: Any, vector: Vector, pointer: Any) -> None:
        """The first n lanes to `pointer`; nothing behind them is touched."""
        with self.builder.if_else(self.is_whole(n)) as (then, otherwise):
            with then:
                self.store(vector, pointer)
            with otherwise:
                arguments = [vector.value, self._as_vector(pointer), I32(self.dtype.itemsize), self.mask(n)]
                self._call("masked.store", f"{self.suffix}.p0", ir.VoidType(), arguments)

    def is_whole(self, n: Any) -> Any:
        """Whether n fills a vector."""
        return self.builder.icmp_signed(">=", n, I64(self.lanes))

    def mask(self, n: Any) -> Any:
        """A vector of bits, set in the first n lanes."""
        each = ir.VectorType(I64, self.lanes)
        ns = self.builder.insert_element(ir.Constant(each, ir.Undefined), n, I32(0))
        ns = self.builder.shuffle_vector(
            ns, ir.Constant(each, ir.Undefined), ir.Constant(ir.VectorType(I32, self.lanes), [0] * self.lanes)
        )
        return self.builder.icmp_signed("<", ir.Constant(each, list(range(self.lanes))), ns)

    # ---- values

    def splat(self, number: float) -> Vector:
        """The same number in each lane."""
        number = float(self.dtype.type(number))
        return Vector(self, ir.Constant(self.type, [self.scalar(number)] * self.lanes))

    def broadcast(self, pointer: Any) -> Vector:
        """The one entry at `pointer` in each lane."""
        number = self.builder.load(pointer, align=self.dtype.itemsize)
        undefined = ir.Constant(self.type, ir.Undefined)
        one = self.builder.insert_element(undefined, number, I32(0))
        zeros = ir.Constant(ir.VectorType(I32, self.lanes), [0] * self.lanes)
        return Vector(self, self.builder.shuffle_vector(one, undefined, zeros))

    def fma(self, a: Vector, b: Any, c: Any) -> Vector:
        """a * b + c, rounded once where the machine can."""
        factor, term = a.of(b), a.of(c)
        if not self.machine.fused:
            return a * factor + term
        return Vector(self, self._call("fma", self.suffix, self.type, [a.value, factor.value, term.value]))

    def where(self, condition: Any, a: Vector, b: Vector) -> Vector:
        return Vector(self, self.builder.select(condition, a.value, b.value))

    def _call(self, intrinsic: str, suffix: str, result: Any, arguments: list[Any]) -> Any:
        function = ir.FunctionType(result, [a.type for a in arguments])
        name = f"llvm.{intrinsic}.{suffix}"
        module = self.builder.module
        declared = module.globals.get(name) or ir.Function(module, function, name)
        return self.builder.call(declared, arguments)

    def bits(self, a: Vector) -> Any:
        return self.builder.bitcast(a.value, self.integers)

    def from_bits(self, bits: Any) -> Vector:
        return Vector(self, self.builder.bitcast(bits, self.type))

    def integer_splat(self, number: int) -> Any:
        return ir.Constant(self.integers, [number] * self.lanes)


class Vector:
    """A vector of floats; its operators emit instructions. Numbers stand for vectors of that number."""

    def __init__(self, emitter: Emitter, value: Any) -> None:
        self.emitter = emitter
        self.value = value

    def of(self, other: Any) -> Vector:
        return other if isinstance(other, Vector) else self.emitter.splat(other)

    def __add__(self, other: Any) -> Vector:
        return Vector(self.emitter, self.emitter.builder.fadd(self.value, self.of(other).value))

    def __sub__(self, other: Any) -> Vector:
        return Vector(self.emitter, self.emitter.builder.fsub(self.value, self.of(other).value))

    def __mul__(self, other: Any) -> Vector:
        return Vector(self.emitter, self.emitter.builder.fmul(self.value, self.of(other).value))

    def __truediv__(self, other: Any) -> Vector:
        return Vector(self.emitter, self.emitter.builder.fdiv(self.value, self.of(other).value))

    def __rsub__(self, other: Any) -> Vector:
        return self.of(other) - self

    def __rtruediv__(self, other: Any) -> Vector:
        return self.of(other) / self

    def __neg__(self) -> Vector:
        return Vector(self.emitter, self.emitter.builder.fneg(self.value))

    def __lt__(self, other: Any) -> Any:  # false where either is NaN
        return self.emitter.builder.fcmp_ordered("<", self.value, self.of(other).value)

    def __le__(self, other: Any) -> Any:
        return self.emitter.builder.fcmp_ordered("<=", self.value, self.of(other).value)

    def __gt__(self, other: Any) -> Any:
        return self.emitter.builder.fcmp_ordered(">", self.value, self.of(other).value)


# ---- the exponential, the sigmoid and tanh ---------------------------------------------------------------------------
#
# e^x = 2^n e^r with n the integer nearest to x / ln 2, and so |r| <= ln(2) / 2. Adding 1.5 * 2^23 (2^52 in float64) to
# x / ln 2 rounds it to an integer, and leaves n in the lowest bits of the sum, from where a shift brings it into the
# exponent of 2^n. r = x - n ln 2 is exact enough only with ln 2 in two parts, the first with so few bits that n times
# it is exact. e^r - 1 = r + r^2 q(r) has no constant term, and so is accurate for small r, where e^r loses every digit.
#
# q is a polynomial that meets (e^r - 1 - r) / r^2 at Chebyshev's points, which brings it within a fifth of a rounding
# of e^r; the Taylor series takes one coefficient more for that, in float64 two.
#
#     sigmoid(x) = 1 / (1 + e^-x)                            e^-x may overflow: 1 / infinity = 0 is right
#     tanh(x)    = sign(x) * em1 / (em1 + 2)                 em1 = e^(2|x|) - 1 = 2^n (e^r - 1) + (2^n - 1)
#
# Arguments are clamped to where the result no longer changes, by comparisons that a NaN fails and so passes unharmed.
#
# An activation is some twenty instructions, each of which waits for the one before; a CPU could do a dozen in that
# time, but it only looks ahead by the length of two or three activations. So they are written in step: the first
# instruction of all of them, then the second. `sigmoid` and `tanh` are coroutines: they ask for an exponential, and
# `activate` gives all of them theirs. Within one, the terms of q are summed in pairs, (c0 + c1 r) + r^2 ((c2 + c3 r) +
# ...), which don't wait for each other.

Activation = Generator["Vector", tuple["Vector", "Vector"], "Vector"]

SERIES = {
    "float32": (0.5, 0.1666657702559799, 0.041666554662050534, 0.008363173074513711, 0.001392617611993558),
    "float64": (
        0.5000000000000001,
        0.16666666666666669,
        0.041666666666624164,
        0.008333333333330065,
        0.0013888888917196719,
        0.00019841269863040545,
        2.4801521322368692e-05,
        2.7557268480310024e-06,
        2.7620075879983367e-07,
        2.5100375832561234e-08,
    ),
}


def activate(*asked: Activation) -> tuple[Vector, ...]:
    """activate(sigmoid(x), tanh(y)) -> their values, computed in step."""
    exponentials = _exponentials([next(one) for one in asked])
    return tuple(_result(one, exponential) for one, exponential in zip(asked, exponentials, strict=True))


def _result(one: Activation, exponential: tuple[Vector, Vector]) -> Vector:
    try:
        one.send(exponential)
    except StopIteration as end:
        return end.value
    raise AssertionError("an activation asks for one exponential")


def _exponentials(xs: list[Vector]) -> Iterable[tuple[Vector, Vector]]:
    """2^n and e^r - 1 for each, which has to lie between -87 and 88.8 (float32), -708 and 709.8 (float64)."""
    e = xs[0].emitter
    single = e.dtype == np.float32
    mantissa, bias = (23, 127) if single else (52, 1023)
    magic = 1.5 * 2.0**mantissa
    high, low = (0.693359375, -2.12194440e-4) if single else (6.93145751953125e-1, 1.42860682030941723212e-6)
    shifted = [e.fma(x, 1 / math.log(2), magic) for x in xs]
    ns = [s - magic for s in shifted]
    rs = [e.fma(n, -high, x) for n, x in zip(ns, xs, strict=True)]
    rs = [e.fma(n, -low, r) for n, r in zip(ns, rs, strict=True)]
    rests = _in_step(rs, SERIES[e.dtype.name])
    raised = [e.builder.shl(e.bits(s), e.integer_splat(mantissa)) for s in shifted]
    powers = [e.from_bits(e.builder.add(bits, e.integer_splat(bias << mantissa))) for bits in raised]
    return zip(powers, rests, strict=True)


def _in_step(rs: list[Vector], terms: tuple[float, ...]) -> list[Vector]:
    """r + r^2 (terms[0] + terms[1] r + ...) for each r"""
    e = rs[0].emitter
    squares = [r * r for r in rs]
    pairs = [terms[k : k + 2] for k in range(0, len(terms), 2)]
    sums: list[Vector] = []
    for pair in reversed(pairs):
        values = [e.fma(r, pair[1], pair[0]) if len(pair) == 2 else e.splat(pair[0]) for r in rs]
        if sums:
            values = [e.fma(s, square, v) for s, square, v in zip(sums, squares, values, strict=True)]
        sums = values
    return [e.fma(square, s, r) for square, s, r in zip(squares, sums, rs, strict=True)]


def _clamp(x: Vector, low: float, high: float) -> Vector:
    e = x.emitter
    x = e.where(x < low, e.splat(low), x)
    return e.where(x > high, e.splat(high), x)


def sigmoid(x: Vector) -> Activation:
    e = x.emitter
    low, high = (-87.0, 88.75) if e.dtype == np.float32 else (-708.0, 709.8)
    power, rest = yield _clamp(-x, low, high)
    return 1 / ((rest + 1) * power + 1)  # not power * rest + power: with an infinite power that can be inf - inf


def tanh(x: Vector) -> Activation:
    e = x.emitter
    sign_bit = 1 << (8 * e.dtype.itemsize - 1)
    signs = e.builder.and_(e.bits(x), e.integer_splat(sign_bit))
    size = e.from_bits(e.builder.xor(e.bits(x), signs))
    limit = 10.0 if e.dtype == np.float32 else 20.0
    size = e.where(size > limit, e.splat(limit), size)
    power, rest = yield size + size
    em1 = e.fma(power, rest, power - 1)
    return e.from_bits(e.builder.or_(e.bits(em1 / (em1 + 2)), signs))
