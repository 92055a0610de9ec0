"""PyTorch (cuDNN) and JAX as contenders of benchmarks/gpu.py.

A library that is missing, or that can't compute a row, raises `Missing` with the reason.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from on_gpu.contender import Array, GpuContender, Numbers, events, host_clock, with_layer_axis
from on_gpu.plan import MODES

from minirnn.bench.peers import Missing, library
from minirnn.bench.peers.jax_peer import scan
from minirnn.bench.problems import Problem
from minirnn_kernels.cell import CELLS

__all__ = ["Missing", "jax", "library", "torch", "torch_clock", "torch_mode"]

# ---- PyTorch ---------------------------------------------------------------------------------------------------------


def torch(numbers: Numbers, name: str = "torch", mode: str | None = None, device: str = "cuda") -> GpuContender:
    """Return torch.nn.LSTM, GRU or RNN as a contender. mode: overrides the mode of the row, for the reference.

    name: "torch" for rows without lengths. With lengths, "torch packed", which uses packed sequences as PyTorch
    documents, or "torch padded", which also computes the padding and sets it to zero: all gradients are the same. It
    supports one direction only, and h is its only final state.
    """
    row, mode = numbers.row, mode or numbers.row.mode
    if (name == "torch") != (not row.ragged) or (name == "torch padded" and row.stacked):
        raise Missing("")
    library_ = library("torch")
    dtype = getattr(library_, MODES[mode][0])
    layer = getattr(library_.nn, CELLS[row.cell].title)(
        row.inputs, row.size.H, row.layers, bidirectional=row.directions == 2, dtype=dtype, device=device
    )
    to = lambda a, grad=False: library_.tensor(a, dtype=dtype, device=device, requires_grad=grad)
    with library_.no_grad():
        for parameter, a in zip(layer.parameters(), numbers.parameters.values(), strict=True):
            parameter.copy_(to(a))
    grad = row.what != "inference"
    given = [
        ([to(one["x"], grad), *(to(one[f"{s}0"], grad) for s in numbers.states)], to(one["dout"]))
        for one in numbers.sets
    ]
    call = _torch_call(library_, numbers, name, layer, dtype, device)
    parameters = list(layer.parameters())

    def run(k: int) -> Any:
        (x, *states), dout = given[k]
        if not grad:
            with library_.inference_mode():
                return call(x, states)
        made = call(x, states)
        if row.what == "training":
            return [*made, *library_.autograd.grad(made[0], [x, *states, *parameters], dout)]
        return made

    def results(made: Any) -> dict[str, Array]:
        return {
            n: a.detach().double().cpu().numpy() for n, a in zip(numbers.expected, made, strict=False) if a is not None
        }

    clock = torch_clock(library_) if device == "cuda" else host_clock(lambda: None)
    found = GpuContender(name, run, results, clock, lambda: torch_mode(library_, mode), {}, len(given))
    found.notes["cudnn"] = library_.backends.cudnn.version() if device == "cuda" else None
    return found


def torch_clock(torch: Any) -> Any:
    """Return a clock that uses PyTorch's CUDA events."""
    return events(
        lambda: torch.cuda.Event(enable_timing=True),
        lambda event: event.record(),
        lambda a, b: (b.synchronize(), a.elapsed_time(b))[1],
    )


def _torch_call(torch: Any, numbers: Numbers, name: str, layer: Any, dtype: Any, device: str) -> Callable[..., Any]:
    """Return a function (x, states) -> out, h_n (, c_n); "torch padded" returns only h_n."""
    lstm, T = numbers.cell == "lstm", numbers.row.size.T

    def flat(out: Any, last: Any) -> list[Any]:
        return [out, *last] if lstm else [out, last]

    def given(states: list[Any]) -> Any:
        return tuple(states) if lstm else states[0]

    if name == "torch":
        return lambda x, states: flat(*layer(x, given(states)))
    ends = torch.from_numpy(numbers.lengths)
    if name == "torch packed":
        rnn = torch.nn.utils.rnn

        def packed(x: Any, states: list[Any]) -> list[Any]:
            out, last = layer(rnn.pack_padded_sequence(x, ends, enforce_sorted=False), given(states))
            return flat(rnn.pad_packed_sequence(out, total_length=T)[0], last)

        return packed
    inside = (torch.arange(T)[:, None] < ends)[..., None].to(device, dtype)
    last, rows = (ends - 1).to(device), torch.arange(len(ends), device=device)

    def padded(x: Any, states: list[Any]) -> list[Any]:
        out = layer(x, given(states))[0] * inside
        return [out, out[last, rows][None], *[None] * (len(states) - 1)]

    return padded


@contextlib.contextmanager
def torch_mode(torch: Any, mode: str) -> Iterator[None]:
    """Allow TF32 in cuDNN and in products for the mode "tf32" only."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = mode == "tf32"
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


# ---- JAX -------------------------------------------------------------------------------------------------------------

JAX_PRECISION = {"strict": "highest", "high": "tensorfloat32_3x", "tf32": "tensorfloat32", "float64": "highest"}


def jax(numbers: Numbers, platform: str = "gpu") -> GpuContender:
    """Return a jitted `lax.scan` as a contender, with the input product before the scan.

    It computes one layer in one direction, without lengths.
    """
    row = numbers.row
    if row.stacked or row.ragged or row.what == "forward":
        raise Missing("")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    found = library("jax")
    if row.mode == "float64":
        found.config.update("jax_enable_x64", True)
    try:
        device = found.devices(platform)[0]
    except RuntimeError as error:
        raise Missing(f"jax: {str(error).splitlines()[0]}") from None
    jnp, dtype, last = found.numpy, getattr(found.numpy, MODES[row.mode][0]), len(numbers.states)
    two_biases = CELLS[row.cell].two_biases
    sequence = scan(found, Problem(row.what, row.cell, row.size))
    to = lambda a: found.device_put(jnp.asarray(a, dtype), device)
    weights = [to(a) for name, a in numbers.parameters.items() if two_biases or "bias_hh" not in name]
    given = [
        ([to(one["x"]), *(to(one[f"{s}0"][0]) for s in numbers.states), *weights], to(one["dout"]))
        for one in numbers.sets
    ]

    def infer(arguments: Any, dout: Any) -> Any:
        out, finals = sequence(*arguments)
        return (out, *finals)

    def train(arguments: Any, dout: Any) -> Any:
        out, pull, finals = found.vjp(lambda *a: sequence(*a), *arguments, has_aux=True)
        return (out, *finals, *pull(dout))

    compiled = found.jit(train if row.what == "training" else infer)
    names = [n for n in numbers.expected if two_biases or "bias_hh" not in n]

    def results(made: Any) -> dict[str, Array]:
        arrays = {n: np.asarray(found.device_get(a)).astype(np.float64) for n, a in zip(names, made, strict=True)}
        return with_layer_axis(arrays, last)

    def run(k: int) -> Any:
        made = compiled(*given[k])
        pending[:] = made
        return made

    pending: list[Any] = []
    mode = lambda: found.default_matmul_precision(JAX_PRECISION.get(row.mode, "default"))
    return GpuContender("jax", run, results, host_clock(lambda: found.block_until_ready(pending)), mode, {}, len(given))
