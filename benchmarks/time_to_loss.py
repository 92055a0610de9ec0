"""The same model trained by PyTorch and by minirnn, side by side: after how many seconds each reaches each loss.

    python benchmarks/time_to_loss.py --text FILE --minutes 10

Same text and split, same first weights, same windows in the same order, same optimiser, schedule and clipping; only the
dropout masks are drawn by each for itself. The two take turns of some steps in one process, each is timed during its
own turns alone, and after each turn both are measured on the validation text, which is not timed. --minutes is the time
that minirnn trains; PyTorch makes as many steps. Needs PyTorch (pip install '.[peers]').
"""

import argparse
import json
import math
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from minirnn.language import Batches, TrainConfig, Trainer, calibrate, load_corpus, one_blas_thread
from minirnn.recurrent import backends

LOSSES = (2.4, 2.2, 2.0, 1.9, 1.8, 1.7, 1.65, 1.6, 1.55, 1.52, 1.5, 1.49, 1.48, 1.47, 1.46, 1.45, 1.44)


class LockedDropout(torch.nn.Dropout):
    def forward(self, x):
        return x * super().forward(x.new_ones(1, *x.shape[1:]))


class TorchModel(torch.nn.Module):
    def __init__(self, config, vocab_size):
        super().__init__()
        between = config.dropout if config.layers > 1 else 0.0
        self.embedding = torch.nn.Embedding(vocab_size, config.embedding)
        self.rnn = torch.nn.LSTM(config.embedding, config.hidden, config.layers, dropout=between)
        self.embedding_dropout, self.dropout = LockedDropout(config.dropout / 3), LockedDropout(config.dropout)
        self.linear = torch.nn.Linear(config.hidden, vocab_size)

    def forward(self, ids, state=None):
        out, state = self.rnn(self.embedding_dropout(self.embedding(ids)), state)
        return self.linear(self.dropout(out)), state


class TorchTrainer:
    """`minirnn.language.training.Trainer` word for word in PyTorch."""

    def __init__(self, ours: Trainer):
        self.config = ours.config
        self.rates = ours.schedule
        self.batches = Batches(ours.train_ids, self.config.batch, self.config.seq)
        self.valid_ids = ours.valid_ids
        self.model = TorchModel(self.config, ours.tokenizer.vocab_size)
        self.model.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in ours.model.state_dict().items()})
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=self.config.lr)
        self.state = None

    def step(self, rate):
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

    def validate(self):
        streams = max(1, min(self.config.batch, (len(self.valid_ids) - 1) // self.config.seq))
        state, total, count = None, 0.0, 0
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


def train(config, corpus, turns):
    """-> for each side, a list of (steps, seconds of training so far, validation loss)"""
    ours = Trainer(config, corpus)
    config = ours.config
    theirs = TorchTrainer(ours)
    if config.dropout == 0:
        assert math.isclose(ours.validate(), theirs.validate(), rel_tol=1e-4), "the two models are not the same"
    seconds = {"minirnn": 0.0, "torch": 0.0}
    curves = {"minirnn": [], "torch": []}
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


def reached(curve, loss):
    """Seconds until the curve is at or below this loss for the first time, on a line between two measurements."""
    before = None
    for _, seconds, value in curve:
        if value <= loss:
            if before is None:
                return seconds
            return before[0] + (seconds - before[0]) * (before[1] - loss) / (before[1] - value)
        before = (seconds, value)
    return None


def main():
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
