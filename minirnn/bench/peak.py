"""The highest rates of this machine, measured in the same run as everything else.

    multiply-adds   independent multiply-adds on vectors in registers: the upper limit of every matrix product
    the gates' mix  multiply-adds and divisions in registers, in the ratio that the activations of a cell need
    traffic         a[i] = b[i] + s c[i] over arrays of a given size, in the caches or in memory

Numba compiles the loops, and the LLVM vector instructions are written out, so that no result depends on a compiler's
vectorisation. Each figure is the best of several tries, because other work on the machine can only slow it down. All
functions raise `Missing` without the compiler.

The share of the peak in a table is different: there the multiply-adds take turns with the contenders
(`multiply_adds`), and both times are medians. A core of a shared machine is slower in one minute than in another, so a
share of its best minute would describe the other programs rather than the kernel.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from minirnn.bench.peers import Missing, library

__all__ = ["ACCUMULATORS", "flops", "mix_seconds", "multiply_adds", "traffic", "vector_bytes"]

ACCUMULATORS = 12  # vectors; enough to hide the latency of a multiply-add on two pipes, few enough for 16 registers
TRIES = 7


def multiply_adds(dtype: str, threads: int) -> tuple[Callable[[], None], int]:
    """Return a call that computes multiply-adds in all threads for a few milliseconds, and its number of operations."""
    burn, lanes = _burn(dtype, ACCUMULATORS, 0), vector_bytes() // np.dtype(dtype).itemsize
    n = 1_000_000
    return lambda: _together(lambda _: burn(n, 1.0), threads), 2 * n * ACCUMULATORS * lanes * threads


def flops(dtype: str, threads: int) -> float:
    """Return the multiplications and additions per second of all threads together."""
    run, operations = multiply_adds(dtype, threads)
    return operations / _best(run)


def mix_seconds(dtype: str, threads: int, multiply_adds: int, divisions: int) -> float:
    """Return the seconds per element for this many multiply-adds and divisions on vectors, in all threads."""
    burn, lanes = _burn(dtype, multiply_adds, divisions), vector_bytes() // np.dtype(dtype).itemsize
    n = 8_000_000 // (multiply_adds + 8 * divisions)
    return _best(lambda: _together(lambda _: burn(n, 1.0), threads)) / (n * lanes * threads)


def traffic(working_set: int, dtype: str, threads: int) -> float:
    """Return the bytes per second that are read and written in arrays of `working_set` bytes in total."""
    n = max(64, working_set // threads // 3 // np.dtype(dtype).itemsize)
    arrays = [[np.ones(n, dtype) for _ in range(3)] for _ in range(threads)]
    loop = _triad()
    passes = max(1, 30_000_000 // n)
    seconds = _best(lambda: _together(lambda k: loop(*arrays[k], passes), threads))
    return 3 * n * np.dtype(dtype).itemsize * threads * passes / seconds


def vector_bytes() -> int:
    """Return the width of the widest vectors of this CPU."""
    binding = _binding()
    features = dict(binding.get_host_cpu_features())
    return 64 if features.get("avx512f") else 32 if features.get("avx") else 16


def _binding() -> Any:
    numba = library("numba")
    if numba.config.DISABLE_JIT:
        raise Missing("numba's compiler is switched off (NUMBA_DISABLE_JIT)")
    return library("llvmlite.binding")


def _together(work: Callable[[int], Any], threads: int) -> None:
    """Call work(k) once in each of `threads` threads, numbered from 0."""
    others = [threading.Thread(target=work, args=(k,)) for k in range(1, threads)]
    for thread in others:
        thread.start()
    work(0)
    for thread in others:
        thread.join()


def _best(run: Callable[[], None]) -> float:
    """Return the shortest time of a call, in seconds."""
    run()
    best = float("inf")
    for _ in range(TRIES):
        begin = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - begin)
    return best


@functools.cache
def _triad() -> Any:
    def loop(a: Any, b: Any, c: Any, passes: int) -> None:
        for k in range(passes):
            s = a.dtype.type(k & 1)
            for i in range(len(a)):
                a[i] = b[i] + s * c[i]

    return library("numba").njit(nogil=True, fastmath={"contract"})(loop)


@functools.cache
def _burn(dtype: str, multiply_adds: int, divisions: int) -> Any:
    """Return a compiled function (n, first) -> number of n rounds of independent multiply-adds and divisions.

    The start values come from an argument, because LLVM would compute constant expressions at compile time.
    """
    binding, numba, ir = _binding(), library("numba"), library("llvmlite.ir")
    types, extending = library("numba.core.types"), library("numba.extending")
    bits = 8 * np.dtype(dtype).itemsize
    lanes = 8 * vector_bytes() // bits
    scalar = ir.FloatType() if dtype == "float32" else ir.DoubleType()
    vector, integer = ir.VectorType(scalar, lanes), ir.IntType(64)
    fused = dict(binding.get_host_cpu_features()).get("fma") or binding.get_process_triple().startswith(
        ("aarch64", "arm64")
    )

    def splat(number: float) -> Any:
        return ir.Constant(vector, [scalar(number)] * lanes)

    def emit(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        n, number = arguments
        none, zeros = ir.Constant(vector, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), lanes), None)
        first = builder.shuffle_vector(builder.insert_element(none, number, ir.IntType(32)(0)), none, zeros)
        starts = [builder.fadd(first, splat(k / 64)) for k in range(ACCUMULATORS + min(divisions, 4))]
        entry, body = builder.block, builder.append_basic_block("body")
        after = builder.append_basic_block("after")
        builder.branch(body)
        builder.position_at_end(body)
        counter = builder.phi(integer)
        counter.add_incoming(integer(0), entry)
        sums = [builder.phi(vector) for _ in range(ACCUMULATORS)]
        quotients = [builder.phi(vector) for _ in range(min(divisions, 4))]
        for phi, start in zip([*sums, *quotients], starts, strict=True):
            phi.add_incoming(start, entry)
        now, latest = list(sums), list(quotients)
        for k in range(multiply_adds):
            now[k % ACCUMULATORS] = _multiply_add(builder, ir, now[k % ACCUMULATORS], splat(0.5), splat(0.5), fused)
        for k in range(divisions):
            latest[k % len(latest)] = builder.fdiv(splat(1.5), latest[k % len(latest)])
        following = builder.add(counter, integer(1))
        counter.add_incoming(following, body)
        for phi, value in zip([*sums, *quotients], [*now, *latest], strict=True):
            phi.add_incoming(value, body)
        builder.cbranch(builder.icmp_signed("<", following, n), body, after)
        builder.position_at_end(after)
        total = now[0]
        for value in [*now[1:], *latest]:
            total = builder.fadd(total, value)
        return builder.extract_element(total, ir.IntType(32)(0))

    result = getattr(types, dtype)

    def typed(_typing: Any, _n: Any, _first: Any) -> Any:
        return result(types.int64, result), emit

    rounds = extending.intrinsic(typed)
    return numba.njit(result(types.int64, result), nogil=True)(lambda n, first: rounds(n, first))


def _multiply_add(builder: Any, ir: Any, a: Any, b: Any, c: Any, fused: bool) -> Any:
    if not fused:
        return builder.fadd(builder.fmul(a, b), c)
    kind = a.type
    suffix = f"v{kind.count}f{32 if isinstance(kind.element, ir.FloatType) else 64}"
    name = f"llvm.fma.{suffix}"
    declared = builder.module.globals.get(name) or ir.Function(builder.module, ir.FunctionType(kind, [kind] * 3), name)
    return builder.call(declared, [a, b, c])
