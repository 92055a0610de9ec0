"""The sizes that are measured, with plain names and their sources.

DeepBench: https://github.com/baidu-research/DeepBench, which leaves out the input product; here it is always included,
with I = H. char-rnn: https://github.com/karpathy/char-rnn, its defaults. FlashRNN: arXiv 2412.07752, figure 4. PyTorch:
the size of the LSTM case in its own benchmarks.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BY_NAME", "NINE", "QUICK", "SIZES", "USUAL", "Size", "named"]


@dataclass(frozen=True)
class Size:
    """B sequences of T steps, I inputs, H units."""

    name: str
    B: int
    T: int
    I: int
    H: int
    origin: str

    def __str__(self) -> str:
        return f"B={self.B} T={self.T} I={self.I} H={self.H}"


def _deepbench(H: int, B: int, T: int) -> Size:
    return Size(f"deepbench-{H}x{B}", B, T, H, H, "DeepBench, with the input's product")


# The sizes of the published table: from one sequence to a layer whose weights do not fit in the cache.
NINE = (
    Size("single", 1, 64, 64, 128, "one sequence"),
    Size("small", 16, 64, 64, 128, "a first exercise"),
    _deepbench(256, 16, 150),
    Size("medium", 32, 64, 128, 256, "a small language model"),
    Size("char-rnn", 50, 50, 128, 128, "char-rnn's defaults"),
    Size("large", 64, 100, 256, 512, "a language model"),
    _deepbench(512, 16, 25),
    Size("pytorch", 64, 50, 500, 500, "PyTorch's own LSTM case"),
    Size("deepbench-1024x64", 64, 25, 1024, 1024, "DeepBench, with the input's product"),
)

SIZES = (
    *NINE,
    *(_deepbench(256, B, 150) for B in (32, 64)),
    *(_deepbench(512, B, 25) for B in (32, 64, 128)),
    *(_deepbench(1024, B, 25) for B in (16, 32)),
    _deepbench(1536, 8, 50),
    *(_deepbench(1760, B, 50) for B in (16,)),
    *(Size(f"flashrnn-{H}", 16, 1024, H, H, "FlashRNN's sweep over H") for H in (128, 256, 512)),
    *(Size(f"online-{H}", 1, 1, H, H, "one step of one sequence, as in sampling") for H in (128, 256, 512)),
)

BY_NAME = {size.name: size for size in SIZES}
USUAL = tuple(BY_NAME[name] for name in ("small", "char-rnn", "medium", "deepbench-512x16", "pytorch"))
QUICK = tuple(BY_NAME[name] for name in ("small", "char-rnn"))


def named(name: str) -> Size:
    """Return the size with this name, or the size "BxTxIxH", such as "16x64x64x128". ValueError for any other text."""
    if name in BY_NAME:
        return BY_NAME[name]
    parts = name.split("x")
    if len(parts) == 4 and all(part.isdigit() and 0 < int(part) < 1_000_000 for part in parts):
        B, T, I, H = map(int, parts)
        return Size(name, B, T, I, H, "given")
    raise ValueError(
        f"size {name!r} is not known, expected BxTxIxH such as 16x64x64x128, or one of {', '.join(BY_NAME)}"
    )
