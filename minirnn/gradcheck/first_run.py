"""The first call of the caller's two functions. Every later step of a check starts from its arguments and results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minirnn.gradcheck.arguments import argument, chosen, matched, named, output, upstreams_for
from minirnn.gradcheck.graphs import as_pair
from minirnn.gradcheck.objective import Array, Objective, duplicate, real, split
from minirnn.gradcheck.tolerances import epsilon


@dataclass(frozen=True)
class FirstRun:
    """One forward and one backward pass on the caller's arguments."""

    forward: Callable[..., Any]  # the caller's function, or one made from a function on Tensors
    backward: Callable[..., Any]
    arguments: tuple[Any, ...]  # forward's arguments; the functions get only copies of them
    labels: list[str]  # one name per argument
    targets: list[int]  # the positions of the arguments whose gradients are judged
    outputs: list[Array]  # forward's outputs, without the cache
    upstreams: list[Array | None]  # the upstream gradient of each output; None means zero
    gradients: dict[int, Any]  # backward's gradients, by the position of their argument
    problem: str = ""  # why backward's results can't be assigned to the arguments

    @property
    def eps(self) -> float:
        """The coarsest machine epsilon among the arguments and the outputs."""
        return epsilon(*filter(real, self.arguments), *self.outputs)

    def objective(self) -> Objective:
        """Return the function that is differentiated, sum_k <upstream_k, output_k>."""
        pairs = zip(self.upstreams, self.outputs, strict=True)
        flat = [(np.zeros(y.shape) if u is None else u).reshape(-1) for u, y in pairs]
        weights = np.concatenate([np.zeros(0), *flat]).astype(np.float64)
        return Objective(self.forward, self.arguments, weights, self.eps)


def first_run(
    forward: Callable[..., Any],
    backward: Callable[..., Any] | None,
    inputs: Sequence[Any],
    upstream: Any,
    names: Sequence[str] | None,
    wrt: Sequence[str | int] | None,
    rng: np.random.Generator,
) -> FirstRun:
    """Call both functions once. The arguments are those of `check`; upstream gradients that aren't given are drawn.

    Raise ValueError or TypeError if an argument or an output of forward can't be used.
    """
    labels = named(forward, len(inputs), names)
    if backward is None:
        forward, backward, inputs, judged = as_pair(forward, inputs)
        wrt = judged if wrt is None else wrt
    arguments = tuple(argument(name, value) for name, value in zip(labels, inputs, strict=True))
    targets = chosen(arguments, labels, wrt)
    returned, cache = split(forward(*map(duplicate, arguments)))
    if not returned:
        raise ValueError("forward returned a cache and no output: return y, (y, cache) or (y, ..., None)")
    outputs = [output(i, y) for i, y in enumerate(returned)]
    upstreams = upstreams_for(outputs, upstream, rng)
    gradients = matched(backward(*map(duplicate, upstreams), *cache), arguments, targets)
    run = FirstRun(forward, backward, arguments, labels, targets, outputs, upstreams, {})
    return replace(run, problem=gradients) if isinstance(gradients, str) else replace(run, gradients=gradients)
