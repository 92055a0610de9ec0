"""Fuzz the boundary of every kernel record: an argument that does not fit is an error, never a crash or a wrong number.

    python tests/kernels/fuzz_memory.py --cases 20000 [--seed 0]

Each case takes a correct call of a record's function and spoils one argument: one dimension, the number of dimensions,
the dtype, or the type. The call must raise ValueError or TypeError. Arguments that fit and only have another memory
layout (Fortran order, strided, reversed, read-only, unaligned) must give the results of contiguous ones. The cases run
in a child process, so that a crash counts as a failure and the run goes on.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "kernels")]

import minirnn_kernels  # noqa: E402
from minirnn_kernels.cell import CELLS, Cell  # noqa: E402

PARTS = ("forward", "inference", "backward", "step")
SHAPES = ("one longer", "one shorter", "doubled", "empty", "transposed", "one axis more", "one axis less", "a scalar")
DTYPES = ("float16", "the other float", "int64", "complex128", "bool", "object")
KINDS = ("None", "a list", "a string")
LAYOUTS = ("Fortran order", "strided", "reversed", "read-only", "unaligned", "broadcast")
LENGTHS = ("zero", "too long", "negative", "too few", "floats", "two axes", "NaN")


def arguments(cell: Cell, rng: np.random.Generator, dtype: Any) -> dict[str, np.ndarray]:
    """Draw a correct call of a sequence: the arguments by name."""
    T, I = (int(n) for n in rng.integers(1, 6, 2))
    B = int(rng.choice((1, 2, 3, 5, 9, 12)))  # a step of more than 8 rows takes another path in the record "numba"
    H = int(rng.choice((1, 3, 4, 8, 17, 33)))
    K = len(cell.gates) * H
    shapes = {"x": (T, B, I), "W_ih": (K, I), "W_hh": (K, H)} | dict.fromkeys(cell.biases, (K,))
    shapes |= {f"{state}0": (B, H) for state in cell.states}
    return {name: rng.standard_normal(shapes[name]).astype(dtype) for name in cell.inputs}


def spoiled(a: np.ndarray, way: str, rng: np.random.Generator, free: int = 0) -> Any:
    """Return the argument with one thing wrong, or the argument itself if this way does not apply.

    free: the number of leading axes whose lengths are not determined by other arguments (the time axis of x).
    """
    axis = int(rng.integers(min(free, a.ndim - 1), a.ndim))
    n = a.shape[axis]
    other = np.float32 if a.dtype == np.float64 else np.float64
    made: Any = {
        "one longer": lambda: np.concatenate([a, a.take([0], axis)], axis) if n else a,
        "one shorter": lambda: a.take(range(n - 1), axis) if n > 1 else a,
        "doubled": lambda: np.concatenate([a, a], axis),
        "empty": lambda: a.take([], axis),
        "transposed": lambda: a.T,
        "one axis more": lambda: a[None],
        "one axis less": lambda: a.take(0, axis) if n else a,
        "a scalar": lambda: a.dtype.type(1),
        "float16": lambda: a.astype(np.float16),
        "the other float": lambda: a.astype(other),
        "int64": lambda: a.astype(np.int64),
        "complex128": lambda: a.astype(np.complex128),
        "bool": lambda: a > 0,
        "object": lambda: a.astype(object),
        "None": lambda: None,
        "a list": lambda: a.tolist(),
        "a string": lambda: "x",
    }[way]()
    if way in SHAPES and isinstance(made, np.ndarray) and made.shape == a.shape:
        return a
    return made


def laid_out(a: np.ndarray, way: str) -> np.ndarray:
    """Return equal numbers in another memory layout."""
    if way == "Fortran order":
        return np.asfortranarray(a)
    if way == "strided":
        return np.repeat(a, 2, axis=-1)[..., ::2]
    if way == "reversed":
        return np.ascontiguousarray(a[::-1])[::-1]
    if way == "read-only":
        made = a.copy()
        made.flags.writeable = False
        return made
    if way == "unaligned":
        raw = np.empty(a.nbytes + 1, np.uint8)[1:]
        made = raw.view(a.dtype).reshape(a.shape)
        made[...] = a
        return made
    return a


def lengths_of(way: str, T: int, B: int) -> Any:
    """Return lengths that are wrong in one way."""
    right = np.full(B, T)
    return {
        "zero": np.where(np.arange(B) == B - 1, 0, right),
        "too long": right + 1,
        "negative": -right,
        "too few": right[:-1] if B > 1 else np.full(2, T),
        "floats": right + 0.5,
        "two axes": right[:, None],
        "NaN": np.full(B, np.nan),
    }[way]


class Fuzzer:
    """Draws the cases of one seed; `run(k)` runs case k and returns what was wrong, or None."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.records = [name for name, reason in minirnn_kernels.available().items() if reason is None]

    def run(self, k: int) -> str | None:
        rng = np.random.default_rng((self.seed, k))
        record = minirnn_kernels.get(self.records[k % len(self.records)])
        cell = CELLS[str(rng.choice(list(CELLS)))]
        part = PARTS[int(rng.integers(len(PARTS)))]
        dtype = (np.float32, np.float64)[int(rng.integers(2))]
        given = arguments(cell, rng, dtype)
        if part == "step":
            given["x"] = given["x"][0]
        upstream: dict[str, Any] = {}
        functions = record.of(cell.name)
        lengths: Any = None
        if part in ("forward", "inference", "backward") and rng.random() < 0.3:
            lengths = rng.integers(1, len(given["x"]) + 1, given["x"].shape[1])
        call: Any = getattr(functions, part)
        if part == "backward":
            out, *finals, _ = functions.forward(*given.values(), lengths)
            upstream = {"dout": rng.standard_normal(out.shape).astype(dtype)}
            upstream |= {
                f"d{s}_n": rng.standard_normal(f.shape).astype(dtype) for s, f in zip(cell.states, finals, strict=True)
            }
        spoil_from = upstream or given
        name = str(rng.choice([*spoil_from, *(["lengths"] if part in ("forward", "inference") else [])]))
        if name == "lengths":
            way = str(rng.choice(LENGTHS))
            lengths = lengths_of(way, *given["x"].shape[:2])
        else:
            way = str(rng.choice((*SHAPES, *DTYPES, *KINDS, *LAYOUTS)))
        where = f"case {k}: {record.name} {cell.name} {part}, {np.dtype(dtype)}, {name}: {way}"

        def called(changed: Any) -> Any:
            args = {**spoil_from, name: changed} if name != "lengths" else spoil_from
            if part == "backward":
                *_, cache = functions.forward(*given.values(), lengths)
                return call(*args.values(), cache)
            return call(*args.values()) if part == "step" else call(*args.values(), lengths)

        if way in LAYOUTS:
            right, other = called(spoil_from[name]), called(laid_out(spoil_from[name], way))
            for a, b in zip(flat(right), flat(other), strict=True):
                if not np.allclose(a, b, rtol=0, atol=1e3 * np.finfo(dtype).eps):  # BLAS can sum in another order
                    return f"{where}: results differ from those of a contiguous array"
            return None
        changed = (
            None if name == "lengths" else spoiled(spoil_from[name], way, rng, int(name == "x" and part != "step"))
        )
        if name != "lengths" and (changed is spoil_from[name] or (changed is None and part == "backward")):
            return None  # nothing is wrong: this way does not apply, or a missing upstream, which means zero
        try:
            called(changed)
        except (ValueError, TypeError) as error:
            return None if str(error) else f"{where}: an error without a message"
        except Exception as error:
            return f"{where}: {type(error).__name__}: {error}"
        return f"{where}: accepted"


def flat(results: Any) -> list[np.ndarray]:
    """Return the arrays among the results of a function."""
    return [a for a in (results if isinstance(results, tuple) else (results,)) if isinstance(a, np.ndarray)]


def child(seed: int, first: int, last: int) -> None:
    """Run cases and print one line of JSON for each: its number and what was wrong."""
    fuzzer = Fuzzer(seed)
    for k in range(first, last):
        print(json.dumps([k, fuzzer.run(k)]), flush=True)


def run(cases: int, seed: int = 0) -> list[str]:
    """Run cases in child processes and return what was wrong; a child that dies is restarted behind its last case."""
    problems: list[str] = []
    done = 0
    while done < cases:
        command = [
            sys.executable,
            "-W",
            "ignore",
            __file__,
            "--child",
            str(done),
            "--cases",
            str(cases),
            "--seed",
            str(seed),
        ]
        finished = subprocess.run(command, capture_output=True, text=True)
        for line in finished.stdout.splitlines():
            k, problem = json.loads(line)
            done = k + 1
            problems += [problem] if problem else []
        if done < cases:
            problems.append(f"case {done}: the process ended with code {finished.returncode}: {finished.stderr[-500:]}")
            done += 1
    return problems


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", type=int, default=None, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child is not None:
        child(given.seed, given.child, given.cases)
    else:
        found = run(given.cases, given.seed)
        print(*found[:50], sep="\n", end="\n" if found else "")
        print(f"{given.cases} cases, {len(found)} problems")
        sys.exit(bool(found))
