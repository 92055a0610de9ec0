"""The kernels of this package as contenders of benchmarks/gpu.py, on a GPU or on the host."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from on_gpu.contender import Array, GpuContender, Numbers, events, host_clock, with_layer_axis
from on_gpu.plan import MODES, GpuRow

from minirnn.bench.peers import Missing, library
from minirnn_kernels.cell import CELLS

__all__ = ["ComputeDevice", "cupy_device", "host_device", "ours", "plans"]

PRECISION = {"tf32": "fast", "high": "high"}  # of the kernels, by mode; "strict" for other modes


@dataclass
class ComputeDevice:
    """A device on which this package computes: CuPy's, or the host for references and tests."""

    record: str  # the name of the kernels
    xp: Any  # the array module
    array: Callable[[Array, str], Any]  # (array on the host, name of a dtype) -> array on the device
    host: Callable[[Any], Array]  # array on the device -> float64 array on the host
    clock: Callable[[Callable[[], Any]], float]  # the seconds that a function takes
    repeated: Callable[[Callable[[], Any], int], Callable[[], Any]]  # (work, n) -> function that does it n times
    properties: Any = None  # minirnn_kernels.cuda.device.Properties, on which the level depends; None for the host


def cupy_device() -> ComputeDevice:
    """Return the current GPU. `Missing`, with the reason of `minirnn_kernels.available`, if the kernels can't run."""
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
            work()  # compiles the kernels
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
    return ComputeDevice("cupy", cupy, array, host, clock, repeated, CupyDevice().properties)


def host_device(dtype: str | None = None) -> ComputeDevice:
    """Return the host with NumPy's kernels. dtype: overrides the dtype of all arrays."""
    array = lambda a, name: a.astype(dtype or name)
    repeated = lambda work, n: lambda: [work() for _ in range(n)]
    return ComputeDevice("numpy", np, array, lambda a: np.asarray(a, np.float64), host_clock(lambda: None), repeated)


def ours(numbers: Numbers, device: ComputeDevice, level: int | None = None, module: bool | None = None) -> GpuContender:
    """Return the kernels of this package as a contender. level: forces 1, 2 or 3.

    module: whether to call the kernels through nn.RNN, nn.LSTM or nn.GRU. None: only if the row has several layers or
    two directions.
    """
    row = numbers.row
    name = "ours" if level is None else f"level {level}"
    run, results = (_ours_module if row.stacked or module else _ours_kernels)(numbers, device)
    notes = {} if device.properties is None else plans(row, device.properties, level)
    return GpuContender(name, run, results, device.clock, lambda: _ours_mode(row.mode, level), notes, len(numbers.sets))


def plans(row: GpuRow, properties: Any, level: int | None = None) -> dict[str, Any]:
    """Return the chosen plans, forward and backward, and the estimated seconds of each way to run the pass.

    A plan whose blocks do not fit on the device at once is replaced when it runs; this function does not check that.
    """
    from minirnn_kernels.cuda import levels
    from minirnn_kernels.cuda.plans import STORAGES, Work, product

    storage = STORAGES[MODES[row.mode][0]]
    kind = product(storage, PRECISION.get(row.mode, "strict"))
    found: dict[str, Any] = {}
    for backward in (False, True) if row.what == "training" else (False,):
        s = row.size
        work = Work(CELLS[row.cell], storage, s.T, s.B, s.H, backward, kind)
        choice = levels.choose(work, properties, level or levels.forced_level())
        estimates = {name: 1e-6 * us for name, us in choice.estimates.items()}
        found[work.kernel] = {"plan": str(choice.plan), "estimates": estimates}
    return found


def _ours_kernels(numbers: Numbers, device: ComputeDevice) -> tuple[Any, Any]:
    import minirnn_kernels

    row, record, storage = numbers.row, minirnn_kernels.get(device.record), MODES[numbers.row.mode][0]
    to = lambda a: device.array(a, storage)
    two_biases = CELLS[row.cell].two_biases
    weights = [to(a) for name, a in numbers.parameters.items() if two_biases or "bias_hh" not in name]
    given = [
        ([to(one["x"]), *(to(one[f"{s}0"][0]) for s in numbers.states), *weights], to(one["dout"]))
        for one in numbers.sets
    ]
    if not record.accepts(*given[0][0]):
        raise Missing(f"the {record.name} kernels can't compute {storage}")
    functions = record.of(row.cell)
    nothing = [None] * len(numbers.states)

    def run(k: int) -> Any:
        arguments, dout = given[k]
        if row.what == "inference":
            return functions.inference(*arguments, numbers.lengths)
        *made, cache = functions.forward(*arguments, numbers.lengths)
        return [*made, *functions.backward(dout, *nothing, cache)] if row.what == "training" else [*made, cache]

    names = [n for n in numbers.expected if two_biases or "bias_hh" not in n]

    def results(made: Any) -> dict[str, Array]:
        arrays = {n: device.host(a) for n, a in zip(names, made, strict=False)}
        return with_layer_axis(arrays, len(numbers.states))

    return run, results


def _ours_module(numbers: Numbers, device: ComputeDevice) -> tuple[Any, Any]:
    import minirnn
    from minirnn import Tensor, nn

    row, storage = numbers.row, MODES[numbers.row.mode][0]
    if storage not in ("float32", "float64"):
        raise Missing(f"nn.{CELLS[row.cell].title} computes float32 and float64, not {storage}")
    make = getattr(nn, CELLS[row.cell].title)
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
    """Set the precision of float32 products and MINIRNN_CUDA_LEVEL for the duration of a with block."""
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
