"""contract.py, `get` and `available`: records are found by name, and a cache can be taken only once."""

import copy
import dataclasses

import pytest

import minirnn_kernels
from minirnn_kernels.cell import CELLS
from minirnn_kernels.contract import Cache, Gates, Kernels


def test_a_record_is_frozen():
    record = minirnn_kernels.get("numpy")
    assert isinstance(record, Kernels)
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.name = "other"


def test_gates_have_a_forward_and_a_backward_of_each_cell():
    gates = minirnn_kernels.get("numpy").gates
    assert isinstance(gates, Gates)
    for cell in CELLS:
        assert vars(gates.of(cell)).keys() == {"forward", "backward"}
        assert all(map(callable, vars(gates.of(cell)).values()))


def test_a_record_has_forward_backward_inference_and_step_of_each_cell():
    record = minirnn_kernels.get("numpy")
    for cell in CELLS:
        assert vars(record.of(cell)).keys() == {"forward", "backward", "inference", "step"}
        assert all(map(callable, vars(record.of(cell)).values()))


@pytest.mark.parametrize("record", [minirnn_kernels.get("numpy"), minirnn_kernels.get("numpy").gates])
def test_a_record_can_lack_a_cell(record):
    short = dataclasses.replace(record, cells={"rnn": record.rnn, "gru": record.of("gru")})
    assert short.rnn is record.rnn
    assert not hasattr(short, "lstm")
    with pytest.raises(ValueError, match="the numpy kernels have no lstm cell; available: rnn, gru"):
        short.of("lstm")


@pytest.mark.parametrize("record", [minirnn_kernels.get("numpy"), minirnn_kernels.get("numpy").gates])
def test_one_cell_of_a_record_is_replaced_and_the_others_stay(record):
    other = dataclasses.replace(record, name="mine", lstm=dataclasses.replace(record.lstm, forward=abs))
    assert (other.name, other.lstm.forward, other.of("lstm").forward) == ("mine", abs, abs)
    assert other.lstm.backward is record.lstm.backward
    assert other.gru is record.gru
    assert record.lstm.forward is not abs
    assert copy.deepcopy(other).of("lstm").forward is abs


def test_an_unknown_cell_or_attribute_is_an_error():
    record = minirnn_kernels.get("numpy")
    with pytest.raises(TypeError, match="Kernels: there is no cell ltsm; expected names in"):
        dataclasses.replace(record, ltsm=record.lstm)
    with pytest.raises(AttributeError, match="Kernels has no attribute 'ltsm'"):
        _ = record.ltsm


def test_the_numpy_kernels_are_always_available():
    assert minirnn_kernels.available()["numpy"] is None
    assert minirnn_kernels.get("numpy").name == "numpy"


def test_an_unknown_name_is_an_error_that_lists_the_known_ones():
    with pytest.raises(ValueError, match="'fortran' are not known, expected one of 'numpy'"):
        minirnn_kernels.get("fortran")


def test_kernels_that_cannot_run_here_give_their_reason(monkeypatch):
    monkeypatch.setitem(minirnn_kernels._MODULES, "elsewhere", "minirnn_kernels.no_such_module")
    assert "no_such_module" in minirnn_kernels.available()["elsewhere"]
    with pytest.raises(ImportError, match="no_such_module"):
        minirnn_kernels.get("elsewhere")


def test_a_cache_is_taken_once_unless_it_is_kept():
    cache = Cache(1, "two")
    assert cache.take(keep=True) == (1, "two")
    assert cache.take(keep=False) == (1, "two")
    with pytest.raises(RuntimeError, match="consumed by an earlier backward"):
        cache.take(keep=True)
