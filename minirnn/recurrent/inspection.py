"""Looking inside a recurrent layer: what its gates do over time, and how far its gradients reach back.

Written with the steps and gates of the cells, so what is shown is what the equations say, whichever kernels run the
layer.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from minirnn.autograd import no_grad, plain
from minirnn.recurrent.sequence import STEPS
from minirnn_kernels.gates import gru_gates_backward, lstm_gates_backward, rnn_gates_backward

__all__ = ["gates", "influence"]

Array = Any
BLOCKS = {"rnn": "h", "lstm": "ifgo", "gru": "rzn"}  # the blocks of W_hh, in order; of an RNN there is one


def gates(module: Any, x: Any, state: Any = None) -> dict[str, Array]:
    """The gates and states of an nn.RNN, nn.LSTM or nn.GRU at each step, by name, each an array (T, B, hidden_size).

    RNN: h. LSTM: i, f, g, o, h, c. GRU: r, z, n, h. The names are those of the equations (`minirnn_kernels.gates`);
    i, f, o, r, z lie in [0, 1], g, n and h in [-1, 1] (h of a relu RNN: at least 0), c isn't bounded.

    x and state: as the module takes them: x (T, B, input_size), (B, T, input_size) with batch_first, or
    (T, input_size), which is B = 1. Nothing is recorded. ValueError unless the module has one layer and one direction,
    and for shapes that don't fit; TypeError for dtypes.
    """
    steps = [shown for shown, _ in _forward(module, x, state)]
    return {name: np.stack([shown[name] for shown in steps]) for name in steps[0]}


# Between the state after step s and the loss of step t > s there is nothing but the steps s+1 ... t, so with the
# Jacobian J_k of step k and g_t = dL_t/dh_t taken at step t alone,
#
#     dL_t/dh_s = g_t J_t J_(t-1) ... J_(s+1)
#
# Each factor J_(s+1) is the same for all t > s. So one walk back carries the gradients of all the losses at once, as
# rows: T products with T - s rows per sequence, instead of T walks.


def influence(
    module: Any, x: Any, grads: Any, state: Any = None, through: Collection[str] | None = None
) -> dict[str, Array]:
    """How much of each step's loss reaches each earlier state: the norms ‖∂L_t/∂h_s‖ as {"h": (T, T)}, row t, column s.

    Above the diagonal they are 0. An LSTM has "c" beside it, ‖∂L_t/∂c_s‖, where c_s counts with what it does through
    h_s. The norm is over units and sequences, which don't meet: of L_t summed over the batch. Exact, in x's dtype,
    where numbers below about 1e-38 (float32) or 1e-308 (float64) become 0.

    x, state: as in `gates`. grads (T, B, hidden_size), or laid out as x is: ∂L_t/∂h_t of each step's loss alone, that
    is, from what follows the layer at step t; a step where they are 0 has no loss and costs nothing. The module: as in
    `gates`.

    through: keep only what passes the recurrent weights of these gates (of "ifgo", of "rzn"; an RNN's one block is
    "h"); None is all. With () an LSTM keeps its c alone, dL_t/dc_s = dL_t/dc_t * f_t ... f_(s+1), the constant error
    carousel of Hochreiter and Schmidhuber (1997), and a GRU the product of its z.
    """
    steps = _forward(module, x, state)
    grads = np.asarray(plain(grads))
    if grads.shape != (*np.shape(plain(x))[:-1], module.hidden_size):
        raise ValueError(f"grads: expected x's shape with {module.hidden_size} in the end, got {grads.shape}")
    grads = grads[:, None] if grads.ndim == 2 else grads.swapaxes(0, 1) if module.batch_first else grads
    W_hh = _kept(module, through)
    T = len(grads)
    found = {name: np.zeros((T, T), grads.dtype) for name in ("h", "c")[: 1 + (module.kind == "lstm")]}
    rows, dh, dc = np.arange(0), grads[:0], grads[:0]
    for s in reversed(range(T)):
        if grads[s].any():
            rows = np.append(s, rows)
            dh, dc = np.concatenate([grads[s : s + 1], dh]), np.concatenate([np.zeros_like(grads[:1]), dc])
        found["h"][rows, s] = np.sqrt(np.sum(dh * dh, axis=(1, 2)))
        dh, dc, through_c = _step_back(module, dh, dc, steps[s][1], W_hh)
        if "c" in found:
            found["c"][rows, s] = np.sqrt(np.sum(through_c * through_c, axis=(1, 2)))
    return found


def _step_back(module: Any, dh: Array, dc: Array, cache: Any, W_hh: Array) -> tuple[Array, Array, Array]:
    """Gradients into the states after a step, (n, B, H) -> into those before it, and the whole one into c."""
    if module.kind == "rnn":
        return rnn_gates_backward(dh, cache, module.nonlinearity) @ W_hh, dc, dc
    if module.kind == "lstm":
        _, _, _, o, _, tanh_c = cache
        da, dc_before = lstm_gates_backward(dh, dc, cache)
        return da @ W_hh, dc_before, dc + dh * o * (1 - tanh_c * tanh_c)
    _, da_hh, dh_before = gru_gates_backward(dh, cache)
    return dh_before + da_hh @ W_hh, dc, dc


def _kept(module: Any, through: Collection[str] | None) -> Array:
    """W_hh with zeros in the blocks of the gates that nothing is to pass."""
    W_hh = module.weight_hh_l0.data.copy()
    names = BLOCKS[module.kind]
    if through is not None:
        if set(through) - set(names):
            raise ValueError(f"through: expected gates among {', '.join(names)}, got {through!r}")
        for name, block in zip(names, np.split(W_hh, len(names)), strict=True):
            block *= name in through
    return W_hh


def _forward(module: Any, x: Any, state: Any) -> list[tuple[dict[str, Array], Any]]:
    """For each step: the gates and states by name, and the gates' cache as their backward takes it."""
    xs, states = _arguments(module, x, state)
    weights = _weights(module)
    options = {"nonlinearity": module.nonlinearity} if module.kind == "rnn" else {}
    steps = []
    for x_t in xs:
        *states, (_, _, _, _, cache, *_) = STEPS[module.kind](x_t, *states, *weights, **options)
        named = {} if module.kind == "rnn" else dict(zip(BLOCKS[module.kind], cache, strict=False))
        steps.append((named | dict(zip("hc", states, strict=False)), cache))
    return steps


def _arguments(module: Any, x: Any, state: Any) -> tuple[Array, list[Array]]:
    """x (T, B, I) and the initial states (B, H), as arrays; the module itself checks them."""
    if getattr(module, "kind", None) not in BLOCKS or not hasattr(module, "num_layers"):
        raise TypeError(f"module: expected an nn.RNN, nn.LSTM or nn.GRU, got {type(module).__name__}")
    if module.num_layers != 1 or module.bidirectional:
        raise ValueError(f"module: expected one layer in one direction, got {module}")
    with no_grad():
        module(x, state)
    x, state = plain(x), plain(state)
    given = [] if state is None else list(state) if module.kind == "lstm" else [state]
    if x.ndim == 2:
        x, given = x[:, None], [s[:, None] for s in given]
    elif module.batch_first:
        x = x.swapaxes(0, 1)
    zeros = np.zeros_like(x, shape=(x.shape[1], module.hidden_size))
    return x, [s[0] for s in given] or [zeros] * (2 if module.kind == "lstm" else 1)


def _weights(module: Any) -> tuple[Array, ...]:
    """The weights as the cell's step takes them: W_ih, W_hh and b, of a GRU b_ih and b_hh."""
    own = module.state_dict()
    W_ih, W_hh = own["weight_ih_l0"], own["weight_hh_l0"]
    zeros = np.zeros_like(W_hh, shape=len(W_hh))
    b_ih, b_hh = own.get("bias_ih_l0", zeros), own.get("bias_hh_l0", zeros)
    return (W_ih, W_hh, b_ih, b_hh) if module.kind == "gru" else (W_ih, W_hh, b_ih + b_hh)
