"""`check` judges a backward pass; `compare` judges a gradient against a trusted one.

The steps of `check`: run the caller's two functions once; look at the number, shape, dtype and finiteness of the
gradients; compute the derivatives independently; decide tensor by tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np

from minirnn.gradcheck.arguments import one_of
from minirnn.gradcheck.decide import Magnitudes, decide, malformed
from minirnn.gradcheck.first_run import FirstRun, first_run
from minirnn.gradcheck.hygiene import examine
from minirnn.gradcheck.judges import Evidence, Untrusted, by_complex_step, by_differences, confirm
from minirnn.gradcheck.objective import Array, Objective, listed
from minirnn.gradcheck.report import Report, Row, Verdict
from minirnn.gradcheck.tolerances import epsilon

Mode = Literal["full", "directional"]
Judge = Literal["auto", "complex", "differences"]
Directions = dict[int, Array | None]  # by position of the input: the direction v, or None for the whole gradient

_ALL_ZERO = "every gradient is exactly zero at these inputs, so a backward that returns zeros also passes: change them"


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
    """Judge whether `backward` computes the gradient of `forward` at `inputs`.

    forward(*inputs) returns one array, or a tuple whose last element is a cache: `h, cache` or `h, c, cache`.
    backward gets the upstream gradient of each output, then the cache if there is one: `backward(dh, dc, cache)`. It
    returns one gradient per input, in order; inputs that aren't floats are not differentiated and can be left out.
    Without a backward, `inputs` hold Tensors, and `check` judges the gradients that the graph of forward computes.
    Both functions are called several times. They get copies: `inputs` never change.

    inputs: arrays of float16, float32 or float64, of any shape and strides, and any other arguments of forward.
    upstream: the upstream gradient of the output, or a sequence with one per output, in which None means zero (and is
        passed to backward as None). By default the gradients are drawn from `seed`.
    mode: "full" compares every entry; "directional" compares one inner product <v, gradient> per tensor with a
        random v, which is faster.
    judge: "complex" is the complex step in float64; "differences" are central differences, in float64 if forward
        keeps that precision; "auto" uses the complex step where differences confirm it, and differences elsewhere.
    step: the step of the differences, for experiments; it implies differences in the dtype of the inputs.
    names: the names of the inputs; by default those of forward's parameters.
    wrt: the inputs to judge, by name or position; by default every array of floats.

    Raise ValueError or TypeError if the arguments or the outputs of forward can't be judged (for example, if they
    aren't finite). The Report says what is wrong with the gradients, with changes in place, and with linearity.
    """
    _validate(mode, judge, step, inputs)
    rng = np.random.default_rng(seed)
    run = first_run(forward, backward, inputs, upstream, names, wrt, rng)
    if run.problem:
        return Report((), mode, seed, problem=run.problem)
    objective = run.objective()
    if objective.weights.size and not objective.weights.any():
        raise ValueError("upstream is zero everywhere: any gradient that is zero too would pass")
    shapes = {k: run.arguments[k].shape for k in run.targets}
    directions = {k: rng.standard_normal(s) if mode == "directional" else None for k, s in shapes.items()}
    evidence = _evidence(objective, directions, "differences" if step else judge, step, rng)
    rows = _rows(run, objective, directions, evidence)
    same = np.array_equal(np.concatenate([y.reshape(-1) for y in run.outputs]), objective.base)
    around = examine(run)
    notes = "; ".join([*([] if same else ["forward gives different results for the same inputs"]), *around.remarks])
    return Report(rows, mode, seed, note=notes, faults=around.faults)


def compare(analytic: Any, trusted: Any, *, names: Sequence[str] | None = None) -> Report:
    """Judge a gradient against one that is known to be correct. Both are plain arrays.

    Give two arrays, two sequences of arrays, or two mappings by name. The precision is that of the coarsest array.
    """
    if isinstance(trusted, Mapping):
        if not isinstance(analytic, Mapping) or set(analytic) != set(trusted):
            raise ValueError(
                f"analytic must be a mapping with the keys of trusted, {sorted(trusted)}; got {analytic!r:.80}"
            )
        names = list(trusted)
        analytic, trusted = [analytic[name] for name in names], [trusted[name] for name in names]
    right = [np.asarray(t) for t in listed(trusted)]
    given = listed(analytic)
    if len(given) != len(right):
        raise ValueError(f"analytic has {len(given)} gradients and trusted has {len(right)}")
    labels = list(names) if names is not None else [f"gradient {i}" for i in range(len(right))]
    if len(labels) != len(right):
        raise ValueError(f"names has {len(labels)} names for {len(right)} gradients")
    for label, t in zip(labels, right, strict=True):
        if t.dtype.kind != "f" or not np.isfinite(t).all():
            raise ValueError(f"trusted gradient {label} must be finite floats; got {t.dtype}")
    values = {k: t.astype(np.float64).ravel() for k, t in enumerate(right)}
    magnitudes = Magnitudes.of(values, 0.0, dict.fromkeys(values, 1.0))
    rows = tuple(
        malformed(label, t.shape, g)
        or decide(label, g, Evidence("given", values[k], np.zeros(t.size)), None, magnitudes, k, epsilon(t))
        for k, (label, t, g) in enumerate(zip(labels, right, given, strict=True))
    )
    return Report(rows, "full")


def _validate(mode: str, judge: str, step: float | None, inputs: Any) -> None:
    """Raise ValueError or TypeError for options that contradict each other or are unknown."""
    one_of("mode", mode, ("full", "directional"))
    one_of("judge", judge, ("auto", "complex", "differences"))
    if step is not None and not (np.isfinite(step) and step > 0 and judge != "complex"):
        raise ValueError(
            f"step must be a positive number, and is used by differences only; got {step!r} and judge={judge!r}"
        )
    if not isinstance(inputs, tuple | list):
        raise TypeError(f"inputs must be a tuple or list of forward's arguments; got {type(inputs).__name__}")


def _rows(run: FirstRun, objective: Objective, directions: Directions, found: dict[int, Evidence]) -> tuple[Row, ...]:
    """Return the verdict on each gradient. If all derivatives are zero, no gradient passes."""
    magnitudes = _magnitudes(objective, found)
    rows = tuple(
        malformed(run.labels[k], run.arguments[k].shape, run.gradients[k])
        or decide(run.labels[k], run.gradients[k], found[k], directions[k], magnitudes, k, run.eps)
        for k in run.targets
    )
    if any(np.any(one.values) for one in found.values()) or not any(run.arguments[k].size for k in run.targets):
        return rows
    unproven = partial(replace, verdict=Verdict.CANNOT_TELL, note=_ALL_ZERO)
    return tuple(unproven(row) if row.verdict is Verdict.PASS else row for row in rows)


def _magnitudes(objective: Objective, evidence: Mapping[int, Evidence]) -> Magnitudes:
    gradients = {k: found.values for k, found in evidence.items()}
    return Magnitudes.of(gradients, objective.terms, {k: objective.length(k) for k in evidence})


def _evidence(
    objective: Objective, directions: Directions, judge: Judge, step: float | None, rng: np.random.Generator
) -> dict[int, Evidence]:
    """Return the derivatives for each input: from the complex step where it is allowed and can be trusted."""
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
    objective: Objective, directions: Directions, rng: np.random.Generator
) -> tuple[dict[int, Evidence], dict[int, str]]:
    """Return the derivatives that a directional difference confirms, and the reasons to reject the others."""
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
    magnitudes = _magnitudes(objective, claims)
    sigma = double.sigma(rng)
    for k, claim in list(claims.items()):
        given = directions[k]
        v = rng.standard_normal(objective.inputs[k].shape) if given is None else given
        claimed = float(np.vdot(v, claim.values)) if given is None else float(claim.values[0])
        try:
            size = max(float(np.linalg.norm(claim.values)), magnitudes.floor(k, double.eps))
            confirm(double, k, v, claimed, size, sigma)
        except Untrusted as reason:
            del claims[k]
            reasons[k] = str(reason)
    return claims, reasons
