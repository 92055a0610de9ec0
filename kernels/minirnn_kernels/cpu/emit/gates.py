"""The equations of `gates.py` on vectors of units, under the same names: what the compiled kernels compute.

Each argument and each result is one `Vector`. The derivations stand in `gates.py`. Backward functions are given the
states that the forward stored, and compute tanh(c) again: that is cheaper than memory.

An LSTM's h and a GRU's n are functions of their own, to be applied to a run of vectors after the gates of all of them
are done: a tanh takes some 60 cycles from its argument to its result, and a CPU looks ahead by two or three of them at
most. Right behind the gates that it needs, it would wait for them, and everything else for it.
"""

from minirnn_kernels.cpu.emit.vectors import Vector, activate, sigmoid, tanh


def rnn_tanh(a: Vector, b: Vector) -> tuple[Vector, ...]:
    """Pre-activation and bias -> h"""
    return activate(tanh(a + b))


def rnn_relu(a: Vector, b: Vector) -> tuple[Vector, ...]:
    """Pre-activation and bias -> h; NaN stays NaN"""
    a = a + b
    return (a.emitter.where(a <= 0, a.of(0), a),)


def rnn_tanh_backward(h: Vector, dout: Vector, dh: Vector) -> tuple[Vector, ...]:
    """-> da"""
    dh = dh + dout
    return (dh * (1 - h * h),)


def rnn_relu_backward(h: Vector, dout: Vector, dh: Vector) -> tuple[Vector, ...]:
    """-> da"""
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
    """Pre-activations and biases -> i, f, g, o, c"""
    i, f, g, o = activate(sigmoid(a_i + b_i), sigmoid(a_f + b_f), tanh(a_g + b_g), sigmoid(a_o + b_o))
    return i, f, g, o, f * c_prev + i * g


def lstm_output(o: Vector, c: Vector) -> tuple[Vector, ...]:
    """-> h"""
    (tanh_c,) = activate(tanh(c))
    return (o * tanh_c,)


def lstm_backward(
    i: Vector, f: Vector, g: Vector, o: Vector, c_prev: Vector, c: Vector, dout: Vector, dh: Vector, dc: Vector
) -> tuple[Vector, ...]:
    """-> da_i, da_f, da_g, da_o, dc_prev"""
    (tanh_c,) = activate(tanh(c))
    dh = dh + dout
    do = dh * tanh_c
    dc = dc + dh * o * (1 - tanh_c * tanh_c)
    di = dc * g
    df = dc * c_prev
    dg = dc * i
    return di * i * (1 - i), df * f * (1 - f), dg * (1 - g * g), do * o * (1 - o), dc * f


def gru_gates(a_r: Vector, a_z: Vector, b_r: Vector, b_z: Vector) -> tuple[Vector, ...]:
    """Pre-activations and biases -> r, z"""
    return activate(sigmoid(a_r + b_r), sigmoid(a_z + b_z))


def gru_output(
    a_n: Vector, r: Vector, z: Vector, q: Vector, b_n: Vector, b_q: Vector, h_prev: Vector
) -> tuple[Vector, ...]:
    """Pre-activation, gates and biases, q that of the part of n that r multiplies -> n, q, h"""
    q = q + b_q
    (n,) = activate(tanh(a_n + b_n + r * q))
    return n, q, n + z * (h_prev - n)


def gru_backward(
    n: Vector, r: Vector, z: Vector, q: Vector, h_prev: Vector, dout: Vector, dh: Vector
) -> tuple[Vector, ...]:
    """-> da_n, da_r, da_z, dq, and the part of dh_prev that goes past the products"""
    dh = dh + dout
    da_n = dh * (1 - z) * (1 - n * n)
    da_r = da_n * q * r * (1 - r)
    da_z = dh * (h_prev - n) * z * (1 - z)
    return da_n, da_r, da_z, da_n * r, dh * z
