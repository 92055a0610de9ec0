"""Recurrent layers over time: layers, directions and lengths around the kernels' loop.

`run` is what `nn.RNN`, `nn.LSTM` and `nn.GRU` call. Each layer in each direction is one node of the graph, whose
backward is a kernel's hand-written backpropagation through time. `unroll` is the same layer in the open, step by step
through `cells.py`: the reference, and what is recorded when gradients are themselves to be differentiated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minirnn.autograd import Array, Tensor, apply, apply_fused, devices, is_grad_enabled, of_array, ops, plain, tnp
from minirnn.recurrent import cells
from minirnn.recurrent.backends import chosen
from minirnn_kernels.contract import Kernels

State = tuple[Tensor, ...]  # (h,), for an LSTM (h, c)
Weights = tuple[Any, Any, Any, Any]  # W_ih, W_hh, b_ih, b_hh; the biases None where there are none

STATES = {"rnn": 1, "lstm": 2, "gru": 1}  # how many states a cell carries from step to step
STEPS: dict[str, Callable[..., Any]] = {"rnn": cells.rnn_step, "lstm": cells.lstm_step, "gru": cells.gru_step}


# ---- one layer in one direction


def unroll(kind: str, x: Any, *args: Any, lengths: Array | None = None, **options: Any) -> tuple[Any, ...]:
    """Step by step through `cells.py`, on arrays of any dtype or on Tensors.

    kind: "rnn", "lstm" or "gru". x (T, B, I); args: the states (B, H), then the weights as the cell's step takes them;
    lengths (B,), where x is, or None. Returns out (T, B, H), zero past the lengths, and the final states.
    """
    states, weights = args[: STATES[kind]], args[STATES[kind] :]
    if lengths is not None:  # what stands in the padding, NaN included, must reach nothing
        x = np.where((np.arange(len(x), like=lengths)[:, None] < lengths)[:, :, None], x, 0)
    outputs = []
    for t in range(len(x)):
        *stepped, _ = STEPS[kind](x[t], *states, *weights, **options)
        if lengths is None:
            states = tuple(stepped)
            outputs.append(states[0])
        else:
            running = (t < lengths)[:, None]
            states = tuple(np.where(running, new, old) for new, old in zip(stepped, states, strict=True))
            outputs.append(np.where(running, states[0], 0))
    return np.stack(outputs), *states


class _Layer:
    """The graph's node of one layer in one direction: it knows the kernels that made it, and their cache."""

    def __init__(self, kind: str, record: Kernels, lengths: Array | None, options: dict[str, Any]) -> None:
        self.kind, self.record, self.lengths, self.options = kind, record, lengths, options
        self.name = f"{kind} layer ({record.name} kernels)"

    def forward(self, *args: Array) -> Sequence[Array]:
        *outputs, self.cache = self.record.of(self.kind).forward(*args, self.lengths, **self.options)
        return outputs

    def backward(self, grads: list[Any], *, keep: bool) -> Sequence[Any]:
        return self.record.of(self.kind).backward(*grads, self.cache, keep_cache=keep)

    def composed(self, *args: Any) -> tuple[Tensor, ...]:
        return unroll(self.kind, *args, lengths=self.lengths, **self.options)


def step(kind: str, x: Array, states: Sequence[Array], weights: Weights, **options: Any) -> tuple[Array, ...]:
    """One step of one layer on plain arrays, not recorded: x (B, I), states (B, H) each -> the next states."""
    W_ih, W_hh, b_ih, b_hh = weights
    W_ih, W_hh = W_ih.data, W_hh.data
    if b_ih is None:
        b_ih = b_hh = np.zeros_like(W_hh, shape=len(W_hh))
    else:
        b_ih, b_hh = b_ih.data, b_hh.data
    args = (x, *states, W_ih, W_hh, *((b_ih, b_hh) if kind == "gru" else (b_ih + b_hh,)))
    made = chosen(*args).of(kind).step(*args, **options)
    return made if kind == "lstm" else (made,)


def layer(kind: str, x: Any, states: Any, weights: Weights, lengths: Array | None, **options: Any) -> tuple[Any, State]:
    """One layer in one direction: x (T, B, I), states (B, H) each -> out (T, B, H), final states.

    Of a single step that is not recorded, out is a view of the final h.
    """
    W_ih, W_hh, b_ih, b_hh = weights
    if b_ih is None:
        b_ih = b_hh = np.zeros_like(W_hh.data, shape=len(W_hh))
    args = (x, *states, W_ih, W_hh, *((b_ih, b_hh) if kind == "gru" else (b_ih + b_hh,)))
    arrays = [plain(a) for a in args]
    record = chosen(*arrays)
    if is_grad_enabled() and any(isinstance(a, Tensor) and a.requires_grad for a in args):
        node = _Layer(kind, record, lengths, options)
        out, *final = apply_fused(node, args, node.forward(*arrays))
    elif len(x) == 1 and lengths is None:
        final = [of_array(s) for s in step(kind, arrays[0][0], arrays[1 : len(states) + 1], weights, **options)]
        out = of_array(final[0].data[None])
    else:
        out, *final = map(Tensor, record.of(kind).inference(*arrays, lengths, **options))
    return out, tuple(final)


# ---- several layers, two directions


def _reversed(x: Any, *, lengths: Array | None) -> Any:
    if lengths is None:
        return x[::-1]
    t = np.arange(len(x), like=lengths)[:, None]
    return x[np.where(t < lengths, lengths - 1 - t, t), np.arange(x.shape[1], like=lengths)]


ops.rule(_reversed, lambda g, y, x, lengths: reverse(g, lengths))


def reverse(x: Any, lengths: Array | None = None) -> Any:
    """x (T, B, …) with each sequence turned round in time and its padding left in place; its own inverse."""
    lengths = None if lengths is None else devices.like(lengths, plain(x))
    return apply(_reversed, x, lengths=lengths) if isinstance(x, Tensor) else _reversed(x, lengths=lengths)


def run(
    kind: str,
    x: Tensor,
    states: Sequence[Tensor],
    layers: Sequence[Sequence[Weights]],
    lengths: Array | None = None,
    between: Callable[[Tensor], Tensor] | None = None,
    **options: Any,
) -> tuple[Tensor, State]:
    """Layer upon layer: x (T, B, I) -> out (T, B, directions * H) and the final states (layers * directions, B, H).

    states: the initial ones, shaped as the final ones, ordered layer by layer, forward before backward. layers: the
    weights of each layer's directions. between: applied to what one layer passes to the next (dropout).
    """
    out, finals = x, []
    for i, directions in enumerate(layers):
        if i and between is not None:
            out = between(out)
        outputs = []
        for j, weights in enumerate(directions):
            initial = tuple(s[i * len(directions) + j] for s in states)
            y, final = layer(kind, reverse(out, lengths) if j else out, initial, weights, lengths, **options)
            outputs.append(reverse(y, lengths) if j else y)
            finals.append(final)
        out = outputs[0] if len(outputs) == 1 else tnp.concatenate(outputs, -1)
    return out, tuple(tnp.stack(s) for s in zip(*finals, strict=True))


def detach(state: Any) -> Any:
    """A state (a Tensor, a tuple of them, or None) without its history: truncated backpropagation through time."""
    if isinstance(state, tuple):
        return tuple(detach(s) for s in state)
    return state.detach() if isinstance(state, Tensor) else state
