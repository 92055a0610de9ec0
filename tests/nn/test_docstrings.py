"""The examples in the docstrings of `minirnn.nn` and `minirnn.recurrent` run, and print the output that they show."""

import doctest
import importlib
import pkgutil

import pytest

from minirnn import nn, recurrent

MODULES = sorted(f"{room.__name__}.{m.name}" for room in (nn, recurrent) for m in pkgutil.iter_modules(room.__path__))


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_are_right(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("module", [nn.RNN, nn.LSTM, nn.GRU, nn.RNNCell, nn.LSTMCell, nn.GRUCell])
def test_each_recurrent_module_has_an_example_and_its_own_constructor(module):
    assert any(test.examples for test in doctest.DocTestFinder(recurse=False).find(module))
    assert "__init__" in vars(module)
