"""Learning-rate schedules: by hand, compared with PyTorch, restored, and errors."""

import math

import numpy as np
import pytest

from minirnn import nn, optim

PARAMETERS = [nn.Parameter(np.ones(2))]


def rates(make, steps, lr=0.5):
    """Return the lr at each step of the schedule make(optimizer)."""
    optimizer = optim.SGD(PARAMETERS, lr)
    schedule = make(optimizer)
    seen = []
    for _ in range(steps):
        seen.append(optimizer.lr)
        schedule.step()
    return seen


def test_schedules_by_hand():
    assert rates(lambda o: optim.StepLR(o, 2, 0.5), 5) == [0.5, 0.5, 0.25, 0.25, 0.125]
    assert rates(lambda o: optim.ExponentialLR(o, 0.5), 3) == [0.5, 0.25, 0.125]
    assert rates(lambda o: optim.LambdaLR(o, lambda k: 1 / (1 + k)), 3) == [0.5, 0.25, 0.5 / 3]
    cosine = rates(lambda o: optim.CosineLR(o, 8, warmup_steps=4, min_lr=0.1), 10)
    middle = [0.1 + 0.4 * (1 + math.cos(math.pi * k / 4)) / 2 for k in range(5)]
    np.testing.assert_allclose(cosine, [0.125, 0.25, 0.375, 0.5, *middle, 0.1], rtol=1e-14)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda o: optim.StepLR(o, 3, 0.3), lambda m, o: m.StepLR(o, 3, 0.3)),
        (lambda o: optim.ExponentialLR(o, 0.9), lambda m, o: m.ExponentialLR(o, 0.9)),
        (lambda o: optim.LambdaLR(o, math.sqrt), lambda m, o: m.LambdaLR(o, math.sqrt)),
        (lambda o: optim.CosineLR(o, 20, min_lr=0.1), lambda m, o: m.CosineAnnealingLR(o, 20, eta_min=0.1)),
    ],
)
def test_schedules_equal_torch(ours, theirs):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.5)
    schedule = theirs(torch.optim.lr_scheduler, optimizer)
    expected = []
    for _ in range(20):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    np.testing.assert_allclose(rates(ours, 20), expected, rtol=1e-12)


def test_a_restored_schedule_continues():
    make = lambda o: optim.CosineLR(o, 10, warmup_steps=3)
    expected = rates(make, 9)
    first = optim.SGD(PARAMETERS, 0.5)
    schedule = make(first)
    for _ in range(5):
        schedule.step()
    second = optim.SGD(PARAMETERS, 9.0)
    second.load_state_dict(first.state_dict())
    restored = make(second)
    restored.load_state_dict(schedule.state_dict())
    assert second.lr == expected[5]
    restored.step()
    assert second.lr == expected[6]
    with pytest.raises(ValueError, match="expected a state of StepLR, got one of CosineLR"):
        optim.StepLR(second, 2).load_state_dict(schedule.state_dict())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda o: optim.StepLR(o, 0), "step_size: expected an integer >= 1"),
        (lambda o: optim.CosineLR(o, 0), "0 <= warmup_steps < total_steps, got 0 and 0"),
        (lambda o: optim.CosineLR(o, 5, 5), "0 <= warmup_steps < total_steps"),
        (lambda o: optim.CosineLR(o, 5, -1), "0 <= warmup_steps < total_steps"),
        (lambda o: optim.CosineLR(o, 5, min_lr=0.6), r"min_lr: expected a number between 0 and the lr 0\.5, got 0\.6"),
    ],
)
def test_schedules_refuse(make, message):
    with pytest.raises(ValueError, match=message):
        make(optim.SGD(PARAMETERS, 0.5))
