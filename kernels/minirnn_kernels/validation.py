"""The check of arguments at the boundary of a record: an array that does not fit raises an error before it is used.

Compiled kernels read memory by address, and NumPy broadcasts: without this check a transposed weight gives wrong
numbers or ends the process. `validated` wraps the functions of a record. Arrays in another memory layout (Fortran
order, strided, read-only) are valid; the kernels copy them if necessary.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, wraps
from typing import Any

from minirnn_kernels.cell import CELLS, Cell
from minirnn_kernels.contract import Arrays, Cache, CellKernels, Kernels

Accepts = Callable[..., bool]


def validated(record: Kernels, *, converts_upstreams: bool = False) -> Kernels:
    """Return the record with a check of every argument in front of each function of its cells.

    converts_upstreams: whether the backward functions convert upstream gradients of another dtype.

    The functions raise ValueError for a wrong shape or length and TypeError for a wrong type or dtype, naming the
    argument, what was given and what was expected.
    """
    checked = {
        name: _validated(CELLS[name], of, record.accepts, converts_upstreams) for name, of in record.cells.items()
    }
    return replace(record, cells=checked)


def _validated(cell: Cell, of: CellKernels, accepts: Accepts, converts_upstreams: bool) -> CellKernels:
    count = len(cell.inputs)

    @wraps(of.forward)
    def forward(*arguments: Any, **options: Any) -> Arrays:
        check_sequence(cell, accepts, arguments[:count], _lengths(count, arguments, options))
        *results, cache = of.forward(*arguments, **options)
        if isinstance(cache, Cache):
            cache.shapes = tuple(result.shape for result in results)
            cache.dtype = arguments[0].dtype
        return *results, cache

    @wraps(of.inference)
    def inference(*arguments: Any, **options: Any) -> Arrays:
        check_sequence(cell, accepts, arguments[:count], _lengths(count, arguments, options))
        return of.inference(*arguments, **options)

    @wraps(of.backward)
    def backward(*arguments: Any, **options: Any) -> Arrays:
        *upstreams, cache = arguments
        check_upstreams(cell, accepts, upstreams, cache, converts_upstreams)
        return of.backward(*arguments, **options)

    @wraps(of.step)
    def step(*arguments: Any, **options: Any) -> Any:
        check_step(cell, accepts, arguments)
        return of.step(*arguments, **options)

    # A step that checks its own arguments, in compiled code, says so: it takes a few microseconds.
    return CellKernels(forward, backward, inference, of.step if getattr(of.step, "checks", False) else step)


def _lengths(count: int, arguments: Sequence[Any], options: dict[str, Any]) -> Any:
    return arguments[count] if len(arguments) > count else options.get("lengths")


def check_sequence(cell: Cell, accepts: Accepts, arguments: Sequence[Any], lengths: Any = None) -> None:
    """Raise ValueError or TypeError unless these are the arguments of a forward: x, the states, weights and biases."""
    names = cell.inputs
    if not (
        len(arguments) == len(names) and accepts(*arguments) and _fit(cell.name, tuple([a.shape for a in arguments]))
    ):
        _check_kinds(names, accepts, arguments)
        x, W_hh = arguments[0], arguments[names.index("W_hh")]
        if x.ndim != 3 or W_hh.ndim != 2:
            name, a, axes = ("x", x, "3 axes (T, B, I)") if x.ndim != 3 else ("W_hh", W_hh, "2 axes (K, H)")
            raise ValueError(f"{name}: expected {axes}, got shape {a.shape}")
        if len(x) == 0:
            raise ValueError(f"x: expected at least one time step, got shape {x.shape} (T, B, I)")
        _check_shapes(cell, names, arguments, x.shape, W_hh.shape[1])
    if lengths is not None:
        check_lengths(lengths, *arguments[0].shape[:2])


@lru_cache(maxsize=1024)
def _fit(cell_name: str, shapes: tuple[tuple[int, ...], ...]) -> bool:
    """Return whether these are the shapes of a sequence's arguments. Cached: a layer is called with few shapes."""
    cell = CELLS[cell_name]
    x, W_hh = shapes[0], shapes[cell.inputs.index("W_hh")]
    if len(x) != 3 or len(W_hh) != 2 or x[0] == 0:
        return False
    states = [(x[1], W_hh[1])] * len(cell.states)
    return shapes == (x, *states, *cell.shapes(x[2], W_hh[1]).values())


def check_step(cell: Cell, accepts: Accepts, arguments: Sequence[Any]) -> None:
    """Raise ValueError or TypeError unless these are the arguments of a step: x (B, I), the states, weights, biases."""
    names = ("x", *cell.states, *cell.inputs[1 + len(cell.states) :])
    _check_kinds(names, accepts, arguments)
    x, W_hh = arguments[0], arguments[names.index("W_hh")]
    if x.ndim != 2 or W_hh.ndim != 2:
        name, a, axes = ("x", x, "(B, I)") if x.ndim != 2 else ("W_hh", W_hh, "(K, H)")
        raise ValueError(f"{name}: expected 2 axes {axes}, got shape {a.shape}")
    _check_shapes(cell, names, arguments, x.shape, W_hh.shape[1])


def _check_shapes(cell: Cell, names: Sequence[str], arguments: Sequence[Any], x: tuple[int, ...], H: int) -> None:
    """Compare every shape with the one that x and H imply."""
    shapes = cell.shapes(x[-1], H)
    for name, a in zip(names, arguments, strict=True):
        if name == "x":
            continue
        expected = shapes.get(name, (x[-2], H))  # the other arguments are states
        if a.shape != expected:
            raise ValueError(
                f"{name}: expected shape {expected}, got {a.shape}, for x of shape {x} and {H} hidden units "
                f"({len(cell.gates)} gates)"
            )


def _check_kinds(names: Sequence[str], accepts: Accepts, arguments: Sequence[Any]) -> None:
    """Raise TypeError unless there is one array per name, all of one dtype that the record computes with."""
    if len(arguments) != len(names):
        raise TypeError(f"expected {len(names)} arrays ({', '.join(names)}), got {len(arguments)}")
    if accepts(*arguments):
        return
    for name, a in zip(names, arguments, strict=True):
        if not hasattr(a, "dtype") or not hasattr(a, "shape"):
            raise TypeError(f"{name}: expected an array, got {type(a).__name__}")
    for name, a in zip(names, arguments, strict=True):
        if not accepts(a):
            raise TypeError(f"{name}: this record can't compute with {type(a).__name__} arrays of {a.dtype}")
    kinds = ", ".join(f"{name} {a.dtype}" for name, a in zip(names, arguments, strict=True))
    raise TypeError(f"expected arrays of one kind and dtype, got {kinds}")


def check_upstreams(
    cell: Cell, accepts: Accepts, upstreams: Sequence[Any], cache: Any, any_dtype: bool = False
) -> None:
    """Raise unless the upstream gradients (dout, then one per state) fit the forward that made the cache."""
    if not isinstance(cache, Cache):
        raise TypeError(f"cache: expected the last result of the forward, got {type(cache).__name__}")
    names = ("dout", *(f"d{state}_n" for state in cell.states))
    if len(upstreams) != len(names):
        raise TypeError(f"expected {len(names)} upstream gradients ({', '.join(names)}), got {len(upstreams)}")
    if len(cache.shapes) != len(names):
        raise TypeError(f"cache: it belongs to a forward of another cell than {cell.title}")
    for name, a, shape in zip(names, upstreams, cache.shapes, strict=True):
        if a is None:
            continue
        if not hasattr(a, "dtype") or not hasattr(a, "shape"):
            raise TypeError(f"{name}: expected an array or None, got {type(a).__name__}")
        if not accepts(a) or not (any_dtype or a.dtype == cache.dtype):
            raise TypeError(f"{name}: expected {cache.dtype} as in the forward, got {type(a).__name__} of {a.dtype}")
        if a.shape != shape:
            raise ValueError(f"{name}: expected shape {shape} as in the forward, got {a.shape}")


def check_lengths(lengths: Any, T: int, B: int) -> None:
    """Raise unless lengths is an array (B,) of integers in 1..T."""
    dtype = getattr(lengths, "dtype", None)
    if dtype is None or dtype.kind not in "iu":
        raise TypeError(f"lengths: expected an array of integers, got {dtype or type(lengths).__name__}")
    if lengths.shape != (B,):
        raise ValueError(f"lengths: expected shape ({B},), one per sequence, got {lengths.shape}")
    if B and not (int(lengths.min()) >= 1 and int(lengths.max()) <= T):
        raise ValueError(f"lengths: expected values in 1..{T}, got {int(lengths.min())} to {int(lengths.max())}")
