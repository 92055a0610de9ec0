"""The contract between a recurrent layer and the kernels that compute it, on two levels.

`Gates` is the pointwise level: the functions that turn the pre-activations of one step into gates and states, in place.
`Kernels` is the level of sequences: forward, backward and inference of one layer in one direction, and single steps.
It holds gates as one of its fields. If you supply only gates, `reference.sequences.sequences` builds the other
functions. kernels/README.md states the contract in words, with the rules on aliasing, mutation, lengths and NaN;
`minirnn_kernels.proof` tests a record against it.

Shapes of the sequences: x (T, B, I), time first; h0, c0 (B, H); W_ih (K, I), W_hh (K, H), biases (K,), where K is H
times the number of gates in `cell.py`, whose order is that of the blocks of H rows; lengths (B,) of integers in 1..T,
or None if every sequence has T steps; out (T, B, H), exactly zero past the end of each sequence; h_n, c_n (B, H), the
states after the last step of each sequence. A gradient has the shape of the array that it belongs to. dout, dh_n and
dc_n can be None, which means zero. A step takes x (B, I) and no lengths; it is inference.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from minirnn_kernels.cell import CELLS

Arrays = tuple[Any, ...]
Functions = TypeVar("Functions")  # the functions of one cell


@dataclass(frozen=True)
class CellGates:
    """The two pointwise functions of one cell. They work in place and return nothing.

    The arrays of a call are all float32 or all float64. `gates` and `da` are (n, B, H), one block for each of n gates;
    their last axis has unit stride and the first two can have any strides, so that rows (B, n*H) can be passed as a
    view. All other arrays are (B, H), with unit stride in the last axis. B can be 0. Arrays share no memory except
    where this table says so. An argument that is not listed as changed or filled keeps its values.

    | cell | forward | effect |
    |---|---|---|
    | RNN | a, nonlinearity | a, the pre-activations, becomes h; nonlinearity is "tanh" or "relu" |
    | LSTM | gates, c_prev, c, h | gates, pre-activations in the order i, f, g, o, become the gates; c and h are filled; c can be c_prev |
    | GRU | gates, h_prev, h | gates, the pre-activations of n, r, z, q with all biases, become n, r, z, q; h is filled |

    | cell | backward | effect |
    |---|---|---|
    | RNN | h, dh, nonlinearity | dh becomes da; for relu da is 0 where h <= 0 |
    | LSTM | gates, c_prev, c, dh, dc, da | da is filled in the order i, f, g, o; dc becomes dc_prev; tanh(c) is computed again |
    | GRU | gates, h_prev, dh, da | da is filled with da_n, da_r, da_z, dq; dh becomes z * dh, the gradient past the gates |

    In the GRU, q = a_hn is the part of the candidate n that r multiplies.
    """  # noqa: E501  (a table)

    forward: Callable[..., None]
    backward: Callable[..., None]


class _Record(Generic[Functions]):
    """The functions of several cells, by name: `record.of("lstm")`, or `record.lstm`. A record can lack cells.

    Cells can be given as keywords, as in `Gates("mine", rnn=..., lstm=...)`. `dataclasses.replace(record, lstm=...)`
    replaces one cell and keeps the others.
    """

    name: str
    cells: Mapping[str, Functions]

    def _fill(self, cells: Mapping[str, Functions] | None, further: Mapping[str, Functions], **others: Any) -> None:
        """Set the fields. TypeError for a cell that is not in `cell.CELLS`."""
        cells = {**(cells or {}), **further}
        if unknown := cells.keys() - CELLS.keys():
            raise TypeError(
                f"{type(self).__name__}: there is no cell {', '.join(sorted(unknown))}; expected names in cell.CELLS: "
                f"{', '.join(CELLS)}"
            )
        for name, value in {**others, "cells": cells}.items():
            object.__setattr__(self, name, value)  # the record is frozen

    def of(self, cell_name: str) -> Functions:
        """Return the functions of one cell, given its name in `cell.CELLS`. ValueError if the record lacks the cell."""
        if cell_name not in self.cells:
            available = ", ".join(self.cells)
            raise ValueError(f"the {self.name} kernels have no {cell_name} cell; available: {available}")
        return self.cells[cell_name]

    def __getattr__(self, name: str) -> Functions:
        if name in vars(self).get("cells", ()):
            return self.cells[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")


@dataclass(frozen=True, init=False)
class Gates(_Record[CellGates]):
    """One implementation of the equations of `gates.py`."""

    name: str
    cells: Mapping[str, CellGates] = field(hash=False)

    def __init__(self, name: str, cells: Mapping[str, CellGates] | None = None, **further: CellGates) -> None:
        self._fill(cells, further, name=name)


@dataclass(frozen=True)
class CellKernels:
    """The functions that compute one cell over whole sequences, and in single steps.

    A forward function returns a cache as its last result, and the backward function consumes it: a second backward call
    with the same cache raises RuntimeError, unless the first call had keep_cache=True. Inference takes the arguments of
    forward and returns its results without the cache.

    | cell | forward | results |
    |---|---|---|
    | RNN | x, h0, W_ih, W_hh, b, lengths=None, *, nonlinearity="tanh" | out, h_n, cache |
    | LSTM | x, h0, c0, W_ih, W_hh, b, lengths=None | out, h_n, c_n, cache |
    | GRU | x, h0, W_ih, W_hh, b_ih, b_hh, lengths=None | out, h_n, cache |

    | cell | backward | results |
    |---|---|---|
    | RNN | dout, dh_n, cache, *, keep_cache=False | dx, dh0, dW_ih, dW_hh, db |
    | LSTM | dout, dh_n, dc_n, cache, *, keep_cache=False | dx, dh0, dc0, dW_ih, dW_hh, db |
    | GRU | dout, dh_n, cache, *, keep_cache=False | dx, dh0, dW_ih, dW_hh, db_ih, db_hh |

    | cell | step | results |
    |---|---|---|
    | RNN | x, h, W_ih, W_hh, b, *, nonlinearity="tanh" | h' |
    | LSTM | x, h, c, W_ih, W_hh, b | h', c' |
    | GRU | x, h, W_ih, W_hh, b_ih, b_hh | h' |
    """

    forward: Callable[..., Arrays]
    backward: Callable[..., Arrays]
    inference: Callable[..., Arrays]
    step: Callable[..., Any]


@dataclass(frozen=True, init=False)
class Kernels(_Record[CellKernels]):
    """One implementation of the cells.

    name: how the record is selected and reported. accepts: `accepts(*arrays)` says whether the record can compute with
    arrays of this kind and dtype. gates: the pointwise level, for callers that run their own loop over time.
    """

    name: str
    accepts: Callable[..., bool]
    gates: Gates
    cells: Mapping[str, CellKernels] = field(hash=False)

    def __init__(
        self,
        name: str,
        accepts: Callable[..., bool],
        gates: Gates,
        cells: Mapping[str, CellKernels] | None = None,
        **further: CellKernels,
    ) -> None:
        self._fill(cells, further, name=name, accepts=accepts, gates=gates)


class Cache:
    """The values that a forward pass keeps for the backward pass. They can be taken once, or often with keep=True."""

    # What the forward returned, which the upstream gradients must match. `validation.validated` fills these.
    shapes: tuple[tuple[int, ...], ...] = ()
    dtype: Any = None

    def __init__(self, *kept: Any) -> None:
        self._kept: Arrays | None = kept

    def take(self, keep: bool) -> Arrays:
        """Return the kept values. Without `keep` the cache is empty afterwards, and the caller may overwrite them.

        Raises RuntimeError if the cache is empty.
        """
        if self._kept is None:
            raise RuntimeError(
                "this cache has been consumed by an earlier backward pass; to use a cache several times, "
                "pass keep_cache=True to every backward call except the last"
            )
        kept = self._kept
        if not keep:
            self._kept = None
        return kept
