"""RNN, LSTM and GRU, whole sequences and single steps, under PyTorch's names, shapes and defaults.

A module holds parameters only; states are passed in and returned. The computing is done by `recurrent.sequence`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from minirnn.autograd import Tensor, devices, is_grad_enabled, of_array, tnp
from minirnn.nn import functional, init
from minirnn.nn.layers import _size
from minirnn.nn.module import Module, Parameter, float_dtype
from minirnn.recurrent import sequence
from minirnn_kernels.gates import check_nonlinearity

Array = Any
GATES = {"rnn": 1, "lstm": 4, "gru": 3}


class _Recurrent(Module):
    """What layers and cells share: parameters named by a pattern, and the checks of what comes in."""

    kind: str
    input_size: int
    hidden_size: int

    def _add_parameters(self, suffix: str, input_size: int, bias: bool, dtype: Any, rng: Any) -> None:
        """weight_ih, weight_hh, bias_ih, bias_hh with this suffix, in this order, uniform over ±1/√hidden_size."""
        rows, H = GATES[self.kind] * self.hidden_size, self.hidden_size
        for name, shape in (
            ("weight_ih", (rows, input_size)),
            ("weight_hh", (rows, H)),
            ("bias_ih", (rows,)),
            ("bias_hh", (rows,)),
        ):
            wanted = bias or not name.startswith("bias")
            parameter = init.fan_uniform_(Parameter(np.empty(shape, float_dtype(dtype))), H, rng) if wanted else None
            setattr(self, name + suffix, parameter)

    @property
    def _options(self) -> dict[str, Any]:
        """What the kernels' functions take by keyword."""
        return {}

    def _weights(self, suffix: str) -> sequence.Weights:
        own = vars(self)
        return own["weight_ih" + suffix], own["weight_hh" + suffix], own["bias_ih" + suffix], own["bias_hh" + suffix]

    def _tensor(self, name: str, value: Any, like: Array) -> Tensor:
        """value as a Tensor of the dtype and on the device of `like`, a parameter's data; TypeError otherwise."""
        dtype = like.dtype
        if not hasattr(value, "dtype"):
            raise TypeError(f"{name}: expected a Tensor or an array, got {type(value).__name__}")
        if value.dtype != dtype:
            raise TypeError(
                f"{name}: expected dtype {dtype} like the parameters, got {value.dtype}; convert with "
                f".astype(np.{dtype}), or the module with .to(np.{value.dtype})"
            )
        made = value if isinstance(value, Tensor) else Tensor(value)
        if type(made.data) is not type(like) and (there := devices.device_of(made.data)) != devices.device_of(like):
            raise TypeError(
                f"{name}: it is on {there}, the parameters are on {devices.device_of(like)}; move the one or the other "
                "with .to()"
            )
        return made

    def _states(self, given: Any, shape: tuple[int, ...], like: Array) -> tuple[Tensor, ...]:
        """The initial states, checked; zeros where none are given."""
        names = ("h0", "c0") if self.kind == "lstm" else ("h0",)
        if given is None:
            return tuple(Tensor(np.zeros_like(like, shape=shape)) for _ in names)
        if self.kind == "lstm" and not (isinstance(given, (tuple, list)) and len(given) == 2):
            raise TypeError(f"the state of an LSTM is a pair (h0, c0), got {type(given).__name__}")
        states = tuple(
            self._tensor(n, s, like) for n, s in zip(names, given if len(names) == 2 else [given], strict=True)
        )
        for name, state in zip(names, states, strict=True):
            if state.shape != shape:
                raise ValueError(f"{name}: expected shape {shape}, got {state.shape}")
        return states

    def _arrays(self, x: Any, state: Any, like: Array) -> tuple[Array, ...] | None:
        """x and the parts of the state, if nothing is recorded and each is an array of the kind and dtype of `like`.

        None otherwise, a state that isn't given included. Shapes are left to the caller.
        """
        if is_grad_enabled():
            return None
        if self.kind != "lstm":
            given = (x, state)
        elif isinstance(state, (tuple, list)) and len(state) == 2:
            given = (x, *state)
        else:
            return None
        arrays = tuple([a.data if isinstance(a, Tensor) else a for a in given])
        for a in arrays:
            if type(a) is not type(like) or a.dtype != like.dtype:
                return None
        return arrays

    def _returned(self, states: tuple[Tensor, ...]) -> Any:
        return states if self.kind == "lstm" else states[0]


class _Layers(_Recurrent):
    """A stack of recurrent layers over a sequence.

    x (T, B, input_size), or (B, T, input_size) with batch_first, or (T, input_size) for a single sequence; the initial
    state (num_layers * directions, B, hidden_size), or None for zeros; lengths (B,) of ints in 1..T, in any order, or
    None. Returns out (T, B, directions * hidden_size), laid out as x is, and the final state, shaped as the initial
    one. Past a sequence's length `out` is zero, the final state is that of its last real step, and no gradient flows.

    Parameters, for layer k (input_size is directions * hidden_size above the first) and K = gates * hidden_size:
    weight_ih_l{k} (K, input_size), weight_hh_l{k} (K, hidden_size), bias_ih_l{k} (K,), bias_hh_l{k} (K,), and the same
    with the suffix _reverse. They start uniform over ±1/√hidden_size, drawn from `rng` or as `nn.init` says.

    Raises ValueError for a shape, TypeError for a dtype that doesn't fit.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: npt.DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        self.input_size, self.hidden_size = _size("input_size", input_size), _size("hidden_size", hidden_size)
        self.num_layers = _size("num_layers", num_layers)
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
        like = self._weights("_l0")[1].data
        if lengths is None and (arrays := self._arrays(x, state, like)) and self._are_one_step(*arrays):
            return self._one_step(*arrays)
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
        states = self._states(state, shape, like)
        if not batched:
            states = tuple(tnp.expand_dims(s, 1) for s in states)
        layers = [[self._weights(f"_l{k}{d}") for d in self._directions] for k in range(self.num_layers)]
        between = self._between if self.dropout and self.training else None
        ends = check_lengths(lengths, T, B)
        ends = ends if ends is None else devices.like(ends, like)
        out, final = sequence.run(self.kind, x, states, layers, ends, between, **self._options)
        if not batched:
            out, final = out[:, 0], tuple(s[:, 0] for s in final)
        elif self.batch_first:
            out = out.swapaxes(0, 1)
        return out, self._returned(final)

    def _are_one_step(self, x: Array, *states: Array) -> bool:
        """Whether the shapes are those of a batch with one time step, for layers that `_one_step` can run."""
        if self.bidirectional or (self.dropout and self.training) or x.ndim != 3 or x.shape[2] != self.input_size:
            return False
        B, T = x.shape[:2] if self.batch_first else x.shape[1::-1]
        shape = (self.num_layers, B, self.hidden_size)
        return T == 1 and states[0].shape == shape and states[-1].shape == shape

    def _one_step(self, x: Array, *states: Array) -> tuple[Tensor, Any]:
        """`_run` for such arguments, without the cost of a sequence."""
        before = [[s[k] for s in states] for k in range(self.num_layers)]
        rows, after = self.step(x.reshape(-1, self.input_size), before)
        finals = [np.empty_like(s) for s in states]
        for k, stepped in enumerate(after):
            for final, s in zip(finals, stepped, strict=True):
                final[k] = s
        out = rows[:, None] if self.batch_first else rows[None]
        return of_array(out), self._returned(tuple([of_array(f) for f in finals]))

    def step(self, x: Array, states: Sequence[Sequence[Array]]) -> tuple[Array, list[tuple[Array, ...]]]:
        """One time step as inference, on plain arrays and without checks: for a stream of them, such as drawing text.

        x (B, input_size); states: for each layer its h, or h and c, (B, hidden_size). Returns the last layer's h and
        the next states. Nothing is recorded and there is no dropout. ValueError where the layers have two directions.
        """
        if self.bidirectional:
            raise ValueError("step: the backward direction begins at a sequence's end, so there is no single step")
        after = []
        for k in range(self.num_layers):
            after.append(sequence.step(self.kind, x, states[k], self._weights(f"_l{k}"), **self._options))
            x = after[k][0]
        return x, after

    def _between(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.dropout)

    def extra_repr(self) -> str:
        shown = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False}
        changed = (
            f", {name}={getattr(self, name)}" for name, default in shown.items() if getattr(self, name) != default
        )
        return f"{self.input_size}, {self.hidden_size}" + "".join(changed)


def check_lengths(lengths: Any, T: int, B: int) -> Array | None:
    """lengths as an array (B,) of ints in 1..T; None stays None, and so do lengths that are all T.

    The array is on the host: lengths on a GPU are copied from there.
    """
    if lengths is None:
        return None
    lengths = devices.host(lengths.data if isinstance(lengths, Tensor) else lengths)
    if lengths.dtype.kind not in "iu" and lengths.size:
        raise TypeError(f"lengths: expected ints, got {lengths.dtype}")
    if lengths.shape != (B,):
        raise ValueError(f"lengths: expected shape ({B},), one for each sequence, got {lengths.shape}")
    wrong = np.flatnonzero((lengths < 1) | (lengths > T))
    if wrong.size:
        raise ValueError(f"lengths: expected values in 1..{T}, got {lengths[wrong[0]]} at index {wrong[0]}")
    return None if np.all(lengths == T) else lengths.astype(np.int64)


class RNN(_Layers):
    """The simple recurrent network (Elman 1990): h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh), or relu of it.

    `out, h_n = rnn(x, h0=None, lengths=None)`.
    """

    __doc__ += "\n" + (_Layers.__doc__ or "")
    kind = "rnn"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: npt.DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        self.nonlinearity = _nonlinearity(nonlinearity)
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype=dtype, rng=rng
        )

    @property
    def _options(self) -> dict[str, Any]:
        return {"nonlinearity": self.nonlinearity}

    def forward(self, x: Any, h0: Any = None, lengths: Any = None) -> tuple[Tensor, Tensor]:
        return self._run(x, h0, lengths)


class LSTM(_Layers):
    """Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000), gate order i, f, g, o.

    `out, (h_n, c_n) = lstm(x, state=None, lengths=None)`, state = (h0, c0). The equations: `minirnn_kernels.gates`.
    """

    __doc__ += "\n" + (_Layers.__doc__ or "")
    kind = "lstm"

    def forward(self, x: Any, state: Any = None, lengths: Any = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        return self._run(x, state, lengths)


class GRU(_Layers):
    """The gated recurrent unit (Cho et al. 2014), reset after the product as in PyTorch and cuDNN, gate order r, z, n.

    `out, h_n = gru(x, h0=None, lengths=None)`. The equations: `minirnn_kernels.gates`.
    """

    __doc__ += "\n" + (_Layers.__doc__ or "")
    kind = "gru"

    def forward(self, x: Any, h0: Any = None, lengths: Any = None) -> tuple[Tensor, Tensor]:
        return self._run(x, h0, lengths)


class _Cell(_Recurrent):
    """One step: x (B, input_size) or (input_size,), the state (B, hidden_size) or (hidden_size,), or None for zeros.

    Parameters weight_ih, weight_hh, bias_ih, bias_hh as in the layers. ValueError for a shape, TypeError for a dtype
    that doesn't fit.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        dtype: npt.DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        self.input_size, self.hidden_size = _size("input_size", input_size), _size("hidden_size", hidden_size)
        self._add_parameters("", self.input_size, bias, dtype, rng)

    def _step(self, x: Any, state: Any) -> Any:
        weights = self._weights("")
        like = weights[1].data
        if (arrays := self._arrays(x, state, like)) and self._are_rows(*arrays):
            stepped = sequence.step(self.kind, arrays[0], arrays[1:], weights, **self._options)
            return self._returned(tuple([of_array(s) for s in stepped]))
        x = self._tensor("x", x, like)
        if x.ndim not in (1, 2) or x.shape[-1] != self.input_size:
            raise ValueError(f"x: expected shape (B, {self.input_size}) or ({self.input_size},), got {x.shape}")
        states = self._states(state, (*x.shape[:-1], self.hidden_size), like)
        sequences = x.reshape(1, -1, self.input_size)
        rows = tuple(s.reshape(-1, self.hidden_size) for s in states)
        _, final = sequence.layer(self.kind, sequences, rows, weights, None, **self._options)
        return self._returned(final if x.ndim == 2 else tuple(s[0] for s in final))

    def _are_rows(self, x: Array, *states: Array) -> bool:
        """Whether the shapes are those of a batch."""
        if x.ndim != 2 or x.shape[1] != self.input_size:
            return False
        shape = (x.shape[0], self.hidden_size)
        return states[0].shape == shape and states[-1].shape == shape

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}"


class RNNCell(_Cell):
    """`h = cell(x, h=None)`: one step of the RNN, nonlinearity "tanh" or "relu"."""

    __doc__ += "\n" + (_Cell.__doc__ or "")
    kind = "rnn"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        *,
        dtype: npt.DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        self.nonlinearity = _nonlinearity(nonlinearity)
        super().__init__(input_size, hidden_size, bias, dtype=dtype, rng=rng)

    @property
    def _options(self) -> dict[str, Any]:
        return {"nonlinearity": self.nonlinearity}

    def forward(self, x: Any, h: Any = None) -> Tensor:
        return self._step(x, h)


class LSTMCell(_Cell):
    """`h, c = cell(x, state=None)`, state = (h, c): one step of the LSTM."""

    __doc__ += "\n" + (_Cell.__doc__ or "")
    kind = "lstm"

    def forward(self, x: Any, state: Any = None) -> tuple[Tensor, Tensor]:
        return self._step(x, state)


class GRUCell(_Cell):
    """`h = cell(x, h=None)`: one step of the GRU."""

    __doc__ += "\n" + (_Cell.__doc__ or "")
    kind = "gru"

    def forward(self, x: Any, h: Any = None) -> Tensor:
        return self._step(x, h)


def _nonlinearity(name: str) -> str:
    check_nonlinearity(name)
    return name
