"""conformance.py: it passes what is right, and catches mistakes planted one at a time in a copy of a right record."""

import dataclasses

import numpy as np
import pytest

import minirnn_kernels
from minirnn_kernels import numpy_kernels
from minirnn_kernels.conformance import CASES, CELLS, prove

KERNELS = minirnn_kernels.get("numpy")


def wrapped(field, change):
    """The NumPy record with change(results, arguments) applied to what one of its functions returns."""
    right = getattr(KERNELS, field)

    def wrong(*arguments, **options):
        return change(right(*arguments, **options), arguments)

    return dataclasses.replace(KERNELS, **{field: wrong})


def changed(results, position, value):
    return (*results[:position], value, *results[position + 1 :])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_numpy_kernels_are_proven(seed):
    prove(KERNELS, seed)


@pytest.mark.parametrize(("cell", "function"), [("lstm", "_lstm_gates_backward_"), ("gru", "_gru_gates_backward_")])
def test_a_dropped_carry_is_caught(monkeypatch, cell, function):
    right = getattr(numpy_kernels, function)

    def without_carry(gates, state, *rest):
        right(gates, state, *rest)
        carry = rest[2] if cell == "lstm" else rest[0]  # dc of the LSTM, the z * dh of the GRU
        carry[:] = 0

    monkeypatch.setattr(numpy_kernels, function, without_carry)
    with pytest.raises(AssertionError, match=rf"numpy, {cell}, float64, case 'plain', d\w+ of \w+: worst entry \["):
        prove(KERNELS)


def test_one_wrong_gate_is_caught(monkeypatch):
    right = numpy_kernels._lstm_gates_

    def with_a_wrong_output_gate(gates, *rest):
        gates[3] *= 1.001
        right(gates, *rest)

    monkeypatch.setattr(numpy_kernels, "_lstm_gates_", with_a_wrong_output_gate)
    with pytest.raises(AssertionError, match=r"numpy, lstm, float64, case 'plain', out of \w+: worst entry"):
        prove(KERNELS)


def swapped_gates(results, _):
    db = results[5]
    return changed(results, 5, np.concatenate(np.array_split(db, 4)[::-1]))


def first_step_missing(results, _):
    dx = results[0].copy()
    dx[:1] = 0
    return changed(results, 0, dx)


@pytest.mark.parametrize(
    ("field", "change", "message"),
    [
        ("lstm_backward", swapped_gates, r"lstm, .*, db of \w+: worst entry"),
        ("lstm_backward", first_step_missing, r"lstm, .*, dx of \w+: worst entry"),
        ("rnn_backward", lambda r, _: changed(r, 3, r[3].T.copy()), r"rnn-tanh, .*, dW_hh of \w+: worst entry"),
        ("gru_backward", lambda r, _: changed(r, 4, r[5].copy()), r"gru, .*, db_ih of \w+: worst entry"),
        (
            "gru_forward",
            lambda r, _: changed(r, 0, r[0].astype(np.float32)),
            r"gru, .*, out of \w+: dtype float32, expected fl",
        ),
        (
            "gru_forward",
            lambda r, _: changed(r, 1, r[1][None]),
            r"gru, .*, h_n of \w+: shape \(1, 3, 6\), expected \(3, 6\)",
        ),
        ("gru_inference", lambda r, _: changed(r, 1, r[0][-1].copy()), r"case 'lengths', h_n of \w+: worst entry"),
        ("lstm_inference", lambda r, _: changed(r, 2, r[2] * 1.000001), r"lstm, .*, c_n of \w+: worst entry"),
        ("lstm_forward", lambda r, _: changed(r, 1, r[0][-1]), "h_n of forward shares memory with out"),
        (
            "lstm_forward",
            lambda r, _: changed(r, 0, np.nan_to_num(r[0])),
            r"case 'NaN in one row', out of forward: a number where NaN",
        ),
        ("rnn_forward", lambda r, a: changed(r, 0, r[0] + 1e-30 * (a[5] is not None)), "not exactly zero past the seq"),
        (
            "gru_backward",
            lambda r, a: changed(r, 1, r[1] + 1e-9 * (a[0] is None)),
            "case 'no upstream.*dh0 of backward: worst entry",
        ),
    ],
)
def test_a_wrong_result_is_caught_and_named(field, change, message):
    with pytest.raises(AssertionError, match=message):
        prove(wrapped(field, change))


def test_a_changed_argument_is_caught():
    def spoils_its_argument(results, arguments):
        h0 = arguments[1]
        h0.flags.writeable = True
        h0[...] = 0
        return results

    with pytest.raises(AssertionError, match=r"rnn-tanh, .*the argument h0 was changed|out of inference: worst entry"):
        prove(wrapped("rnn_forward", spoils_its_argument))


def test_results_that_differ_from_run_to_run_are_caught():
    rng = np.random.default_rng(0)
    noisy = wrapped("rnn_forward", lambda r, _: changed(r, 0, r[0] + 1e-16 * rng.random(r[0].shape)))
    with pytest.raises(AssertionError, match=r"rnn-tanh, .*, out of \w+: two equal calls, different bits"):
        prove(noisy)


def test_a_cache_that_can_be_used_twice_is_caught():
    careless = dataclasses.replace(
        KERNELS, gru_backward=lambda *a, keep_cache=False: KERNELS.gru_backward(*a, keep_cache=True)
    )
    with pytest.raises(AssertionError, match=r"gru, .*consumed cache was accepted"):
        prove(careless)


def test_a_record_that_accepts_nothing_is_not_called_proven():
    with pytest.raises(AssertionError, match="nothing to prove"):
        prove(dataclasses.replace(KERNELS, accepts=lambda *arrays: False))


def test_the_cases_cover_what_the_contract_names():
    assert {cell.name for cell in CELLS} == {"rnn-tanh", "rnn-relu", "lstm", "gru"}
    assert {case.B for case in CASES} >= {0, 1}
    assert any(case.T == 1 for case in CASES)
    for trait in ("ragged", "without", "saturated", "nan", "strided", "keep"):
        assert any(getattr(case, trait) for case in CASES), trait
