"""Operations on finished tensors: each fits what it makes, and nothing right."""

import numpy as np
import pytest

from minirnn.assignments import TASKS
from minirnn.assignments.diagnosis.cases import take
from minirnn.assignments.diagnosis.operations import allowed, operations
from minirnn.assignments.diagnosis.probes import Probe
from tests.assignments.diagnosis.test_places import Right

CASE = take(Right(lambda g: None), TASKS["lstm"], Probe("base"), 0, {})
NAMES = CASE.names
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
    right = CASE.right[k]
    fitting = [
        o.id for o in operations(CASE) if allowed(o, name) and o.fits(make(right), right, CASE, k, CASE.scale(k))
    ]
    assert id in fitting
    assert not any(o.fits(right, right, CASE, k, CASE.scale(k)) for o in operations(CASE))
    assert id not in [o.id for o in operations(CASE, frozenset({id}))]


def test_none_fits_only_the_forgotten_state():
    fitting = [o.id for o in operations(CASE) if o.id != "gate-order" and fits_none(o)]
    assert fitting == ["initial-state-forgotten"]


def fits_none(operation):
    try:
        return operation.fits(None, CASE.right[1], CASE, 1, 1.0)
    except AttributeError:
        return False
