"""A batch as one matrix of rows, and the share of each thread: the schedule that `sequence_pass.py` follows."""

from functools import lru_cache
from typing import Any

import numpy as np

from minirnn_kernels.cpu.cost_model import sequence_parts
from minirnn_kernels.cpu.memory import contiguous

Array = Any


class Rows:
    """A batch as one matrix with a row for each step of each sequence, and the shares of the threads.

    Without lengths, the rows are in the order of x (T, B, I). With lengths, only the steps that exist have rows; they
    are copied to one contiguous part of the matrix for each share, in which the longest sequences come first. A layout
    is immutable.
    """

    def __init__(self, T: int, B: int, lengths: Any, parts: int, by_units: bool) -> None:
        self.T, self.B, self.parts, self.by_units = T, B, parts, by_units
        self.copies = 1 if by_units else parts  # of the packed weights
        self.ragged = lengths is not None
        self._schedules: dict[tuple[int, bool, bool], Array] = {}
        shares = self.copies
        if self.ragged:
            self._sort(np.asarray(lengths), shares)
        else:
            edges = np.array([B * k // shares for k in range(shares + 1)])
            self.starts = edges[:-1]  # (shares,): the first sequence
            self.counts = np.broadcast_to(np.diff(edges)[:, None], (shares, T))  # (shares, T): rows of the step
            self.first = np.arange(T) * B + self.starts[:, None]  # (shares, T): the first row of the step

    def _sort(self, lengths: Array, shares: int) -> None:
        longest_first = np.argsort(-lengths, kind="stable")
        groups = [longest_first[k::shares] for k in range(shares)]
        order = np.concatenate(groups)
        self.order, self.back, self.lengths = order, np.argsort(order), lengths[order]
        self.starts = np.cumsum([0, *map(len, groups)])[:-1]
        self.counts = np.array([(lengths[g] > np.arange(self.T)[:, None]).sum(axis=1) for g in groups])
        self.first = np.cumsum(self.counts.ravel()).reshape(self.counts.shape) - self.counts
        # for each row: its step, and the index of its sequence in the caller's batch
        self.times = np.concatenate([np.repeat(np.arange(self.T), counts) for counts in self.counts])
        self.sequences = order[_runs(np.broadcast_to(self.starts[:, None], self.counts.shape), self.counts)]

    # ---- between the caller's arrays and rows

    def pack(self, x: Array) -> Array:
        """Return x (T, B, n) as rows (rows, n)."""
        return x[self.times, self.sequences] if self.ragged else contiguous(x).reshape(-1, x.shape[2])

    def unpack(self, rows: Array) -> Array:
        """Return rows (rows, n) as an array (T, B, n), with zeros after the end of each sequence."""
        n = rows.shape[1]
        if not self.ragged:
            return np.ascontiguousarray(rows).reshape(self.T, self.B, n)
        out = np.zeros((self.T, self.B, n), rows.dtype)
        out[self.times, self.sequences] = rows
        return out

    def sort(self, states: Array) -> Array:
        """Return states (B, n), given in the caller's order, in the order of the rows."""
        return states[self.order] if self.ragged else states

    def unsort(self, states: Array) -> Array:
        """Return a copy of states (B, n), given in the order of the rows, in the caller's order."""
        return states[self.back] if self.ragged else states.copy()

    def before(self, states: Array) -> Array:
        """Return the state before each row's step (rows, n), given states (B + rows, n)."""
        return states[_runs(self._before(), self.counts)] if self.ragged else states[: len(states) - self.B]

    def last(self, states: Array, n: int) -> Array:
        """Return the state after the last step of each sequence (B, n), given states (B + rows, n or wider)."""
        if not self.ragged:
            return states[len(states) - self.B :, :n].copy()
        sequence = np.arange(self.B)
        share = np.searchsorted(self.starts, sequence, side="right") - 1
        row = self.first[share, self.lengths - 1] + sequence - self.starts[share]
        return states[self.B + row, :n][self.back]

    def _before(self) -> Array:
        """Return the index of the state before the first row of each step (shares, T)."""
        return np.concatenate([self.starts[:, None], self.B + self.first[:, :-1]], axis=1)

    def schedule(self, chunk: int, whole_G: bool, whole_c: bool) -> Array:
        """Return the schedule (shares, T, 6) that `sequence_pass.py` describes.

        With whole_G, G has a row for each row of the batch, otherwise only for `chunk` steps. With whole_c, c has a row
        for each row of the batch, otherwise only for one step.
        """
        key = chunk, whole_G, whole_c
        if key not in self._schedules:
            self._schedules[key] = self._schedule(*key)
        return self._schedules[key]

    def _schedule(self, chunk: int, whole_G: bool, whole_c: bool) -> Array:
        starts = np.broadcast_to(self.starts[:, None], self.first.shape)
        before = self._before()
        c_before, c_after = (before, self.B + self.first) if whole_c else (starts, starts)
        t = np.arange(self.T)
        if whole_G:
            gates = self.first
        elif self.ragged:  # the rows of a step follow those of the earlier steps in the chunk
            gates = chunk * starts + self.first - self.first[:, t - t % chunk]
        else:
            gates = chunk * starts + t % chunk * self.counts
        return np.stack([self.first, self.counts, before, c_before, c_after, gates], axis=2).astype(np.int64)


def _runs(first: Array, counts: Array) -> Array:
    """Return the concatenation of runs of consecutive integers; run k has counts[k] of them, starting at first[k]."""
    counts = counts.ravel()
    ends = np.cumsum(counts)
    return np.repeat(first.ravel() + counts - ends, counts) + np.arange(ends[-1])


@lru_cache(maxsize=32)
def _even(T: int, B: int, parts: int, by_units: bool) -> Rows:
    """Return a layout without lengths. Cached, with its schedules: building it can cost more than a short sequence."""
    return Rows(T, B, None, parts, by_units)


def rows_of(T: int, B: int, lengths: Any, weight_rows: int, terms: int) -> Rows:
    """Return the layout of a batch, divided among threads by `cost_model.sequence_parts`."""
    parts, by_units = sequence_parts(T, B, weight_rows, terms)
    if lengths is not None and B > 0 and int(np.min(lengths)) < T:
        return Rows(T, B, lengths, parts, by_units)
    return _even(T, B, parts, by_units)
