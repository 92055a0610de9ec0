"""The equations of `minirnn_kernels/gates.py` on vectors of units: the code that the compiled kernels compute.

Each argument and each result is one `Vector`. `gates.py` has the derivations; these functions repeat its lines:

| here | in `gates.py` | difference |
|---|---|---|
| `rnn_tanh`, `rnn_relu` | `rnn_gates` | the bias is added here |
| `rnn_tanh_backward`, `rnn_relu_backward` | `rnn_gates_backward` | dh has two parts, which are added here |
| `lstm_cell`, `lstm_output` | `lstm_gates` | the biases are added here; split before h |
| `lstm_backward` | `lstm_gates_backward` | dh has two parts; tanh(c) is computed again |
| `gru_gates`, `gru_output` | `gru_gates` | the biases are added here; split after r and z; h = n + z (h_prev - n) |
| `gru_backward` | `gru_gates_backward` | dh has two parts |

Backward functions take the states that the forward pass stored and compute tanh(c) again, because that is cheaper than
storing it.

An LSTM's h and a GRU's n have their own functions, which are applied to many vectors after the gates of all of them.
A tanh has a latency of some 60 cycles, and a CPU overlaps at most two or three of them. If each tanh came directly
after its gates, it would wait for them, and all later work would wait for it.
"""

from minirnn_kernels.cpu.emit.vectors import Vector, activate, sigmoid, tanh


def rnn_tanh(a: Vector, b: Vector) -> tuple[Vector, ...]:
    """Return h from the pre-activation and the bias."""
    return activate(tanh(a + b))


def rnn_relu(a: Vector, b: Vector) -> tuple[Vector, ...]:
    """Return h from the pre-activation and the bias; NaN stays NaN."""
    a = a + b
    return (a.emitter.where(a <= 0, a.of(0), a),)


def rnn_tanh_backward(h: Vector, dout: Vector, dh: Vector) -> tuple[Vector, ...]:
    """Return da."""
    dh = dh + dout
    return (dh * (1 - h * h),)


def rnn_relu_backward(h: Vector, dout: Vector, dh: Vector) -> tuple[Vector, ...]:
    """Return da."""
    dh = dh + dout
    return (h.emitter.where(h <= 0, h.of(0), dh),)


def lstm_cell(
    a_i: Vector,
    a_f: Vector,
    a_g: Vector,
    a_o: Vector,
    b_i: Vector,
    b_f: Vector,
    b_g: Vector,
    b_o: Vector,
    c_prev: Vector,
) -> tuple[Vector, ...]:
    """Return i, f, g, o and c from the pre-activations, the biases and the last c."""
    i, f, g, o = activate(sigmoid(a_i + b_i), sigmoid(a_f + b_f), tanh(a_g + b_g), sigmoid(a_o + b_o))
    return i, f, g, o, f * c_prev + i * g


def lstm_output(o: Vector, c: Vector) -> tuple[Vector, ...]:
    """Return h."""
    (tanh_c,) = activate(tanh(c))
    return (o * tanh_c,)


def lstm_backward(
    i: Vector, f: Vector, g: Vector, o: Vector, c_prev: Vector, c: Vector, dout: Vector, dh: Vector, dc: Vector
) -> tuple[Vector, ...]:
    """Return da_i, da_f, da_g, da_o and dc_prev."""
    (tanh_c,) = activate(tanh(c))
    dh = dh + dout
    do = dh * tanh_c
    dc = dc + dh * o * (1 - tanh_c * tanh_c)
    di = dc * g
    df = dc * c_prev
    dg = dc * i
    return di * i * (1 - i), df * f * (1 - f), dg * (1 - g * g), do * o * (1 - o), dc * f


def gru_gates(a_r: Vector, a_z: Vector, b_r: Vector, b_z: Vector) -> tuple[Vector, ...]:
    """Return r and z from the pre-activations and the biases."""
    return activate(sigmoid(a_r + b_r), sigmoid(a_z + b_z))


def gru_output(
    a_n: Vector, r: Vector, z: Vector, q: Vector, b_n: Vector, b_q: Vector, h_prev: Vector
) -> tuple[Vector, ...]:
    """Return n, q and h, where q = a_hn with its bias, the part of n's pre-activation that r multiplies."""
    q = q + b_q
    (n,) = activate(tanh(a_n + b_n + r * q))
    return n, q, n + z * (h_prev - n)


def gru_backward(
    n: Vector, r: Vector, z: Vector, q: Vector, h_prev: Vector, dout: Vector, dh: Vector
) -> tuple[Vector, ...]:
    """Return da_n, da_r, da_z, dq, and the part of dh_prev that does not pass through the products."""
    dh = dh + dout
    da_n = dh * (1 - z) * (1 - n * n)
    da_r = da_n * q * r * (1 - r)
    da_z = dh * (h_prev - n) * z * (1 - z)
    return da_n, da_r, da_z, da_n * r, dh * z
