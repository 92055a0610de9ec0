"""Operations on finished tensors: each fits the tensor that it makes, and no operation fits the right tensor."""

from dataclasses import replace

import numpy as np
import pytest

from minirnn.assignments import TASKS
from minirnn.assignments.diagnosis.operations import allowed, operations
from minirnn.assignments.diagnosis.probe_results import Trial
from minirnn.assignments.diagnosis.probes import Probe
from tests.assignments.diagnosis.test_places import Right

RESULT = Trial(Right(lambda g: None), TASKS["lstm"]).run(Probe("base"))
NAMES = RESULT.names
MADE = {
    "sign": ("dWh", lambda g: -g),
    "batch-scale": ("dWh", lambda g: g / 2),
    "time-scale": ("dWh", lambda g: g * 4),
    "initial-state-forgotten": ("dh0", lambda g: 0 * g),
    "dw-transposed": ("dWx", lambda g: g.T),
    "reshape-for-transpose": ("dWx", lambda g: g.T.reshape(g.shape)),
    "missing-reduction": ("dWx", lambda g: np.stack([g / 4, 3 * g / 4])),
    "bias-batch": ("db", lambda g: g / 2),
    "gate-order": ("db", lambda g: np.concatenate([g[5:], g[:5]])),
}


@pytest.mark.parametrize("id", MADE)
def test_each_fits_what_it_makes(id):
    name, make = MADE[id]
    k = NAMES.index(name)
    made = with_tensor(k, make(RESULT.right[k]))
    assert id in [o.id for o in operations(made) if allowed(o, name) and o.fits(made, k, RESULT.right[k])]
    assert not any(o.fits(RESULT, k, RESULT.right[k]) for o in operations(RESULT))
    assert id not in [o.id for o in operations(RESULT, frozenset({id}))]


def test_none_fits_only_the_forgotten_state():
    k = NAMES.index("dh0")
    missing = with_tensor(k, None)
    assert [o.id for o in operations(missing) if o.fits(missing, k, RESULT.right[k])] == ["initial-state-forgotten"]


def with_tensor(k, value):
    """Return the result with another value for tensor k."""
    seen = list(RESULT.seen)
    seen[k] = value
    return replace(RESULT, seen=seen)
