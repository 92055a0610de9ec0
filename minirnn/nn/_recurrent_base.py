"""The code that the classes of `recurrent.py` share: parameters, checks of the arguments, and the call of the layers.

`recurrent.sequence` computes the layers; `_one_step.py` is the fast path for single steps without a graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from minirnn.autograd import Array, Tensor, devices, tnp
from minirnn.nn import _one_step, functional, init
from minirnn.nn.layers import checked_size
from minirnn.nn.module import Module, Parameter, float_dtype
from minirnn.recurrent import sequence
from minirnn.recurrent.state import from_parts
from minirnn_kernels.cell import CELLS


class RecurrentModule(Module):
    """Base of the layers and the cells: the parameters, and the checks of x and of the initial state."""

    kind: str  # the name of the cell in `CELLS`
    input_size: int
    hidden_size: int
    nonlinearity: str  # for cells with that option

    def _add_parameters(self, suffix: str, input_size: int, bias: bool, dtype: Any, rng: Any) -> None:
        """Add the parameters of `Cell.parameters` with this suffix, drawn in their order over ±1/√hidden_size."""
        H = self.hidden_size
        for name, shape in CELLS[self.kind].parameters(input_size, H).items():
            wanted = bias or not name.startswith("bias")
            parameter = init.fan_uniform_(Parameter(np.empty(shape, float_dtype(dtype))), H, rng) if wanted else None
            setattr(self, name + suffix, parameter)

    @property
    def _options(self) -> dict[str, Any]:
        """The keyword arguments of the kernels' functions."""
        return {"nonlinearity": self.nonlinearity} if CELLS[self.kind].nonlinearities else {}

    def _weights(self, suffix: str) -> sequence.Weights:
        own = vars(self)
        both = own["weight_ih" + suffix], own["weight_hh" + suffix], own["bias_ih" + suffix], own["bias_hh" + suffix]
        unit_weights = CELLS[self.kind].unit_weights
        return (*both, *[own[f"weight_{name}{suffix}"] for name in unit_weights]) if unit_weights else both

    def _tensor(self, name: str, value: Any, like: Array) -> Tensor:
        """Return value as a Tensor. TypeError unless it has the dtype and the device of `like`, a parameter's data."""
        dtype = like.dtype
        if not hasattr(value, "dtype"):
            raise TypeError(f"{name}: expected a Tensor or an array, got {type(value).__name__}")
        if value.dtype != dtype:
            raise TypeError(
                f"{name}: expected dtype {dtype} like the parameters, got {value.dtype}; convert the array with "
                f".astype(np.{dtype}), or the module with .to(np.{value.dtype})"
            )
        tensor = value if isinstance(value, Tensor) else Tensor(value)
        if type(tensor.data) is not type(like) and (device := devices.device_of(tensor.data)) != (
            own := devices.device_of(like)
        ):
            raise TypeError(
                f"{name}: expected an array on the parameters' device, {own}, got one on {device}; move the array with "
                "minirnn.devices.to(), or the module with .to()"
            )
        return tensor

    def _initial_states(self, state: Any, shape: tuple[int, ...], like: Array) -> tuple[Tensor, ...]:
        """Return the parts of the initial state as Tensors of this shape; zeros for None."""
        cell = CELLS[self.kind]
        names = [f"{part}0" for part in cell.states]
        if state is None:
            return tuple(Tensor(np.zeros_like(like, shape=shape)) for _ in names)
        given = (state,) if len(names) == 1 else state
        if not isinstance(given, (tuple, list)) or len(given) != len(names):
            raise TypeError(f"state: expected a tuple ({', '.join(names)}), got {type(given).__name__}")
        states = tuple(self._tensor(name, part, like) for name, part in zip(names, given, strict=True))
        for name, part in zip(names, states, strict=True):
            if part.shape != shape:
                raise ValueError(f"{name}: expected shape {shape}, got {part.shape}")
        return states


class RecurrentLayers(RecurrentModule):
    """Base of `nn.RNN`, `nn.LSTM` and `nn.GRU`. The constructor mirrors `torch.nn.RNNBase`."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        *,
        dtype: npt.DTypeLike,
        rng: np.random.Generator | None,
    ) -> None:
        self.input_size = checked_size("input_size", input_size)
        self.hidden_size = checked_size("hidden_size", hidden_size)
        self.num_layers = checked_size("num_layers", num_layers)
        if not 0 <= dropout <= 1:
            raise ValueError(f"dropout: expected a probability in [0, 1], got {dropout}")
        self.bias, self.batch_first, self.dropout, self.bidirectional = bias, batch_first, dropout, bidirectional
        for k in range(self.num_layers):
            size = self.input_size if k == 0 else len(self._directions) * self.hidden_size
            for direction in self._directions:
                self._add_parameters(f"_l{k}{direction}", size, bias, dtype, rng)

    @property
    def _directions(self) -> tuple[str, ...]:
        return ("", "_reverse") if self.bidirectional else ("",)

    def _run(self, x: Any, state: Any, lengths: Any) -> tuple[Tensor, Any]:
        """Compute `forward`."""
        if lengths is None and (result := _one_step.of_layers(self, x, state)) is not None:
            return result
        like = self._weights("_l0")[1].data
        x = self._tensor("x", x, like)
        batched = x.ndim == 3
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            order = "(B, T, {0}) or (T, {0})" if self.batch_first else "(T, B, {0}) or (T, {0})"
            raise ValueError(f"x: expected shape {order.format(self.input_size)}, got {x.shape}")
        if batched and self.batch_first:
            x = x.swapaxes(0, 1)
        elif not batched:
            x = tnp.expand_dims(x, 1)
        T, B = x.shape[:2]
        if T == 0:
            raise ValueError(f"x: expected at least one time step, got T = 0 (shape {x.shape}, time first)")
        count = self.num_layers * len(self._directions)
        shape = (count, B, self.hidden_size) if batched else (count, self.hidden_size)
        states = self._initial_states(state, shape, like)
        if not batched:
            states = tuple(tnp.expand_dims(s, 1) for s in states)
        layers = [[self._weights(f"_l{k}{d}") for d in self._directions] for k in range(self.num_layers)]
        between = partial(functional.dropout, p=self.dropout) if self.dropout and self.training else None
        ends = checked_lengths(lengths, T, B)
        ends = ends if ends is None else devices.like(ends, like)
        out, final = sequence.run(self.kind, x, states, layers, ends, between, **self._options)
        if not batched:
            out, final = out[:, 0], tuple(s[:, 0] for s in final)
        elif self.batch_first:
            out = out.swapaxes(0, 1)
        return out, from_parts(final)

    def step(self, x: Array, states: Sequence[Sequence[Array]]) -> tuple[Array, list[tuple[Array, ...]]]:
        """Compute one time step on plain arrays, without a graph, without dropout and without checks.

        This is the fast form for a stream of steps, such as text generation. x: (B, input_size). states: one tuple per
        layer, (h,) or (h, c), each (B, hidden_size). Returns the last layer's h and the next states. Raises ValueError
        for bidirectional layers.
        """
        if self.bidirectional:
            raise ValueError(
                "step: expected layers in one direction, got bidirectional=True; the backward direction starts at the "
                "end of a sequence, so it has no single steps"
            )
        return _one_step.stack(self, x, states)

    def extra_repr(self) -> str:
        shown = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False}
        changed = [f"{name}={value}" for name, default in shown.items() if (value := getattr(self, name)) != default]
        return ", ".join([str(self.input_size), str(self.hidden_size), *changed])


class RecurrentCell(RecurrentModule):
    """Base of `nn.RNNCell`, `nn.LSTMCell` and `nn.GRUCell`."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        *,
        dtype: npt.DTypeLike,
        rng: np.random.Generator | None,
    ) -> None:
        self.input_size = checked_size("input_size", input_size)
        self.hidden_size = checked_size("hidden_size", hidden_size)
        self._add_parameters("", self.input_size, bias, dtype, rng)

    def _step(self, x: Any, state: Any) -> Any:
        """Compute `forward`."""
        if (result := _one_step.of_cell(self, x, state)) is not None:
            return result
        weights = self._weights("")
        like = weights[1].data
        x = self._tensor("x", x, like)
        if x.ndim not in (1, 2) or x.shape[-1] != self.input_size:
            raise ValueError(f"x: expected shape (B, {self.input_size}) or ({self.input_size},), got {x.shape}")
        states = self._initial_states(state, (*x.shape[:-1], self.hidden_size), like)
        sequences = x.reshape(1, -1, self.input_size)
        rows = tuple(s.reshape(-1, self.hidden_size) for s in states)
        _, final = sequence.layer(self.kind, sequences, rows, weights, None, **self._options)
        return from_parts(final if x.ndim == 2 else [s[0] for s in final])

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}"


def checked_lengths(lengths: Any, T: int, B: int) -> Array | None:
    """Return lengths as an array (B,) of integers in 1..T on the host. None stays None. If all are T, return None."""
    if lengths is None:
        return None
    lengths = devices.host(lengths.data if isinstance(lengths, Tensor) else lengths)
    if lengths.dtype.kind not in "iu" and lengths.size:
        raise TypeError(f"lengths: expected integers, got {lengths.dtype}")
    if lengths.shape != (B,):
        raise ValueError(f"lengths: expected shape ({B},), one for each sequence, got {lengths.shape}")
    wrong = np.flatnonzero((lengths < 1) | (lengths > T))
    if wrong.size:
        raise ValueError(f"lengths: expected values in 1..{T}, got {lengths[wrong[0]]} at index {wrong[0]}")
    return None if np.all(lengths == T) else lengths.astype(np.int64)
