"""Validate the arguments of a check and the results of the caller's functions, and bring them into a common form."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minirnn.gradcheck.objective import Array, listed, real


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise ValueError if `value` is not one of the `allowed` values of the argument `name`."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}; got {value!r}")


def argument(name: str, value: Any) -> Any:
    """Return an input of floats as an array, and any other input unchanged.

    Raise TypeError for complex inputs and for arrays that aren't NumPy's, ValueError for floats that aren't finite.
    """
    if isinstance(value, float | list):
        array = np.asarray(value)
        value = array if array.dtype.kind in "fc" else value
    if isinstance(value, np.generic):
        value = np.asarray(value)
    if not isinstance(value, np.ndarray):
        if hasattr(value, "dtype"):
            raise TypeError(f"input {name} is a {type(value).__name__}; give a NumPy array")
        return value
    if value.dtype.kind == "c":
        raise TypeError(f"input {name} has dtype {value.dtype}; expected a real dtype")
    if value.dtype.kind == "f":
        _finite(f"input {name}", value)
    return value


def named(forward: Callable[..., Any], count: int, names: Sequence[str] | None) -> list[str]:
    """Return one name per input: the given names, or those of forward's parameters, or "input 0", "input 1", ..."""
    if names is not None:
        if isinstance(names, str) or len(names) != count or len(set(names)) != count:
            raise ValueError(f"names must be {count} different names, one per input; got {names!r}")
        return list(names)
    try:
        parameters = list(inspect.signature(forward).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return (positional + [f"input {i}" for i in range(len(positional), count)])[:count]


def chosen(arguments: Sequence[Any], labels: Sequence[str], wrt: Sequence[str | int] | None) -> list[int]:
    """Return the positions of the inputs whose gradients are judged: those in `wrt`, or every array of floats."""
    floats = [k for k, value in enumerate(arguments) if real(value)]
    if wrt is None:
        if not floats:
            raise ValueError("no input is an array of floats: there is nothing to differentiate")
        return floats
    positions = []
    for which in [wrt] if isinstance(wrt, str | int) else wrt:
        k = list(labels).index(which) if isinstance(which, str) and which in labels else which
        if not isinstance(k, int) or not 0 <= k < len(arguments):
            raise ValueError(f"wrt names {which!r}; the inputs are {', '.join(labels)}")
        if k not in floats:
            raise TypeError(f"wrt names {labels[k]}, which is not an array of floats")
        positions.append(k)
    if not positions or len(set(positions)) != len(positions):
        raise ValueError(f"wrt must name at least one input and none twice; got {wrt!r}")
    return positions


def output(i: int, value: Any) -> Array:
    """Return a copy of output `i` of forward. Raise TypeError or ValueError unless it holds finite floats."""
    array = np.array(value)
    if array.dtype.kind != "f":
        raise TypeError(
            f"output {i} of forward has dtype {array.dtype}, expected floats (a tuple's last element is the cache)"
        )
    _finite(f"output {i} of forward", array)
    return array


def upstreams_for(outputs: Sequence[Array], given: Any, rng: np.random.Generator) -> list[Array | None]:
    """Return each output's upstream gradient: the given one, or one drawn from the standard normal distribution.

    The drawn gradients are random because the gradient of a plain sum (an upstream of ones) hides transposed and
    permuted results.
    """
    if given is None:
        return [np.asarray(rng.standard_normal(y.shape)).astype(y.dtype) for y in outputs]
    elements = listed(given)
    if len(elements) != len(outputs):
        raise ValueError(f"upstream has {len(elements)} elements, forward has {len(outputs)} outputs")
    upstreams: list[Array | None] = []
    for i, (u, y) in enumerate(zip(elements, outputs, strict=True)):
        if u is None:
            upstreams.append(None)
            continue
        array = np.asarray(u)
        if array.shape != y.shape or array.dtype.kind not in "iuf":
            raise ValueError(
                f"upstream {i} is {array.dtype} of shape {array.shape}, expected floats of shape {y.shape}"
            )
        _finite(f"upstream {i}", array)
        upstreams.append(array.astype(y.dtype))
    return upstreams


def matched(result: Any, arguments: Sequence[Any], targets: Sequence[int]) -> dict[int, Any] | str:
    """Return backward's gradients by the position of their input, or an error message if their number is wrong.

    backward can return one gradient per input, one per input of floats, or one per input that is judged.
    """
    gradients = listed(result)
    floats = [k for k, value in enumerate(arguments) if real(value)]
    for places in (range(len(arguments)), floats, targets):
        if len(gradients) == len(places):
            return dict(zip(places, gradients, strict=True))
    got = f"{len(gradients)} results" if isinstance(result, tuple | list) else f"one {type(result).__name__}"
    return f"backward returned {got}, expected {len(floats)} gradients, one for each input of floats"


def _finite(what: str, array: Array) -> None:
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        index = tuple(bad[0].tolist())
        raise ValueError(f"{what} is not finite: {array[index]} at {index}")
