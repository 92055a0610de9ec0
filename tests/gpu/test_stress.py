"""Kernels whose blocks wait for each other: in thousands of sequences, random waits change no bit.

MINIRNN_STRESS is the number of sequences (default: 10,000). A deliberately broken barrier must raise an error after a
limited number of polls, without hanging.
"""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from minirnn_kernels import precision
from minirnn_kernels.cell import CELLS
from minirnn_kernels.cuda import plans, sequences, source
from tests.gpu.devices import Altered, mute, narrowed, runs

SEQUENCES = int(os.environ.get("MINIRNN_STRESS", "10000"))
TEAMS = ("block", "cluster 2", "cluster 4", "cluster 8", "grid")
KINDS = (
    ("lstm", "float32", "strict"),
    ("rnn", "float32", "fast"),
    ("gru", "float16", "strict"),
    ("lstm", "float64", "strict"),
)
DRAWS = 5  # sizes for each team and kind


@dataclass
class StressProblem:
    """A cell, sizes, and its arguments on the host."""

    cell: str
    T: int
    B: int
    H: int
    arguments: list[Any]
    upstream: list[Any]
    lengths: Any

    def run(self, gpu: Any, record: Any) -> list[bytes]:
        """Run forward and backward; return the bytes of every result."""
        arguments, upstream = ([gpu.to_device(a) for a in arrays] for arrays in (self.arguments, self.upstream))
        *made, cache = record.of(self.cell).forward(*arguments, self.lengths)
        made += record.of(self.cell).backward(*upstream, cache)
        return [gpu.to_host(a).tobytes() for a in made]


def draw(gpu: Any, team: str, cell: str, dtype: str, mode: str, rng: np.random.Generator) -> StressProblem:
    """Draw sizes that the team can run forward and backward; most are not multiples of the tile sizes."""
    storage = plans.STORAGES[dtype]
    words = CELLS[cell], storage
    largest = 16 if team == "block" else 600
    for _ in range(100):
        T, B, H = int(rng.integers(2, 13)), int(rng.integers(1, 50)), int(rng.integers(1, largest))
        works = [plans.Work(*words, T, B, H, back, plans.product(storage, mode)) for back in (False, True)]
        if all(runs(gpu.device, team, work) for work in works):
            break
        largest = max(16, largest * 2 // 3)
    else:
        pytest.skip(f"no size found that {team} can run")
    known = CELLS[cell]
    I, K = 4, len(known.gates) * H
    shapes = [(T, B, I), *[(B, H)] * len(known.states), (K, I), (K, H), *[(K,)] * len(known.biases)]
    arguments = [rng.uniform(-1, 1, shape).astype(dtype) for shape in shapes]
    upstream = [rng.uniform(-1, 1, shape).astype(dtype) for shape in [(T, B, H), *[(B, H)] * len(known.states)]]
    lengths = rng.integers(1, T + 1, B) if rng.random() < 0.5 else None
    return StressProblem(cell, T, B, H, arguments, upstream, lengths)


@pytest.mark.parametrize(("cell", "dtype", "mode"), KINDS)
@pytest.mark.parametrize("team", TEAMS)
def test_random_waits_give_the_same_bits(gpu, team, cell, dtype, mode):
    if team.startswith("cluster") and gpu.architecture < 90:
        pytest.skip("clusters need compute capability 9.0")
    seed = sum(map(ord, team + cell + dtype + mode))
    rng, altered = np.random.default_rng(seed), Altered(gpu.device)
    plain, jittery = (sequences.kernels(device, **narrowed(team)) for device in (gpu.device, altered))
    each = max(1, SEQUENCES // (len(TEAMS) * len(KINDS) * DRAWS))
    with precision.precision(mode):
        for k in range(DRAWS):
            problem = draw(gpu, team, cell, dtype, mode, rng)
            expected = problem.run(gpu, plain)
            for n in range(each):
                got = problem.run(gpu, jittery)
                where = f"seed {seed}, draw {k}, run {n}: T={problem.T}, B={problem.B}, H={problem.H}"
                assert got == expected, (
                    f"{where}: results {[i for i, (a, b) in enumerate(zip(got, expected, strict=True)) if a != b]}"
                )
    gpu.wait()
    assert not gpu.device.failed(), "a block stopped waiting"


def test_a_broken_barrier_is_an_error_and_does_not_hang(gpu, monkeypatch):
    monkeypatch.setattr(source, "text", mute(source.text))
    device = Altered(gpu.another(), jitter=False, spin_limit=1000)
    record = sequences.kernels(device, level=3, team="grid")
    rng = np.random.default_rng(0)
    T, B, I, H = 6, 5, 4, 40  # five blocks of 8 units: each waits for four others
    shapes = [(T, B, I), (B, H), (B, H), (4 * H, I), (4 * H, H), (4 * H,)]
    arguments = [gpu.to_device(rng.uniform(-1, 1, shape).astype(np.float32)) for shape in shapes]
    out, *_ = record.lstm.inference(*arguments)
    gpu.wait()
    assert np.isnan(gpu.to_host(out)[1:]).all()  # the results of a block after it has stopped waiting
    with pytest.raises(RuntimeError, match="stopped waiting"):
        record.lstm.inference(*arguments)
    assert not device.failed()  # the error is raised once


def test_a_limit_of_no_polls_is_an_error(gpu):
    """With a limit of 0 polls, some block is late at some step of a long sequence with random waits."""
    device = Altered(gpu.another(), spin_limit=0)
    record = sequences.kernels(device, level=3, team="grid")
    rng = np.random.default_rng(0)
    T, B, I, H = 200, 5, 4, 256
    arguments = [
        gpu.to_device(rng.uniform(-1, 1, s).astype(np.float32)) for s in [(T, B, I), (B, H), (H, I), (H, H), (H,)]
    ]
    record.rnn.inference(*arguments)
    gpu.wait()
    assert device.failed()
