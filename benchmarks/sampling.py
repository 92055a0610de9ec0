"""Single steps: microseconds per LSTM step at B = 1, and characters per second when sampling text.

    python benchmarks/sampling.py [--json FILE]

Step: `nn.LSTMCell` under `no_grad` with each record of kernels, against PyTorch's LSTMCell under `inference_mode` with
one thread and with two; I = H, float32. Text: one layer of 256, vocabulary 65, embedding 256; `sampling.generate`
against a loop over PyTorch's embedding, LSTMCell and linear layer, with PyTorch's own draw (softmax, multinomial) and
with a faster one (exponentials, cumulative sum and search in NumPy).

All contenders run alternately in this process. In a round each of them has a pause, in which the threads of the
previous one go to sleep, then calls to warm up, then the calls that are timed. The table shows medians over the rounds
and ratios to PyTorch's best time. Before the timing, the script checks that both sides compute the same from the same
weights.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch

import minirnn
import minirnn_kernels
from minirnn import nn
from minirnn.language import CharTokenizer
from minirnn.language.model import LanguageModel
from minirnn.language.sampling import generate
from minirnn.machine import cpu_model

HIDDEN_SIZES = (128, 256, 512)
CALLS, ROUNDS = 100, 30
PAUSE, WARM = 0.1, 0.05  # seconds
VOCABULARY, HIDDEN, CHARACTERS = 65, 256, 1000
FLOAT32_EPSILON = float(np.finfo(np.float32).eps)


def medians(runs: dict[str, Callable[[int], Any]], calls: int, rounds: int) -> dict[str, float]:
    """Return the median microseconds per call; a run takes the number of calls to make."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            time.sleep(PAUSE)
            warm = time.perf_counter() + WARM
            while time.perf_counter() < warm:
                run(10)
            start = time.perf_counter()
            run(calls)
            times[name].append((time.perf_counter() - start) / calls * 1e6)
    return {name: statistics.median(t) for name, t in times.items()}


def copied(theirs: torch.nn.Module) -> dict[str, Any]:
    return {name: value.numpy().copy() for name, value in theirs.state_dict().items()}


# ---- a step


def step_runs(H: int) -> dict[str, Callable[[int], Any]]:
    theirs, ours = torch.nn.LSTMCell(H, H), nn.LSTMCell(H, H)
    ours.load_state_dict(copied(theirs))
    x, h, c = np.random.default_rng(0).uniform(-1, 1, (3, 1, H)).astype(np.float32)
    arguments = torch.tensor(x), (torch.tensor(h), torch.tensor(c))
    runs: dict[str, Callable[[int], Any]] = {}

    def torch_run(threads: int) -> Callable[[int], Any]:
        def run(calls: int) -> Any:
            torch.set_num_threads(threads)
            with torch.inference_mode():
                for _ in range(calls):
                    state = theirs(*arguments)
            return state

        return run

    def minirnn_run(name: str) -> Callable[[int], Any]:
        def run(calls: int) -> Any:
            with minirnn.kernels(name), minirnn.no_grad():
                for _ in range(calls):
                    state = ours(x, (h, c))
            return state

        return run

    for threads in (1, 2):
        runs[f"PyTorch, {threads} threads"] = torch_run(threads)
    expected = [s.numpy() for s in runs["PyTorch, 1 threads"](1)]
    for name, reason in minirnn_kernels.available().items():
        if reason is None:
            runs[f"minirnn, {name}"] = run = minirnn_run(name)
            for got, right in zip(run(1), expected, strict=True):
                np.testing.assert_allclose(got.data, right, rtol=0, atol=FLOAT32_EPSILON * (2 * H + 20), err_msg=name)
    return runs


# ---- text


class TorchCharacterModel(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(VOCABULARY, HIDDEN)
        self.cell = torch.nn.LSTMCell(HIDDEN, HIDDEN)
        self.linear = torch.nn.Linear(HIDDEN, VOCABULARY)

    def forward(self, ids: Any, state: Any) -> Any:
        state = self.cell(self.embedding(ids), state)
        return self.linear(state[0]), state


def multinomial(logits: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    return torch.multinomial(torch.softmax(logits, 1), 1)[0]


def searched(logits: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    scores = logits.numpy()[0]
    sums = np.exp(scores - scores.max()).cumsum()
    return torch.tensor([sums.searchsorted(rng.random() * sums[-1], side="right")])


def text_runs() -> dict[str, Callable[[int], Any]]:
    theirs, ours = TorchCharacterModel(), LanguageModel(VOCABULARY, "lstm", HIDDEN, embedding=HIDDEN)
    state = copied(theirs)
    ours.load_state_dict({n.replace("cell.", "rnn.") + "_l0" * n.startswith("cell"): a for n, a in state.items()})
    tokenizer = CharTokenizer("".join(chr(33 + k) for k in range(VOCABULARY - 1)))

    def torch_run(threads: int, draw: Callable[..., torch.Tensor]) -> Callable[[int], Any]:
        def run(calls: int) -> str:
            torch.set_num_threads(threads)
            rng, pieces = np.random.default_rng(0), []
            ids, state = torch.tensor([1]), (torch.zeros(1, HIDDEN), torch.zeros(1, HIDDEN))
            with torch.inference_mode():
                for _ in range(calls):
                    logits, state = theirs(ids, state)
                    ids = draw(logits, rng)
                    pieces.append(chr(32 + ids.item()))
            return "".join(pieces)

        return run

    def minirnn_run(name: str) -> Callable[[int], Any]:
        def run(calls: int) -> str:
            with minirnn.kernels(name):
                return "".join(generate(ours, tokenizer, "!", calls))

        return run

    runs: dict[str, Callable[[int], Any]] = {}
    for threads in (1, 2):
        runs[f"PyTorch, {threads} threads"] = torch_run(threads, multinomial)
        runs[f"PyTorch, {threads} threads, faster draw"] = torch_run(threads, searched)
    for name, reason in minirnn_kernels.available().items():
        if reason is None:
            check_logits(theirs, ours, name)
            runs[f"minirnn, {name}"] = minirnn_run(name)
    return runs


def check_logits(theirs: TorchCharacterModel, ours: LanguageModel, name: str) -> None:
    """Check that both models give the same scores for the same characters."""
    zeros = [np.zeros((1, HIDDEN), np.float32) for _ in range(2)]
    state, states = tuple(map(torch.tensor, zeros)), [tuple(zeros)]
    with torch.inference_mode(), minirnn.kernels(name):
        for k in np.random.default_rng(0).integers(0, VOCABULARY, 50):
            expected, state = theirs(torch.tensor([k]), state)
            logits, states = ours.step(np.array([k]), states)
            np.testing.assert_allclose(
                logits, expected.numpy(), rtol=0, atol=FLOAT32_EPSILON * 10 * HIDDEN, err_msg=name
            )


def shown(title: str, times: dict[str, float], unit: str, per_second: bool = False) -> dict[str, Any]:
    best = min(t for name, t in times.items() if name.startswith("PyTorch"))
    print(title)
    for name, t in times.items():
        figure = f"{1e6 / t:9,.0f}" if per_second else f"{t:9.1f}"
        print(f"  {name:34}{figure} {unit}   PyTorch's best time / this: {best / t:.2f}")
    return {"microseconds": times, "ratios": {name: best / t for name, t in times.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    stamp = {
        "cpu": cpu_model(),
        "threads": numba.get_num_threads(),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "numba": numba.__version__,
    }
    print(", ".join(f"{name} {value}" for name, value in stamp.items()))
    result: dict[str, Any] = {"stamp": stamp, "step": {}}
    for H in HIDDEN_SIZES:
        times = medians(step_runs(H), CALLS, ROUNDS)
        result["step"][H] = shown(f"one LSTM step, B = 1, I = H = {H}", times, "us")
    times = medians(text_runs(), CHARACTERS, ROUNDS // 3)
    result["text"] = shown(f"sampling text, one layer of {HIDDEN}", times, "characters/s", per_second=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
