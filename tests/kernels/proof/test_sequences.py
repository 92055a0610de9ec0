"""proof/sequences.py accepts correct records, and catches mistakes that are planted one at a time in a copy of one."""

import dataclasses

import numpy as np
import pytest

import minirnn_kernels
from minirnn_kernels.cell import CELLS, RNN
from minirnn_kernels.proof import SequenceCase, Transfer, prove, prove_case
from minirnn_kernels.proof.cases import CASES
from minirnn_kernels.proof.loop import VARIANTS
from minirnn_kernels.reference import sequences
from tests.doubles.records import function_of, with_function
from tests.doubles.strict_array import StrictArray

KERNELS = minirnn_kernels.get("numpy")


def wrapped(path, change):
    """Return the NumPy record with change(results, arguments) applied to the results of one of its functions."""
    right = function_of(KERNELS, path)

    def wrong(*arguments, **options):
        return change(right(*arguments, **options), arguments)

    return with_function(KERNELS, path, wrong)


def changed(results, position, value):
    return (*results[:position], value, *results[position + 1 :])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_numpy_kernels_are_proven(seed):
    prove(KERNELS, seed)


def with_gates(path, function):
    """Return the NumPy record with a different gate function in its sequences; its field `gates` stays correct."""
    made = sequences.sequences("numpy", with_function(KERNELS.gates, path, function))
    return dataclasses.replace(made, gates=KERNELS.gates)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_dropped_carry_is_caught(cell):
    right = KERNELS.gates.of(cell).backward

    def without_carry(*arguments):
        right(*arguments)
        carry = arguments[4] if cell == "lstm" else arguments[2]  # dc of the LSTM, z * dh of the GRU
        carry[:] = 0

    with pytest.raises(AssertionError, match=rf"numpy, {cell}, float64, case 'plain', d\w+ of \w+: worst entry \["):
        prove(with_gates(f"{cell}.backward", without_carry))


def test_one_wrong_gate_is_caught():
    def with_a_wrong_output_gate(gates, *rest):
        gates[3] *= 1.001
        KERNELS.gates.lstm.forward(gates, *rest)

    with pytest.raises(AssertionError, match=r"numpy, lstm, float64, case 'plain', out of \w+: worst entry"):
        prove(with_gates("lstm.forward", with_a_wrong_output_gate))


def swapped_gates(results, _):
    db = results[5]
    return changed(results, 5, np.concatenate(np.array_split(db, 4)[::-1]))


def first_step_missing(results, _):
    dx = results[0].copy()
    dx[:1] = 0
    return changed(results, 0, dx)


@pytest.mark.parametrize(
    ("path", "change", "message"),
    [
        ("lstm.backward", swapped_gates, r"lstm, .*, db of \w+: worst entry"),
        ("lstm.backward", first_step_missing, r"lstm, .*, dx of \w+: worst entry"),
        ("rnn.backward", lambda r, _: changed(r, 3, r[3].T.copy()), r"rnn-tanh, .*, dW_hh of \w+: worst entry"),
        ("gru.backward", lambda r, _: changed(r, 4, r[5].copy()), r"gru, .*, db_ih of \w+: worst entry"),
        (
            "gru.forward",
            lambda r, _: changed(r, 0, r[0].astype(np.float32)),
            r"gru, .*, out of \w+: dtype float32, expected fl",
        ),
        (
            "gru.forward",
            lambda r, _: changed(r, 1, r[1][None]),
            r"gru, .*, h_n of \w+: shape \(1, 3, 6\), expected \(3, 6\)",
        ),
        ("gru.inference", lambda r, _: changed(r, 1, r[0][-1].copy()), r"case 'lengths', h_n of \w+: worst entry"),
        ("lstm.inference", lambda r, _: changed(r, 2, r[2] * 1.000001), r"lstm, .*, c_n of \w+: worst entry"),
        ("lstm.forward", lambda r, _: changed(r, 1, r[0][-1]), "h_n of forward shares memory with out"),
        (
            "lstm.forward",
            lambda r, _: changed(r, 0, np.nan_to_num(r[0])),
            r"case 'NaN in one row', out of forward: a number where NaN",
        ),
        ("rnn.forward", lambda r, a: changed(r, 0, r[0] + 1e-30 * (a[5] is not None)), "not exactly zero past the seq"),
        (
            "gru.backward",
            lambda r, a: changed(r, 1, r[1] + 1e-9 * (a[0] is None)),
            "case 'no upstream.*dh0 of backward: worst entry",
        ),
    ],
)
def test_a_wrong_result_is_caught_and_named(path, change, message):
    with pytest.raises(AssertionError, match=message):
        prove(wrapped(path, change))


@pytest.mark.parametrize(
    ("path", "change", "message"),
    [
        ("rnn.step", lambda r, _: r * (1 + 1e-12), r"rnn-tanh, float64, case 'one step, plain', h' of step: worst"),
        ("gru.step", lambda r, _: r[:1], r"h' of step: shape \(1, 6\), expected \(3, 6\)"),
        ("gru.step", lambda r, _: r.astype(np.float32), r"h' of step: dtype float32, expected float64"),
        ("lstm.step", lambda r, _: [r[0], r[1]], r"case 'one step, plain': step returned a list, expected a tuple"),
        ("lstm.step", lambda r, _: (r[1], r[0]), r"h' of step: worst entry"),
        (
            "lstm.step",
            lambda r, _: (r[0], np.nan_to_num(r[1])),
            r"NaN in one row and in one unit', c' of step: a number",
        ),
        ("lstm.step", lambda r, _: (r[0], r[0]), r"c' of step: worst entry"),
    ],
)
def test_a_wrong_step_is_caught_and_named(path, change, message):
    with pytest.raises(AssertionError, match=message):
        prove(wrapped(path, change))


def test_a_step_that_gives_the_same_array_again_is_caught():
    kept = {}

    def reusing(result, _):
        if result.shape in kept:
            kept[result.shape][...] = result
        return kept.setdefault(result.shape, result)

    with pytest.raises(AssertionError, match=r"h' of step shares memory with h' of step"):
        prove(wrapped("gru.step", reusing))


def test_a_changed_argument_is_caught():
    def spoils_its_argument(results, arguments):
        h0 = arguments[1]
        h0.flags.writeable = True
        h0[...] = 0
        return results

    with pytest.raises(AssertionError, match=r"rnn-tanh, .*the argument h0 was changed|out of inference: worst entry"):
        prove(wrapped("rnn.forward", spoils_its_argument))


def test_results_that_differ_from_run_to_run_are_caught():
    rng = np.random.default_rng(0)
    noisy = wrapped("rnn.forward", lambda r, _: changed(r, 0, r[0] + 1e-16 * rng.random(r[0].shape)))
    with pytest.raises(AssertionError, match=r"rnn-tanh, .*, out of \w+: two equal calls, different bits"):
        prove(noisy)


def test_a_cache_that_can_be_used_twice_is_caught():
    careless = with_function(
        KERNELS, "gru.backward", lambda *a, keep_cache=False: KERNELS.gru.backward(*a, keep_cache=True)
    )
    with pytest.raises(AssertionError, match=r"gru, .*consumed cache was accepted"):
        prove(careless)


def test_a_record_is_proven_for_the_cells_that_it_has():
    short = dataclasses.replace(KERNELS, cells={"rnn": KERNELS.rnn})
    prove(short, only_dtypes=[np.float64])
    with pytest.raises(AssertionError, match="numpy: has no cells, so there is nothing to prove"):
        prove(dataclasses.replace(KERNELS, cells={}))


def test_a_record_that_accepts_nothing_is_not_called_proven():
    with pytest.raises(AssertionError, match="nothing to prove"):
        prove(dataclasses.replace(KERNELS, accepts=lambda *arrays: False))


def test_one_case():
    prove_case(KERNELS, "gru", SequenceCase(T=3, B=4, I=5, H=19, ragged=True), seed=3, dtype=np.float32)
    with pytest.raises(AssertionError, match=r"numpy, lstm, float32, case 'T=3, B=2, I=5, H=19, seed 4', c_n of forw"):
        prove_case(
            wrapped("lstm.forward", lambda r, _: changed(r, 2, r[2] * np.float32(1.01))),
            "lstm", SequenceCase(T=3, B=2, I=5, H=19), seed=4, dtype=np.float32,
        )  # fmt: skip


def test_the_cases_cover_what_the_contract_names():
    assert {variant.cell.name for variant in VARIANTS.values()} == CELLS.keys()
    assert {v.nonlinearity for v in VARIANTS.values() if v.cell is RNN} == set(RNN.nonlinearities)
    assert {case.B for case in CASES} >= {0, 1}
    assert any(case.T == 1 for case in CASES)
    for trait in ("ragged", "without", "saturated", "nan", "strided", "keep"):
        assert any(getattr(case, trait) for case in CASES), trait


def on_a_device(function):
    """Return a function for StrictArrays that calls the NumPy function with the arrays inside of them."""

    def unpacked(a):
        return a.host if isinstance(a, StrictArray) else a

    def packed(result):
        if isinstance(result, tuple):
            return tuple(map(packed, result))
        return StrictArray(result) if isinstance(result, np.ndarray) else result

    return lambda *arguments, **options: packed(function(*map(unpacked, arguments), **options))


def of_a_device(record):
    def cells_of(part):
        return {name: type(part.of(name))(*map(on_a_device, vars(part.of(name)).values())) for name in CELLS}

    def accepts(*arrays):
        return all(isinstance(a, StrictArray) and record.accepts(a.host) for a in arrays)

    gates = dataclasses.replace(record.gates, **cells_of(record.gates))
    return dataclasses.replace(record, accepts=accepts, gates=gates, **cells_of(record))


def test_a_record_of_another_device_is_proven_there():
    hooks = {"transfer": Transfer(StrictArray, lambda a: a.host)}
    prove(of_a_device(KERNELS), **hooks)
    prove_case(of_a_device(KERNELS), "gru", SequenceCase(T=3, B=4, I=5, H=6), **hooks)
    with pytest.raises(AssertionError, match=r"numpy, gru, float64, case 'plain', h_n of forward: worst entry"):
        prove(of_a_device(wrapped("gru.forward", lambda r, _: changed(r, 1, r[1] * 2))), **hooks)
    on_the_host = with_function(
        of_a_device(KERNELS), "gru.step", lambda *arguments: KERNELS.gru.step(*(a.host for a in arguments))
    )
    with pytest.raises(AssertionError, match=r"h' of step: expected a StrictArray, got ndarray"):
        prove(on_the_host, **hooks)


def test_some_dtypes_and_cells():
    proven = []

    def noted(results, arguments):
        proven.append(arguments[0].dtype.name)
        return results

    record = wrapped("gru.inference", noted)
    prove(record, only_dtypes=[np.float32], only_cells=["gru"])
    assert set(proven) == {"float32"}
    prove(wrapped("gru.inference", lambda r, _: changed(r, 0, r[0] * 2)), only_cells=["lstm", "rnn-relu"])
