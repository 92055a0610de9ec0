"""`grad`: the gradients of some Tensors with respect to others, to any order, without touching `.grad`."""

from __future__ import annotations

from typing import Any

from minirnn.autograd.graph import walk
from minirnn.autograd.switches import recording, switched
from minirnn.autograd.tensor import Tensor, plain, seed_of


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
) -> tuple[Tensor, ...]:
    """Return the gradients of the sum of `outputs`, weighted with `grad_outputs`, with respect to `inputs`.

    outputs, inputs: a Tensor or a sequence of Tensors; inputs need not be leaves. grad_outputs: the gradient of each
    output, with the output's shape; optional for an output of one element. retain_graph: keep the graph; the default is
    `create_graph`. create_graph: record the computation, so that the results can be differentiated again.

    Returns one Tensor per input, with the input's shape. Raises RuntimeError if an input doesn't require grad or the
    outputs do not depend on it.
    """
    outs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    ins = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    given = [None] * len(outs) if grad_outputs is None else grad_outputs
    if not isinstance(given, (list, tuple)):
        given = [given]
    if len(given) != len(outs):
        raise ValueError(f"grad_outputs: expected {len(outs)}, one per output, got {len(given)}")
    for i, x in enumerate(ins):
        if not isinstance(x, Tensor) or not x.requires_grad:
            raise RuntimeError(f"inputs[{i}] does not require grad: expected a Tensor that requires grad")
    seeds = [seed_of(t, g, f"grad_outputs[{i}]") for i, (t, g) in enumerate(zip(outs, given, strict=True))]
    seeds = [s if isinstance(s, Tensor) else Tensor(s) for s in seeds] if create_graph else list(map(plain, seeds))
    with switched(recording, create_graph):
        found = walk(outs, seeds, ins, create_graph if retain_graph is None else retain_graph, create_graph)
    if missing := [i for i, x in enumerate(ins) if x not in found]:
        raise RuntimeError(f"inputs{missing}: the outputs do not depend on them; remove them from inputs")
    return tuple(g if isinstance(g, Tensor) else Tensor(g.copy()) for g in (found[x] for x in ins))
