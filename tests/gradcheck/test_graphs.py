"""`check(f)` on Tensors judges the gradients of the graph; Tensors are recognised by duck typing."""

import numpy as np
import pytest

from minirnn import Tensor, nn
from minirnn.gradcheck import Verdict, check

RNG = np.random.default_rng(0)


def tensor(*shape):
    return Tensor(RNG.standard_normal(shape), requires_grad=True)


def test_a_function_on_tensors_passes():
    report = check(lambda x, W: np.tanh(x @ W), inputs=(tensor(2, 3), tensor(3, 4)))
    assert report, str(report)
    assert [row.name for row in report.rows] == ["x", "W"]


def test_several_outputs_and_inputs_that_need_no_gradient():
    fixed = Tensor(RNG.standard_normal((2, 3)))
    report = check(lambda x, c: (x * c, (x**2).sum()), inputs=(tensor(2, 3), fixed))
    assert report, str(report)
    assert [row.name for row in report.rows] == ["x"]


def test_a_layer_passes():
    lstm = nn.LSTM(3, 4, dtype=np.float64)
    report = check(lambda x: lstm(x)[0], inputs=(tensor(5, 2, 3),))
    assert report, str(report)


def test_a_wrong_gradient_fails():
    class Wrong(Tensor):
        def backward(self, *arguments, **options):
            super().backward(*arguments, **options)

    def function(x):
        return np.tanh(x) + 0.1 * x.detach()

    assert check(function, inputs=(tensor(3),)).verdict is Verdict.FAIL


def test_inputs_without_tensors_are_refused():
    with pytest.raises(TypeError, match="at least one Tensor with requires_grad=True"):
        check(np.tanh, inputs=(np.ones(3),))
