"""Inspect a recurrent layer: the values of its gates over time, and how far back its gradients reach.

The functions use the steps and gates of the cells, so the results do not depend on the kernels that run the layer.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from minirnn.autograd import no_grad, plain
from minirnn.recurrent.cells import STEPS
from minirnn.recurrent.sequence import step_weights
from minirnn.recurrent.state import parts
from minirnn_kernels.cell import CELLS
from minirnn_kernels.gates import EQUATIONS

__all__ = ["gates", "influence"]

Array = Any


def gates(module: Any, x: Any, state: Any = None) -> dict[str, Array]:
    """Return the gates and states of an nn.RNN, nn.LSTM or nn.GRU at each step: {name: array (T, B, hidden_size)}.

    RNN: h. LSTM: i, f, g, o, h, c. GRU: r, z, n, h. The names are those of the equations (`minirnn_kernels.gates`).
    i, f, o, r and z are in [0, 1]; g, n and h are in [-1, 1] (h of a relu RNN is at least 0); c is unbounded.

    x and state have the form that the module takes: x is (T, B, input_size), (B, T, input_size) with batch_first, or
    (T, input_size), which is B = 1. No graph is recorded. Raises ValueError for a module with more than one layer or
    direction and for shapes that do not match, TypeError for dtypes.
    """
    steps = [named for named, _ in _forward(module, x, state)]
    return {name: np.stack([named[name] for named in steps]) for name in steps[0]}


# Between the state after step s and the loss of step t > s there are only the steps s+1 ... t. With the Jacobian J_k of
# step k and g_t = dL_t/dh_t, taken at step t alone,
#
#     dL_t/dh_s = g_t J_t J_(t-1) ... J_(s+1)
#
# The factor J_(s+1) is the same for all t > s. One backward loop therefore carries the gradients of all the losses
# together, as rows: T products with T - s rows per sequence, instead of T backward loops.


def influence(
    module: Any, x: Any, grads: Any, state: Any = None, through: Collection[str] | None = None
) -> dict[str, Array]:
    """Return how strongly each step's loss depends on earlier states: {"h": (T, T)}, the norm ‖∂L_t/∂h_s‖ at [t, s].

    Entries above the diagonal are 0. For an LSTM the result also has "c", the norms ‖∂L_t/∂c_s‖, which include the
    effect of c_s through h_s. The norm is over units and sequences. Sequences do not interact, so this is the gradient
    of L_t summed over the batch. The result is exact up to rounding in x's dtype; numbers below about 1e-38 (float32)
    or 1e-308 (float64) become 0.

    module, x, state: as in `gates`. grads: ∂L_t/∂h_t of each step's loss alone, that is, the gradient from the
    operations after the layer at step t, with shape (T, B, hidden_size) or in the layout of x. A step at which grads
    is 0 has no loss and costs no time.

    through: the gates whose recurrent weights can pass gradients (of "ifgo", of "rzn"; the RNN's one block is "h").
    None means all. With () an LSTM passes gradients through c alone, dL_t/dc_s = dL_t/dc_t * f_t ... f_(s+1), the
    constant error carousel of Hochreiter and Schmidhuber (1997), and a GRU through the product of its z.
    """
    steps = _forward(module, x, state)
    grads = np.asarray(plain(grads))
    if grads.shape != (*np.shape(plain(x))[:-1], module.hidden_size):
        raise ValueError(
            f"grads: expected x's shape with {module.hidden_size} as the last axis, got {grads.shape} for x of shape "
            f"{np.shape(plain(x))}"
        )
    grads = grads[:, None] if grads.ndim == 2 else grads.swapaxes(0, 1) if module.batch_first else grads
    W_hh = _passing(module, through)
    T, cell, equations = len(grads), CELLS[module.kind], EQUATIONS[module.kind]
    found = {name: np.zeros((T, T), grads.dtype) for name in cell.states}
    rows, into = np.arange(0), [grads[:0]] * len(cell.states)  # the gradients into the states after a step, (n, B, H)
    for s in reversed(range(T)):
        if grads[s].any():
            rows = np.append(s, rows)
            own = [grads[s : s + 1], *[np.zeros_like(grads[:1])] * (len(into) - 1)]
            into = [np.concatenate(both) for both in zip(own, into, strict=True)]
        named, cache = steps[s]
        for name, d in zip(cell.states, equations.whole(cache, *into), strict=True):
            found[name][rows, s] = np.sqrt(np.sum(d * d, axis=(1, 2)))
        _, da_hh, (dh, *others), _ = equations.backward(named["h"], cache, *into, **_options(module))
        into = [dh + da_hh @ W_hh, *others]
    return found


def _options(module: Any) -> dict[str, str]:
    return {"nonlinearity": module.nonlinearity} if CELLS[module.kind].nonlinearities else {}


def _passing(module: Any, through: Collection[str] | None) -> Array:
    """Return W_hh with zeros in the blocks of the gates that are not in `through`."""
    W_hh = module.weight_hh_l0.data.copy()
    names = CELLS[module.kind].gates
    if through is not None:
        if set(through) - set(names):
            raise ValueError(f"through: expected gates among {', '.join(names)}, got {through!r}")
        for name, block in zip(names, np.split(W_hh, len(names)), strict=True):
            block *= name in through
    return W_hh


def _forward(module: Any, x: Any, state: Any) -> list[tuple[dict[str, Array], Any]]:
    """Return for each step the gates and states by name, and the cache for the backward function of the gates."""
    xs, states = _arguments(module, x, state)
    own, cell = vars(module), CELLS[module.kind]
    weights = step_weights(module.kind, *[plain(own[f"{name}_l0"]) for name in cell.parameters(1, 1)])
    steps = []
    for x_t in xs:
        *states, (_, _, _, _, cache, *_) = STEPS[module.kind](x_t, *states, *weights, **_options(module))
        # The cache of an LSTM or a GRU begins with its gates; the RNN's one block is h itself.
        values = cache if isinstance(cache, tuple) else (cache,)
        steps.append(
            (dict(zip((*cell.gates, *cell.states), (*values[: len(cell.gates)], *states), strict=True)), cache)
        )
    return steps


def _arguments(module: Any, x: Any, state: Any) -> tuple[Array, list[Array]]:
    """Return x (T, B, I) and the initial states (B, H) as arrays. The module checks them."""
    if getattr(module, "kind", None) not in STEPS or not hasattr(module, "num_layers"):
        raise TypeError(f"module: expected an nn.RNN, nn.LSTM or nn.GRU, got {type(module).__name__}")
    if module.num_layers != 1 or module.bidirectional:
        raise ValueError(f"module: expected one layer in one direction, got {module}")
    with no_grad():
        module(x, state)
    x, given = plain(x), [] if state is None else [plain(part) for part in parts(state)]
    if x.ndim == 2:
        x, given = x[:, None], [s[:, None] for s in given]
    elif module.batch_first:
        x = x.swapaxes(0, 1)
    zeros = np.zeros_like(x, shape=(x.shape[1], module.hidden_size))
    return x, [s[0] for s in given] or [zeros] * len(CELLS[module.kind].states)
