"""Contiguous batches for truncated backpropagation through time, and the train/validation split."""

from collections.abc import Iterator

import numpy as np

__all__ = ["Batches", "TextTooShort", "split"]


class TextTooShort(ValueError):
    """The text is too short for one batch. The message says how long it is and how long it must be."""


def split(ids: np.ndarray, fraction: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Split `ids` into a training part and a validation part: the last `fraction` of the ids, rounded down."""
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must be between 0 and 1, got {fraction}")
    cut = len(ids) - int(len(ids) * fraction)
    return ids[:cut], ids[cut:]


class Batches:
    """`ids` (n,) as `batch` parallel streams, read `seq` steps at a time, with the next token as the target.

    Stream b is the b-th of `batch` equal pieces of the text. Window k is a pair x, y of shape (seq, batch), time-major:
    x[t, b] is the id at index k * seq + t of stream b, and y[t, b] is the id after it. In every column, window k + 1
    continues where window k ends, so a network's state is carried from window to window; window 0 needs a new state.
    The ids at the end of the streams that do not fill a window are left out; with `keep_tail` they form a shorter
    window.

    `position` is the index of the window that `next` returns next: save it when a run stops, and set it to continue.
    Iteration runs from `position` to the end of the text and resets `position` to 0.
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
        """Return the number of windows in one pass through the text."""
        return self._count

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return window `index` as x, y."""
        if not 0 <= index < self._count:
            raise IndexError(f"window {index} is out of range: there are windows 0 to {self._count - 1}")
        place = slice(index * self._seq, (index + 1) * self._seq)
        return np.ascontiguousarray(self._x[place]), np.ascontiguousarray(self._y[place])

    def next(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the window at `position` and advance `position` by one; after the last window it is 0."""
        window = self[self.position]
        self.position = (self.position + 1) % self._count
        return window

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        while True:
            yield self.next()
            if self.position == 0:
                return
