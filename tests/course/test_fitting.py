"""The training loop of the experiments: it lowers the loss, draws a learning curve, and stops when it should."""

import numpy as np
import pytest

from minirnn import nn, random
from minirnn.course.fitting import fit, fit_with_curve


@pytest.fixture
def model():
    random.manual_seed(0)
    return nn.Linear(2, 1)


def loss_of_line(model):
    x = np.float32([[0, 1], [1, 0], [1, 1]])
    return lambda step: nn.mse_loss(model(x), x.sum(axis=1, keepdims=True))


def test_the_loss_falls_and_every_step_is_told(model):
    told = []
    losses = fit(model, loss_of_line(model), 200, lr=0.1, told=told.append)
    assert losses[-1] < losses[0] / 100
    assert told == list(range(1, 201))


def test_training_stops_when_told_to(model):
    assert len(fit(model, loss_of_line(model), 50, told=lambda step: step == 7)) == 7


def test_a_loss_that_is_not_finite_ends_training_without_an_update(model):
    before = model.weight.data.copy()
    losses = fit(model, lambda step: loss_of_line(model)(step) * np.float32(np.inf), 50)
    assert losses == [np.inf]
    np.testing.assert_array_equal(model.weight.data, before)


def test_a_learning_curve_has_a_point_before_training_and_then_at_intervals(model):
    values, shares = iter(range(100)), []
    losses, curve = fit_with_curve(model, loss_of_line(model), 10, lambda: next(values), 4, shares.append)
    assert curve == [[0, 0], [4, 1], [8, 2]]
    assert len(losses) == 10
    assert shares == [step / 10 for step in range(11)]


def test_training_stops_when_the_curve_is_low_enough(model):
    values = iter((0.5, 0.3, 0.05, 0.0))
    losses, curve = fit_with_curve(model, loss_of_line(model), 50, lambda: next(values), 5, enough=0.1)
    assert curve == [[0, 0.5], [5, 0.3], [10, 0.05]]
    assert len(losses) == 10
