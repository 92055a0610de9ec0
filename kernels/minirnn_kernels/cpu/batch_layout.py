"""A batch as one matrix of rows, and which of them each thread takes: the schedule that `sequence_pass.py` follows."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from minirnn_kernels.cpu import threads

Array = Any

WORTH_THREADS = 1_000_000  # multiply-adds in a forward pass, some ten microseconds: less isn't worth waking a thread
WORTH_WAITING = 50_000  # multiply-adds in a step, a microsecond: less isn't worth a meeting at each step
FEW_ROWS = 8  # for a thread: with less, the weights are read more often than they are used
LARGE = 250_000  # weights, as many as a second-level cache of 1 MB holds: of more, a thread better reads only a part
FAR = 4_000_000  # weights that come from the main memory at every step, and are asked for ahead of time


def far(gates: int, H: int, I: int) -> int:
    """1 if a layer's weights are so many, else 0."""
    return int(gates * H * (H + I) >= FAR)


def _runs(first: Array, counts: Array) -> Array:
    """The numbers of all runs, one after the other: counts[k] of them from first[k] on."""
    counts = counts.ravel()
    ends = np.cumsum(counts)
    return np.repeat(first.ravel() + counts - ends, counts) + np.arange(ends[-1])


def rows_of(T: int, B: int, lengths: Any, K: int, terms: int) -> Rows:
    """For K weights' rows, `terms` multiply-adds for each of them and each row."""
    parts = threads.how_many() if T * B * K * terms >= WORTH_THREADS else 1
    by_units = parts > 1 and (FEW_ROWS * parts > B or K * terms >= LARGE) and B * K * terms >= WORTH_WAITING
    if parts > B and not by_units:
        parts = 1
    if lengths is not None and B > 0 and int(np.min(lengths)) < T:
        return Rows(T, B, lengths, parts, by_units)
    return _even(T, B, parts, by_units)


@lru_cache(maxsize=32)
def _even(T: int, B: int, parts: int, by_units: bool) -> Rows:
    """Kept, with its schedules: for a few short steps it takes longer than they do."""
    return Rows(T, B, None, parts, by_units)


class Rows:
    """A batch as one matrix with a row for each step of each sequence, and the threads' shares of it.

    Without lengths the rows stand as in x (T, B, I). With them the steps that exist are copied to one run a thread,
    in each of which sequences that end later come first. It doesn't change.
    """

    def __init__(self, T: int, B: int, lengths: Any, parts: int, by_units: bool) -> None:
        self.T, self.B, self.parts, self.by_units = T, B, parts, by_units
        self.copies = 1 if by_units else parts  # of the packed weights
        self.ragged = lengths is not None
        self._schedules: dict[tuple[int, bool, bool], Array] = {}
        # Of each share of the sequences, and the last two of each step too: its first sequence, its number of rows,
        # and its first row.
        self.starts: Array
        self.counts: Array
        self.first: Array
        shares = 1 if by_units else parts
        if self.ragged:
            self._sort(np.asarray(lengths), shares)
        else:
            edges = np.array([B * k // shares for k in range(shares + 1)])
            self.starts, self.counts = edges[:-1], np.broadcast_to(np.diff(edges)[:, None], (shares, T))
            self.first = np.arange(T) * B + self.starts[:, None]

    def _sort(self, lengths: Array, shares: int) -> None:
        longest_first = np.argsort(-lengths, kind="stable")
        groups = [longest_first[k::shares] for k in range(shares)]
        order = np.concatenate(groups)
        self.order, self.back, self.lengths = order, np.argsort(order), lengths[order]
        self.starts = np.cumsum([0, *map(len, groups)])[:-1]
        self.counts = np.array([(lengths[g] > np.arange(self.T)[:, None]).sum(axis=1) for g in groups])
        self.first = np.cumsum(self.counts.ravel()).reshape(self.counts.shape) - self.counts
        # of each row: its step, and its sequence in the caller's order
        self.times = np.concatenate([np.repeat(np.arange(self.T), counts) for counts in self.counts])
        self.sequences = order[_runs(np.broadcast_to(self.starts[:, None], self.counts.shape), self.counts)]

    # ---- between the caller's arrays and rows

    def pack(self, x: Array) -> Array:
        """x (T, B, n) -> (rows, n)"""
        if self.ragged:
            return x[self.times, self.sequences]
        x = x if x.flags.c_contiguous and x.flags.aligned else x.copy(order="C")
        return x.reshape(-1, x.shape[2])

    def unpack(self, rows: Array) -> Array:
        """(rows, n) -> (T, B, n), with zeros where there is no step"""
        n = rows.shape[1]
        if not self.ragged:
            return np.ascontiguousarray(rows).reshape(self.T, self.B, n)
        out = np.zeros((self.T, self.B, n), rows.dtype)
        out[self.times, self.sequences] = rows
        return out

    def sort(self, states: Array) -> Array:
        """(B, n) in the caller's order -> in the order of the rows"""
        return states[self.order] if self.ragged else states

    def unsort(self, states: Array) -> Array:
        """(B, n) in the order of the rows -> a copy in the caller's order"""
        return states[self.back] if self.ragged else states.copy()

    def before(self, states: Array) -> Array:
        """states (B + rows, n) -> (rows, n), the state before each row's step"""
        if not self.ragged:
            return states[: len(states) - self.B]
        return states[_runs(self._before(), self.counts)]

    def last(self, states: Array, n: int) -> Array:
        """states (B + rows, wide) -> (B, n), the state after each sequence's own last step"""
        if not self.ragged:
            return states[len(states) - self.B :, :n].copy()
        sequence = np.arange(self.B)
        share = np.searchsorted(self.starts, sequence, side="right") - 1
        row = self.first[share, self.lengths - 1] + sequence - self.starts[share]
        return states[self.B + row, :n][self.back]

    def _before(self) -> Array:
        """(shares, T): where the run of states before each step's rows begins."""
        return np.concatenate([self.starts[:, None], self.B + self.first[:, :-1]], axis=1)

    def schedule(self, chunk: int, whole_G: bool, whole_c: bool) -> Array:
        """(shares, T, 6) for `numba_work`. G has a row for each row, or only for `chunk` steps; c, or only for one."""
        asked = chunk, whole_G, whole_c
        if asked not in self._schedules:
            self._schedules[asked] = self._schedule(*asked)
        return self._schedules[asked]

    def _schedule(self, chunk: int, whole_G: bool, whole_c: bool) -> Array:
        starts = np.broadcast_to(self.starts[:, None], self.first.shape)
        before = self._before()
        c_before, c_after = (before, self.B + self.first) if whole_c else (starts, starts)
        if whole_G:
            gates = self.first
        elif self.ragged:  # what is left of the chunk follows
            t = np.arange(self.T)
            gates = chunk * starts + self.first - self.first[:, t - t % chunk]
        else:
            gates = chunk * starts + np.arange(self.T) % chunk * self.counts
        return np.stack([self.first, self.counts, before, c_before, c_after, gates], axis=2).astype(np.int64)
