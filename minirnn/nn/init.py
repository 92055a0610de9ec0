"""Initialisers: each fills a parameter in place and returns it.

`tensor` is a Tensor, or a float array (such as a view of a parameter's data, to fill one gate's block). Draws are made
in float64 on the host and rounded to the tensor's dtype, so that one seed gives the same weights in float32, in float64
and on a GPU; they come from `rng`, or from the generator that `minirnn.manual_seed` seeds.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np

from minirnn import random
from minirnn.autograd import Tensor, devices

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
    """rng itself, or the generator that `minirnn.manual_seed` seeds if it is None; TypeError for anything else."""
    if rng is None:
        return random.generator()
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng: expected a np.random.Generator or None, got {rng!r}")
    return rng


def constant_(tensor: Filled, val: float) -> Filled:
    """Every entry is `val`."""
    return _fill(tensor, val)


def zeros_(tensor: Filled) -> Filled:
    """Every entry is 0."""
    return _fill(tensor, 0.0)


def uniform_(tensor: Filled, a: float = 0.0, b: float = 1.0, rng: np.random.Generator | None = None) -> Filled:
    """Uniform over [a, b)."""
    if not a <= b:
        raise ValueError(f"a, b: expected a <= b, got a = {a}, b = {b}")
    return _fill(tensor, chosen_generator(rng).uniform(a, b, _data(tensor).shape))


def normal_(tensor: Filled, mean: float = 0.0, std: float = 1.0, rng: np.random.Generator | None = None) -> Filled:
    """Normal with that mean and standard deviation."""
    if not std >= 0:
        raise ValueError(f"std: expected a number >= 0, got {std}")
    return _fill(tensor, chosen_generator(rng).normal(mean, std, _data(tensor).shape))


def fan_uniform_(tensor: Filled, fan: int, rng: np.random.Generator | None = None) -> Filled:
    """Uniform over ±1/√fan: PyTorch's default; fan is in_features for Linear and hidden_size for recurrent layers."""
    if fan < 1:
        raise ValueError(f"fan: expected an integer >= 1, got {fan}")
    bound = 1.0 / math.sqrt(fan)
    return uniform_(tensor, -bound, bound, rng)


def xavier_uniform_(tensor: Filled, gain: float = 1.0, rng: np.random.Generator | None = None) -> Filled:
    """Uniform over ±gain·√(6 / (fan_in + fan_out)) for a matrix (fan_out, fan_in): keeps the variance of activations
    forwards and of gradients backwards. Source: Glorot and Bengio 2010, equation 16."""
    rows, columns = _matrix_shape(tensor, "xavier_uniform_")
    bound = gain * math.sqrt(6.0 / (rows + columns))
    return uniform_(tensor, -bound, bound, rng)


def orthogonal_(tensor: Filled, gain: float = 1.0, rng: np.random.Generator | None = None) -> Filled:
    """gain times a random matrix whose rows, or columns if they are fewer, are orthonormal, uniform among those.

    Q of a Gaussian's QR decomposition is not uniform until R's diagonal is made positive. Source: Saxe, McClelland and
    Ganguli 2014; the sign fix: Mezzadri 2007. A recurrent weight of several gates is filled gate by gate:
    `for block in np.split(lstm.weight_hh_l0.data, 4): orthogonal_(block)`.
    """
    rows, columns = _matrix_shape(tensor, "orthogonal_")
    gaussian = chosen_generator(rng).standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(gaussian)
    q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return _fill(tensor, gain * (q if rows >= columns else q.T))


def forget_bias_(lstm: Filled, value: float) -> Filled:
    """Make `value` the bias of an LSTM's (or LSTMCell's) forget gates, in every layer and direction.

    The gate adds bias_ih and bias_hh, so the f block (the second of i, f, g, o) of bias_ih gets the value and that of
    bias_hh gets 0. A value of 1 or 2 lets early gradients through. Source: Gers, Schmidhuber and Cummins 2000;
    Jozefowicz, Zaremba and Sutskever 2015.
    """
    hidden = getattr(lstm, "hidden_size", 0)
    biases = {n: p for n, p in vars(lstm).items() if n.startswith(("bias_ih", "bias_hh")) and isinstance(p, Tensor)}
    if not biases or any(p.shape != (4 * hidden,) for p in biases.values()):
        got = type(lstm).__name__ + " without biases" * (not biases)
        raise ValueError(f"lstm: expected an LSTM or LSTMCell with biases, got {got}")
    for n, bias in biases.items():
        bias.data[hidden : 2 * hidden] = value if n.startswith("bias_ih") else 0.0
        bias.bump_version()
    return lstm


def chrono_(rnn: Filled, longest: float, rng: np.random.Generator | None = None) -> Filled:
    """Biases with which the units of an LSTM or GRU (or of a cell) remember for 1 to about `longest` steps.

    A forget gate that stays at σ(b) keeps 1/(1 - σ(b)) = 1 + eᵇ steps, so b is drawn as log u, u uniform over
    [1, longest - 1), for each unit. An LSTM's input gates start at -b, as open as the forget gates are shut; a GRU has
    one gate for both, z. All other biases become 0. Source: Tallec and Ollivier 2018, section 2.
    """
    hidden = getattr(rnn, "hidden_size", 0)
    gates = {"lstm": 4, "gru": 3}.get(getattr(rnn, "kind", ""), 0)
    biases = {n: p for n, p in vars(rnn).items() if n.startswith(("bias_ih", "bias_hh")) and isinstance(p, Tensor)}
    if not gates or not biases:
        raise ValueError(f"rnn: expected an LSTM or GRU, or a cell of one, with biases, got {type(rnn).__name__}")
    if not longest >= 2:
        raise ValueError(f"longest: expected at least 2 steps, got {longest}")
    for n, bias in biases.items():
        bias.data[...] = 0.0
        if n.startswith("bias_ih"):
            drawn = np.log(chosen_generator(rng).uniform(1.0, longest - 1.0, hidden))
            drawn = devices.like(drawn, bias.data)
            bias.data[hidden : 2 * hidden] = drawn  # f of i, f, g, o; z of r, z, n
            if gates == 4:
                bias.data[:hidden] = -drawn
        bias.bump_version()
    return rnn


def _matrix_shape(tensor: Any, function: str) -> tuple[int, int]:
    shape = _data(tensor).shape
    if len(shape) != 2 or 0 in shape:
        raise ValueError(f"{function}: expected a matrix that isn't empty, got shape {shape}")
    return shape[0], shape[1]
