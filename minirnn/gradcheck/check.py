"""check: judge a backward pass; compare: judge a gradient against a trusted one.

Order of work: run the caller's two functions once; look at the gradients' number, shape, dtype and finiteness; let
a judge find the derivatives independently; decide tensor by tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from minirnn.gradcheck.arguments import argument, chosen, matched, named, one_of, output, upstreams_for
from minirnn.gradcheck.decide import Sizes, decide, malformed
from minirnn.gradcheck.graphs import as_pair
from minirnn.gradcheck.hygiene import examine
from minirnn.gradcheck.judges import Evidence, Untrusted, by_complex_step, by_differences, confirm
from minirnn.gradcheck.objective import Array, Objective, duplicate, real, split
from minirnn.gradcheck.report import Report, Row, Verdict
from minirnn.gradcheck.tolerances import epsilon

Mode = Literal["full", "directional"]
Judge = Literal["auto", "complex", "differences"]

_ALL_ZERO = "every gradient is exactly zero at these inputs, so that zeros would pass too: choose others"


def check(
    forward: Callable[..., Any],
    backward: Callable[..., Any] | None = None,
    inputs: Sequence[Any] = (),
    *,
    upstream: Any = None,
    mode: Mode = "full",
    judge: Judge = "auto",
    step: float | None = None,
    seed: int = 0,
    names: Sequence[str] | None = None,
    wrt: Sequence[str | int] | None = None,
) -> Report:
    """Whether `backward` is the gradient of `forward` at `inputs`.

    forward(*inputs) returns one array, or a tuple whose last element is a cache: `h, cache` or `h, c, cache`.
    backward is called with the upstream gradient of each output and, if there is a cache, with it:
    `backward(dh, dc, cache)`. It returns one gradient per input, in order. Inputs of ints, None or text aren't
    differentiated, and backward may leave them out.

    A function on Tensors needs no backward: `check(f, inputs=tensors)` judges the gradients that its graph gives to the
    tensors that require one.

    inputs: arrays of float16, float32 or float64, of any shape and strides, and whatever else forward takes. They are
        not changed.
    upstream: the gradients into the outputs. None: drawn from `seed`. For one output the array itself, for several a
        sequence, in which None stands for zero and is passed on as None.
    mode: "full" looks at each entry; "directional" at one inner product <v, gradient> per tensor with a random v:
    fast. judge: "complex" step, in float64; central "differences", in float64 if forward carries it; "auto" takes the
        complex step where differences confirm it, and differences elsewhere.
    step: the step of the differences, for one's own experiments; implies differences, in the inputs' own dtype.
    names: of the inputs; by default those of forward's parameters.
    wrt: judge only these inputs (names or positions).

    Both functions are called a few times more, to see whether they change what isn't theirs, answer twice alike, and
    whether backward is linear in its upstream.

    Raises ValueError or TypeError if the question itself is wrong (inputs or outputs that aren't finite, an upstream
    of another shape); what is wrong with the gradients is in the Report.
    """
    one_of("mode", mode, ("full", "directional"))
    one_of("judge", judge, ("auto", "complex", "differences"))
    if step is not None and not (np.isfinite(step) and step > 0 and judge != "complex"):
        raise ValueError(
            f"step must be a positive number, and goes with differences only; got {step!r} and judge={judge!r}"
        )
    if not isinstance(inputs, tuple | list):
        raise TypeError(f"inputs must be a tuple or list of forward's arguments; got {type(inputs).__name__}")
    labels = named(forward, len(inputs), names)
    if backward is None:
        forward, backward, inputs, judged = as_pair(forward, inputs)
        wrt = judged if wrt is None else wrt
    arguments = tuple(argument(name, value) for name, value in zip(labels, inputs, strict=True))
    targets = chosen(arguments, labels, wrt)
    rng = np.random.default_rng(seed)

    outputs, cache = split(forward(*map(duplicate, arguments)))
    if not outputs:
        raise ValueError("forward returned a cache and no output: return y, (y, cache) or (y, ..., None)")
    results = [output(i, y) for i, y in enumerate(outputs)]
    upstreams = upstreams_for(results, upstream, rng)
    gradients = matched(backward(*map(duplicate, upstreams), *cache), arguments, targets)
    if isinstance(gradients, str):
        return Report((), mode, seed, problem=gradients)

    flat = [(np.zeros(y.shape) if u is None else u).reshape(-1) for u, y in zip(upstreams, results, strict=True)]
    if not any(map(np.any, flat)) and any(map(np.size, flat)):
        raise ValueError("upstream is zero everywhere: any gradient that is zero too would pass")
    eps = epsilon(*filter(real, arguments), *results)
    objective = Objective(forward, arguments, np.concatenate([np.zeros(0), *flat]).astype(np.float64), eps)
    directions = {k: rng.standard_normal(arguments[k].shape) if mode == "directional" else None for k in targets}
    evidence = _evidence(objective, directions, "differences" if step else judge, step, rng)
    sizes = _sizes(objective, evidence)
    rows = tuple(
        malformed(labels[k], arguments[k].shape, gradients[k])
        or decide(labels[k], gradients[k], evidence[k], directions[k], sizes, k, eps)
        for k in targets
    )
    if any(arguments[k].size for k in targets) and not any(np.any(found.values) for found in evidence.values()):
        rows = tuple(map(_unproven, rows))
    first = np.concatenate([np.zeros(0), *(y.reshape(-1) for y in results)])
    note = "" if np.array_equal(first, objective.base) else "forward gives different results for the same inputs"
    around = examine(forward, backward, arguments, labels, upstreams, gradients, eps)
    notes = "; ".join(filter(None, (note, *around.remarks)))
    return Report(rows, mode, seed, note=notes, faults=around.faults)


def _unproven(row: Row) -> Row:
    return replace(row, verdict=Verdict.CANNOT_TELL, note=_ALL_ZERO) if row.verdict is Verdict.PASS else row


def compare(analytic: Any, trusted: Any, *, names: Sequence[str] | None = None) -> Report:
    """A gradient against one known to be right, as plain arrays.

    Either two arrays, two sequences of arrays or two mappings by name. Precision is that of the coarsest array.
    """
    if isinstance(trusted, Mapping):
        if not isinstance(analytic, Mapping) or set(analytic) != set(trusted):
            raise ValueError(
                f"analytic must be a mapping with the keys of trusted, {sorted(trusted)}; got {analytic!r:.80}"
            )
        names = list(trusted)
        analytic, trusted = [analytic[name] for name in names], [trusted[name] for name in names]
    right = [np.asarray(t) for t in (trusted if isinstance(trusted, tuple | list) else (trusted,))]
    given = list(analytic) if isinstance(analytic, tuple | list) else [analytic]
    if len(given) != len(right):
        raise ValueError(f"analytic has {len(given)} gradients and trusted has {len(right)}")
    labels = list(names) if names is not None else [f"gradient {i}" for i in range(len(right))]
    if len(labels) != len(right):
        raise ValueError(f"names has {len(labels)} names for {len(right)} gradients")
    for label, t in zip(labels, right, strict=True):
        if t.dtype.kind != "f" or not np.isfinite(t).all():
            raise ValueError(f"trusted gradient {label} must be finite floats; got {t.dtype}")
    values = {k: t.astype(np.float64).ravel() for k, t in enumerate(right)}
    sizes = Sizes.of(values, 0.0, dict.fromkeys(values, 1.0))
    rows = tuple(
        malformed(label, t.shape, g)
        or decide(label, g, Evidence("given", values[k], np.zeros(t.size)), None, sizes, k, epsilon(t))
        for k, (label, t, g) in enumerate(zip(labels, right, given, strict=True))
    )
    return Report(rows, "full")


def _sizes(objective: Objective, evidence: Mapping[int, Evidence]) -> Sizes:
    gradients = {k: found.values for k, found in evidence.items()}
    return Sizes.of(gradients, objective.terms, {k: objective.length(k) for k in evidence})


def _evidence(
    objective: Objective,
    directions: dict[int, Array | None],
    judge: Judge,
    step: float | None,
    rng: np.random.Generator,
) -> dict[int, Evidence]:
    """Each input's derivatives, from the complex step where it is asked for and to be trusted."""
    found: dict[int, Evidence] = {}
    reasons: dict[int, str] = {}
    if judge != "differences":
        found, reasons = _by_confirmed_complex_step(objective, directions, rng)
    if judge == "complex":
        for k, reason in reasons.items():
            size = 1 if directions[k] is not None else objective.inputs[k].size
            found[k] = Evidence("complex step", np.full(size, np.nan), np.full(size, np.inf), note=reason)
    missing = [k for k in directions if k not in found]
    if missing:
        point = objective if step else objective.sharpened()
        sigma = point.sigma(rng)
        for k in missing:
            found[k] = by_differences(point, k, directions[k], sigma, step, reasons.get(k, ""))
    return found


def _by_confirmed_complex_step(
    objective: Objective, directions: dict[int, Array | None], rng: np.random.Generator
) -> tuple[dict[int, Evidence], dict[int, str]]:
    """What the complex step says and a directional difference confirms; for the other inputs, why not."""
    double = objective.sharpened()
    claims: dict[int, Evidence] = {}
    reasons: dict[int, str] = {}
    for k, v in directions.items():
        try:
            claims[k] = by_complex_step(objective.astype(np.complex128), k, v)
        except Untrusted as reason:
            reasons[k] = str(reason)
    if not claims:
        return {}, reasons
    sizes = _sizes(objective, claims)
    sigma = double.sigma(rng)
    for k, claim in list(claims.items()):
        given = directions[k]
        v = rng.standard_normal(objective.inputs[k].shape) if given is None else given
        claimed = float(np.vdot(v, claim.values)) if given is None else float(claim.values[0])
        try:
            size = max(float(np.linalg.norm(claim.values)), sizes.floor(k, double.eps))
            confirm(double, k, v, claimed, size, sigma)
        except Untrusted as reason:
            del claims[k]
            reasons[k] = str(reason)
    return claims, reasons
