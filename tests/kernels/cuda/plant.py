"""Plant a mistake in the CUDA sources, one at a time: the proof on the CPU must find every one.

    python tests/kernels/cuda/plant.py [words of names ...]

Prints each mistake, the first way of running the kernels that found it, and the first line of the message. Exits with 1
if a mistake survives. A way is a level, a team, a type, a kind of product and a few sizes, as in test_proof.py.
"""

import dataclasses
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "kernels")]

import numpy as np  # noqa: E402

from minirnn_kernels.cell import RNN  # noqa: E402
from minirnn_kernels.cuda import sequences  # noqa: E402
from minirnn_kernels.cuda.device import Properties  # noqa: E402
from minirnn_kernels.cuda.gates import GateStep, step_forward  # noqa: E402
from minirnn_kernels.precision import precision  # noqa: E402
from minirnn_kernels.proof import SequenceCase, Transfer, prove_case, rounding  # noqa: E402
from minirnn_kernels.reference import gates as numpy_gates  # noqa: E402
from tests.kernels.cuda.emulation.emulated_device import EmulatedDevice, text_and_options  # noqa: E402
from tests.kernels.cuda.mutations import MUTATIONS, Mutation  # noqa: E402
from tests.planting import replaced, survivors  # noqa: E402

H100 = Properties()
SMALL = dataclasses.replace(H100, multiprocessors=3, shared_bytes=20_000)


@dataclasses.dataclass(frozen=True)
class Way:
    """One way of running the kernels."""

    level: int
    team: str | None = None  # as in cuda/plans.py
    properties: Properties = H100
    dtype: str = "float32"
    products: str = "strict"  # the precision of products
    # T, B, I, H, and whether the sequences have different lengths
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
    """Return the text of a source with the mutation planted, or unchanged if the mutation is in the other source."""
    if mutation.source not in ("", source):
        return text
    where = f"{mutation.name} in {source}.cu"
    return replaced(text, mutation.old, mutation.new, nth=mutation.nth, where=where)


def device(properties: Properties, mutation: Mutation | None, seed: int = 0) -> EmulatedDevice:
    """Return an emulated device whose sources contain the mutation."""

    def source(configuration, name):
        text, options = text_and_options(configuration, name)
        return mutated(name, text, mutation) if mutation else text, options

    return EmulatedDevice(properties, seed=seed, blocks=properties.multiprocessors, source=source)


def prove_numbers(mutation: Mutation | None) -> None:
    """Assert that bfloat16 is rounded to nearest, ties to even. The numbers pass through relu unchanged."""
    bfloat16 = rounding.dtypes()[-1]
    bits = np.array([0x3F808000, 0x3F818000, 0x3F807FFF, 0x3F808001, 0x3FFFFFFF, 0x7F7FFFFF, 0x7FFFFFFF], np.uint32)
    a = bits.view(np.float32)[None]
    it = device(H100, mutation)
    gates, h = it.memory.own(a[None]), it.memory.empty(a.shape, bfloat16)
    step_forward(it, GateStep(RNN, gates, h, relu=True))
    right = a.astype(bfloat16)
    same = (h.view(np.uint16) == right.view(np.uint16)) | np.isnan(a)
    assert same.all(), f"{a[~same]} is stored as {h[~same]}, expected {right[~same]}"
    assert np.isnan(h[np.isnan(a)]).all(), "a NaN is stored as a number"


def prove_way(way: Way, cell: str, mutation: Mutation | None = None, seed: int = 0) -> None:
    """Assert that the emulated record is correct; with a mutation this must fail."""
    dtype = next(d for d in rounding.dtypes() if np.dtype(d).name == way.dtype)
    with precision(way.products):
        it = device(way.properties, mutation, seed)
        kernels = sequences.kernels(it, level=way.level, team=way.team)
        kernels = dataclasses.replace(kernels, gates=numpy_gates.GATES)
        for T, B, I, H, ragged in way.sizes:
            prove_case(
                kernels, cell, SequenceCase(T=T, B=B, I=I, H=H, ragged=ragged), seed=seed, dtype=dtype,
                rounding=way.products,
                transfer=Transfer(it.memory.own, np.asarray),  # between guard zones: a read past an end gives NaN
            )  # fmt: skip


def found(mutation: Mutation | None, ways: tuple[str, ...], cells: tuple[str, ...]) -> str:
    """Return the first way that finds the mutation, with its message, or "" if none does."""
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
    """Return the result of `found` for the kth mutation, computed in a separate process because it can crash."""
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
    chosen = [k for k, m in enumerate(MUTATIONS) if not words or any(word in m.name for word in words)]
    with ThreadPoolExecutor(int(os.environ.get("PLANT_JOBS", os.cpu_count() or 1))) as pool:
        names = (MUTATIONS[k].name for k in chosen)
        return 1 if survivors(zip(names, pool.map(_alone, chosen), strict=True), width=58) else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        it = MUTATIONS[int(sys.argv[2])]
        print(found(it, it.ways, it.cells))
        sys.exit(0)
    sys.exit(main(sys.argv[1:]))
