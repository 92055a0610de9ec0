"""The same model trained by PyTorch and by minirnn: the seconds after which each of them reaches each loss.

    python benchmarks/time_to_loss.py --text FILE --minutes 10

Both use the same text and split, the same initial weights, the same windows in the same order, and the same optimiser,
schedule and clipping; only the dropout masks differ. The two alternate in one process, some steps at a time, and only
their own steps are timed. After each turn both are evaluated on the validation text, which is not timed. --minutes is
the training time of minirnn; PyTorch makes the same number of steps. Needs PyTorch (pip install '.[peers]').
"""

import argparse
import json
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from minirnn.language import Batches, Corpus, TrainConfig, Trainer, calibrate, load_corpus, one_blas_thread
from minirnn.recurrent import backends

LOSSES = (2.4, 2.2, 2.0, 1.9, 1.8, 1.7, 1.65, 1.6, 1.55, 1.52, 1.5, 1.49, 1.48, 1.47, 1.46, 1.45, 1.44)


class TorchLockedDropout(torch.nn.Dropout):
    """PyTorch's counterpart of `minirnn.nn.LockedDropout`: one mask for all steps."""

    def forward(self, x: Any) -> Any:
        return x * super().forward(x.new_ones(1, *x.shape[1:]))


class TorchLanguageModel(torch.nn.Module):
    """PyTorch's counterpart of `minirnn.language.model.LanguageModel`."""

    def __init__(self, config: TrainConfig, vocab_size: int) -> None:
        super().__init__()
        dropout = config.dropout or 0.0
        between = dropout if config.layers > 1 else 0.0
        self.embedding = torch.nn.Embedding(vocab_size, config.embedding)
        self.rnn = torch.nn.LSTM(config.embedding, config.hidden, config.layers, dropout=between)
        self.embedding_dropout, self.dropout = (
            TorchLockedDropout(dropout / 3),
            TorchLockedDropout(dropout),
        )
        self.linear = torch.nn.Linear(config.hidden, vocab_size)

    def forward(self, ids: Any, state: Any = None) -> tuple[Any, Any]:
        out, state = self.rnn(self.embedding_dropout(self.embedding(ids)), state)
        return self.linear(self.dropout(out)), state


class TorchTrainer:
    """PyTorch's counterpart of `minirnn.language.training.Trainer`, line by line."""

    def __init__(self, ours: Trainer) -> None:
        self.config = ours.config
        self.rates = ours.schedule
        self.batches = Batches(ours.train_ids, self.config.batch, self.config.seq)
        self.valid_ids = ours.valid_ids
        self.model = TorchLanguageModel(self.config, ours.tokenizer.vocab_size)
        self.model.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in ours.model.state_dict().items()})
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=self.config.lr)
        self.state: Any = None

    def step(self, rate: float) -> float:
        if self.batches.position == 0:
            self.state = None
        x, y = map(torch.from_numpy, self.batches.next())
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        logits, state = self.model(x, self.state)
        loss = torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), y.reshape(-1))
        loss.backward()
        if self.config.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.state = tuple(part.detach() for part in state)
        return float(loss.item())

    def validate(self) -> float:
        streams = max(1, min(self.config.batch, (len(self.valid_ids) - 1) // self.config.seq))
        state: Any = None
        total, count = 0.0, 0
        self.model.eval()
        with torch.no_grad():
            for x, y in Batches(self.valid_ids, streams, self.config.seq, keep_tail=True):
                logits, state = self.model(torch.from_numpy(x), state)
                targets = torch.from_numpy(y.reshape(-1))
                flat = logits.reshape(-1, logits.shape[-1])
                total += float(torch.nn.functional.cross_entropy(flat, targets, reduction="sum").item())
                count += y.size
        self.model.train()
        return total / count


Curve = list[tuple[int, float, float]]  # steps, seconds of training so far, validation loss


def train(config: TrainConfig, corpus: Corpus, turns: int) -> dict[str, Curve]:
    """Train both models alternately and return a curve for each."""
    ours = Trainer(config, corpus)
    config = ours.config
    theirs = TorchTrainer(ours)
    if config.dropout == 0:
        assert math.isclose(ours.validate(), theirs.validate(), rel_tol=1e-4), "the two models are not the same"
    seconds = {"minirnn": 0.0, "torch": 0.0}
    curves: dict[str, Curve] = {"minirnn": [], "torch": []}
    turn = max(1, config.steps // turns)
    while ours.steps_done < config.steps:
        steps = min(turn, config.steps - ours.steps_done)
        start = time.perf_counter()
        with one_blas_thread():
            rates = [ours.step().lr for _ in range(steps)]
        seconds["minirnn"] += time.perf_counter() - start
        start = time.perf_counter()
        for rate in rates:
            theirs.step(rate)
        seconds["torch"] += time.perf_counter() - start
        for name, trainer in (("minirnn", ours), ("torch", theirs)):
            curves[name].append((ours.steps_done, seconds[name], trainer.validate()))
        print(
            f"step {ours.steps_done:6}  "
            + "  ".join(f"{name} {points[-1][1]:7.1f} s {points[-1][2]:.4f} nats" for name, points in curves.items()),
            flush=True,
        )
    return curves


def reached(curve: Curve, loss: float) -> float | None:
    """Return the seconds until the curve first reaches this loss, interpolated linearly, or None."""
    before = None
    for _, seconds, value in curve:
        if value <= loss:
            if before is None:
                return seconds
            return before[0] + (seconds - before[0]) * (before[1] - loss) / (before[1] - value)
        before = (seconds, value)
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", default="python-docs")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, default=2.0, help="of training by minirnn")
    length.add_argument("--steps", type=int)
    parser.add_argument("--turns", type=int, default=40)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of PyTorch")
    for name in ("hidden", "layers", "batch", "seq"):
        parser.add_argument(f"--{name}", type=int, default=getattr(TrainConfig, name))
    for name in ("dropout", "lr"):
        parser.add_argument(f"--{name}", type=float, default=getattr(TrainConfig, name))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    chosen = {name: getattr(options, name) for name in ("hidden", "layers", "batch", "seq", "dropout", "lr", "seed")}
    corpus = load_corpus(options.text)
    config = TrainConfig(text=options.text, steps=options.steps or 1000, **chosen)
    if options.steps is None:
        config = calibrate(config, corpus, options.minutes * 60)
    print(f"{corpus.name}: {config.layers} x LSTM {config.hidden}, {config.steps} x {config.batch} x {config.seq}")
    print(f"minirnn ({backends.chosen(np.zeros(1, np.float32)).name} kernels), PyTorch {torch.__version__}")
    curves = train(config, corpus, options.turns)
    for loss in LOSSES:
        ours, theirs = (reached(curves[name], loss) for name in ("minirnn", "torch"))
        if ours and theirs:
            print(f"{loss:5.2f} nats   minirnn {ours:7.1f} s   PyTorch {theirs:7.1f} s   ratio {theirs / ours:.2f}")
    if options.json:
        options.json.write_text(json.dumps({"config": asdict(config), "curves": curves}, indent=1))


if __name__ == "__main__":
    main()
