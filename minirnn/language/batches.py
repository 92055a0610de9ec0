"""Contiguous batches for truncated backpropagation through time, and the train/validation split."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

__all__ = ["Batches", "TextTooShort", "split"]


class TextTooShort(ValueError):
    """A text doesn't fill one batch. The message says how long it is and how long it must be."""


def split(ids: np.ndarray, fraction: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """The ids before the last `fraction` of them, for training, and the rest, for validation (rounded down)."""
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must be between 0 and 1, got {fraction}")
    cut = len(ids) - int(len(ids) * fraction)
    return ids[:cut], ids[cut:]


class Batches:
    """`ids` (n,) read as `batch` parallel streams, `seq` steps at a time, the next token being the target.

    Stream b is the b-th of `batch` equal pieces of the text. Window k is x, y of shape (seq, batch), time-major, with
    x[t, b] the id at place k * seq + t of stream b and y[t, b] the one after it. So window k + 1 goes on where window
    k stopped, in every column, and a network's state is carried from one to the next; window 0 wants a fresh state.
    What doesn't fill a window at the end of the streams is left out, or with `keep_tail` is one last, shorter window.

    `position` is the index of the window that `next` gives; store and set it to stop and continue. Iterating goes from
    there to the end of the text, and leaves it at 0.
    """

    def __init__(self, ids: np.ndarray, batch: int, seq: int, *, keep_tail: bool = False) -> None:
        if batch < 1 or seq < 1:
            raise ValueError(f"batch and seq must be at least 1, got {batch} and {seq}")
        length = (len(ids) - 1) // batch
        self._count = -(-length // seq) if keep_tail else length // seq
        if self._count < 1:
            needed = batch * (1 if keep_tail else seq) + 1
            raise TextTooShort(
                f"the text has {len(ids)} tokens, too few for one batch: batch {batch} x seq {seq} needs {needed}"
            )
        self._x = ids[: batch * length].reshape(batch, length).T
        self._y = ids[1 : batch * length + 1].reshape(batch, length).T
        self._seq = seq
        self.position = 0

    def __len__(self) -> int:
        """How many windows one pass through the text has."""
        return self._count

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Window `index` as x, y."""
        if not 0 <= index < self._count:
            raise IndexError(f"window {index} is out of range: there are windows 0 to {self._count - 1}")
        place = slice(index * self._seq, (index + 1) * self._seq)
        return np.ascontiguousarray(self._x[place]), np.ascontiguousarray(self._y[place])

    def next(self) -> tuple[np.ndarray, np.ndarray]:
        """The window at `position`, which moves on by one, from the last window to the first."""
        window = self[self.position]
        self.position = (self.position + 1) % self._count
        return window

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        while True:
            yield self.next()
            if self.position == 0:
                return
