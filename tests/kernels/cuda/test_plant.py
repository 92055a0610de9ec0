"""plant.py: one mistake for each kernel; `make plant-cuda` plants all of them."""

import pytest

from minirnn_kernels.cuda import source
from tests.kernels.cuda import plant
from tests.kernels.cuda.mutations import MUTATIONS

pytestmark = pytest.mark.usefixtures("gxx")

BY_NAME = {mutation.name: mutation for mutation in MUTATIONS}
A_FEW = [
    "forward: no last unit",  # gates_forward
    "final gradients a step late",  # gates_backward
    "grid: arrives before all threads are done",  # forward
    "backward: columns of n",  # backward
    "graph: the base is one too low",  # advance
]


def test_every_mistake_has_a_place_and_a_unique_name():
    assert len(BY_NAME) == len(MUTATIONS)
    for mutation in MUTATIONS:
        for name in (mutation.source,) if mutation.source else ("gates", "sequence"):
            text = source.text(name)
            assert plant.mutated(name, text, mutation) != text
        assert mutation.ways
        assert set(mutation.ways) <= {*plant.WAYS, "numbers"}


@pytest.mark.parametrize("name", A_FEW)
def test_a_mistake_is_found(name):
    mutation = BY_NAME[name]
    assert plant.found(mutation, mutation.ways, mutation.cells)


@pytest.mark.parametrize("way", plant.WAYS)
def test_without_a_mistake_nothing_is_found(way):
    assert plant.found(None, (way,), ("lstm",)) == ""


def test_bfloat16_is_rounded_to_nearest():
    plant.prove_numbers(None)
