"""Initialisers: each fills a parameter in place and returns it.

`tensor` is a Tensor or a float array, for example a view of a parameter's data that holds the block of one gate. Random
numbers are drawn in float64 on the host and rounded to the tensor's dtype, so that one seed gives the same weights in
float32, in float64 and on a GPU. They come from `rng`; without it, from the generator that `minirnn.manual_seed` seeds.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np

from minirnn import random
from minirnn.autograd import Tensor, devices
from minirnn_kernels.cell import CELLS

Array = Any
Filled = TypeVar("Filled")


def _fill(tensor: Filled, values: Array) -> Filled:
    data = _data(tensor)
    data[...] = devices.like(values, data)
    if isinstance(tensor, Tensor):
        tensor.bump_version()
    return tensor


def _data(tensor: Any) -> Array:
    data = tensor.data if isinstance(tensor, Tensor) else tensor
    if not hasattr(data, "dtype") or data.dtype.kind != "f":
        what = getattr(data, "dtype", type(data).__name__)
        raise TypeError(f"tensor: expected a Tensor or array of floats, got {what}")
    return data


def chosen_generator(rng: Any) -> np.random.Generator:
    """Return rng, or for None the generator that `minirnn.manual_seed` seeds. Raises TypeError for any other value."""
    if rng is None:
        return random.generator()
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng: expected a np.random.Generator or None, got {rng!r}")
    return rng


def constant_(tensor: Filled, val: float) -> Filled:
    """Set every entry to `val`."""
    return _fill(tensor, val)


def zeros_(tensor: Filled) -> Filled:
    """Set every entry to 0."""
    return constant_(tensor, 0.0)


def uniform_(tensor: Filled, a: float = 0.0, b: float = 1.0, rng: np.random.Generator | None = None) -> Filled:
    """Draw from the uniform distribution over [a, b)."""
    if not a <= b:
        raise ValueError(f"a, b: expected a <= b, got a = {a}, b = {b}")
    return _fill(tensor, chosen_generator(rng).uniform(a, b, _data(tensor).shape))


def normal_(tensor: Filled, mean: float = 0.0, std: float = 1.0, rng: np.random.Generator | None = None) -> Filled:
    """Draw from the normal distribution with this mean and standard deviation."""
    if not std >= 0:
        raise ValueError(f"std: expected a number >= 0, got {std}")
    return _fill(tensor, chosen_generator(rng).normal(mean, std, _data(tensor).shape))


def fan_uniform_(tensor: Filled, fan: int, rng: np.random.Generator | None = None) -> Filled:
    """Draw uniformly over ±1/√fan, PyTorch's default. fan: in_features of Linear, hidden_size of recurrent layers."""
    if fan < 1:
        raise ValueError(f"fan: expected an integer >= 1, got {fan}")
    bound = 1.0 / math.sqrt(fan)
    return uniform_(tensor, -bound, bound, rng)


def xavier_uniform_(tensor: Filled, gain: float = 1.0, rng: np.random.Generator | None = None) -> Filled:
    """Draw a matrix (fan_out, fan_in) uniformly over ±gain·√(6 / (fan_in + fan_out)).

    This keeps the variance of activations in the forward pass and of gradients in the backward pass. Source: Glorot and
    Bengio 2010, equation 16.
    """
    rows, columns = _matrix_shape(tensor, "xavier_uniform_")
    bound = gain * math.sqrt(6.0 / (rows + columns))
    return uniform_(tensor, -bound, bound, rng)


def orthogonal_(tensor: Filled, gain: float = 1.0, rng: np.random.Generator | None = None) -> Filled:
    """Draw gain times a random matrix whose rows are orthonormal, or whose columns are if there are fewer columns.

    The matrix is uniform over all such matrices. Q of the QR decomposition of a Gaussian matrix is uniform only if the
    diagonal of R is made positive. Sources: Saxe, McClelland and Ganguli 2014; for the signs, Mezzadri 2007. If a
    recurrent weight holds several gates, fill it block by block:
    `for block in np.split(lstm.weight_hh_l0.data, 4): orthogonal_(block)`.
    """
    rows, columns = _matrix_shape(tensor, "orthogonal_")
    gaussian = chosen_generator(rng).standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(gaussian)
    q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return _fill(tensor, gain * (q if rows >= columns else q.T))


def forget_bias_(lstm: Filled, value: float) -> Filled:
    """Set the bias of the forget gates of an LSTM or LSTMCell to `value`, in every layer and direction.

    The gate adds bias_ih and bias_hh, so the block f of bias_ih becomes `value` and that of bias_hh becomes 0. With a
    value of 1 or 2, gradients pass through the cell from the start of training. Sources: Gers, Schmidhuber and Cummins
    2000; Jozefowicz, Zaremba and Sutskever 2015.
    """
    gates, biases = _gate_biases(lstm)
    if "f" not in gates or not biases:
        got = type(lstm).__name__ + " without biases" * (not biases)
        raise ValueError(f"lstm: expected an LSTM or LSTMCell with biases, got {got}")
    for name, bias in biases.items():
        np.split(bias.data, len(gates))[gates.index("f")][...] = value if name.startswith("bias_ih") else 0.0
        bias.bump_version()
    return lstm


def chrono_(rnn: Filled, longest: float, rng: np.random.Generator | None = None) -> Filled:
    """Set the biases of an LSTM, a GRU or their cells so that the units remember for 1 to about `longest` steps.

    A forget gate that stays at σ(b) keeps its state for 1/(1 - σ(b)) = 1 + eᵇ steps. For each unit, b = log u is drawn
    with u uniform over [1, longest - 1). The biases of an LSTM's input gates become -b, so that they are as open as the
    forget gates are closed. In a GRU, z serves as both gates. All other biases become 0. Source: Tallec and Ollivier
    2018, section 2.
    """
    gates, biases = _gate_biases(rnn)
    kept = next((gate for gate in ("f", "z") if gate in gates), None)
    if kept is None or not biases:
        raise ValueError(f"rnn: expected an LSTM or GRU, or a cell of one, with biases, got {type(rnn).__name__}")
    if not longest >= 2:
        raise ValueError(f"longest: expected at least 2 steps, got {longest}")
    for name, bias in biases.items():
        bias.data[...] = 0.0
        if name.startswith("bias_ih"):
            blocks = dict(zip(gates, np.split(bias.data, len(gates)), strict=True))
            drawn = np.log(chosen_generator(rng).uniform(1.0, longest - 1.0, len(blocks[kept])))
            blocks[kept][...] = devices.like(drawn, bias.data)
            if "i" in gates:
                blocks["i"][...] = -blocks[kept]
        bias.bump_version()
    return rnn


def _gate_biases(module: Any) -> tuple[tuple[str, ...], dict[str, Tensor]]:
    """Return the gates of a recurrent module in the order of the blocks, and its biases. Both can be empty."""
    cell = CELLS.get(getattr(module, "kind", ""))
    biases = {n: p for n, p in vars(module).items() if n.startswith(("bias_ih", "bias_hh")) and isinstance(p, Tensor)}
    return (cell.gates if cell else ()), biases


def _matrix_shape(tensor: Any, function: str) -> tuple[int, int]:
    shape = _data(tensor).shape
    if len(shape) != 2 or 0 in shape:
        raise ValueError(f"{function}: expected a nonempty matrix, got shape {shape}")
    return shape[0], shape[1]
