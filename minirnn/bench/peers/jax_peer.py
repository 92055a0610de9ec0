"""JAX: a `lax.scan` over time, compiled by `jit`, with the input product moved out of the loop.

JAX has no LSTM; this is the fastest form that its users commonly write. The equations in `scan` repeat `rnn_gates`,
`lstm_gates` and `gru_gates` of `minirnn_kernels/gates.py` in JAX's functions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minirnn.bench.peers import Contender, Missing, library
from minirnn.bench.problems import Array, Problem

__all__ = ["contender", "scan"]


def contender(problem: Problem) -> Contender:
    """Return JAX on the CPU as a contender; raise `Missing` for sequences with lengths."""
    if problem.lengths is not None:
        raise Missing("jax: sequences with lengths are not measured")
    jax = library("jax")
    jax.config.update("jax_platforms", "cpu")
    if problem.dtype == "float64":
        jax.config.update("jax_enable_x64", True)
    sequence = scan(jax, problem)
    arguments = [jax.numpy.asarray(a) for a in problem.arguments]
    dout = jax.numpy.asarray(problem.arrays["dout"])
    outputs = list(problem.spec.results)

    def train(arguments: Any, dout: Any) -> Any:
        out, pull, last = jax.vjp(lambda *a: sequence(*a), *arguments, has_aux=True)
        return (out, *last, *pull(dout))

    if problem.trains:
        compiled, given = jax.jit(train), [arguments, dout]
        names = [*outputs, *problem.gradients]
    elif problem.what == "forward":
        raise Missing("jax: a forward that is compiled without its backward keeps no cache")
    else:

        def infer(arguments: Any) -> Any:
            out, last = sequence(*arguments)
            return (out, *last)

        compiled, given, names = jax.jit(infer), [arguments], outputs

    def results(made: Any) -> dict[str, Array]:
        return dict(zip(names, map(jax.device_get, made), strict=True))

    return Contender("jax", lambda: jax.block_until_ready(compiled(*given)), results)


def scan(jax: Any, problem: Problem) -> Callable[..., Any]:
    """Return a function of x, the states, W_ih, W_hh and the biases that returns out and the last states."""
    jnp, states = jax.numpy, len(problem.spec.states)

    def step_of(W_hh: Any, b_hh: Any) -> Callable[..., Any]:
        def rnn(carry: Any, a: Any) -> Any:
            h = jnp.tanh(a + carry[0] @ W_hh.T)
            return (h,), h

        def lstm(carry: Any, a: Any) -> Any:
            i, f, g, o = jnp.split(a + carry[0] @ W_hh.T, 4, axis=-1)
            c = jax.nn.sigmoid(f) * carry[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        def gru(carry: Any, a: Any) -> Any:
            r, z, n = jnp.split(a, 3, axis=-1)
            r_h, z_h, n_h = jnp.split(carry[0] @ W_hh.T + b_hh, 3, axis=-1)
            z = jax.nn.sigmoid(z + z_h)
            h = (1 - z) * jnp.tanh(n + jax.nn.sigmoid(r + r_h) * n_h) + z * carry[0]
            return (h,), h

        return {"rnn": rnn, "lstm": lstm, "gru": gru}[problem.cell]

    def sequence(x: Any, *rest: Any) -> Any:
        carry, (W_ih, W_hh, b_ih, *b_hh) = rest[:states], rest[states:]
        last, out = jax.lax.scan(step_of(W_hh, b_hh[0] if b_hh else None), carry, x @ W_ih.T + b_ih)
        return out, last

    return sequence
