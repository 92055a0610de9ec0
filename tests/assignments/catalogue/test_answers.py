"""The model answers equal the cells of minirnn; that they are judged right stands in test_gallery.py."""

import numpy as np
import pytest

from minirnn.assignments.catalogue import answers
from tests.assignments.catalogue.test_passes import RECURRENT, by_cells, drawn


@pytest.mark.parametrize("name", RECURRENT)
def test_they_are_the_cells(name):
    task, given, into = drawn(name)
    *outputs, cache = getattr(answers, task.forward)(*given.values())
    gradients = getattr(answers, task.backward)(*into, cache)
    for mine, theirs in zip((outputs, gradients), by_cells(task, given, into), strict=True):
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)
