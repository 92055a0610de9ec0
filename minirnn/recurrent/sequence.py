"""Recurrent layers over time: stacks of layers, directions and lengths. The kernels compute the loop over time.

`nn.RNN`, `nn.LSTM` and `nn.GRU` call `run`. Each layer in each direction is one node of the graph; the node's backward
pass is a kernel's hand-written backpropagation through time. `unroll` is the same layer as a loop over the steps in
`cells.py`. It is the reference, and it is recorded if gradients have to be differentiated again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minirnn.autograd import Array, Tensor, apply, apply_fused, devices, is_grad_enabled, of_array, ops, plain, tnp
from minirnn.recurrent.backends import chosen
from minirnn.recurrent.cells import STEPS
from minirnn.recurrent.state import parts
from minirnn_kernels.cell import CELLS
from minirnn_kernels.contract import CellKernels

States = tuple[Tensor, ...]  # one for each of the cell's states: (h,), or (h, c) for an LSTM
# W_ih, W_hh, b_ih, b_hh, and the cell's weights per unit; both biases are None for a layer without biases
Weights = tuple[Any, ...]


# ---- one layer in one direction


def unroll(kind: str, x: Any, *args: Any, lengths: Array | None = None, **options: Any) -> tuple[Any, ...]:
    """Compute one layer step by step with `cells.py`, on arrays of any dtype or on Tensors.

    kind: the name of a cell, as in `CELLS`. x: (T, B, I). args: the states (B, H), then the weights in the form that
    the cell's step takes. lengths: (B,) on x's device, or None. Returns out (T, B, H), which is zero past the lengths,
    and the final states.
    """
    count = len(CELLS[kind].states)
    states, weights = args[:count], args[count:]
    if lengths is not None:  # values in the padding, even NaN, must not affect any result
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


class _LayerNode:
    """The node of one layer in one direction in the graph. It keeps the kernels of its forward pass, and their cache.

    `Fused` in `autograd/graph.py` describes the protocol.
    """

    def __init__(self, kind: str, name: str, kernels: CellKernels, lengths: Array | None, options: Any) -> None:
        self.kind, self.kernels, self.lengths, self.options = kind, kernels, lengths, options
        self.name = f"{kind} layer ({name} kernels)"

    def forward(self, *args: Array) -> Sequence[Array]:
        *outputs, self.cache = self.kernels.forward(*args, self.lengths, **self.options)
        return outputs

    def backward(self, grads: list[Any], *, keep: bool) -> Sequence[Any]:
        return self.kernels.backward(*grads, self.cache, keep_cache=keep)

    def composed(self, *args: Any) -> tuple[Tensor, ...]:
        return unroll(self.kind, *args, lengths=self.lengths, **self.options)


def step_weights(kind: str, W_ih: Any, W_hh: Any, b_ih: Any, b_hh: Any, *unit_weights: Any) -> tuple[Any, ...]:
    """Return the weights and biases in the form that the cell's step takes: b_ih and b_hh, or their sum."""
    if b_ih is None:
        b_ih = b_hh = np.zeros_like(plain(W_hh), shape=len(W_hh))
    if CELLS[kind].two_biases:
        return W_ih, W_hh, b_ih, b_hh, *unit_weights
    return W_ih, W_hh, b_ih + b_hh, *unit_weights


def step(kind: str, x: Array, states: Sequence[Array], weights: Weights, **options: Any) -> tuple[Array, ...]:
    """Compute one step of one layer on plain arrays, without a graph: x (B, I), states (B, H) -> the next states."""
    arrays = [None if weight is None else weight.data for weight in weights]
    args = (x, *states, *step_weights(kind, *arrays))
    made = chosen(*args, cell=kind).of(kind).step(*args, **options)
    return made if isinstance(made, tuple) else (made,)


def layer(
    kind: str, x: Any, states: Any, weights: Weights, lengths: Array | None, **options: Any
) -> tuple[Any, States]:
    """Compute one layer in one direction: x (T, B, I), states (B, H) -> out (T, B, H), final states (B, H).

    For a single step without a graph, out is a view of the final h.
    """
    args = (x, *states, *step_weights(kind, *weights))
    arrays = [plain(a) for a in args]
    record = chosen(*arrays, cell=kind)
    kernels = record.of(kind)
    if is_grad_enabled() and any(isinstance(a, Tensor) and a.requires_grad for a in args):
        node = _LayerNode(kind, record.name, kernels, lengths, options)
        out, *final = apply_fused(node, args, node.forward(*arrays))
    elif len(x) == 1 and lengths is None:
        final = [of_array(s) for s in parts(kernels.step(arrays[0][0], *arrays[1:], **options))]
        out = of_array(final[0].data[None])
    else:
        out, *final = map(Tensor, kernels.inference(*arrays, lengths, **options))
    return out, tuple(final)


# ---- several layers, two directions


def _reversed(x: Any, *, lengths: Array | None) -> Any:
    if lengths is None:
        return x[::-1]
    t = np.arange(len(x), like=lengths)[:, None]
    return x[np.where(t < lengths, lengths - 1 - t, t), np.arange(x.shape[1], like=lengths)]


ops.rule(_reversed, lambda g, y, x, lengths: reverse(g, lengths))


def reverse(x: Any, lengths: Array | None = None) -> Any:
    """Reverse each sequence of x (T, B, …) in time and leave its padding in place. The function is its own inverse."""
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
) -> tuple[Tensor, States]:
    """Compute a stack of layers: x (T, B, I) -> out (T, B, directions * H) and the final states.

    states: the initial states, (layers * directions, B, H) each, ordered by layer, forward before backward; the final
    states have the same form. layers: for each layer, the weights of its directions. between: a function that is
    applied to the output of each layer except the last (dropout).
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
