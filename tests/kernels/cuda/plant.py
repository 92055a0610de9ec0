"""Plant a mistake in the CUDA sources, one after the other: each must make the proof on the CPU fail.

    python tests/kernels/cuda/plant.py [words of names ...]

Prints each mistake and which way of running saw it first, with the first line of its message. Exits with 1 if one
survives. The ways are those of test_proof.py, with a few sizes of its own: a level, a team, a type, products.
"""

import dataclasses
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "kernels")]

import numpy as np  # noqa: E402

from minirnn_kernels.cuda import sequences  # noqa: E402
from minirnn_kernels.cuda import source as cuda_source  # noqa: E402
from minirnn_kernels.cuda.device import Properties  # noqa: E402
from minirnn_kernels.cuda.gates import step_forward  # noqa: E402
from minirnn_kernels.cuda.sequence_pass import RNN, STORAGES  # noqa: E402
from minirnn_kernels.precision import precision  # noqa: E402
from minirnn_kernels.proof import SequenceCase, Transfer, prove_case, rounding  # noqa: E402
from minirnn_kernels.reference import gates as numpy_gates  # noqa: E402
from tests.kernels.cuda.emulation.emulator import EmulatedDevice  # noqa: E402
from tests.kernels.cuda.mutations import MUTATIONS, Mutation  # noqa: E402

H100 = Properties()
SMALL = dataclasses.replace(H100, multiprocessors=3, shared_bytes=20_000)


@dataclasses.dataclass(frozen=True)
class Way:
    level: int
    team: str | None = None
    properties: Properties = H100
    dtype: str = "float32"
    products: str = "strict"
    sizes: tuple[tuple[int, int, int, int, bool], ...] = ((4, 3, 5, 45, False), (3, 18, 4, 24, True))


WAYS = {
    "level 1": Way(1, sizes=((4, 3, 5, 45, False), (3, 18, 4, 24, True), (3, 8, 5, 7, False))),
    "steps": Way(2, properties=SMALL),
    "long steps": Way(2, sizes=((43, 2, 3, 5, False),)),
    "long rows": Way(3, "grid", sizes=((2, 2, 3, 1060, False),)),
    "block": Way(3, "block"),
    "block float64": Way(3, "block", dtype="float64"),
    "cluster": Way(3, "cluster 4", sizes=((4, 18, 4, 30, False), (5, 3, 5, 33, True))),
    "grid": Way(3, "grid", sizes=((4, 18, 4, 24, True), (5, 3, 5, 45, False))),
    "pieces": Way(3, "grid", SMALL, sizes=((4, 3, 5, 45, False), (3, 35, 4, 23, True))),
    "tf32": Way(3, "block", products="fast"),
    "3xtf32": Way(3, "block", products="high"),
    "half": Way(3, "block", dtype="float16"),
    "bf16": Way(3, "block", dtype="bfloat16"),
}


def mutated(source: str, text: str, mutation: Mutation) -> str:
    """The text of a source with the mutation in its place."""
    if mutation.source not in ("", source):
        return text
    parts = text.split(mutation.old)
    n = mutation.nth
    if len(parts) <= n:
        raise ValueError(f"{mutation.name}: {mutation.old!r} doesn't stand {n} times in {source}.cu")
    return mutation.old.join(parts[:n]) + mutation.new + mutation.old.join(parts[n:])


def device(properties: Properties, mutation: Mutation | None, seed: int = 0) -> EmulatedDevice:
    """The emulated device, whose sources have the mutation."""

    def source(configuration, name):
        text = cuda_source.source(name)
        return mutated(name, text, mutation) if mutation else text, cuda_source.options(configuration)

    return EmulatedDevice(properties, seed=seed, blocks=properties.multiprocessors, source=source)


def prove_numbers(mutation: Mutation | None) -> None:
    """bfloat16 is stored to the nearest, ties to even: through the relu, which leaves a number as it is."""
    bfloat16 = rounding.dtypes()[-1]
    bits = np.array([0x3F808000, 0x3F818000, 0x3F807FFF, 0x3F808001, 0x3FFFFFFF, 0x7F7FFFFF, 0x7FFFFFFF], np.uint32)
    a = bits.view(np.float32)[None]
    it = device(H100, mutation)
    gates, h = it.memory.own(a[None]), it.memory.empty(a.shape, bfloat16)
    step_forward(it, RNN, STORAGES["bfloat16"], None, None, gates, None, None, None, h, relu=True)
    right = a.astype(bfloat16)
    same = (h.view(np.uint16) == right.view(np.uint16)) | np.isnan(a)
    assert same.all(), f"{a[~same]} is stored as {h[~same]}, expected {right[~same]}"
    assert np.isnan(h[np.isnan(a)]).all(), "a NaN is stored as a number"


def prove_way(way: Way, cell: str, mutation: Mutation | None = None, seed: int = 0) -> None:
    """AssertionError unless the emulated record is right; with a mutation it should not be."""
    dtype = next(d for d in rounding.dtypes() if np.dtype(d).name == way.dtype)
    with precision(way.products):
        it = device(way.properties, mutation, seed)
        kernels = sequences.kernels(it, level=way.level, team=way.team)
        kernels = dataclasses.replace(kernels, gates=numpy_gates.GATES)
        for T, B, I, H, ragged in way.sizes:
            prove_case(
                kernels, cell, SequenceCase(T=T, B=B, I=I, H=H, ragged=ragged), seed=seed, dtype=dtype,
                rounding=way.products,
                transfer=Transfer(it.memory.own, np.asarray),  # between guard zones: who reads past an end finds NaN
            )  # fmt: skip


def found(mutation: Mutation | None, ways: tuple[str, ...], cells: tuple[str, ...]) -> str:
    """Which way sees the mutation, and its message; "" if none does."""
    for name in ways:
        for cell in cells:
            try:
                if name == "numbers":
                    prove_numbers(mutation)
                else:
                    prove_way(WAYS[name], cell, mutation)
            except AssertionError as error:
                return f"{name}: {str(error).splitlines()[0]}"
    return ""


def _alone(k: int) -> str:
    """The same in a process of its own: a mistake may crash it."""
    command = [sys.executable, "-W", "ignore", __file__, "--one", str(k)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    except subprocess.TimeoutExpired:
        return "no end in ten minutes"
    if done.returncode < 0:
        return f"crashed with signal {-done.returncode}"
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout.strip()


def main(words: list[str]) -> int:
    start = time.perf_counter()
    chosen = [k for k, m in enumerate(MUTATIONS) if not words or any(word in m.name for word in words)]
    survivors = 0
    with ThreadPoolExecutor(int(os.environ.get("PLANT_JOBS", os.cpu_count() or 1))) as pool:
        for k, seen in zip(chosen, pool.map(_alone, chosen), strict=True):
            survivors += not seen
            print(f"{MUTATIONS[k].name:58} {seen or 'SURVIVED'}", flush=True)
    print(f"{len(chosen)} mistakes planted, {survivors} survived, {time.perf_counter() - start:.0f} s")
    return 1 if survivors else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        it = MUTATIONS[int(sys.argv[2])]
        print(found(it, it.ways, it.cells))
        sys.exit(0)
    sys.exit(main(sys.argv[1:]))
