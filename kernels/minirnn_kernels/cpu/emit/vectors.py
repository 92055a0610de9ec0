"""Vectors as wide as the CPU's registers, written as LLVM's intermediate representation (IR).

Numba compiles Python loops, but it has no vector type: whether a loop becomes vector instructions is up to LLVM's
heuristics, which do badly on the inner loop of a product or on an exponential. Here the vectors are explicit.
`Vector` has Python's operators, each of which emits one instruction, so that equations read as they do in `gates.py`:

    c = f * c_prev + i * g
    h = o * tanh(c)

None of this code runs when a kernel runs: the compiler runs it once, through the intrinsics of
`cpu/emit/intrinsics.py`.

The width and number of vector registers, the number of rows of a product's tile, and whether multiply and add are one
instruction depend on the CPU (`Machine`).
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from llvmlite import binding, ir

I32, I64, BYTE_POINTER = ir.IntType(32), ir.IntType(64), ir.IntType(8).as_pointer()


@dataclass(frozen=True)
class Machine:
    """The properties of a CPU that the kernels depend on."""

    name: str
    vector_bytes: int  # the width of a vector register
    registers: int  # vector registers
    panel: int  # vectors in a row of a product's panel
    rows: dict[int, int]  # width of a tile in vectors -> number of rows that fit in registers; see `cpu/emit/tiles.py`
    prefetch: bool  # tiles prefetch a later panel; on a CPU that predicts the access, that only costs time
    fused: bool  # multiply-add is one instruction; without it, llvm.fma would be a slow library call


def machine_of(features: dict[str, bool], architecture: str) -> Machine:
    """Return the machine with these CPU features; `architecture` is the start of LLVM's target triple."""
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
    """Return the machine that runs this process."""
    return machine_of(dict(binding.get_host_cpu_features()), binding.get_process_triple())


def lanes(dtype: Any) -> int:
    """Return the number of entries of `dtype` in a vector of this machine."""
    return machine().vector_bytes // int(np.dtype(dtype).itemsize)


def scalar_type(dtype: Any) -> Any:
    """Return LLVM's type for float32 or float64."""
    return ir.FloatType() if np.dtype(dtype) == np.float32 else ir.DoubleType()


class Emitter:
    """An IR builder together with the dtype of its vectors."""

    def __init__(self, builder: Any, dtype: Any) -> None:
        self.builder = builder
        self.machine = machine()
        self.dtype = np.dtype(dtype)
        self.scalar = scalar_type(dtype)
        self.integer = I32 if self.dtype == np.float32 else I64
        self.lanes = lanes(dtype)
        self.suffix = f"v{self.lanes}f{8 * self.dtype.itemsize}"
        self.type = ir.VectorType(self.scalar, self.lanes)
        self.integers = ir.VectorType(self.integer, self.lanes)

    # ---- memory: pointers are typed; vectors are aligned only to the size of their entries

    def at(self, pointer: Any, index: Any) -> Any:
        """Return pointer + index, in entries."""
        return self.builder.gep(pointer, [index if isinstance(index, ir.Value) else I64(index)])

    def beyond(self, pointer: Any, offset: Any) -> Any:
        """Return pointer + offset, in bytes."""
        moved = self.builder.gep(self.builder.bitcast(pointer, BYTE_POINTER), [offset])
        return self.builder.bitcast(moved, pointer.type)

    def prefetch(self, pointer: Any) -> None:
        """Prefetch the line at `pointer` into the L2 cache; an address outside of memory is ignored."""
        place = self.builder.bitcast(pointer, BYTE_POINTER)
        self._call("prefetch", "p0", ir.VoidType(), [place, I32(0), I32(2), I32(1)])

    def _as_vector(self, pointer: Any) -> Any:
        return self.builder.bitcast(pointer, self.type.as_pointer())

    def load(self, pointer: Any) -> Vector:
        """Load a vector from `pointer`."""
        return Vector(self, self.builder.load(self._as_vector(pointer), align=self.dtype.itemsize))

    def store(self, vector: Vector, pointer: Any) -> None:
        """Store a vector at `pointer`."""
        self.builder.store(vector.value, self._as_vector(pointer), align=self.dtype.itemsize)

    def load_first(self, n: Any, pointer: Any) -> Vector:
        """Load the first n entries at `pointer`, with zeros in the other lanes; no memory after them is read."""
        with self.builder.if_else(self.is_whole(n)) as (then, otherwise):
            with then:
                full = self.load(pointer)
                full_block = self.builder.block
            with otherwise:
                arguments = [self._as_vector(pointer), I32(self.dtype.itemsize), self.mask(n), self.splat(0.0).value]
                part = self._call("masked.load", f"{self.suffix}.p0", self.type, arguments)
                part_block = self.builder.block
        return self.choose((full, full_block), (Vector(self, part), part_block))

    def store_first(self, n: Any, vector: Vector, pointer: Any) -> None:
        """Store the first n lanes at `pointer`; no memory after them is written."""
        with self.builder.if_else(self.is_whole(n)) as (then, otherwise):
            with then:
                self.store(vector, pointer)
            with otherwise:
                arguments = [vector.value, self._as_vector(pointer), I32(self.dtype.itemsize), self.mask(n)]
                self._call("masked.store", f"{self.suffix}.p0", ir.VoidType(), arguments)

    def is_whole(self, n: Any) -> Any:
        """Return whether n fills a vector."""
        return self.builder.icmp_signed(">=", n, I64(self.lanes))

    def mask(self, n: Any) -> Any:
        """Return a vector of bits, set in the first n lanes."""
        indices = ir.Constant(ir.VectorType(I64, self.lanes), list(range(self.lanes)))
        return self.builder.icmp_signed("<", indices, self._in_each_lane(n))

    # ---- values

    def splat(self, number: float) -> Vector:
        """Return a vector with the same constant in each lane."""
        number = float(self.dtype.type(number))
        return Vector(self, ir.Constant(self.type, [self.scalar(number)] * self.lanes))

    def broadcast(self, pointer: Any) -> Vector:
        """Return a vector with the entry at `pointer` in each lane."""
        return Vector(self, self._in_each_lane(self.builder.load(pointer, align=self.dtype.itemsize)))

    def _in_each_lane(self, number: Any) -> Any:
        undefined = ir.Constant(ir.VectorType(number.type, self.lanes), ir.Undefined)
        one = self.builder.insert_element(undefined, number, I32(0))
        zeros = ir.Constant(ir.VectorType(I32, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(one, undefined, zeros)

    def shuffle(self, a: Vector, b: Vector, chosen: list[int]) -> Vector:
        """Return a vector whose lane k is entry chosen[k] of a's lanes followed by b's."""
        indices = ir.Constant(ir.VectorType(I32, len(chosen)), chosen)
        return Vector(self, self.builder.shuffle_vector(a.value, b.value, indices))

    def fma(self, a: Vector, b: Any, c: Any) -> Vector:
        """Return a * b + c, rounded once if the machine has a fused multiply-add."""
        factor, term = a.of(b), a.of(c)
        if not self.machine.fused:
            return a * factor + term
        return Vector(self, self._call("fma", self.suffix, self.type, [a.value, factor.value, term.value]))

    def choose(self, *sources: tuple[Vector, Any]) -> Vector:
        """Return the one of several vectors that is paired with the block from which control arrives (a phi node)."""
        phi = self.builder.phi(self.type)
        for vector, block in sources:
            phi.add_incoming(vector.value, block)
        return Vector(self, phi)

    def where(self, condition: Any, a: Vector, b: Vector) -> Vector:
        """Return a where the condition's bit is set, b in the other lanes."""
        return Vector(self, self.builder.select(condition, a.value, b.value))

    def _call(self, intrinsic: str, suffix: str, result: Any, arguments: list[Any]) -> Any:
        function = ir.FunctionType(result, [a.type for a in arguments])
        name = f"llvm.{intrinsic}.{suffix}"
        module = self.builder.module
        declared = module.globals.get(name) or ir.Function(module, function, name)
        return self.builder.call(declared, arguments)

    def bits(self, a: Vector) -> Any:
        """Return the lanes' bits as integers."""
        return self.builder.bitcast(a.value, self.integers)

    def from_bits(self, bits: Any) -> Vector:
        """Return the vector whose lanes have these bits."""
        return Vector(self, self.builder.bitcast(bits, self.type))

    def integer_splat(self, number: int) -> Any:
        """Return integers as wide as the lanes, all with the same value."""
        return ir.Constant(self.integers, [number] * self.lanes)


class Vector:
    """A vector of floats whose operators emit instructions; a Python number counts as a vector of that number."""

    def __init__(self, emitter: Emitter, value: Any) -> None:
        self.emitter = emitter
        self.value = value

    def of(self, other: Any) -> Vector:
        """Return `other` as a vector."""
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
# e^x = 2^n e^r, where n is the integer nearest to x / ln 2, so |r| <= ln(2) / 2. Adding 1.5 * 2^23 (2^52 in float64) to
# x / ln 2 rounds it to an integer, and leaves n in the lowest bits of the sum; a shift moves them into the exponent of
# 2^n. r = x - n ln 2 is exact enough only with ln 2 in two parts, the first with few enough bits that n times it is
# exact. e^r - 1 = r + r^2 q(r) has no constant term, and so is accurate for small r, where e^r loses every digit.
#
# q is the polynomial that equals (e^r - 1 - r) / r^2 at Chebyshev's points. Its error is below a fifth of a rounding of
# e^r; the Taylor series needs one more coefficient for the same error, in float64 two more.
#
#     sigmoid(x) = 1 / (1 + e^-x)                            e^-x can overflow: 1 / infinity = 0 is correct
#     tanh(x)    = sign(x) * em1 / (em1 + 2)                 em1 = e^(2|x|) - 1 = 2^n (e^r - 1) + (2^n - 1)
#
# Arguments are clamped to the range in which the result changes. The comparisons are false for NaN, so NaN passes.
#
# An activation is some twenty instructions, each of which waits for the one before. A CPU could execute a dozen others
# in that time, but it looks ahead only by the length of two or three activations. So the activations are interleaved:
# the first instruction of all of them, then the second. `sigmoid` and `tanh` are coroutines: each yields the argument
# of an exponential, and `activate` sends the exponentials back. Within one exponential, the terms of q are summed in
# pairs, (c0 + c1 r) + r^2 ((c2 + c3 r) + ...), because the pairs are independent of each other.

Activation = Generator["Vector", tuple["Vector", "Vector"], None]  # yields its argument, then its value

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


def activate(*activations: Activation) -> tuple[Vector, ...]:
    """Return the values of the activations, interleaved: `activate(sigmoid(x), tanh(y))`."""
    exponentials = _exponentials([next(activation) for activation in activations])
    return tuple(activation.send(e) for activation, e in zip(activations, exponentials, strict=True))


def _exponentials(xs: list[Vector]) -> Iterable[tuple[Vector, Vector]]:
    """Return 2^n and e^r - 1 for each x, which must be in -87 to 88.8 (float32) or -708 to 709.8 (float64)."""
    e = xs[0].emitter
    single = e.dtype == np.float32
    mantissa, bias = (23, 127) if single else (52, 1023)
    magic = 1.5 * 2.0**mantissa
    high, low = (0.693359375, -2.12194440e-4) if single else (6.93145751953125e-1, 1.42860682030941723212e-6)
    shifted = [e.fma(x, 1 / math.log(2), magic) for x in xs]
    ns = [s - magic for s in shifted]
    rs = [e.fma(n, -high, x) for n, x in zip(ns, xs, strict=True)]
    rs = [e.fma(n, -low, r) for n, r in zip(ns, rs, strict=True)]
    rests = _polynomials(rs, SERIES[e.dtype.name])
    raised = [e.builder.shl(e.bits(s), e.integer_splat(mantissa)) for s in shifted]
    powers = [e.from_bits(e.builder.add(bits, e.integer_splat(bias << mantissa))) for bits in raised]
    return zip(powers, rests, strict=True)


def _polynomials(rs: list[Vector], terms: tuple[float, ...]) -> list[Vector]:
    """Return r + r^2 (terms[0] + terms[1] r + ...) for each r, interleaved."""
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
    """Yield the argument of an exponential, then 1 / (1 + e^-x): `sigmoid` of `gates.py`."""
    e = x.emitter
    low, high = (-87.0, 88.75) if e.dtype == np.float32 else (-708.0, 709.8)
    power, rest = yield _clamp(-x, low, high)
    yield 1 / ((rest + 1) * power + 1)  # not power * rest + power: for an infinite power that can be inf - inf


def tanh(x: Vector) -> Activation:
    """Yield the argument of an exponential, then tanh(x)."""
    e = x.emitter
    sign_bit = 1 << (8 * e.dtype.itemsize - 1)
    signs = e.builder.and_(e.bits(x), e.integer_splat(sign_bit))
    size = e.from_bits(e.builder.xor(e.bits(x), signs))
    limit = 10.0 if e.dtype == np.float32 else 20.0
    size = e.where(size > limit, e.splat(limit), size)
    power, rest = yield size + size
    em1 = e.fma(power, rest, power - 1)
    yield e.from_bits(e.builder.or_(e.bits(em1 / (em1 + 2)), signs))
