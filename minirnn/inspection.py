"""Looking inside a recurrent layer: what its gates do over time.

Written with the steps of `minirnn.cells`, so what is shown is what the equations say, whichever kernels run the layer.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minirnn import cells
from minirnn.graph import no_grad
from minirnn.tensor import plain

__all__ = ["gates"]

Array = Any
States = tuple[Array, ...]  # h, or h and c, (B, H) each


def gates(module: Any, x: Any, state: Any = None) -> dict[str, Array]:
    """The gates and states of an nn.RNN, nn.LSTM or nn.GRU at each step, by name, each an array (T, B, hidden_size).

    RNN: h. LSTM: i, f, g, o, c, h. GRU: r, z, n, h. The names are those of the equations (`minirnn_kernels.gates`);
    i, f, o, r, z lie in [0, 1], g, n and h in [-1, 1] (h of a relu RNN: at least 0), c isn't bounded.

    x and state: as the module takes them: x (T, B, input_size), (B, T, input_size) with batch_first, or
    (T, input_size), which is B = 1. Nothing is recorded. ValueError unless the module has one layer and one direction,
    and for shapes that don't fit; TypeError for dtypes.
    """
    steps = _forward(module, x, state)
    return {name: np.stack([step[0][name] for step in steps]) for name in steps[0][0]}


def _forward(module: Any, x: Any, state: Any) -> list[tuple[dict[str, Array], Any]]:
    """For each step: the gates and states by name, and the gates' cache as their backward takes it."""
    xs, states = _arguments(module, x, state)
    weights = _weights(module)
    steps = []
    for x_t in xs:
        if module.kind == "rnn":
            h, cache = cells.rnn_step(x_t, *states, *weights, nonlinearity=module.nonlinearity)
            states, named = (h,), {"h": h}
        elif module.kind == "lstm":
            h, c, cache = cells.lstm_step(x_t, *states, *weights)
            states, named = (h, c), dict(zip("ifgo", cache[4][:4], strict=True)) | {"c": c, "h": h}
        else:
            h, cache = cells.gru_step(x_t, *states, *weights)
            states, named = (h,), dict(zip("rzn", cache[4][:3], strict=True)) | {"h": h}
        steps.append((named, cache[4]))
    return steps


def _arguments(module: Any, x: Any, state: Any) -> tuple[Array, States]:
    """x (T, B, I) and the initial states (B, H), as arrays; the module itself checks them."""
    if getattr(module, "kind", None) not in ("rnn", "lstm", "gru") or not hasattr(module, "num_layers"):
        raise TypeError(f"module: expected an nn.RNN, nn.LSTM or nn.GRU, got {type(module).__name__}")
    if module.num_layers != 1 or module.bidirectional:
        raise ValueError(f"module: expected one layer in one direction, got {module}")
    with no_grad():
        module(x, state)
    x = plain(x)
    given = () if state is None else tuple(map(plain, state)) if module.kind == "lstm" else (plain(state),)
    if x.ndim == 2:
        x, given = x[:, None], tuple(s[:, None] for s in given)
    elif module.batch_first:
        x = x.swapaxes(0, 1)
    zeros = np.zeros_like(x, shape=(x.shape[1], module.hidden_size))
    return x, tuple(s[0] for s in given) or (zeros,) * (2 if module.kind == "lstm" else 1)


def _weights(module: Any) -> tuple[Array, ...]:
    """The weights as the cell's step takes them: W_ih, W_hh and b, of a GRU b_ih and b_hh."""
    own = module.state_dict()
    W_ih, W_hh = own["weight_ih_l0"], own["weight_hh_l0"]
    zeros = np.zeros_like(W_hh, shape=len(W_hh))
    b_ih, b_hh = own.get("bias_ih_l0", zeros), own.get("bias_hh_l0", zeros)
    return (W_ih, W_hh, b_ih, b_hh) if module.kind == "gru" else (W_ih, W_hh, b_ih + b_hh)
