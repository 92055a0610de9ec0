"""The contenders of benchmarks/gpu.py: this package, PyTorch (cuDNN), JAX. Each computes a row on numbers it is given.

`Numbers` draws a row's numbers on the host, under PyTorch's names. A contender gets several sets of them, so that
repeated calls don't find x in the cache, and `run(k)` computes with set k. `seconds(n)` times n calls between two
events of the device. `results(made)` are float64 arrays of the host under the names of `Numbers.expected`.

A library that is missing, or that can't compute a row, raises `Missing` with the reason.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from on_gpu.plan import MODES, Row, lengths

from minirnn.bench.peers import Missing, library
from minirnn.bench.peers.jax_peer import scan
from minirnn.bench.problems import Problem
from minirnn_kernels.cell import CELLS

__all__ = ["Contender", "Missing", "Numbers", "jax", "ours", "torch"]

Array = np.ndarray


@dataclass
class Contender:
    """`begin` is called before each block of calls and undone after it: a library's switches for the row's mode."""

    name: str
    run: Callable[[int], Any]
    results: Callable[[Any], dict[str, Array]]
    clock: Callable[[Callable[[], Any]], float]
    mode: Callable[[], Any] = contextlib.nullcontext
    notes: dict[str, Any] = field(default_factory=dict)
    sets: int = 1
    calls: int = 1  # that one run makes

    def seconds(self, calls: int) -> float:
        """Seconds a call, of at least `calls` calls in a row."""
        runs = -(-calls // self.calls)

        def all_of_them() -> None:
            for k in range(runs):
                self.run(k % self.sets)

        with self.mode():
            return self.clock(all_of_them) / (runs * self.calls)

    def once(self, k: int = 0) -> dict[str, Array]:
        with self.mode():
            return self.results(self.run(k))


# ---- the numbers -----------------------------------------------------------------------------------------------------


class Numbers:
    """A row's parameters and `sets` sets of its other arguments, as float32 (float64 for that mode) on the host.

    Weights are uniform within 1/sqrt(H), as PyTorch initialises them; what stands in the padding is zero. Only the
    GRU's second bias isn't zero: the other cells have one in the kernels' contract. 16-bit modes get numbers that are
    exact in 16 bits, so that everybody begins with the same.
    """

    def __init__(self, row: Row, seed: int, sets: int = 1) -> None:
        rng = np.random.default_rng(seed)
        s, cell, both = row.size, row.cell, row.directions
        self.row, self.cell, self.lengths = row, cell, lengths(row)
        self.states = CELLS[cell].states
        bound, K = s.H**-0.5, len(CELLS[cell].gates) * s.H
        self.parameters: dict[str, Array] = {}
        for layer in range(row.layers):
            for end in ("", "_reverse")[:both]:
                I = both * s.H if layer else row.inputs
                shapes = {"weight_ih": (K, I), "weight_hh": (K, s.H), "bias_ih": (K,), "bias_hh": (K,)}
                for name, shape in shapes.items():
                    self.parameters[f"{name}_l{layer}{end}"] = rng.uniform(-bound, bound, shape)
                if cell != "gru":
                    self.parameters[f"bias_hh_l{layer}{end}"][:] = 0
        self.sets = []
        for _ in range(sets):
            # the many numbers are float32 in every mode: they are drawn in a third of the time
            normal = lambda *shape: rng.standard_normal(shape, np.float32)
            one = {"x": normal(s.T, s.B, row.inputs), "dout": normal(s.T, s.B, both * s.H)}
            one |= {f"{state}0": rng.uniform(-1, 1, (row.layers * both, s.B, s.H)) for state in self.states}
            if self.lengths is not None:
                past = np.arange(s.T)[:, None] >= self.lengths
                one["x"][past] = one["dout"][past] = 0
            self.sets.append(one)
        for arrays in (self.parameters, *self.sets):
            arrays.update({name: _rounded(a, row.mode) for name, a in arrays.items()})

    @property
    def inputs(self) -> list[str]:
        """What has gradients, in the order of a contender's arguments."""
        return ["x", *(f"{s}0" for s in self.states), *self.parameters]

    @property
    def expected(self) -> list[str]:
        """The names of the results: out, the last states and, in training, "d" with the name of each input."""
        names = ["out", *(f"{s}_n" for s in self.states)]
        return names + [f"d{name}" for name in self.inputs] * (self.row.what == "training")


def _rounded(a: Array, mode: str) -> Array:
    storage = MODES[mode][0]
    if storage == "bfloat16":  # to the nearest, ties to even, without a library for it
        bits = a.astype(np.float32).view(np.uint32)
        bits = bits + 0x7FFF + (bits >> 16 & 1) & np.uint32(0xFFFF0000)
        return bits.view(np.float32)
    return a.astype(np.float16).astype(np.float32) if storage == "float16" else a.astype(storage)


# ---- clocks ----------------------------------------------------------------------------------------------------------


def events(make: Callable[[], Any], record: Callable[[Any], Any], between: Callable[[Any, Any], float]) -> Any:
    """A clock of two events of a device; `between` waits for both and gives milliseconds."""

    def clock(work: Callable[[], Any]) -> float:
        begin, end = make(), make()
        record(begin)
        work()
        record(end)
        return between(begin, end) / 1e3

    return clock


def host_clock(wait: Callable[[], Any]) -> Any:
    """A clock of the host, for who has no events: `wait` returns when the device has nothing more to do."""

    def clock(work: Callable[[], Any]) -> float:
        wait()
        begin = time.perf_counter()
        work()
        wait()
        return time.perf_counter() - begin

    return clock


# ---- PyTorch ---------------------------------------------------------------------------------------------------------


def torch(numbers: Numbers, name: str = "torch", mode: str | None = None, device: str = "cuda") -> Contender:
    """torch.nn.LSTM, GRU or RNN. mode: another than the row's, for the reference.

    name: "torch"; with lengths "torch packed", the documented way, or "torch padded": the padding computed too, and
    blanked, which leaves all gradients as they are (one direction only, and no last states but h's).
    """
    row, mode = numbers.row, mode or numbers.row.mode
    if (name == "torch") != (not row.ragged) or (name == "torch padded" and row.stacked):
        raise Missing("")
    library_ = library("torch")
    dtype = getattr(library_, MODES[mode][0])
    layer = getattr(library_.nn, row.cell.upper())(
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
    found = Contender(name, run, results, clock, lambda: torch_mode(library_, mode), {}, len(given))
    found.notes["cudnn"] = library_.backends.cudnn.version() if device == "cuda" else None
    return found


def torch_clock(torch: Any) -> Any:
    return events(
        lambda: torch.cuda.Event(enable_timing=True),
        lambda event: event.record(),
        lambda a, b: (b.synchronize(), a.elapsed_time(b))[1],
    )


def _torch_call(torch: Any, numbers: Numbers, name: str, layer: Any, dtype: Any, device: str) -> Callable[..., Any]:
    """(x, states) -> out, h_n (, c_n); "torch padded" gathers only h_n."""
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
    """TF32 in cuDNN and in products for the mode "tf32" alone."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = mode == "tf32"
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


# ---- JAX -------------------------------------------------------------------------------------------------------------

JAX_PRECISION = {"strict": "highest", "high": "tensorfloat32_3x", "tf32": "tensorfloat32", "float64": "highest"}


def jax(numbers: Numbers, platform: str = "gpu") -> Contender:
    """A `lax.scan` compiled by `jit`, the input's product hoisted out of it. One layer, one direction, no lengths."""
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
    sequence = scan(found, Problem(row.what, row.cell, row.size))
    to = lambda a: found.device_put(jnp.asarray(a, dtype), device)
    weights = [to(a) for name, a in numbers.parameters.items() if row.cell == "gru" or "bias_hh" not in name]
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
    names = [n for n in numbers.expected if row.cell == "gru" or "bias_hh" not in n]

    def results(made: Any) -> dict[str, Array]:
        arrays = {n: np.asarray(found.device_get(a)).astype(np.float64) for n, a in zip(names, made, strict=True)}
        return _with_layer_axis(arrays, last)

    def run(k: int) -> Any:
        made = compiled(*given[k])
        pending[:] = made
        return made

    pending: list[Any] = []
    mode = lambda: found.default_matmul_precision(JAX_PRECISION.get(row.mode, "default"))
    return Contender("jax", run, results, host_clock(lambda: found.block_until_ready(pending)), mode, {}, len(given))


def _with_layer_axis(arrays: dict[str, Array], states: int) -> dict[str, Array]:
    """States of one layer (B, H) as (1, B, H), as PyTorch has them."""
    of_state = {f"{before}{s}{after}" for s in "hc" for before, after in (("", "_n"), ("d", "0"))}
    return {n: a[None] if n in of_state else a for n, a in arrays.items()}


# ---- this package ----------------------------------------------------------------------------------------------------

PRECISION = {"tf32": "fast", "high": "high"}  # elsewhere strict


class Device:
    """What `ours` needs of a device: CuPy's (`cupy_device`), or NumPy's (`host_device`) for references and tests.

    record: the name of the kernels. xp: the array module. array(a, dtype name), host(a) to a NumPy float64, clock as in
    `events`. repeated(work, n): a function that does the work n times, with as little to do for the host as can be.
    properties: what the choice of a level depends on (minirnn_kernels.cuda.device.Properties), None for the host.
    """

    def __init__(
        self, record: str, xp: Any, array: Any, host: Any, clock: Any, repeated: Any, properties: Any = None
    ) -> None:
        self.record, self.xp, self.array, self.host, self.clock = record, xp, array, host, clock
        self.repeated, self.properties = repeated, properties


def cupy_device() -> Device:
    """CuPy's; `Missing` with the reason of `minirnn_kernels.available` where its kernels can't run."""
    import minirnn_kernels

    reason = minirnn_kernels.available().get("cupy", "this version of minirnn has no CUDA kernels")
    if reason:
        raise Missing(reason)
    cupy = library("cupy")

    def array(a: Array, dtype: str) -> Any:
        if dtype == "bfloat16":
            return cupy.asarray(a.astype(library("ml_dtypes").bfloat16))
        return cupy.asarray(a.astype(dtype))

    clock = events(
        cupy.cuda.Event, lambda event: event.record(),
        lambda a, b: (b.synchronize(), cupy.cuda.get_elapsed_time(a, b))[1],
    )  # fmt: skip

    def repeated(work: Callable[[], Any], n: int) -> Callable[[], Any]:
        stream = cupy.cuda.Stream(non_blocking=True)
        with stream:
            work()  # what has to be compiled is compiled now
            stream.synchronize()
            stream.begin_capture()
            try:
                for _ in range(n):
                    work()
            finally:
                graph = stream.end_capture()
        return graph.launch

    from minirnn_kernels.cuda.cupy_device import CupyDevice

    host = lambda a: cupy.asnumpy(a).astype(np.float64)
    return Device("cupy", cupy, array, host, clock, repeated, CupyDevice().properties)


def host_device(dtype: str | None = None) -> Device:
    """NumPy's kernels on the host; dtype: another for all arrays than asked for."""
    array = lambda a, asked: a.astype(dtype or asked)
    repeated = lambda work, n: lambda: [work() for _ in range(n)]
    return Device("numpy", np, array, lambda a: np.asarray(a, np.float64), host_clock(lambda: None), repeated)


def ours(numbers: Numbers, device: Device, level: int | None = None, module: bool | None = None) -> Contender:
    """The kernels of this package. level: 1, 2 or 3 to force one. module: through nn.*, as users of layers call them.

    module None: where a row needs it (several layers, two directions); elsewhere the kernels are called as nn.* does.
    """
    row = numbers.row
    name = "ours" if level is None else f"level {level}"
    run, results = (_ours_module if row.stacked or module else _ours_kernels)(numbers, device)
    notes = {} if device.properties is None else plans(row, device.properties, level)
    return Contender(name, run, results, device.clock, lambda: _ours_mode(row.mode, level), notes, len(numbers.sets))


def plans(row: Row, properties: Any, level: int | None = None) -> dict[str, Any]:
    """Which plan runs, forward and backward, and the seconds that each level's was estimated to take (the pass alone).

    A plan whose blocks the device doesn't hold at once is replaced when it runs, which this doesn't know.
    """
    from minirnn_kernels.cuda import levels, sequence_pass

    storage = sequence_pass.STORAGES[MODES[row.mode][0]]
    product = sequence_pass.product(storage, PRECISION.get(row.mode, "strict"))
    found: dict[str, Any] = {}
    for backward in (False, True) if row.what == "training" else (False,):
        s = row.size
        work = sequence_pass.Work(getattr(sequence_pass, row.cell.upper()), storage, s.T, s.B, s.H, backward, product)
        choice = levels.choose(work, properties, level or levels.forced_level())
        estimates = {name: 1e-6 * us for name, us in choice.estimates.items()}
        found[work.kernel] = {"plan": str(choice.plan), "estimates": estimates}
    return found


def _ours_kernels(numbers: Numbers, device: Device) -> tuple[Any, Any]:
    import minirnn_kernels

    row, record, storage = numbers.row, minirnn_kernels.get(device.record), MODES[numbers.row.mode][0]
    to = lambda a: device.array(a, storage)
    weights = [to(a) for name, a in numbers.parameters.items() if row.cell == "gru" or "bias_hh" not in name]
    given = [
        ([to(one["x"]), *(to(one[f"{s}0"][0]) for s in numbers.states), *weights], to(one["dout"]))
        for one in numbers.sets
    ]
    if not record.accepts(*given[0][0]):
        raise Missing(f"the {record.name} kernels don't take {storage}")
    functions = record.of(row.cell)
    nothing = [None] * len(numbers.states)

    def run(k: int) -> Any:
        arguments, dout = given[k]
        if row.what == "inference":
            return functions.inference(*arguments, numbers.lengths)
        *made, cache = functions.forward(*arguments, numbers.lengths)
        return [*made, *functions.backward(dout, *nothing, cache)] if row.what == "training" else [*made, cache]

    names = [n for n in numbers.expected if row.cell == "gru" or "bias_hh" not in n]

    def results(made: Any) -> dict[str, Array]:
        arrays = {n: device.host(a) for n, a in zip(names, made, strict=False)}
        return _with_layer_axis(arrays, len(numbers.states))

    return run, results


def _ours_module(numbers: Numbers, device: Device) -> tuple[Any, Any]:
    import minirnn
    from minirnn import Tensor, nn

    row, storage = numbers.row, MODES[numbers.row.mode][0]
    if storage not in ("float32", "float64"):
        raise Missing(f"nn.{row.cell.upper()} computes float32 and float64, not {storage}")
    make = getattr(nn, row.cell.upper())
    layer = make(row.inputs, row.size.H, row.layers, bidirectional=row.directions == 2, dtype=getattr(np, storage))
    layer.load_state_dict({name: a.astype(storage) for name, a in numbers.parameters.items()})
    if device.record == "cupy":
        layer.to("cupy")
    grad = row.what != "inference"
    to = lambda a, grad=False: Tensor(device.array(a, storage), requires_grad=grad)
    given = [
        ([to(one["x"], grad), *(to(one[f"{s}0"], grad) for s in numbers.states)], device.array(one["dout"], storage))
        for one in numbers.sets
    ]
    parameters = list(layer.parameters())

    def run(k: int) -> Any:
        (x, *states), dout = given[k]
        with minirnn.kernels(device.record), contextlib.nullcontext() if grad else minirnn.no_grad():
            out, last = layer(x, tuple(states) if len(states) > 1 else states[0], lengths=numbers.lengths)
            made = [out, *(last if isinstance(last, tuple) else (last,))]
            if row.what == "training":
                made += minirnn.grad(out, [x, *states, *parameters], dout)
        return made

    def results(made: Any) -> dict[str, Array]:
        return {n: device.host(a.data) for n, a in zip(numbers.expected, made, strict=False)}

    return run, results


@contextlib.contextmanager
def _ours_mode(mode: str, level: int | None) -> Iterator[None]:
    """The precision of float32 products, and MINIRNN_CUDA_LEVEL, for the calls inside."""
    from minirnn_kernels.precision import precision

    before = os.environ.get("MINIRNN_CUDA_LEVEL")
    if level is not None:
        os.environ["MINIRNN_CUDA_LEVEL"] = str(level)
    try:
        with precision(PRECISION.get(mode, "strict")):
            yield
    finally:
        if before is None:
            os.environ.pop("MINIRNN_CUDA_LEVEL", None)
        else:
            os.environ["MINIRNN_CUDA_LEVEL"] = before
